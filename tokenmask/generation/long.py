"""Streams longer than a model sees: filled window by window, each beginning with the end of the one before.

Arrow: long Request --windows--> Request of a size that fits --fill--> codes, pasted. Does not know: media, networks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from tokenmask.generation.regions import touched
from tokenmask.generation.request import Request
from tokenmask.layout import Layout
from tokenmask.streams import TokenStream, cut, pasted
from tokenmask.training import Packing

OVERLAP = 0.4  # of a window; audiocraft's MusicGen, too, continues by 18 of the 30 seconds that it sees
_APART = 0x1E3779B97F4A7C15  # from the seed of a window to that of the next: odd and large, so none meets another's

Fill = Callable[[Sequence[Request], Sequence[int]], list[TokenStream]]
"""Fills requests that fit; beside them stand their numbers among all."""


def sees(request: Request, layout: Layout, packing: Packing) -> tuple[str, int] | None:
    """The axis and the most steps of a window, as training cuts the target; None if the request fits or can't be cut.

    Args:
        request: with a canvas of any length.
        layout: of the model.
        packing: of its training.
    """
    spec, grid = request.canvas.spec, request.canvas.grid
    own = layout.arrangement(request.target).positions(request.canvas.codes[..., 0].numel(), spec.num_levels)
    if own + packing.positions(layout, request.given) <= packing.max_positions:
        return None
    piece = packing.window(layout, request.target, request.canvas, request.given)
    return None if piece is None or piece[1] >= grid[spec.axes.index(piece[0])] else piece


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


def fill_any(requests: Sequence[Request], layout: Layout, packing: Packing, fill: Fill) -> list[TokenStream]:
    """Fills requests of any length: those that fit at once, the others window by window, those of several together.

    Args:
        requests, layout, packing: see :func:`sees`.
        fill: fills requests that fit.

    Returns:
        the whole streams, in order; a text that ends in a window is cut there. Conditions are given whole to every
        window. What a window draws depends on the request and the window's number alone.
    """
    pieces = {index: piece for index, one in enumerate(requests) if (piece := sees(one, layout, packing))}
    short = [index for index in range(len(requests)) if index not in pieces]
    filled = dict(zip(short, fill([requests[index] for index in short], short), strict=True)) if short else {}
    canvases, holes = [one.canvas for one in requests], [one.hole for one in requests]
    axes, plans = {}, {}
    for index, (axis, steps) in pieces.items():
        axes[index] = requests[index].canvas.spec.axes.index(axis)
        opened = holes[index].movedim(axes[index], 0).flatten(1).any(1)
        plans[index] = [one for one in windows(opened, steps) if bool(opened[slice(*one)].any())]
    for number in range(max(map(len, plans.values()), default=0)):
        going = [index for index, plan in plans.items() if number < len(plan)]
        asked = []
        for index in going:
            (start, stop), request = plans[index][number], requests[index]
            canvas = cut(canvases[index], pieces[index][0], start, stop)
            hole, seed = holes[index].narrow(axes[index], start, stop - start), window_seed(request.seed, number)
            asked.append(replace(request, canvas=canvas, hole=hole, seed=seed, cut=True))  # a window is a piece
        for index, part in zip(going, fill(asked, going), strict=True):
            (start, stop), along = plans[index][number], axes[index]
            canvases[index] = pasted(canvases[index], part, pieces[index][0], start)
            holes[index] = holes[index].clone()
            holes[index].narrow(along, start, stop - start).fill_(False)
            if part.grid[along] < stop - start:  # the text ends here
                canvases[index] = cut(canvases[index], pieces[index][0], 0, start + part.grid[along])
                plans[index] = plans[index][: number + 1]
        filled.update((index, canvases[index]) for index in going)
    return [filled[index] for index in range(len(requests))]
