"""A generation of plain stages: the loop, which launches every kernel, beside the replay of a graph that holds them."""

from __future__ import annotations

from dataclasses import replace

import torch
from timing import CUDA, DEVICE, RESULT, case, save, scaled

from tokenmask.batch import FILL, collate
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel, TransformerConfig
from tokenmask.sampling import Sampler, SamplerState
from tokenmask.streams import StreamSpec, TokenStream


def replays() -> None:
    side, rows = scaled(16, 4), scaled(8, 2)
    spec = StreamSpec("picture", (1024,), ("row", "column"))
    layout = Layout({"picture": spec})
    config = TransformerConfig(width=512, depth=12, heads=8) if CUDA else TransformerConfig(width=64, depth=1, heads=2)
    models = {"main": MaskedModel.create(config, layout).eval().to(DEVICE)}
    codes = torch.zeros(side, side, 1, dtype=torch.int32)
    one = layout.pack({"picture": TokenStream(spec, codes)}, roles={"picture": FILL})
    batch = collate([one] * rows, torch.arange(rows)).to(DEVICE)
    state = SamplerState.start(batch, layout, torch.zeros(rows, dtype=torch.int64, device=DEVICE))
    sampler = Sampler(steps=scaled(12, 2))
    name = f"{sampler.steps} steps of {rows} x {side * side} slots"
    if not CUDA:
        case(f"sampler.run {name}", lambda: sampler.run(models, layout, state), {})
        return
    captured = sampler.captured(models, layout, state)
    other = replace(state, seeds=state.seeds + 1)
    found, known = captured.run(other), sampler.run(models, layout, other)
    RESULT["checks"]["replay"] = bool(torch.equal(found.batch.ids, known.batch.ids))
    loop = {"the loop": lambda: sampler.run(models, layout, other)}
    case(f"captured.run {name}", lambda: captured.run(other), loop)
    save()
