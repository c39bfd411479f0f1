"""Outpainting: what a picture shows beyond its sides.

Arrow: picture, pixels beyond each side --**outpainted**: an edit for each window--> a larger picture. Does not know:
how codes are drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tokenmask.generation import DrawOptions, Filling, check_options
from tokenmask.modalities.image import Image
from tokenmask.modalities.image.media import MAX_PIXELS
from tokenmask.progress import progress_bar
from tokenmask.run.editing import Change, edited
from tokenmask.scores.arguments import whole
from tokenmask.streams import TokenStream
from tokenmask.tokenizer import check_media

if TYPE_CHECKING:
    from tokenmask.run.run import Run

_MOST_WINDOWS = 1024  # each is an edit

Window = tuple[int, int]
"""Row and column of its first pixel."""


def outpainted(
    run: Run,
    picture: Any,
    sides: Mapping[str, int],
    stream: str | None,
    given: Mapping[str, Any] | None,
    options: DrawOptions,
) -> list[Image]:
    """The picture of each sample; see :meth:`Run.outpaint`."""
    seed, samples = check_options(options, ("picture", "left", "top", "right", "bottom", "stream", "given"))
    if not isinstance(seed, int):
        raise ValueError(f"outpainting has one seed, got {seed!r}; write one whole number")
    name = stream or run.inputs.stream_of(picture)
    run.inputs.check(name)
    tokenizer = run.tokenizers[name]
    if not issubclass(tokenizer.media, Image):
        raise ValueError(
            f"outpainting is of pictures, got {name!r}, a stream of {tokenizer.media.__name__}; use generate"
        )
    source = tokenizer.decode(picture) if isinstance(picture, TokenStream) else run.inputs.media(name, picture)
    check_media(tokenizer, source)
    left, top, right, bottom = (whole(side, pixels, 0) for side, pixels in sides.items())
    if not left + top + right + bottom:
        raise ValueError("outpainting needs pixels beyond a side, got none; write right=32 or the like")
    height, width = source.pixels.shape[:2]
    size = (top + height + bottom, left + width + right)
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(
            f"a picture has at most {MAX_PIXELS} pixels, got {size[1]} x {size[0]}; ask for fewer beyond it"
        )
    rows, columns = (torch.arange(of) - before for of, before in zip(size, (top, left), strict=True))
    base = source.pixels[rows.clamp(0, height - 1)][:, columns.clamp(0, width - 1)]  # its edges go on, until filled
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    windows = windows_of((height, width), (top, left), size)
    if len(windows) > _MOST_WINDOWS:
        raise ValueError(
            f"outpainting fills at most {_MOST_WINDOWS} windows of the picture's size, got {len(windows)}; ask for "
            "fewer pixels beyond its sides, or enlarge it"
        )
    found, bar, watch = [], bool(options.get("progress", False)), options.get("on_step")
    drawn: DrawOptions = {**options, "num_samples": 1, "progress": False}  # there is one bar, of windows
    with progress_bar("outpainting", samples * len(windows), 0, bar, "window") as show:
        for sample in range(samples):
            canvas, known, taken = base.clone(), inside.clone(), list[int]()
            for number, (row, column) in enumerate(windows):
                part = (slice(row, row + height), slice(column, column + width))
                unknown = ~known[part]
                boxes = _boxes(unknown, run.layout.streams[name].grid)
                own: DrawOptions = {**drawn, "seed": _seed(seed, sample, number)}
                if watch is not None:
                    taken.append(0)
                    own["on_step"] = partial(_placed, watch, sample, len(windows), taken)
                change = Change(boxes, None, None, None, None, None, None, given, own)
                (made,) = edited(run, Image(canvas[part].clone()), name, change, True)
                canvas[part] = torch.where(unknown[..., None], made.pixels, canvas[part])
                known[part] = True
                show(sample * len(windows) + number + 1, None)
            found.append(_transparent(Image(canvas), source, inside))
    return found


def windows_of(window: tuple[int, int], first: Window, size: tuple[int, int]) -> list[Window]:
    """Where windows lie that together cover a larger picture, the nearest to the one that is known first.

    Args:
        window: rows and columns of each.
        first: of the one that is known.
        size: of the larger picture.
    """
    rows, columns = (_along(*one) for one in zip(window, first, size, strict=True))
    places = [(row, column) for row in rows for column in columns if (row, column) != first]
    return sorted(places, key=lambda place: (abs(place[0] - first[0]) + abs(place[1] - first[1]), place))


def _along(window: int, first: int, size: int) -> list[int]:
    step = max(window // 2, 1)
    before = [max(first - step * number, 0) for number in range(1, -(-first // step) + 1)]
    beyond = size - window - first
    return [first, *before, *(min(first + step * number, size - window) for number in range(1, -(-beyond // step) + 1))]


def _boxes(unknown: Tensor, grid: Sequence[int | None]) -> list[tuple[float, float, float, float]]:
    """The boxes in pixels of the places that hold an unknown pixel."""
    height, width = unknown.shape
    rows, columns = (int(size or 1) for size in grid)
    found = []
    for row in range(rows):
        top, bottom = row * height / rows, (row + 1) * height / rows
        for column in range(columns):
            left, right = column * width / columns, (column + 1) * width / columns
            if bool(unknown[int(top) : -int(-bottom // 1), int(left) : -int(-right // 1)].any()):
                found.append((left, top, right, bottom))
    return found


def _transparent(picture: Image, source: Image, inside: Tensor) -> Image:
    """Transparent where the source was."""
    if source.rgba is None:
        return picture
    rgba = torch.cat([picture.pixels, torch.full_like(picture.pixels[..., :1], 255)], 2)
    rgba[inside] = source.rgba.flatten(0, 1)
    return replace(picture, rgba=rgba)


def _placed(watch: Callable[[Filling], None], sample: int, windows: int, taken: list[int], now: Filling) -> None:
    """Shows a step of a window as one of the sample, of which later windows are still to come."""
    before, taken[-1] = sum(taken[:-1]), now.steps
    steps = before + now.steps * (windows - len(taken) + 1)
    watch(replace(now, request=sample, step=before + now.step, steps=steps))


def _seed(seed: int, sample: int, window: int) -> int:
    digest = hashlib.sha256(f"{seed}/{sample}/{window}".encode()).digest()
    return int.from_bytes(digest[:7], "big")
