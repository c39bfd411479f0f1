"""Evolving: media of which a score says how good they are, made better by making their segments anew.

Arrow: Run + media + score --**evolve**--> **Evolved**. Does not know: how fragments are chosen, how anything is filled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from tokenmask.generation import DrawOptions, FragmentRemask, Fragments, RemaskEvolution, Request, check_options, grows
from tokenmask.generation.evolution import OPEN
from tokenmask.progress import progress_bar
from tokenmask.run.drawing import Drawing
from tokenmask.scores.arguments import whole
from tokenmask.streams import TokenStream
from tokenmask.threads import free_cores

if TYPE_CHECKING:
    from typing import Unpack

    from tokenmask.run.run import Run


@dataclass(frozen=True, eq=False)
class Evolved:
    """What an evolution tried.

    Args:
        media: all that was scored, in that order; what it began with comes first.
        scores: of each; None where the score said so.
    """

    media: list[Any]
    scores: list[float | None]

    @property
    def best(self) -> Any:
        """The first of those with the best score.

        Raises:
            ValueError: nothing has a score.
        """
        return self.top(1)[0]

    def top(self, count: int) -> list[Any]:
        """The best ones, the best first, each once by its codes; fewer where there are no more."""
        whole("count", count)
        ranked = sorted((-score, at) for at, score in enumerate(self.scores) if score is not None)
        if not ranked:
            raise ValueError(f"none of {len(self.scores)} media has a score; begin with others")
        found = dict[tuple[int, ...], Any]()
        for _, at in ranked:
            if len(found) == count:
                break
            found.setdefault(tuple(self.media[at].stream.codes[:, 0].tolist()), self.media[at])
        return list(found.values())


@free_cores()
def evolve(
    run: Run,
    stream: str,
    score: Callable[[Any], float | None],
    begin: Sequence[Any],
    *,
    delimiter: str,
    calls: int,
    masks: tuple[int, int] = (5, 15),
    population: int = 100,
    cuts: int = 3,
    warmup: int = 0,
    together: int = 1,
    shortest: int = 0,
    longest: int | None = None,
    pad: str | None = None,
    given: Mapping[str, Any] | None = None,
    **options: Unpack[DrawOptions],
) -> Evolved:
    """Looks for media with a high score: fragments of good ones are put together, and one segment of that is made anew.

    That is the optimiser of GenMol (arXiv:2501.06158, section 4) for any stream of one level in a row in which a code
    stands between segments: molecules of fragments, lists of words, programs of lines. What is tried depends on the
    seed, on what there is at the beginning and on the scores alone, whatever is filled at once.

    Args:
        run: with the stream.
        stream: its name.
        score: media -> a number, more is better, or None for what is no medium at all. Called once for each that is
            tried, in turn.
        begin: media, words, paths or TokenStreams that are cut into the first fragments; they are scored too.
        delimiter: what the code between two segments says.
        calls: of ``score`` in all, those of ``begin`` among them.
        masks: the least and the most places that a segment becomes.
        population, cuts, warmup, together, shortest, longest: see :class:`tokenmask.generation.RemaskEvolution`.
            ``longest`` is at most the size of a stream that has one.
        pad: what the code says that fills up a stream of one size; None where it grows.
        given: stream name -> media, words, a path or a TokenStream: conditions.
        options: as for :meth:`tokenmask.run.Run.generate`, but num_samples.

    Raises:
        TypeError: a stream whose codes do not say what they stand for, a score that is no number.
        ValueError: another stream than one level in a row, no such delimiter or pad, fewer calls than media to begin
            with, too few fragments, several seeds or samples.
    """
    seed, samples = check_options(options, _OWN)
    if not isinstance(seed, int) or samples != 1:
        raise ValueError(
            f"an evolution has one seed and one sample of each, got {seed!r} and {samples}; leave them out"
        )
    run.inputs.check(stream)
    spec, codec = run.layout.streams[stream], run.tokenizers[stream]
    if len(spec.axes) != 1 or spec.num_levels != 1:
        raise ValueError(
            f"segments are cut of codes of one level in a row, but {stream!r} has {spec.num_levels} along "
            f"{', '.join(spec.axes)}; name another stream"
        )
    if grows(spec) == (pad is not None):
        how = "grows: leave pad out" if pad is not None else f"always has {spec.grid[0]} places: say with what in pad"
        raise ValueError(f"what is shorter than a stream of one size is filled up, but {stream!r} {how}")
    between, filler = (
        _code(codec, stream, "delimiter", delimiter),
        None if pad is None else _code(codec, stream, "pad", pad),
    )
    if isinstance(begin, str | bytes) or not isinstance(begin, Sequence):
        raise TypeError(f"begin must be a list of media, got {begin!r}; write [...] around what is one")
    if not (isinstance(masks, Sequence) and len(masks) == 2):
        raise TypeError(f"masks must be the least and the most places, got {masks!r}; write (5, 15) or the like")
    size = spec.grid[0]
    if size is not None:
        if longest is not None:
            whole("longest", longest)
        longest = min(longest or size, size)
    evolution = RemaskEvolution(FragmentRemask(between, *masks), population, cuts, warmup, together, shortest, longest)
    drawn: DrawOptions = {**options, "progress": False}  # there is one bar, of calls
    drawing = Drawing.of(run, stream, drawn).never_ending(stream)
    conditions, others = run.inputs.conditions(given), run.inputs.companions(options)
    fragments, tried = Fragments(evolution, seed), Evolved([], [])

    def judge(tokens: TokenStream) -> None:
        media, number = codec.decode(tokens), len(tried.media)
        codes, value = _unfilled(tokens, filler), _number(score(media))
        tried.media.append(media)
        tried.scores.append(value)
        fragments.take(codes, value, number)

    def request(codes: Sequence[int], number: int) -> Request:
        row = [*codes, *[filler or 0] * ((size or len(codes)) - len(codes))]
        canvas = torch.tensor(row, dtype=torch.int32)[:, None]
        hole = canvas == OPEN
        known = TokenStream(spec, torch.where(hole, between, canvas))
        return Request(stream, known, hole, conditions, seed=seed, sample=number, ended=True, **others)

    if whole("calls", calls) < len(begin):
        raise ValueError(f"calls must be at least the {len(begin)} of what is begun with, got {calls}; raise it")
    bar = bool(options.get("progress", False))
    with progress_bar("evolving", calls, 0, bar, "call") as show:
        for one in begin:
            judge(run.inputs.tokens(stream, one))
        while len(tried.media) < calls:
            first = len(tried.media)
            numbers = range(first, min(first + together, calls))
            asked = [request(evolution.proposal(fragments, one - len(begin), seed), one) for one in numbers]
            for made in drawing.fill(asked):
                judge(made)
            show(len(tried.media), None)
    return tried


_OWN = (
    "delimiter",
    "calls",
    "masks",
    "population",
    "cuts",
    "warmup",
    "together",
    "shortest",
    "longest",
    "pad",
    "given",
)


def _code(tokenizer: Any, stream: str, what: str, word: str) -> int:
    """The code that says a word, and nothing else."""
    texts: Sequence[str] | None = getattr(tokenizer, "code_texts", None)
    if texts is None:
        raise TypeError(f"codes of {stream!r} must stand for text, but those of {type(tokenizer).__name__} do not")
    found = [code for code, text in enumerate(texts) if text == word and word]
    if len(found) > 1:  # the one that words are coded with
        found = tokenizer.encode(tokenizer.media(word)).codes[:, 0].tolist()
    if len(found) != 1:
        raise ValueError(
            f"{what} must be what one code of {stream!r} says, got {word!r}, which {len(found)} do; correct it"
        )
    return found[0]


def _unfilled(tokens: TokenStream, filler: int | None) -> list[int]:
    """The codes without what fills them up behind."""
    codes: list[int] = tokens.codes[:, 0].tolist()
    while filler is not None and len(codes) > 1 and codes[-1] == filler:
        codes.pop()
    return codes


def _number(value: Any) -> float | None:
    if value is None:
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"a score must be a number, or None for what is none, got {value!r}; return one") from None
    if math.isnan(found):
        raise ValueError("a score must be a number, got NaN; return None for what has none")
    return found
