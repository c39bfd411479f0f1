"""Streams longer than a model sees: filled window by window, each beginning with the end of the one before.

Arrow: long Request --windows--> Request of a size that fits --fill--> codes, pasted. Does not know: media, networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from torch import Tensor

from tokenmask.generation.regions import touched
from tokenmask.generation.request import Request, growing_axis
from tokenmask.generation.watching import Filling
from tokenmask.layout import Layout
from tokenmask.progress import progress_bar
from tokenmask.streams import TokenStream, cut, pasted
from tokenmask.training import Packing

OVERLAP = 0.4  # of a window; audiocraft's MusicGen, too, continues by 18 of the 30 seconds that it sees
_APART = 0x1E3779B97F4A7C15  # from the seed of a window to that of the next: odd and large, so none meets another's

_EARLY_SHARE = 1 / 5  # of what is made; with the overlap these are eight windows, so the first comes after an eighth
_EARLY_SECONDS, _EARLY_CODES = 2.0, 32  # no window that is to come early is shorter: of a clock, of what has none

Window = int | Literal["early", "most"] | None
"""How much is filled together, see :class:`DrawOptions`."""

Placed = Callable[[Filling], Filling]
"""What stands after a step of a request or of a window of it, as a step of the whole among all requests."""

Fill = Callable[[Sequence[Request], Sequence[Placed], bool], list[TokenStream]]
"""Fills requests that fit; beside each stands what its steps are of, and last whether to show a bar."""


def sees(request: Request, layout: Layout, packing: Packing, window: Window = None) -> tuple[str, int] | None:
    """The axis and the most steps of a window; None if the request fits or can't be cut.

    As training cuts the target; a stream with a time axis that training never cut has as many times as fit.

    Args:
        request: with a canvas of any length.
        layout: of the model.
        packing: of its training.
        window: what was asked for. One that is to come early is no longer than training cut it, where much more fits.
    """
    spec, grid, piece = request.canvas.spec, request.canvas.grid, None
    own = layout.arrangement(request.target).positions(request.canvas.codes[..., 0].numel(), spec.num_levels)
    room, axis = packing.max_positions - packing.positions(layout, request.given), growing_axis(spec)
    if own > room:
        piece = packing.window(layout, request.target, request.canvas, request.given)
        if piece is None and "time" in spec.axes:
            piece = _times(request, layout, room)
    elif window is not None:
        piece = (spec.axes[axis], grid[axis])
    if piece is not None and window is not None:
        shown = packing.steps(layout, request.target, request.canvas) if window == "early" else None
        piece = (piece[0], min(piece[1], shown or piece[1], _asked_for(window, request)))
    return None if piece is None or piece[1] >= grid[spec.axes.index(piece[0])] else piece


def _asked_for(window: Window, request: Request) -> int:
    """The most steps of a window that was asked for."""
    if isinstance(window, int):
        return window
    axis, rate = growing_axis(request.canvas.spec), request.canvas.spec.rate_hz
    if window != "early":
        return request.canvas.grid[axis]
    made = int(request.hole.movedim(axis, 0).flatten(1).any(1).sum())
    return max(math.ceil(_EARLY_SHARE * made), _EARLY_CODES if rate is None else math.ceil(_EARLY_SECONDS * rate))


def _times(request: Request, layout: Layout, room: int) -> tuple[str, int] | None:
    """As many times as fit into so many positions, or None where not even one does."""
    spec, grid = request.canvas.spec, request.canvas.grid
    positions, whole = layout.arrangement(request.target).positions, grid[spec.axes.index("time")]
    others = request.canvas.codes[..., 0].numel() // whole
    count = min(whole, max(room, 0) // others + 1)
    while count and positions(others * count, spec.num_levels) > room:
        count -= 1
    return ("time", count) if count else None


def windows(hole: Tensor, steps: int) -> list[tuple[int, int]]:
    """Where windows begin and end that cover a hole.

    Args:
        hole: bool [T], the steps that hold something to fill; one at least.
        steps: of a window.

    Returns:
        one for each in turn: each holds ``OVERLAP`` of its steps of what is known before, where there is that much, and
        the last one as many of what follows.
    """
    context = min(round(OVERLAP * steps), steps - 1)
    first, stop = touched(hole)
    size, end = len(hole), min(stop + context, len(hole))
    start, found = max(first - context, 0), []
    while True:
        start = max(min(start, max(end, steps) - steps), 0)
        found.append((start, min(start + steps, size)))
        if found[-1][1] >= end:
            return found
        start += steps - context


def window_seed(seed: int, number: int) -> int:
    """The key of what window ``number`` of a request draws; the first has the request's own."""
    return (seed + number * _APART) % (1 << 63) if number else seed


