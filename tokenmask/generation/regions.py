"""Editing: a region of media becomes a hole in its codes.

Arrow: media, regions --**hole**--> bool [*grid, K] --> Request. Does not know: models, samplers, how a hole is filled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenmask.generation.request import MOST_CODES, growing_axis
from tokenmask.ops import uniform
from tokenmask.ops.philox import Purpose
from tokenmask.scores.arguments import number, whole
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.telling import tell
from tokenmask.tokenizer import FindsChannels, Locates, NamesGroups, Tokenizer

_LEAST = 1e-3  # of a code: what is less is a matter of rounding, by people too, who write 0.6667
Region = Sequence[float]
"""(start, end) in seconds of the media, or in characters of a text; (left, top, right, bottom) in pixels."""

_FAR = 1 << 1000  # floats go as far


def hole(
    tokenizer: Tokenizer,
    media: Any,
    stream: TokenStream,
    regions: Sequence[Region] | None = None,
    *,
    levels: Sequence[int] | None = None,
    channels: Sequence[str] | None = None,
    parts: Sequence[str] | None = None,
) -> Tensor:
    """The codes that a region touches.

    Args:
        tokenizer: of the stream. One that cuts media otherwise than by the clock
            :class:`~tokenmask.tokenizer.Locates` regions itself, one whose channels have several spellings
            :class:`~tokenmask.tokenizer.FindsChannels` itself.
        media: what the regions are measured in.
        stream: its codes.
        regions: one or more; None is everything.
        levels: only these levels, counted coarse to fine inside their group; None is all.
        channels: only these entries of the channel axis, by name; upper and lower case do not count.
        parts: only these level groups (body parts), by the names in ``tokenizer.group_names``.

    Returns:
        bool [*grid, K], True where a code is to be filled anew; never empty.

    Raises:
        ValueError: a region of the wrong kind or outside of the media, an unknown name, or nothing left to fill.
        TypeError: regions, levels, channels or parts that are no list, or regions that are no numbers.
    """
    spec = stream.spec
    for name, value in (("regenerate", regions), ("levels", levels), ("channels", channels), ("parts", parts)):
        if isinstance(value, str | bytes) or not isinstance(value, Iterable | None):
            raise TypeError(f"{name} must be a list, got {value!r}; write {_example(name, value)}")
    for name, names_of in (("channels", channels), ("parts", parts)):
        for entry in names_of or ():
            if not isinstance(entry, str):
                raise TypeError(f"each of {name} must be a name, got {entry!r}; write a word")
    if isinstance(regions, np.ndarray | Tensor):
        regions = regions.tolist()
    inside = torch.full(stream.grid, regions is None, dtype=torch.bool)
    for region in () if regions is None else regions:
        if region is None:
            raise TypeError(
                "a region must be a list or tuple of numbers, got None; write regenerate=None for all of it"
            )
        if isinstance(region, str):
            example = _example("regenerate", region)
            raise TypeError(f"a region must be a list or tuple of numbers, got {region!r}; write {example}")
        if not isinstance(region, Iterable):
            raise TypeError(
                f"a region must be a list or tuple of numbers, got {region!r}; write {_example_of(regions)}"
            )
        for one in region:  # an end may lie at any whole number behind the media
            number("each number of a region", float(one) if type(one) is int and abs(one) < _FAR else one)
        inside |= _places(tokenizer, media, stream, region)
    if channels is not None:
        names = stream.labels.get("channel", ())
        wanted = torch.zeros(len(names), dtype=torch.bool)
        wanted[_channels(tokenizer, names, channels)] = True
        axis = spec.axes.index("channel")
        inside &= wanted.view([-1 if index == axis else 1 for index in range(len(spec.axes))])
    open_levels = torch.tensor(_levels(tokenizer, spec.level_groups, levels, parts))
    chosen = inside[..., None] & torch.isin(torch.arange(spec.num_levels), open_levels)
    if not bool(chosen.any()):
        raise ValueError("an edit needs a region that holds at least one code, got one that holds none; make it longer")
    return chosen


def read_region(text: str) -> Region:
    """START:END, or LEFT,TOP,RIGHT,BOTTOM, as a region.

    Raises:
        ValueError: words of another form.
    """
    parts = text.split(":") if ":" in text else text.split(",")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) != (2 if ":" in text else 4):
        raise ValueError(
            f"a region is START:END or LEFT,TOP,RIGHT,BOTTOM, got {text!r}; write numbers in one of the two forms"
        )
    return numbers


def _example(name: str, value: Any) -> str:
    """A list that can stand in place of a value that is none: of that value, where it can be read so."""
    if name == "regenerate":
        try:
            return repr([tuple(read_region(value))])
        except (ValueError, TypeError):
            return "[(0.1, 0.2)]"
    if name == "levels":
        digits = isinstance(value, str) and value.isdecimal()
        return f"[{int(value)}]" if digits or isinstance(value, Integral) else "[0]"
    return repr([value]) if isinstance(value, str) else "a list of names"


def _example_of(regions: Iterable[Any]) -> str:
    """A list of regions to write instead of one region that is no list of them."""
    numbers = regions if isinstance(regions, list | tuple) else ()
    whole = len(numbers) in (2, 4) and all(isinstance(one, int | float) for one in numbers)
    return repr([tuple(numbers)]) if whole else "[(start, end)]"


def resized(stream: TokenStream, chosen: Tensor, length: int) -> tuple[TokenStream, Tensor]:
    """The same stream with ``length`` codes in place of its one hole: words may be replaced by more or fewer.

    Args:
        stream: of one axis without a clock.
        chosen: bool [index, K], one run of places.
        length: at least 1.

    Returns:
        the new canvas and its hole.

    Raises:
        ValueError: a stream with a clock or with fixed places, a hole of several runs, or a length below 1.
    """
    length = whole("length", whole("length", length), most=MOST_CODES)
    if stream.spec.axes != ("index",) or stream.spec.grid != (None,):
        raise ValueError(
            f"only words can be replaced by more or fewer codes, got a length for {stream.spec.modality}; leave it out"
        )
    places = chosen.any(-1).nonzero().squeeze(1)
    first, stop = int(places[0]), int(places[-1]) + 1
    if len(places) != stop - first:
        raise ValueError("length goes with one region, got several that lie apart; give one, or leave length out")
    fresh = stream.codes[first : first + 1].expand(length, -1)
    codes = torch.cat([stream.codes[:first], fresh, stream.codes[stop:]])
    again = torch.zeros(codes.shape, dtype=torch.bool)
    again[first : first + length] = True
    return TokenStream(stream.spec, codes, stream.start_seconds), again


def put_in(stream: TokenStream, chosen: Tensor, length: int, behind: bool) -> tuple[TokenStream, Tensor]:
    """The same stream with ``length`` more codes before the chosen ones, or behind them, which stay.

    Args:
        stream, chosen, length: as of :func:`resized`.
        behind: where.

    Returns:
        the new canvas and its hole.

    Raises:
        ValueError: as of :func:`resized`.
    """
    first, stop = touched(chosen.any(-1))
    canvas, hole = resized(stream, chosen, whole("length", length) + stop - first)
    at, codes = first if behind else first + length, canvas.codes.clone()
    codes[at : at + stop - first] = stream.codes[first:stop]
    hole[at : at + stop - first] = False
    return TokenStream(canvas.spec, codes, canvas.start_seconds), hole


def thinned(chosen: Tensor, strength: float, seed: int) -> Tensor:
    """A share of the places of a hole, drawn evenly: what is filled anew there fits the rest, which stays.

    Args:
        chosen: bool [*grid, K], the hole.
        strength: the share, above 0 and at most 1.
        seed: of the draw.

    Returns:
        bool [*grid, K], of the chosen places as many as the share says, rounded, and one at the least.

    Raises:
        ValueError: another share. TypeError: no number.
    """
    if not 0 < number("strength", strength) <= 1:
        raise ValueError(f"strength must lie above 0 and at most at 1, got {strength!r}; it is a share of the region")
    places = chosen.any(-1).flatten().nonzero()[:, 0]
    order = uniform(seed=seed, counters=places, purpose=Purpose.mask).argsort(stable=True)
    again = torch.zeros(chosen[..., 0].numel(), dtype=torch.bool)
    again[places[order[: max(1, round(strength * len(places)))]]] = True
    return chosen & again.view(*chosen.shape[:-1], 1)


def depths_of(spec: StreamSpec, chosen: Tensor) -> list[int]:
    """The levels that a hole bool [*grid, K] opens, counted inside their group, coarse to fine."""
    opened = chosen.flatten(0, -2).any(0).tolist()
    return sorted({depth for group in spec.level_groups for depth, level in enumerate(group) if opened[level]})


def finer(spec: StreamSpec, chosen: Tensor) -> Tensor:
    """bool [*grid, K], a hole without the coarsest of its levels: what is drawn anew where those levels drift."""
    coarsest = depths_of(spec, chosen)[0]
    depth = {level: depth for group in spec.level_groups for depth, level in enumerate(group)}
    return chosen & torch.tensor([depth[level] > coarsest for level in range(spec.num_levels)])


def touched(steps: Tensor) -> tuple[int, int]:
    """The first True of bool [T], and the one after the last; there is one."""
    places = steps.nonzero().squeeze(1)
    return int(places[0]), int(places[-1]) + 1


def window(stream: TokenStream, chosen: Tensor, steps: int) -> tuple[int, int]:
    """The stretch that a model sees of a long stream: around the hole, with as much on either side.

    Args:
        stream: of any length along time, or along its first axis where it has no time.
        chosen: bool [*grid, K].
        steps: most steps of that axis.

    Returns:
        first step and the one after the last.

    Raises:
        ValueError: the hole alone is longer.
    """
    axis = growing_axis(stream.spec)
    size = stream.grid[axis]
    first, stop = touched(chosen.movedim(axis, 0).flatten(1).any(1))
    start = min(max((first + stop - steps) // 2, 0), max(size - steps, 0))
    return start, min(start + steps, size)


def _places(tokenizer: Any, media: Any, stream: TokenStream, region: Region) -> Tensor:
    """bool [*grid], places that a region touches."""
    if isinstance(tokenizer, Locates):
        return tokenizer.places(media, stream, region)
    spec = stream.spec
    if spec.rate_hz is None:
        raise ValueError(
            f"a stream of {spec.modality} has no clock to place the region {tuple(region)} on; leave it out"
        )
    if len(region) != 2 or not 0 <= region[0] < region[1]:
        raise ValueError(
            f"a region of {spec.modality} is (start, end) in seconds, got {tuple(region)}; begin at 0 or later, and "
            "end after that"
        )
    axis = spec.axes.index("time")
    size = stream.grid[axis]
    start, end = region[0] * spec.rate_hz, region[1] * spec.rate_hz
    if start >= size:
        seconds = size / spec.rate_hz
        raise ValueError(f"a region must begin inside the {seconds:g} s of the media, got {tuple(region)}; move it")
    if end > size + 1:  # what is less than a code may belong to the media
        tell(
            f"the region {tuple(region)} of {spec.modality} ends after the {size / spec.rate_hz:g} s of the media; "
            "what lies inside is filled anew"
        )
    first, stop = math.floor(start + _LEAST), min(math.ceil(end - _LEAST), size)
    _tell_grown(media, spec, region, first, stop, size)
    steps = torch.arange(size)
    inside = (steps >= first) & (steps < stop)
    shape = [-1 if index == axis else 1 for index in range(len(spec.axes))]
    return inside.view(shape).expand(stream.grid)


def _tell_grown(media: Any, spec: StreamSpec, region: Region, first: int, stop: int, size: int) -> None:
    """Says what becomes of a region that begins or ends inside of a code; the last code may end after its media."""
    assert spec.rate_hz is not None
    lasts = min(size / spec.rate_hz, getattr(media, "duration_seconds", math.inf))
    begins, ends = first / spec.rate_hz, min(stop / spec.rate_hz, lasts)
    if max(region[0] - begins, ends - min(region[1], lasts)) * spec.rate_hz > _LEAST:
        tell(
            f"the region ({region[0]:g}, {region[1]:g}) of {spec.modality} begins or ends inside of a code, and codes "
            f"are filled whole: ({begins:.6g}, {ends:.6g}) s is what is filled anew"
        )


def _channels(tokenizer: Any, names: Sequence[str], asked: Sequence[str]) -> list[int]:
    """Places of channels among the labels of a stream."""
    if names and isinstance(tokenizer, FindsChannels):
        return tokenizer.channel_places(names, asked)
    folded = [name.casefold() for name in names]
    if not asked or not {name.casefold() for name in asked} <= set(folded):
        raise ValueError(
            f"channels must be among {', '.join(names) or '(none here)'}, got {', '.join(asked) or 'none'}; "
            f"{'name one, or ' if names else ''}leave channels out"
        )
    return [folded.index(name.casefold()) for name in asked]


def _levels(
    tokenizer: Any,
    groups: tuple[tuple[int, ...], ...],
    levels: Sequence[int] | None,
    parts: Sequence[str] | None,
) -> list[int]:
    if parts is not None:
        names = tuple(tokenizer.group_names) if isinstance(tokenizer, NamesGroups) else ()
        if not parts or not set(parts) <= set(names):
            among, got = ", ".join(names) or "(none here)", ", ".join(parts) or "none"
            raise ValueError(f"parts must be among {among}, got {got}; name one, or leave parts out")
        groups = tuple(group for group, name in zip(groups, names, strict=True) if name in parts)
    deepest = max(len(group) for group in groups)
    levels = None if levels is None else [whole("each of levels", level, 0) for level in levels]
    if levels is not None and not (levels and all(0 <= level < deepest for level in levels)):
        got = ", ".join(map(str, levels)) or "none"
        raise ValueError(f"levels must lie in 0..{deepest - 1}, got {got}; count from 0, or leave levels out for all")
    return [level for group in groups for depth, level in enumerate(group) if levels is None or depth in levels]
