"""Request: one stream to fill, what is given of it and what else is known.

Arrow: media's codes, conditions --**Request.pack**--> Sequence. Does not know: media, tokenizers, models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from tokenmask.batch import FILL, GIVEN, Sequence
from tokenmask.layout import Layout
from tokenmask.sampling.guidance import FURTHER, NEGATIVE
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.training import Packing

MOST_CODES = 1 << 28  # of one request: a day of seven levels of sound, and a gigabyte


class OfRequest(ValueError):
    """What is wrong with one of several requests.

    Args:
        message: one sentence, with the number of the request.
        number: of the request, from 0; those of one request's samples follow each other.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


@dataclass(frozen=True, eq=False)
class Request:
    """One stream to fill.

    Args:
        target: name of the stream.
        canvas: its codes; what stands in the hole is hidden and forgotten.
        hole: bool [*grid, K], True where a code is to be filled.
        given: other streams, its conditions.
        negative: other streams that guidance pushes away from, instead of from no condition.
        further: more sets of conditions, each with a weight of its own in the guidance.
        seed: key of all randomness of this request.
        sample: tells the samples of one request apart.
        cut: whether the canvas is a piece of a longer stream, which no end code follows.
        ended: end codes follow the canvas even where its hole reaches the end, so that what is filled in ends there.
        follows: whether the canvas is a window that goes on from one that was filled before: what is asked of the
            beginning of what is filled holds there, and not here.
        goes_on: whether it is a window that others go on from, so that no end code is drawn in it.
        opened: bool [*grid, K], the slots of the hole that are hidden at first; None hides all. The others keep the
            codes of the canvas until a revocation opens them or a pick revises them, as in editing without a mask. With
            nothing hidden the sampler needs ``stages``, see ``SamplerState.start``.
    """

    target: str
    canvas: TokenStream
    hole: Tensor
    given: Mapping[str, TokenStream] = field(default_factory=dict)
    negative: Mapping[str, TokenStream] = field(default_factory=dict)
    further: SequenceOf[Mapping[str, TokenStream]] = ()
    seed: int = 0
    sample: int = 0
    cut: bool = False
    opened: Tensor | None = None
    ended: bool = False
    follows: bool = False
    goes_on: bool = False

    @classmethod
    def blank(
        cls,
        layout: Layout,
        target: str,
        grid: tuple[int, ...],
        *,
        prefix: TokenStream | None = None,
        labels: Mapping[str, tuple[str, ...]] | None = None,
        **options: Any,
    ) -> Request:
        """A request for a whole stream.

        Args:
            layout: of the model.
            target: name of the stream.
            grid: its size, the prefix included.
            prefix: codes that are given, at its start (along :func:`growing_axis`).
            labels: names along axes of the target, as in TokenStream.
            options: the other fields of a request.

        Raises:
            ValueError: an unknown stream, a size of zero, other sizes than the stream always has or than the prefix has
                beside its end, or less than the prefix.
        """
        layout.index(target)
        if not grid or min(grid) < 1:
            raise ValueError(
                f"a new stream of {target} needs at least one place along each axis, got {list(grid)}; ask for more"
            )
        spec = layout.streams[target]
        _check_grid(spec, target, grid, prefix)
        if math.prod(grid) * spec.num_levels > MOST_CODES:
            raise ValueError(
                f"a request may hold at most {MOST_CODES} codes, got {list(grid)} x {spec.num_levels} levels; ask for "
                "less and continue that"
            )
        codes = torch.full((*grid, spec.num_levels), _some_code(spec), dtype=torch.int32)
        hole = torch.ones(codes.shape, dtype=torch.bool)
        start = 0.0
        if prefix is not None:
            axis, start = growing_axis(spec), prefix.start_seconds
            codes.narrow(axis, 0, prefix.grid[axis]).copy_(prefix.codes)
            hole.narrow(axis, 0, prefix.grid[axis]).fill_(False)
        return cls(target, TokenStream(spec, codes, start, labels or {}), hole, **options)

    def pack(self, layout: Layout, packing: Packing) -> Sequence:
        """The sequence with every slot of the hole marked FILL.

        Raises:
            ValueError: an unknown stream, a hole of another shape, slots opened outside of it, or more positions than
                the model was trained for.
        """
        if self.opened is not None:
            if self.opened.dtype != torch.bool or self.opened.shape != self.hole.shape:
                raise ValueError(f"opened must be bool {list(self.hole.shape)}, got {list(self.opened.shape)}")
            if bool((self.opened & ~self.hole).any()):
                raise ValueError("opened may name slots of the hole only, got others; widen the hole")
        return self._packed(layout, packing, self.hole)

    def hidden(self, layout: Layout, packing: Packing) -> Tensor:
        """bool [L, K], the slots of :meth:`pack` that are hidden at first."""
        return self._packed(layout, packing, self.hole if self.opened is None else self.opened).role == FILL

    def _packed(self, layout: Layout, packing: Packing, hole: Tensor) -> Sequence:
        """The sequence with the slots of a part of the hole marked FILL."""
        layout.index(self.target)
        for names in (self.given, self.negative, *self.further):
            if self.target in names:
                raise ValueError(
                    f"{self.target!r} is to be filled, so it can't be its own condition; leave it out, or continue it "
                    "with generate"
                )
        spec, codes = self.canvas.spec, self.canvas.codes
        if self.hole.dtype != torch.bool or self.hole.shape != codes.shape:
            raise ValueError(f"a hole must be bool {list(codes.shape)}, got {list(self.hole.shape)}")
        blank = torch.where(self.hole if self.opened is None else self.opened, _some_code(spec), codes)
        role = torch.where(hole, FILL, GIVEN).to(torch.int8)
        lengths = _padded(self.given, packing)
        complete = spec.end_code is not None and not self.cut and (self.ended or not bool(self.hole[-1].any()))
        if complete:  # a text that is complete ends as in training
            lengths[self.target] = packing.padded_length(spec, len(codes))
            role = torch.cat([role, role.new_full((lengths[self.target] - len(role), *role.shape[1:]), GIVEN)])
        streams = {**self.given, self.target: replace(self.canvas, codes=blank)}
        roles: dict[str, int | Tensor] = {**dict.fromkeys(self.given, GIVEN), self.target: role}
        sequence = layout.pack(streams, roles=roles, lengths=lengths)
        if len(sequence) > packing.max_positions:
            raise ValueError(
                f"a request may take at most {packing.max_positions} positions, got {len(sequence)} for "
                f"{', '.join(streams)}; ask for fewer or shorten what is given"
            )
        return sequence

    def companions(self, layout: Layout, packing: Packing) -> dict[int, Sequence]:
        """Negative and further conditions as sequences, by their number in the feature "companion"."""
        sets = {NEGATIVE: self.negative, **{FURTHER + index: one for index, one in enumerate(self.further)}}
        return {
            number: layout.pack(one, roles=dict.fromkeys(one, GIVEN), lengths=_padded(one, packing))
            for number, one in sets.items()
            if one
        }


