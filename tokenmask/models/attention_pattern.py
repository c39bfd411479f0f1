"""Attention patterns: who may look at whom, as a rule on what is known of each position.

Arrow: inside Backbone. Does not know: ids, networks. One rule serves the dense mask, flex_attention and the tests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from tokenmask.batch import FILL, Batch

HIDDEN_KEYS = "hidden_keys"  # name of a feature of a batch, see Backbone.hides_keys
MERGED, MERGED_PLAN = "merged", "merged_plan"  # likewise, see Backbone.merges
JOINED = "joined"  # likewise, see Backbone.joins


@dataclass(frozen=True, eq=False)
class SlotMeta:
    """What a pattern may know of a position. All tensors broadcast together.

    Args:
        stream: int8, index of the stream, -1 for controls and padding.
        group: int32, stage, partition or order group.
        coordinates: int32 [..., 3], (time, row, column).
        valid: bool.
        position: int64, place in the packed sequence.
        filled: bool, whether any slot of the position is to be filled or was; False for what was given.
    """

    stream: Tensor
    group: Tensor
    coordinates: Tensor
    valid: Tensor
    position: Tensor
    filled: Tensor

    @classmethod
    def of(cls, inputs: Batch, group: Tensor | None = None) -> SlotMeta:
        """Of every position of a batch, [B, L]; ``group`` int32 [B, L] is zero where None."""
        rows, length, _ = inputs.shape
        position = torch.arange(length, device=inputs.device).expand(rows, length)
        group = torch.zeros_like(inputs.stream, dtype=torch.int32) if group is None else group
        filled = (inputs.role == FILL).any(-1)
        return cls(inputs.stream, group, inputs.coordinates, inputs.valid, position, filled)

    def __getitem__(self, index: object) -> SlotMeta:
        """The same index into every tensor (coordinates keep their last axis)."""
        return SlotMeta(*(getattr(self, f.name)[index] for f in fields(self)))


class AttentionPattern(ABC):
    """The base of all patterns: whether a query position may look at a key position."""

    @abstractmethod
    def allows(self, query: SlotMeta, key: SlotMeta) -> Tensor:
        """bool of the broadcast shape; that the key is valid is asked elsewhere.

        Must be elementwise: flex_attention calls it with one position at a time.
        """


@dataclass(frozen=True)
class Full(AttentionPattern):
    """Every position sees every position. Source: MaskGIT, arXiv:2202.04200, section 3.2."""

    def allows(self, query: SlotMeta, key: SlotMeta) -> Tensor:
        return torch.ones_like(query.position == key.position)


@dataclass(frozen=True)
class _KnownFull(Full):
    """:class:`Full` over inputs of which the host knows beforehand whether every position is valid, and need not look.

    Args:
        whole: whether it is.
    """

    whole: bool


@dataclass(frozen=True)
class CodesOnly(AttentionPattern):
    """Codes see every code and no control: a model that was made without BOS does not see ours."""

    def allows(self, query: SlotMeta, key: SlotMeta) -> Tensor:
        return (key.stream >= 0) | (key.position == query.position)


@dataclass(frozen=True)
class Causal(AttentionPattern):
    """A position sees itself and the positions packed before it."""

    def allows(self, query: SlotMeta, key: SlotMeta) -> Tensor:
        return key.position <= query.position


@dataclass(frozen=True)
class GroupCausal(AttentionPattern):
    """A position sees its own group whole, and all groups before it. Source: M2T, arXiv:2304.07313, section 4.2."""

    def allows(self, query: SlotMeta, key: SlotMeta) -> Tensor:
        return key.group <= query.group


@dataclass(frozen=True)
class GivenFirst(AttentionPattern):
    """What is given sees what is given; what is to be filled sees everything.

    Then nothing that is given changes during a generation, and its keys and values can be kept. Source: the prefix
    language model, arXiv:1910.10683, section 3.2.1, with a prefix of any shape.
    """

    def allows(self, query: SlotMeta, key: SlotMeta) -> Tensor:
        return query.filled | ~key.filled


@dataclass(frozen=True)
class Window(AttentionPattern):
    """Inside its own stream a position sees the places at most ``radius`` away in time; other streams it sees whole.

    Source: MAGNeT, arXiv:2401.04577, section 3.2 (restricted context of the levels after the first).

    Args:
        radius: in units of the time coordinate (ticks for a stream with a clock).
        streams: indices of the streams whose positions have a window; None means all.
        from_group: only positions of this group or a later one have a window; a stage is a group.
    """

    radius: int
    streams: tuple[int, ...] | None = None
    from_group: int = 0

    def __post_init__(self) -> None:
        if self.radius < 0:
            raise ValueError(
                f"Window.radius must not be negative, got {self.radius}; 0 lets a position see itself alone"
            )

    def allows(self, query: SlotMeta, key: SlotMeta) -> Tensor:
        near = (query.coordinates[..., 0] - key.coordinates[..., 0]).abs() <= self.radius
        free = (query.stream != key.stream) | (query.group < self.from_group)
        if self.streams is not None:
            member = torch.zeros_like(free)
            for stream in self.streams:
                member = member | (query.stream == stream)
            free = free | ~member
        return near | free


@dataclass(frozen=True)
class SpatialWindows(AttentionPattern):
    """Inside its own stream a position sees the cells of its window of the plane, at any time; other streams whole.

    What is said in one window reaches another through the positions of other streams and controls. Source:
    WorldDreamer, arXiv:2401.09985, section 3.2, where a convolution does so.

    Args:
        rows, columns: size of a window in cells; a grid split s ways along both axes has 1 / s^2 of the pairs.
        streams: indices of the streams whose positions have windows; None means all.
    """

    rows: int
    columns: int
    streams: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if min(self.rows, self.columns) < 1:
            raise ValueError(f"SpatialWindows needs windows of at least 1 x 1 cells, got {self.rows} x {self.columns}")

    def allows(self, query: SlotMeta, key: SlotMeta) -> Tensor:
        return _same_cell(query, key, (1, self.rows), (2, self.columns)) | _elsewhere(query, key, self.streams)


@dataclass(frozen=True)
class OwnFrame(AttentionPattern):
    """Inside its own stream a position sees its own time alone: pictures that are trained as the frames of a film.

    Source: WorldDreamer, arXiv:2401.09985, section 3.2.

    Args:
        streams: indices of the streams that are so split; None means all.
        alone: nothing of other streams is seen either, so that frames do not meet anywhere.
    """

    streams: tuple[int, ...] | None = None
    alone: bool = False

    def allows(self, query: SlotMeta, key: SlotMeta) -> Tensor:
        own = _same_cell(query, key, (0, 1)) & (query.stream == key.stream)
        return own | _elsewhere(query, key, self.streams, self.alone)


def _same_cell(query: SlotMeta, key: SlotMeta, *axes: tuple[int, int]) -> Tensor:
    """Whether two positions have the same coordinates on some axes, counted in cells of a size."""
    same = torch.ones_like(query.position == key.position)
    for axis, size in axes:
        cells = [torch.div(one.coordinates[..., axis], size, rounding_mode="floor") for one in (query, key)]
        same = same & (cells[0] == cells[1])
    return same


def _elsewhere(query: SlotMeta, key: SlotMeta, streams: tuple[int, ...] | None, alone: bool = False) -> Tensor:
    """Whether a position is free of a rule that holds inside some streams: another stream, or none of these."""
    free = torch.zeros_like(query.stream != key.stream) if alone else query.stream != key.stream
    if streams is None:
        return free
    member = torch.zeros_like(free)
    for stream in streams:
        member = member | (query.stream == stream)
    return free | ~member


def dense_mask(pattern: AttentionPattern, meta: SlotMeta) -> Tensor | None:
    """The pattern, and that keys are valid, as a mask; a position that may see nothing sees itself.

    Args:
        pattern: the rule.
        meta: of [B, L] positions.

    Returns:
        bool [B, 1, L, L] (True: may be seen), [B, 1, 1, L] for ``Full``, or None where everything is allowed.
    """
    if isinstance(pattern, Full):
        whole = pattern.whole if isinstance(pattern, _KnownFull) else bool(meta.valid.all())
        return None if whole else _nonempty(meta.valid)[:, None, None, :]
    allowed = pattern.allows(meta[:, :, None], meta[:, None, :]) & meta.valid[:, None, :]
    itself = torch.eye(allowed.shape[1], dtype=torch.bool, device=allowed.device)
    return (allowed | (itself & ~allowed.any(-1, keepdim=True)))[:, None]


def without_keys(mask: Tensor | None, hidden: Tensor) -> Tensor:
    """A mask without some keys of each head; a position that could see nothing any more sees itself.

    Args:
        mask: of :func:`dense_mask`.
        hidden: bool [B, H, L].

    Returns:
        bool [B, H, L, L].
    """
    length = hidden.shape[-1]
    shown = ~hidden[:, :, None, :].expand(-1, -1, length, -1)
    allowed = shown if mask is None else shown & mask
    itself = torch.eye(length, dtype=torch.bool, device=hidden.device)
    return allowed | (itself & ~allowed.any(-1, keepdim=True))


def mask_mod(pattern: AttentionPattern, meta: SlotMeta) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """The same rule in flex_attention's form: (row, head, query, key) -> bool."""

    def allowed(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return pattern.allows(meta[row, query], meta[row, key]) & meta.valid[row, key]

    return allowed


def _nonempty(valid: Tensor) -> Tensor:
    """A row without any valid position counts as all valid, so that a softmax over it is finite."""
    return valid | ~valid.any(-1, keepdim=True)
