"""CodeEmbedding: shared ids become vectors.

Arrow: Batch --**CodeEmbedding**--> Backbone. Does not know: which ids are hidden; a MASK is a row like any other.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokenmask.batch import PAD
from tokenmask.layout import Layout, Parallel
from tokenmask.models.layout_rows import LayoutRows
from tokenmask.nn import Linear
from tokenmask.ops import embed_codes


class CodeEmbedding(nn.Module):
    """One row for each id of a layout, joined over the K levels of a position, plus one row for each stream.

    Levels are summed, or joined by the layout's ``Parallel.fuse``: "concat" puts the K rows of a stream side by side
    and projects them back to the width, "concat_mlp" does so with a hidden GELU layer. PAD contributes nothing.

    Args:
        layout: of the ids.
        width: D.
    """

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(layout.num_ids, width))
        self.stream = nn.Parameter(torch.empty(len(layout.names) + 1, width))
        self.scale = math.sqrt(width)  # rows of size 0.02 serve tied heads; blocks add vectors of about unit size
        self.fusions = nn.ModuleDict()
        self._fused: list[tuple[str, int, int]] = []
        for index, (name, spec) in enumerate(layout.streams.items()):
            arrangement = layout.arrangements.get(name, Parallel())
            if isinstance(arrangement, Parallel) and arrangement.fuse != "sum" and spec.num_levels > 1:
                wide = spec.num_levels * width
                if arrangement.fuse == "concat":
                    self.fusions[name] = Linear(wide, width, bias=False)
                else:
                    self.fusions[name] = nn.Sequential(Linear(wide, width), nn.GELU(), Linear(width, width))
                self._fused.append((name, index, spec.num_levels))

    def initialise(self, generator: torch.Generator) -> None:
        """Normal with deviation 0.02; the row of PAD is zero and stays so."""
        self.table.normal_(0, 0.02, generator=generator)
        self.stream.normal_(0, 0.02, generator=generator)
        self.table[PAD].zero_()

    def layout_rows(self) -> LayoutRows:
        """The table, a row for each stream, and the layers that join levels."""
        joins = {name: list(self.fusions[name].state_dict()) for name, _, _ in self._fused}
        own = {f"fusions.{stream}.{name}": stream for stream, names in joins.items() for name in names}
        return LayoutRows(ids=("table",), streams=("stream",), own=own)

    def forward(self, ids: Tensor, stream: Tensor) -> Tensor:
        """Args:
            ids: int32 [B, L, K].
            stream: int8 [B, L], -1 for control positions.

        Returns:
            float [B, L, D], new.
        """
        summed = embed_codes(ids, self.table)
        for name, index, count in self._fused:
            if count <= ids.shape[2]:
                wide = F.embedding(ids[..., :count], self.table, padding_idx=PAD).flatten(2)
                summed = torch.where((stream == index)[..., None], self.fusions[name](wide), summed)
        return (summed + F.embedding(stream.long() + 1, self.stream)) * self.scale


class PlaceTable(nn.Module):
    """A learned vector for each place in a packed sequence. Source: BERT, arXiv:1810.04805, section 3.

    Args:
        places: how many.
        width: D.
    """

    def __init__(self, places: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(places, width))
        self.scale = math.sqrt(width)  # as codes are

    def initialise(self, generator: torch.Generator) -> None:
        """Normal with deviation 0.02."""
        self.table.normal_(0, 0.02, generator=generator)

    def forward(self, position: Tensor) -> Tensor:
        """int64 [B, L] -> float [B, L, D]."""
        return F.embedding(position, self.table) * self.scale


class CoordinateFeatures(nn.Module):
    """Sinusoids of the three coordinates, zero at the origin, through a linear layer that starts at zero.

    The cosines are lowered by 1: otherwise the slow ones are a large constant that drowns the codes, and a model learns
    its first use of context several times later. Source of the sinusoids: arXiv:1706.03762, section 3.5.

    Args:
        width: D.
        pairs: sine-cosine pairs of each coordinate.
    """

    def __init__(self, width: int, pairs: int = 32) -> None:
        super().__init__()
        self.register_buffer("rates", torch.empty(pairs), persistent=False)
        self.rates: Tensor
        self.linear = Linear(6 * pairs, width, bias=False)
        self.scale = math.sqrt(width / (3 * pairs))  # the features have about unit length, times sqrt(D) as the codes

    def initialise(self, generator: torch.Generator) -> None:
        """Rates from 1 down to 1 / 10000."""
        pairs = self.rates.shape[0]
        self.rates.copy_(torch.exp(torch.arange(pairs) * (-math.log(10000.0) / (pairs - 1))))
        self.linear.weight.zero_()

    def forward(self, coordinates: Tensor) -> Tensor:
        """int32 [B, L, 3] -> float [B, L, D]."""
        angles = (coordinates[..., None] * self.rates).flatten(2)
        features = torch.cat([angles.sin(), angles.cos() - 1], dim=-1) * self.scale
        return self.linear(features)  # type: ignore[no-any-return]
