"""Samples for a card: a few media of each stream as files, and the lines that show them.

Arrow: Run --prompts of its records--> media files + Markdown. Does not know: what else a card says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenmask.medium import said
from tokenmask.report.prompts import Prompt, draw, prompts_of
from tokenmask.run.run import Run
from tokenmask.streams import TokenStream

FOLDER = "samples"
_SECONDS, _CODES = 1.0, 16  # of what is drawn with nothing given, where no record says how long
_PICTURES, _SOUNDS = (".png", ".gif", ".webp", ".jpg"), (".wav", ".flac", ".ogg")


def draw_samples(run: Run, folder: Path, count: int, seed: int) -> list[str]:
    """Draws, writes ``samples/STREAM-N.*`` and returns a line of Markdown for each.

    Args:
        run: that draws; conditions are those of its held-out records, nothing is given where it has no corpora.
        folder: of the run.
        count: for each stream.
        seed: of all.
    """
    lines: list[str] = []
    for name in run.layout.names if count else ():
        prompts = prompts_of(run, name, count) or [_nothing_given(run, name)]
        per = 1 if len(prompts) > 1 else count
        drawn = draw(run, name, prompts, per, seed)
        made = [(prompt, one) for prompt, media in zip(prompts, drawn, strict=True) for one in media]
        lines += [_line(run, name, prompt, one, folder, number) for number, (prompt, one) in enumerate(made)]
    return lines


def _nothing_given(run: Run, name: str) -> Prompt:
    spec = run.layout.streams[name]
    if None not in spec.grid:
        return Prompt()
    if spec.rate_hz is None:
        return Prompt({}, {"length": _CODES})
    return Prompt({}, {"duration_seconds": _SECONDS})


def _line(run: Run, name: str, prompt: Prompt, media: Any, folder: Path, number: int) -> str:
    given = _given(run, prompt)
    label = f"{name}, given {given}" if given else f"{name}, nothing given"
    if said(type(media), "words"):
        return f"**{label}**: {_quoted(str(media))}"
    ending = said(type(media), "written_suffixes")[0]
    path = folder / FOLDER / f"{name}-{number}{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    media.save(path)
    place = f"{FOLDER}/{path.name}"
    if ending in _PICTURES:
        return f"**{label}**: ![{name}]({place})"
    if ending in _SOUNDS:
        return f'**{label}**: <audio controls src="{place}"></audio>'
    return f"**{label}**: [{path.name}]({place})"


def _given(run: Run, prompt: Prompt) -> str:
    words: Sequence[str] = [
        f"{name} {_quoted(str(run.tokenizers[name].decode(value) if isinstance(value, TokenStream) else value))}"
        if said(run.tokenizers[name].media, "words")
        else name
        for name, value in prompt.given.items()
    ]
    return " and ".join(words)


def _quoted(text: str) -> str:
    """A quotation in which nothing is Markdown or HTML."""
    plain = " ".join(text.split())
    return "\u201c" + "".join(f"\\{one}" if one in "\\`*_[]<>|#&!" else one for one in plain) + "\u201d"
