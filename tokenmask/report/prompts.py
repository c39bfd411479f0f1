"""What samples are drawn for: conditions of records, or those that a caller asks for.

Arrow: Record --**prompts_of**--> Prompt --Run.generate--> media. Does not know: how anything is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenmask.corpus import HELD_OUT, TRAIN, Record
from tokenmask.generation import Recording
from tokenmask.run import Run
from tokenmask.streams import TokenStream

_OF_A_KIND = 3  # texts that are drawn for conditions of one kind; what is given takes room


@dataclass(frozen=True)
class Prompt:
    """One request of samples.

    Args:
        given: stream name -> media, words or tokens, as in :meth:`Run.generate`.
        options: of :meth:`Run.generate`: ``length``, ``duration_seconds`` or ``grid`` of a stream of free size.
        caption: what was asked for, in words; "" takes the words that are given.
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    caption: str = ""


def prompts_of(run: Run, stream: str, count: int) -> list[Prompt]:
    """Prompts from held-out records that hold the stream, from training records if none are held out.

    The other streams of a record are given, and its size is asked for. Where a record holds nothing else, the first
    half of a text is given and continued, and another stream is drawn with nothing given.

    Returns:
        at most ``count`` prompts with different conditions, spread over the kinds of records.
    """
    if not run.corpora:
        return []
    records = [record for record in run.records(HELD_OUT) if stream in record.streams]
    records = records or [record for record in run.records(TRAIN) if stream in record.streams]
    kinds: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        kinds.setdefault(tuple(sorted(record.streams)), []).append(record)
    found: list[Prompt] = []
    for number, group in enumerate(kinds.values()):
        share = min(count // len(kinds) + (number < count % len(kinds)), _OF_A_KIND if _is_text(run, stream) else count)
        seen: list[Mapping[str, TokenStream]] = []
        for record in _spread(group):
            if len(seen) == share:
                break
            streams = fitted(run, record)
            prompt = _prompt(run, stream, streams)
            if prompt is not None and prompt.given not in seen:
                seen.append(prompt.given)
                found.append(prompt)
    return found


def fitted(run: Run, record: Record) -> dict[str, TokenStream]:
    """The streams of a record, cut to what the model takes."""
    return run.layout.unpack(run.recipe.packing(run.layout, record.streams))


def draw(run: Run, stream: str, prompts: Sequence[Prompt], per_prompt: int, seed: int) -> list[list[Any]]:
    """Samples of each prompt; prompts with equal options are filled together."""
    drawn: dict[int, list[Any]] = {}
    left = list(range(len(prompts)))
    while left:
        options = prompts[left[0]].options
        group = [index for index in left if prompts[index].options == options]
        left = [index for index in left if index not in group]
        given = [prompts[index].given for index in group]
        media = run.generate(stream, given=given, num_samples=per_prompt, seed=seed, **options)
        for place, index in enumerate(group):
            drawn[index] = media[place * per_prompt : (place + 1) * per_prompt]
    return [drawn[index] for index in range(len(prompts))]


def recorded(run: Run, stream: str, prompt: Prompt, seed: int) -> Recording:
    """The steps of one sample of a prompt."""
    steps = Recording()
    run.generate_tokens(stream, given=prompt.given, seed=seed, on_step=steps, **prompt.options)
    return steps


def _is_text(run: Run, stream: str) -> bool:
    return run.layout.streams[stream].end_code is not None


def _prompt(run: Run, stream: str, streams: Mapping[str, TokenStream]) -> Prompt | None:
    own = streams[stream]
    given = {name: one for name, one in streams.items() if name != stream and one.codes.numel()}
    if not own.codes.numel():
        return None
    text = _is_text(run, stream)
    if text and not given:
        half = own.grid[0] // 2
        if not half:
            return None
        return Prompt({stream: TokenStream(own.spec, own.codes[:half])}, {"length": own.grid[0] - half})
    if None not in run.layout.streams[stream].grid:
        return Prompt(given)
    return Prompt(given, {"length": own.grid[0]} if text else {"grid": own.grid})


def _spread(records: Sequence[Record]) -> list[Record]:
    """All records, in steps through the whole list: neighbours are often alike."""
    step = max(1, round(len(records) * 0.382))
    while step > 1 and len(records) % step == 0:
        step -= 1
    order = dict.fromkeys((number * step) % max(len(records), 1) for number in range(len(records)))
    return [records[at] for at in [*order, *(at for at in range(len(records)) if at not in order)]]
