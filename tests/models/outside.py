"""A package outside tokenmask with a backbone, a head, an optimiser and stages of its own; tests install its text."""

from dataclasses import dataclass

import torch
from torch import nn

from tokenmask.masking import Stages
from tokenmask.models import (
    Backbone,
    BackboneConfig,
    CodeEmbedding,
    Full,
    Head,
    HeadConfig,
    Hidden,
    LayoutRows,
    RangeLogits,
)
from tokenmask.nn import RMSNorm
from tokenmask.ops import Purpose, uniform
from tokenmask.training import Optimiser


@dataclass(frozen=True)
class ConvConfig(BackboneConfig):
    """Convolutions along the sequence; keeps nothing from step to step."""

    width: int = 64
    depth: int = 3
    kernel: int = 9

    def build(self, layout):
        return Conv(self, layout)

    def describe(self):
        return f"width {self.width}, {self.depth} convolutions of {self.kernel}"


class Conv(Backbone):
    def __init__(self, config, layout):
        super().__init__()
        width, reach = config.width, config.kernel // 2
        self.embedding = CodeEmbedding(layout, width)
        self.layers = nn.ModuleList(nn.Conv1d(width, width, config.kernel, padding=reach) for _ in range(config.depth))
        self.norm = RMSNorm(width)

    @property
    def table(self):
        return self.embedding.table

    def parts(self):
        return self.layers

    def forward(self, inputs, queries, pattern=None, *, group=None, t=None, taps=(), cache=None):
        if not isinstance(pattern or Full(), Full) or taps or cache is not None:
            raise ValueError(f"Conv sees its neighbours and keeps nothing, got {pattern}, taps {taps}; leave these out")
        x, there = self.embedding(inputs.ids, inputs.stream), inputs.valid[..., None]
        for layer in self.layers:
            x = x + nn.functional.gelu(layer((self.norm(x) * there).mT).mT)
        positions = torch.div(queries.slots, inputs.shape[2], rounding_mode="floor")
        return Hidden(self.norm(x.flatten(0, 1)[positions]))


@dataclass(frozen=True)
class NarrowHeadConfig(HeadConfig):
    """Codes are scored by a table of few columns."""

    rank: int = 16

    def build(self, layout, width):
        return NarrowHead(layout, width, self.rank)


class NarrowHead(Head):
    def __init__(self, layout, width, rank):
        super().__init__()
        self.ranges, self.down = layout.ranges, nn.Linear(width, rank)
        self.table = nn.Parameter(torch.empty(layout.num_ids, rank))

    def initialise(self, generator):
        self.table.normal_(0, 0.02, generator=generator)

    def layout_rows(self):
        return LayoutRows(ids=("table",))

    def forward(self, hidden, heads, embedding, read=None):
        groups = []
        for head in sorted(set(heads.tolist())):
            if not 0 <= head < len(self.ranges):
                raise ValueError(f"queries must ask one of {len(self.ranges)} ranges, got {head}; hide code slots only")
            own, index = self.ranges[head], (heads == head).nonzero().squeeze(1)
            scores = (self.down(hidden[index]) @ self.table[own.offset : own.offset + own.size].T).float()
            group = RangeLogits(head, index, scores)
            groups.append(group if read is None else RangeLogits(head, index, read(group)))
        return tuple(groups)


@dataclass(frozen=True)
class Descent(Optimiser):
    """Steps down the gradient."""

    momentum: float = 0.9

    def make(self, parameters, inner, lr):
        return {"descent": torch.optim.SGD(parameters.values(), lr, self.momentum)}


@dataclass(frozen=True)
class Halves(Stages):
    """Each row learns its first half, or its second, which sees the first."""

    def stage(self, ids, maskable, layout, *, seed, sample_ids):
        return (uniform(seed=seed, counters=sample_ids, purpose=Purpose.dropout) < 0.5).long()

    def split(self, ids, maskable, layout, drawn):
        order = maskable.flatten(1).cumsum(1).view_as(maskable)
        first = maskable & (2 * order <= maskable.sum((1, 2), keepdim=True))
        second = maskable & ~first
        late = drawn[:, None, None] == 1
        return torch.where(late, second, first), second & ~late, torch.zeros_like(drawn, dtype=torch.bool)
