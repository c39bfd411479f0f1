"""MAGNeT as a backbone: a network that fills the codes of a sound for a text, level by level (arXiv:2401.04577).

Arrow: MaskedBatch --**Magnet**--> logits of the queries, those of audiocraft's ``MagnetLMModel`` for the same codes,
text and level. Does not know: tokenizers, where the network comes from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tokenmask.batch import Batch
from tokenmask.layout import Layout
from tokenmask.masking.masked_batch import Queries
from tokenmask.models.attention_pattern import AttentionPattern
from tokenmask.models.backbone import Backbone, BackboneConfig, Hidden, Tap
from tokenmask.models.cache import KVCache
from tokenmask.models.heads import HeadConfig
from tokenmask.models.magnet_network import MagnetNetwork
from tokenmask.models.prompts import ReadPrompts
from tokenmask.models.wrapped import WrappedHeadConfig, holds, refuse_parts, rows_and_columns

SOUND, PROMPT = "audio", "text"  # streams of the layout, in this order


@dataclass(frozen=True, eq=False)
class MagnetConfig(BackboneConfig):
    """A network that is there already.

    Args:
        network: see :class:`MagnetNetwork`.
        text_encoder: a ``T5EncoderModel`` of transformers, or of its interface: called with input_ids and
            attention_mask int64 [1, n], gives ``last_hidden_state`` float [1, n, reads].
        end: the piece that ends a prompt.
        longest: most frames of a sound.
    """

    network: MagnetNetwork
    text_encoder: nn.Module
    end: int
    longest: int

    def build(self, layout: Layout) -> Magnet:
        return Magnet(self, layout)

    def default_head(self) -> HeadConfig:
        return WrappedHeadConfig()

    def describe(self) -> str:
        return f"MAGNeT of width {self.network.width}, {self.network.depth} blocks"


class Magnet(Backbone):
    """Runs the network once for each level that is asked; the vector of a query is its logits of the codes.

    Passes for levels after the first see only the frames nearby. Codes that are given are seen at all levels, as in
    its authors' generation, though none after the asked one were in training. A text stands alone, as in a batch of one
    of audiocraft's; a row without one, or with an empty one, is told a vector of zeros, as in MAGNeT's guidance.
    """

    def __init__(self, config: MagnetConfig, layout: Layout) -> None:
        super().__init__()
        self.config, self.network, self.text_encoder = config, config.network, config.text_encoder
        self.levels = [layout.range(SOUND, level) for level in range(config.network.levels)]
        self.first, self.words = layout.head(SOUND, 0), layout.range(PROMPT)
        self._prompts = ReadPrompts[Tensor]()

    @property
    def table(self) -> Tensor:
        """Of the first level's codes."""
        return self.network.tensor("emb.0.weight")

    @property
    def width(self) -> int:
        """Logits of all codes of a level."""
        return self.network.codes

    def forward(
        self,
        inputs: Batch,
        queries: Queries,
        pattern: AttentionPattern | None = None,
        *,
        group: Tensor | None = None,
        t: Tensor | None = None,
        taps: Sequence[Tap] = (),
        cache: KVCache | None = None,
    ) -> Hidden:
        refuse_parts(self.network, pattern, taps, cache)
        row, column = rows_and_columns(inputs, queries)
        ids = inputs.ids.long()
        there = holds(self.levels[0], ids[..., 0], inputs.valid)
        asked = queries.heads - self.first
        if bool(((asked < 0) | (asked >= len(self.levels)) | ~there[row, column]).any()):
            raise ValueError("a MAGNeT fills sounds alone; give texts as conditions")
        counts, places = there.sum(1), there.cumsum(1) - 1
        if int(counts.max()) > self.config.longest:
            raise ValueError(
                f"a MAGNeT sees sounds of {self.config.longest} frames at most, got {int(counts.max())}; ask for less"
            )
        answers = torch.zeros(len(row), self.width, dtype=self.table.dtype, device=ids.device)
        for level in sorted(set(asked.tolist())):
            for frames in sorted(set(counts[row[asked == level]].tolist())):
                chosen = ((asked == level) & (counts[row] == frames)).nonzero().squeeze(1)
                rows = torch.unique(row[chosen])
                texts = [self._prompt(self._pieces(ids[one, :, 0], inputs.valid[one])) for one in rows.tolist()]
                logits = self.network(self._codes(ids[rows], there[rows]), texts, level)
                line = torch.searchsorted(rows, row[chosen])
                answers[chosen] = logits[line, places[row[chosen], column[chosen]]]
        return Hidden(answers)

    def _codes(self, ids: Tensor, there: Tensor) -> Tensor:
        """int64 [B, T, K] of rows with as many frames; MASK is the number behind the codes, in both vocabularies."""
        found = [ids[..., at][there].view(len(ids), -1) - own.offset for at, own in enumerate(self.levels)]
        return torch.stack(found, -1)

    def _pieces(self, ids: Tensor, valid: Tensor) -> list[int]:
        pieces: list[int] = (ids[holds(self.words, ids[None], valid[None])[0]] - self.words.offset).tolist()
        return pieces

    @torch.no_grad()
    def _prompt(self, pieces: list[int]) -> Tensor:
        """float [n, width] of a prompt, read alone once."""
        words = pieces[:-1] if pieces and pieces[-1] == self.config.end else pieces
        table = self.table
        if not words:
            return table.new_zeros(1, self.network.width)

        def read() -> Tensor:
            ids = torch.tensor([[*words, self.config.end]], device=table.device)
            states = self.text_encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
            return self.network.projected(states.to(table.dtype))

        return self._prompts.of((table.device, table.dtype, *words), read)
