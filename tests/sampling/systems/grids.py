"""Rows that are pictures to fill, as scores are told of them."""

from __future__ import annotations

import torch

from tokenmask.batch import collate
from tokenmask.layout import Layout
from tokenmask.sampling import SamplerState
from tokenmask.scores import Progress, ScoreContext
from tokenmask.streams import StreamSpec, TokenStream


def context_of_grid(height: int, width: int, rows: int = 1, step: int = 0) -> ScoreContext:
    """The first step of ``rows`` samples of a picture; position 0 is a control, cells follow row by row."""
    spec = StreamSpec("image", (4,), ("row", "column"), grid=(height, width))
    layout = Layout({"image": spec})
    packed = layout.pack({"image": TokenStream(spec, torch.zeros(height, width, 1, dtype=torch.int32))})
    state = SamplerState.start(collate([packed] * rows, torch.arange(rows), multiple=1), layout, torch.full((rows,), 3))
    keys = (state.batch.sample_ids << 16) | step
    return ScoreContext(state.batch, state.is_open, state.seeds, keys, Progress(step, 8).on("after"))
