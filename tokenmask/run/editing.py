"""Editing: a region of media as codes that are filled anew, all others kept.

Arrow: media + **Change** --**edited**, **edited_file**--> media. Does not know: how codes are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tokenmask.generation import (
    DrawOptions,
    Region,
    Request,
    check_options,
    enclosed,
    hole,
    left_beside,
    resized,
    thinned,
    touched,
    window,
)
from tokenmask.run.asked import marked
from tokenmask.run.drawing import Drawing
from tokenmask.sampling import AllOf, ForbidCodes
from tokenmask.streams import TokenStream, cut, pasted
from tokenmask.telling import tell
from tokenmask.tokenizer import ReadsFiles, Show, WritesFiles

if TYPE_CHECKING:
    from tokenmask.run.run import Run


@dataclass(frozen=True, eq=False)
class Change:
    """What of a stream is to be made anew, and given what; each as of :meth:`Run.edit`."""

    regenerate: Sequence[Region] | None
    levels: Sequence[int] | None
    channels: Sequence[str] | None
    parts: Sequence[str] | None
    length: int | None
    strength: float | None
    given: Mapping[str, Any] | None
    options: DrawOptions = field(default_factory=DrawOptions)


def edited(run: Run, media: Any, stream: str | None, change: Change, keep_original: bool | None) -> list[Any]:
    """The media of each sample; see :meth:`Run.edit`."""
    if not isinstance(keep_original, bool | None):
        raise TypeError(f"keep_original must be True, False or None, got {keep_original!r}; write one of these")
    inputs = run.inputs
    name = stream or inputs.stream_of(media)
    inputs.check(name)
    tokenizer = run.tokenizers[name]
    source = media if isinstance(media, TokenStream) else inputs.media(name, media)
    codes = inputs.tokens(name, source)
    shown = tokenizer.decode(codes) if isinstance(source, TokenStream) else source
    remade, chosen = _remade(run, name, codes, shown, change)
    if keep_original is None:
        keep_original = not (isinstance(source, TokenStream) or getattr(source, "stream", None) is codes)
    if keep_original:
        return [tokenizer.decode(one, given=shown, keep=~chosen.any(-1)) for one in remade]
    return [tokenizer.decode(one) for one in remade]


def edited_file(run: Run, path: str | Path, out: Sequence[str | Path], stream: str, change: Change, show: Show) -> None:
    """Writes the files of all samples in pieces; see :meth:`Run.edit_file`."""
    run.inputs.check(stream)
    tokenizer = run.tokenizers[stream]
    if not isinstance(tokenizer, ReadsFiles) or not isinstance(tokenizer, WritesFiles):
        raise ValueError(f"{type(tokenizer).__name__} needs whole media, not files in pieces; use edit")
    if len(out) != change.options.get("num_samples", 1):
        raise ValueError(f"an edit writes a file for each of num_samples samples, got {len(out)} names")
    codes = tokenizer.encode_file(path, show=show)
    remade, chosen = _remade(run, stream, codes, None, change)
    for one, target in zip(remade, out, strict=True):
        tokenizer.decode_file(one, target, given=path, keep=~chosen.any(-1), show=show)


def _remade(run: Run, name: str, codes: TokenStream, shown: Any, change: Change) -> tuple[list[TokenStream], Tensor]:
    """The codes of each sample, and which places of ``codes`` were filled anew, bool [*grid, levels]."""
    mine = ("stream", "levels", "channels", "parts", "length", "strength", "given", "keep_original")
    seed, samples = check_options(change.options, mine)
    if not isinstance(seed, int):
        raise ValueError(f"an edit has one seed, got {seed!r}; write one whole number")
    inputs, tokenizer = run.inputs, run.tokenizers[name]
    chosen = hole(
        tokenizer,
        shown,
        codes,
        change.regenerate,
        levels=change.levels,
        channels=change.channels,
        parts=change.parts,
    )
    if change.strength is not None:
        if change.length is not None:
            raise ValueError("strength keeps places of the region and length replaces them all; write one of the two")
        chosen = thinned(chosen, change.strength, seed)
    whole, opened = (codes, chosen) if change.length is None else resized(codes, chosen, change.length)
    beside = left_beside(tokenizer, name, shown, codes, chosen, change.regenerate)
    conditions, others = inputs.conditions(change.given), inputs.companions(change.options)
    canvas, open_places, first = whole, opened, 0
    piece = run.recipe.packing.window(run.layout, name, whole, conditions)
    if piece is not None and not _fits(opened, whole.spec.axes.index(piece[0]), piece[1]):
        piece = None  # a hole longer than the model sees is filled window by window
    if piece is not None:
        first, stop = window(whole, opened, piece[1])
        canvas = cut(whole, piece[0], first, stop)
        open_places = opened.narrow(whole.spec.axes.index(piece[0]), first, stop - first)
    request = Request(name, canvas, open_places, conditions, seed=seed, cut=piece is not None, **others)
    drawing = Drawing.of(run, name, change.options)
    sampler, end = drawing.sampler, codes.spec.end_code
    if end is not None and not bool(opened[-1].any()):  # what follows must not be cut off
        owner = run.layout.range(name).stream
        sampler = replace(sampler, constraint=AllOf((sampler.constraint, ForbidCodes({owner: (end,)}))))
    if beside is not None:
        if drawing.at_once(request):
            sampler = enclosed(sampler, beside, int(opened.any(-1).sum()))
        else:
            tell(f"a region of {name!r} that is longer than the model sees is filled by whole codes at its ends, too")
    filled = replace(drawing, sampler=sampler).fill([replace(request, sample=sample) for sample in range(samples)])
    remade = [one if piece is None else pasted(whole, one, piece[0], first) for one in filled]
    return [marked(one, opened) for one in remade], chosen


def _fits(opened: Tensor, axis: int, steps: int) -> bool:
    first, stop = touched(opened.movedim(axis, 0).flatten(1).any(1))
    return stop - first <= steps