def fill_any(
    requests: Sequence[Request],
    layout: Layout,
    packing: Packing,
    fill: Fill,
    progress: bool = False,
    window: Window = None,
) -> list[TokenStream]:
    """Fills requests of any length: those that fit at once, the others window by window, those of several together.

    Args:
        requests, layout, packing, window: see :func:`sees`.
        fill: fills requests that fit.
        progress: a bar on stderr, of windows where there are any.

    Returns:
        the whole streams, in order; a text that ends in a window is cut there. Conditions are given whole to every
        window. What a window draws depends on the request and the window's number alone.
    """
    pieces = {index: piece for index, one in enumerate(requests) if (piece := sees(one, layout, packing, window))}
    if not pieces:
        return fill(requests, [partial(_as_whole, index) for index in range(len(requests))], progress)
    short = [index for index in range(len(requests)) if index not in pieces]
    long = {
        index: _Long(requests[index], piece, sees(requests[index], layout, packing)) for index, piece in pieces.items()
    }
    rounds = max(len(one.plan) for one in long.values())
    with progress_bar("generating", rounds + bool(short), 0, progress, "window") as show:
        filled = {}
        if short:
            placed = [partial(_as_whole, index) for index in short]
            filled = dict(zip(short, fill([requests[index] for index in short], placed, False), strict=True))
            show(1, None)
        for number in range(rounds):
            going = [index for index, one in long.items() if number < len(one.plan)]
            asked = [long[index].window(number) for index in going]
            placed = [partial(long[index].placed, index, number) for index in going]
            for index, part in zip(going, fill(asked, placed, False), strict=True):
                long[index].take(number, part)
            show(number + 1 + bool(short), None)
    filled |= {index: one.canvas for index, one in long.items()}
    return [filled[index] for index in range(len(requests))]


def fill_in_turn(
    request: Request, layout: Layout, packing: Packing, fill: Fill, window: Window = None
) -> Iterator[TokenStream]:
    """What :func:`fill_any` gives for a request, in pieces along the axis on which it grows, each once it is decided.

    Args:
        request, layout, packing, window: see :func:`sees`.
        fill: fills requests that fit.

    Yields:
        what is given at the beginning, then the codes of each window that later ones leave as they are; all at once
        where the request fits.
    """
    piece = sees(request, layout, packing, window)
    if piece is None:
        yield fill([request], [partial(_as_whole, 0)], False)[0]
        return
    long, done = _Long(request, piece, sees(request, layout, packing)), 0
    for number in range(len(long.plan) + 1):
        stop = long.decided()
        if stop > done:
            yield cut(long.canvas, long.axis, done, stop)
            done = stop
        if number >= len(long.plan):
            return
        long.take(number, fill([long.window(number)], [partial(long.placed, 0, number)], False)[0])


def _as_whole(number: int, now: Filling) -> Filling:
    return replace(now, request=number)


class _Long:
    """A request that does not fit, while it is filled.

    Args:
        request: as asked.
        piece: axis along which it is cut, and steps of a window.
        most: the same of the longest windows. In shorter ones a model takes the end to be near, where training cut
            nothing of the kind, so a text ends in the last of them alone.
    """

    def __init__(self, request: Request, piece: tuple[str, int], most: tuple[str, int] | None) -> None:
        (self.axis, steps), self.request, self.shorter = piece, request, piece != most
        self.along = request.canvas.spec.axes.index(self.axis)
        self.canvas, self.hole = request.canvas, request.hole
        opened = self.hole.movedim(self.along, 0).flatten(1).any(1)
        self.plan = [one for one in windows(opened, steps) if bool(opened[slice(*one)].any())]
        self.taken: list[int] = []  # steps that each window took

    def window(self, number: int) -> Request:
        """A window as a request."""
        start, stop = self.plan[number]
        canvas, seed = cut(self.canvas, self.axis, start, stop), window_seed(self.request.seed, number)
        hole, opened = self.hole.narrow(self.along, start, stop - start), self.request.opened
        if opened is not None:
            opened = opened.narrow(self.along, start, stop - start) & hole
        return replace(
            self.request,
            canvas=canvas,
            hole=hole,
            opened=opened,
            seed=seed,
            cut=True,  # a window is a piece
            follows=number > 0,
            goes_on=self.shorter and number < len(self.plan) - 1,
        )

    def placed(self, index: int, number: int, now: Filling) -> Filling:
        """A step of a window as one of the whole stream, of which later windows are still to come."""
        start = self.plan[number][0]
        size = now.stream.grid[self.along]  # less than the window's where a text ends in it
        decided = ~self.hole
        decided.narrow(self.along, start, size).copy_(now.decided)
        del self.taken[number:]
        before = sum(self.taken)
        self.taken.append(now.steps)
        return Filling(
            request=index,
            step=before + now.step,
            steps=before + now.steps * (len(self.plan) - number),
            stream=pasted(self.canvas, now.stream, self.axis, start),
            decided=decided,
        )

    def decided(self) -> int:
        """Steps from the beginning of which none is open."""
        opened = self.hole.narrow(self.along, 0, self.canvas.grid[self.along]).movedim(self.along, 0)
        waiting = opened.flatten(1).any(1).nonzero()
        return int(waiting[0]) if len(waiting) else len(opened)

    def take(self, number: int, part: TokenStream) -> None:
        """Puts the codes of a window where they belong."""
        start, stop = self.plan[number]
        self.canvas = pasted(self.canvas, part, self.axis, start)
        self.hole = self.hole.clone()
        self.hole.narrow(self.along, start, stop - start).fill_(False)
        if part.grid[self.along] < stop - start:  # the text ends here
            self.canvas = cut(self.canvas, self.axis, 0, start + part.grid[self.along])
            self.plan = self.plan[: number + 1]
