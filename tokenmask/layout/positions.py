"""Positions: how the codes of one stream become positions with roles and coordinates, and back.

Arrow: TokenStream --**place**--> Placed, and slots --**restore**--> TokenStream. Does not know: ids, other streams.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.batch import ABSENT, Segment
from tokenmask.layout.arrangement import Arrangement, Delay
from tokenmask.streams import StreamSpec, TokenStream


@dataclass(frozen=True, eq=False)
class Placed:
    """One stream on its L positions, K slots each.

    Args:
        codes: int [L, K], -1 where a slot holds none.
        roles: int8 [L, K], ABSENT there.
        coordinates: int32 [L, 3]: time in ticks or number, row or channel, column.
        segment: what else is needed to go back; it starts at 0.
    """

    codes: Tensor
    roles: Tensor
    coordinates: Tensor
    segment: Segment


def place(
    name: str,
    spec: StreamSpec,
    stream: TokenStream,
    arrangement: Arrangement,
    *,
    role: int | Tensor,
    length: int | None,
    ticks_per_second: float,
) -> Placed:
    """Puts the codes of a stream on positions, behind them end codes up to ``length`` places.

    Raises:
        ValueError: a stream of another spec, a code where only the padding may be, or roles of another shape.
    """
    codes = stream.codes
    check_place(name, spec, stream.spec, arrangement)
    if spec.end_code is not None:
        if bool((codes[..., 0] == spec.end_code).any()):
            raise refuse_end_code(name, spec.end_code)
        missing = max((length or 0) - codes.shape[0], 0)
        codes = torch.cat([codes, codes.new_full((missing, *codes.shape[1:]), spec.end_code)])
    if not isinstance(role, Tensor):
        role = torch.full(codes.shape, role, dtype=torch.int8)
    elif role.shape != codes.shape:
        raise ValueError(
            f"roles of {name!r} must be {list(codes.shape)}, one for each slot, got {list(role.shape)}; give one "
            "number for all of them, or that shape"
        )
    placed, at = arrangement.place(codes.flatten(0, -2))
    placed_role, _ = arrangement.place(role.flatten(0, -2))
    roles = torch.where(placed_role >= 0, placed_role, ABSENT).to(torch.int8)
    grid = tuple(codes.shape[:-1])
    coordinates = _coordinates(spec, grid, stream.start_seconds, at, ticks_per_second)
    segment = Segment(name, 0, placed.shape[0], grid, stream.start_seconds, stream.labels)
    return Placed(placed, roles, coordinates, segment)


def check_place(name: str, spec: StreamSpec, found: StreamSpec, arrangement: Arrangement) -> None:
    """Refuses codes of another spec than the layout's, and an arrangement that its axes do not take.

    Raises:
        ValueError: so.
    """
    if found.fingerprint != spec.fingerprint:
        raise ValueError(
            f"stream {name!r} must be coded by the tokenizer {spec.fingerprint[:12] or '(none)'} of this layout, "
            f"got codes of {found.fingerprint[:12] or '(none)'}; encode it again"
        )
    if found != spec:
        raise ValueError(f"stream {name!r} must be {spec}, got {found}; encode it by the tokenizer of the layout")
    if isinstance(arrangement, Delay) and len(spec.axes) != 1:
        raise ValueError(
            f"Delay shifts levels along one axis, but {name!r} has {', '.join(spec.axes)}; arrange it by Parallel or "
            "Flatten"
        )


def refuse_end_code(name: str, end_code: int) -> ValueError:
    """What is said of an end code among the codes."""
    return ValueError(
        f"stream {name!r} may hold its end code {end_code} only as padding, got it among the codes; cut "
        "them off before the first one"
    )


def column_of(axis: str) -> int:
    """The coordinate in which an axis is told."""
    return {"time": 0, "index": 0, "row": 1, "channel": 1, "column": 2}[axis]


def restore(placed: Tensor, spec: StreamSpec, segment: Segment, arrangement: Arrangement) -> TokenStream:
    """The stream that :func:`place` put on positions, cut at its first end code.

    Args:
        placed: int [L, K], the codes, -1 where a slot holds none; the size of its codebook is a hidden one.

    Raises:
        ValueError: a slot is still hidden.
    """
    codes = arrangement.restore(placed, spec.num_levels)
    if bool((codes == torch.tensor(spec.codebook_sizes)).any()):
        raise ValueError(f"stream {segment.name!r} still has hidden slots; fill them before unpacking")
    codes, grid = codes.reshape(*segment.grid, spec.num_levels).contiguous(), segment.grid
    if spec.end_code is not None:
        ends = (codes[..., 0] == spec.end_code).nonzero()
        codes = codes[: int(ends[0])] if len(ends) else codes
        grid = tuple(codes.shape[:-1])
    labels = segment.labels if grid == segment.grid else {}
    return TokenStream(spec, codes.to(torch.int32), segment.start_seconds, labels)


def _coordinates(
    spec: StreamSpec, grid: tuple[int, ...], start_seconds: float, at: Tensor, ticks_per_second: float
) -> Tensor:
    coordinates = torch.zeros(len(at), 3, dtype=torch.int32)
    rest = at
    for axis in reversed(range(len(grid))):
        index = rest % max(grid[axis], 1) if axis else rest  # a Delay runs past the end of its only axis
        rest = torch.div(rest, max(grid[axis], 1), rounding_mode="floor")
        name = spec.axes[axis]
        if name == "time" and spec.rate_hz is not None:
            seconds = start_seconds + index.double() / spec.rate_hz
            index = (seconds * ticks_per_second).round()
        coordinates[:, column_of(name)] = index.to(torch.int32)
    return coordinates
