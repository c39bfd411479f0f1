"""TransformerConfig: the plain fields that fix a model's shape."""

from __future__ import annotations

from dataclasses import dataclass

from tokenmask.layout import Layout
from tokenmask.models.backbone import Backbone, BackboneConfig
from tokenmask.models.heads import HeadConfig
from tokenmask.models.range_heads import RangeHeadsConfig

MAX_WIDTH, MAX_DEPTH = 1 << 17, 1 << 12  # far beyond any model; larger numbers are mistakes, or meant to fill memory


@dataclass(frozen=True)
class TransformerConfig(BackboneConfig):
    """Shape of a :class:`~tokenmask.models.Transformer`, and of its head where none is named.

    Args:
        width: D, a multiple of 64 (rows are equal in any batch where it is).
        depth: number of blocks.
        heads: attention heads; D / heads must be even.
        ffn: the feed-forward layer has about as many weights as an ungated one of ``ffn`` times the width.
        max_length: longest sequence that may be run.
        rotary_base: of the rotary frequencies.
        rotary_shares: share of a head that turns with (time, row, column).
        absolute: adds features of the absolute coordinates to the embeddings. Rotary positions are relative: a sequence
            in which everything is hidden looks the same everywhere, so what starts from nothing needs this.
        time_input: adds features of the masking time t to the embeddings.
        adaln: shifts, scales and gates every block by t (adaLN-Zero).
        tied, head_transform: as in :class:`~tokenmask.models.RangeHeadsConfig`.
        shifted: a position may be asked for a slot elsewhere, and is told which: what group-causal decoding needs.
    """

    width: int = 256
    depth: int = 6
    heads: int = 4
    ffn: float = 4.0
    max_length: int = 4096
    rotary_base: float = 10000.0
    rotary_shares: tuple[float, float, float] = (0.5, 0.25, 0.25)
    absolute: bool = True
    time_input: bool = False
    adaln: bool = False
    tied: bool = True
    head_transform: bool = False
    shifted: bool = False

    def __post_init__(self) -> None:
        if not 64 <= self.width <= MAX_WIDTH or self.width % 64:
            raise ValueError(f"TransformerConfig.width must be a multiple of 64 up to {MAX_WIDTH}, got {self.width}")
        if not 1 <= self.depth <= MAX_DEPTH or self.max_length < 1:
            raise ValueError(
                f"depth must be 1 to {MAX_DEPTH} and max_length at least 1, got {self.depth} and {self.max_length}"
            )
        if self.heads < 1 or self.heads % 1 or self.width % (2 * self.heads):
            raise ValueError(f"width / heads must be a whole even number, got {self.width} and {self.heads}")
        if not 0 < self.ffn <= MAX_WIDTH:
            raise ValueError(f"TransformerConfig.ffn must be positive and at most {MAX_WIDTH}, got {self.ffn}")

    def build(self, layout: Layout) -> Backbone:
        from tokenmask.models.transformer import Transformer  # here, since it is made of this config

        return Transformer(self, layout)

    def default_head(self) -> HeadConfig:
        return RangeHeadsConfig(self.tied, self.head_transform)

    def describe(self) -> str:
        return f"width {self.width}, depth {self.depth}, {self.heads} heads"

    def kept_floats(self, positions: int) -> float:
        """What the blocks keep: counted, within 5 %."""
        return positions * self.depth * self.width * (8 + 4 / 3 * self.ffn)
