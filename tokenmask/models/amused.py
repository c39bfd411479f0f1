"""aMUSEd's network as a backbone: a U-ViT that fills the codes of a picture for a prompt (arXiv:2401.01808).

Arrow: MaskedBatch --**Amused**--> logits of the queries, those of diffusers' UVit2DModel for the same codes and prompt.
Does not know: tokenizers, where the network comes from.
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
from tokenmask.models.prompts import ReadPrompts
from tokenmask.models.wrapped import Marks, WrappedHeadConfig, holds, refuse_parts, rows_and_columns

PICTURE, PROMPT = "image", "text"  # streams of the layout, in this order


@dataclass(frozen=True, eq=False)
class AmusedConfig(BackboneConfig):
    """A network that is there already.

    Args:
        network: a ``UVit2DModel`` of diffusers.
        text_encoder: a ``CLIPTextModelWithProjection`` of transformers, or of its interface.
        marks: of the text encoder's vocabulary; ``mask`` is the network's own, of pictures.
        longest: pieces of a prompt that the text encoder is given, always, marks and padding included.
        grid: (rows, columns) of a picture's codes.
        about: (width, height) in pixels, (top, left) of a crop and an aesthetic score, which the network is told.
    """

    network: nn.Module
    text_encoder: nn.Module
    marks: Marks
    longest: int
    grid: tuple[int, int]
    about: tuple[float, float, float, float, float]

    def build(self, layout: Layout) -> Amused:
        return Amused(self, layout)

    def default_head(self) -> HeadConfig:
        return WrappedHeadConfig()

    def describe(self) -> str:
        return type(self.network).__name__


class Amused(Backbone):
    """Runs the network; the vector of a query is its logits of the codes.

    A row without a prompt is one with an empty prompt, as in aMUSEd's guidance.
    """

    def __init__(self, config: AmusedConfig, layout: Layout) -> None:
        super().__init__()
        self.config, self.network, self.text_encoder = config, config.network, config.text_encoder
        self.codes, self.words = layout.range(PICTURE), layout.range(PROMPT)
        self._prompts = ReadPrompts[tuple[Tensor, Tensor]]()

    @property
    def table(self) -> Tensor:
        """Of the network's own codes."""
        table: Tensor = self.network.embed.embeddings.weight  # type: ignore[union-attr, assignment]
        return table

    @property
    def width(self) -> int:
        """Logits of all codes."""
        return self.codes.size

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
        rows = inputs.shape[0]
        row, column = rows_and_columns(inputs, queries)
        ids = inputs.ids[:, :, 0].long()
        drawn, said = holds(self.codes, ids, inputs.valid), holds(self.words, ids, inputs.valid)
        if not bool(drawn[row, column].all()):
            raise ValueError(f"a wrapped {type(self.network).__name__} fills pictures alone; give texts as conditions")
        high, wide = self.config.grid
        wrong = (drawn.sum(1) != high * wide).nonzero()
        if len(wrong):
            raise ValueError(
                f"a wrapped {type(self.network).__name__} sees pictures of {high} x {wide} codes, got "
                f"{int(drawn[wrong[0, 0]].sum())} in a row; fill one whole picture"
            )
        codes = torch.where(ids == self.codes.mask_id, self.config.marks.mask, ids - self.codes.offset)[drawn]
        words = [self._prompt((line[here] - self.words.offset).tolist()) for line, here in zip(ids, said, strict=True)]
        told = torch.tensor([self.config.about], dtype=words[0][0].dtype, device=ids.device)
        logits = self.network(
            codes.view(rows, high, wide),
            encoder_hidden_states=torch.stack([states for states, _ in words]),
            pooled_text_emb=torch.stack([pooled for _, pooled in words]),
            micro_conds=told.expand(rows, -1),
        )
        place = drawn.cumsum(1) - 1
        return Hidden(logits.flatten(2)[row, : self.codes.size, place[row, column]])

    @torch.no_grad()
    def _prompt(self, pieces: list[int]) -> tuple[Tensor, Tensor]:
        """(states float [longest, D] of the layer before the last, float [P]) of a prompt, run alone once."""
        marks, longest = self.config.marks, self.config.longest
        whole = [*([] if marks.begin is None else [marks.begin]), *pieces]
        if not pieces or pieces[-1] != marks.end:
            whole.append(marks.end)
        if len(whole) > longest:
            raise ValueError(
                f"a wrapped {type(self.network).__name__} sees prompts of {longest - len(whole) + len(pieces)} pieces "
                f"at most, got {len(pieces)}; write a shorter one"
            )
        device = self.table.device

        def read() -> tuple[Tensor, Tensor]:
            ids = torch.tensor([whole + [marks.pad] * (longest - len(whole))], device=device)
            made = self.text_encoder(ids, return_dict=True, output_hidden_states=True)
            return made.hidden_states[-2][0], made.text_embeds[0]

        return self._prompts.of((device, self.table.dtype, *whole), read)
