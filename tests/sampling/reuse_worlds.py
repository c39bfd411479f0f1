"""Models with random weights and batches for the reuse policies."""

from __future__ import annotations

import torch

from tests.models.small import randomise, small_batch, small_layout
from tokenmask.batch import GIVEN, Batch
from tokenmask.layout import Layout
from tokenmask.models import AttentionPattern, GroupCausal, MaskedModel, TransformerConfig
from tokenmask.sampling import Sampler, SamplerState


def model_of(layout: Layout, pattern: AttentionPattern | None = None, **options) -> MaskedModel:
    """Random weights, none of them zero; the pattern GroupCausal has a model that may be asked for other places."""
    shape = {"width": 64, "depth": 2, "heads": 2, "shifted": isinstance(pattern, GroupCausal), **options}
    model = MaskedModel.create(TransformerConfig(**shape), layout, pattern=pattern)
    randomise(model, size=0.15)
    return model


def world(levels: int = 1, text_role: int = GIVEN, multiple: int = 8) -> tuple[Layout, Batch]:
    """Three rows of different lengths: text that is given (or filled) and audio to fill."""
    layout = small_layout(levels)
    return layout, small_batch(layout, ((5, 20), (3, 25), (9, 11)), multiple=multiple, text_role=text_role)


def start(batch: Batch, layout: Layout) -> SamplerState:
    return SamplerState.start(batch, layout, torch.arange(batch.shape[0]) + 3)


def filled(sampler: Sampler, model: MaskedModel, batch: Batch) -> SamplerState:
    return sampler.run({"main": model}, model.layout, start(batch, model.layout))
