"""Editing: a region of media as codes that are filled anew, all others kept.

Arrow: media + **Change** --**edited**, **edited_file**--> media. Does not know: how codes are drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor

from tokenmask.generation import (
    DrawOptions,
    Region,
    Request,
    check_options,
    depths_of,
    enclosed,
    finer,
    hole,
    left_beside,
    length_range,
    put_in,
    resized,
    thinned,
    touched,
    window,
)
from tokenmask.run.asked import marked
from tokenmask.run.drawing import Drawing
from tokenmask.scores.arguments import whole
from tokenmask.streams import TokenStream, cut, pasted
from tokenmask.telling import tell
from tokenmask.tokenizer import KeepsGroups, Locates, ReadsFiles, Show, WritesFiles

if TYPE_CHECKING:
    from tokenmask.run.run import Run


@dataclass(frozen=True, eq=False)
class Change:
    """What of a stream is to be made anew, and given what; each as of :meth:`Run.edit`."""

    regenerate: Sequence[Region] | None
    levels: Sequence[int] | None
    channels: Sequence[str] | None
    parts: Sequence[str] | None
    length: int | tuple[int, int] | None
    strength: float | None
    drift: float | None
    given: Mapping[str, Any] | None
    options: DrawOptions = field(default_factory=DrawOptions)


def edited(run: Run, media: Any, stream: str | None, change: Change, keep_original: bool | None) -> list[Any]:
    """The media of each sample; see :meth:`Run.edit`."""
    if not isinstance(keep_original, bool | None):
        raise TypeError(f"keep_original must be True, False or None, got {keep_original!r}; write one of these")
    if isinstance(media, list | tuple):
        raise TypeError(
            f"edit takes one medium, got a {type(media).__name__} of {len(media)}; call it for each, or say "
            "num_samples=... for several of one"
        )
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
        return [tokenizer.decode(one, given=shown, keep=_kept(tokenizer, chosen)) for one in remade]
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
        tokenizer.decode_file(one, target, given=path, keep=_kept(tokenizer, chosen), show=show)


def _kept(tokenizer: Any, chosen: Tensor) -> Tensor:
    """Places that stay, bool [*grid], or codes, bool [*grid, levels], where the parts of media that they make can."""
    return ~chosen if isinstance(tokenizer, KeepsGroups) else ~chosen.any(-1)


def _remade(run: Run, name: str, codes: TokenStream, shown: Any, change: Change) -> tuple[list[TokenStream], Tensor]:
    """The codes of each sample, and which places of ``codes`` were filled anew, bool [*grid, levels]."""
    mine = ("stream", "levels", "channels", "parts", "length", "strength", "drift", "given", "keep_original")
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
    if change.drift is not None and (change.length is not None or change.strength is not None):
        raise ValueError("drift begins with all that stands in the region; leave length and strength out")
    beside = left_beside(tokenizer, name, shown, codes, chosen, change.regenerate)
    length, behind = change.length, None
    if any(isinstance(tokenizer, Locates) and len(one) == 2 and one[0] == one[1] for one in change.regenerate or ()):
        if beside is None:
            raise ValueError("words are put in at one place of a text whose codes say their bytes; name that one alone")
        if length is None:
            raise ValueError("what is put in between two characters needs a length, got none; say how many codes")
        if beside.before and beside.after:  # inside of codes, which are said again
            length = _longer(length, int(chosen.any(-1).sum()))
        else:
            behind, beside = not beside.after, None
    conditions, others = inputs.conditions(change.given), inputs.companions(change.options)
    drawing = Drawing.of(run, name, change.options)
    drawing.tell_unguided([Request(name, codes, chosen, conditions, **others)])
    if change.drift is not None:
        drawing = drawing.drifting(change.drift, depths_of(codes.spec, chosen))

    def asked(length: int | None, ended: bool = False) -> _Asked:
        request = Request(name, codes, chosen, conditions, seed=seed, ended=ended, **others)
        return _asked(run, codes, chosen, length, request, behind)

    found = length_range(length)
    if found is None:
        lengths, ended = [cast("int | None", length)] * samples, False
    else:
        least, most = found
        ended = bool(asked(least).opened[-1].any())
        every = [asked(length, ended) for length in range(least, most + 1)]
        lengths = [*drawing.lengths([one.request for one in every], least, samples)]
    remade = list[TokenStream]()
    for length, same in itertools.groupby(range(samples), key=lambda sample: lengths[sample]):
        one = asked(length, ended)
        unending = drawing
        if ended or not bool(one.opened[-1].any()):  # what follows must not be cut off
            unending = drawing.never_ending(name)
        sampler = unending.sampler
        if beside is not None:
            if drawing.at_once(one.request):
                sampler = enclosed(sampler, beside, int(one.opened.any(-1).sum()))
            else:
                tell(
                    f"a region of {name!r} that is longer than what is filled at once is filled by whole codes at its "
                    "ends, too"
                )
        opened = None if change.drift is None else finer(codes.spec, one.request.hole)
        requests = [replace(one.request, sample=sample, opened=opened) for sample in same]
        for filled in replace(drawing, sampler=sampler, before=len(remade)).fill(requests):
            remade.append(marked(one.joined(filled), one.opened))
    return remade, chosen


def _longer(length: int | tuple[int, int], own: int) -> int | tuple[int, int]:
    """A length, or the least and the most, with ``own`` codes more."""
    found = length_range(length)
    return whole("length", cast("int", length)) + own if found is None else (found[0] + own, found[1] + own)


@dataclass(frozen=True, eq=False)
class _Asked:
    """A request for a region in codes of one length.

    Args:
        request: what the model sees of it.
        whole: all codes.
        opened: bool [*grid, K], the places of them that are filled.
        piece: axis and first place of what the model sees, where that is not all.
    """

    request: Request
    whole: TokenStream
    opened: Tensor
    piece: tuple[str, int] | None

    def joined(self, filled: TokenStream) -> TokenStream:
        """All codes with those that were filled."""
        return filled if self.piece is None else pasted(self.whole, filled, *self.piece)


def _asked(
    run: Run, codes: TokenStream, chosen: Tensor, length: int | None, request: Request, behind: bool | None
) -> _Asked:
    """The request with as many codes in place of the region as a length says, in a window where it does not fit; with
    ``behind`` beside the codes of the region, which stay."""
    if length is None:
        whole, opened = codes, chosen
    else:
        whole, opened = resized(codes, chosen, length) if behind is None else put_in(codes, chosen, length, behind)
    piece = run.recipe.packing.window(run.layout, request.target, whole, request.given)
    if piece is not None and not _fits(opened, whole.spec.axes.index(piece[0]), piece[1]):
        piece = None  # a hole longer than the model sees is filled window by window
    if piece is None:
        return _Asked(replace(request, canvas=whole, hole=opened), whole, opened, None)
    first, stop = window(whole, opened, piece[1])
    canvas = cut(whole, piece[0], first, stop)
    open_places = opened.narrow(whole.spec.axes.index(piece[0]), first, stop - first)
    return _Asked(replace(request, canvas=canvas, hole=open_places, cut=True), whole, opened, (piece[0], first))


def _fits(opened: Tensor, axis: int, steps: int) -> bool:
    first, stop = touched(opened.movedim(axis, 0).flatten(1).any(1))
    return stop - first <= steps