def _check_grid(spec: StreamSpec, target: str, grid: tuple[int, ...], prefix: TokenStream | None) -> None:
    """ValueError for sizes that the stream never has, or that a prefix does not fit into."""
    axes, got = ", ".join(spec.axes), list(grid)
    fits = len(grid) == len(spec.grid)
    if not fits or any(own not in (None, size) for own, size in zip(spec.grid, grid, strict=True)):
        own = " x ".join("any" if size is None else str(size) for size in spec.grid)
        raise ValueError(f"{target!r} always has {own} places ({axes}), got {got}; leave the size out")
    grows = growing_axis(spec)
    sizes = grid if prefix is None else prefix.grid
    if sizes[grows] > grid[grows] or any(sizes[at] != whole for at, whole in enumerate(grid) if at != grows):
        raise ValueError(
            f"a size of {target!r} that is continued holds what is given, {list(sizes)} ({axes}), got {got}; write "
            f"these sizes, or more along {spec.axes[grows]}"
        )


def growing_axis(spec: StreamSpec) -> int:
    """The axis along which a stream is continued: time where there is time, else the first."""
    return spec.axes.index("time") if "time" in spec.axes else 0


def grows(spec: StreamSpec) -> bool:
    """Whether a stream can have several sizes along that axis."""
    return spec.grid[growing_axis(spec)] is None


def _padded(streams: Mapping[str, TokenStream], packing: Packing) -> dict[str, int]:
    """Lengths with end codes, as in training, of streams that have one."""
    return {
        name: packing.padded_length(stream.spec, stream.grid[0])
        for name, stream in streams.items()
        if stream.spec.end_code is not None
    }


def _some_code(spec: StreamSpec) -> int:
    """A code to stand in an open slot until it is hidden; never the end code."""
    return 0 if spec.end_code != 0 else 1 % spec.codebook_sizes[0]
