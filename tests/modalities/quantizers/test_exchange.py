"""Any quantiser can stand in a network that is fitted: one interface, and training goes through all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tokenmask.modalities.learned import CodecFitting, FitSettings, Quantise, stored
from tokenmask.modalities.quantizers.fsq import FiniteScalarQuantizer, FiniteScalarQuantizerConfig
from tokenmask.modalities.quantizers.random_projection import (
    RandomProjectionQuantizer,
    RandomProjectionQuantizerConfig,
)
from tokenmask.modalities.quantizers.residual import GroupedQuantizer, ResidualQuantizer, ResidualQuantizerConfig
from tokenmask.modalities.quantizers.vq import VectorQuantizerConfig
from tokenmask.nn.init import build

RESIDUAL = ResidualQuantizerConfig(2, VectorQuantizerConfig(16, 4), level_dropout=0.2)
QUANTIZERS: dict[str, Callable[[], Any]] = {
    "residual": lambda: ResidualQuantizer(RESIDUAL),
    "grouped": lambda: GroupedQuantizer([RESIDUAL, RESIDUAL]),
    "fsq": lambda: FiniteScalarQuantizer(FiniteScalarQuantizerConfig((8, 5, 5))),
    "random": lambda: RandomProjectionQuantizer(RandomProjectionQuantizerConfig(64, 6, 4, levels=2)),
}


class Network(nn.Module):
    """Two linear layers around a quantiser."""

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__()
        self.quantizer = make()
        self.encoder = nn.Linear(12, self.quantizer.width)
        self.decoder = nn.Linear(self.quantizer.width, 12)


@pytest.mark.parametrize("name", list(QUANTIZERS))
def test_a_network_is_fitted_around_it(name: str) -> None:
    mix = torch.randn(3, 12, generator=torch.Generator().manual_seed(0))

    def draw_batch(draw: torch.Generator) -> Tensor:
        return torch.randn(8, 20, 3, generator=draw) @ mix

    def loss(network: Any, batch: Tensor, quantise: Quantise) -> tuple[Tensor, dict[str, float]]:
        error = nn.functional.mse_loss(network.decoder(quantise(network.encoder(batch))), batch) / batch.var()
        return error, {"error": error.item()}

    settings = FitSettings(steps=120, peak_lr=2e-2, warm_up=0.2)
    task = CodecFitting(lambda: Network(QUANTIZERS[name]), draw_batch, loss, settings, {})
    figures = [task.step(index) for index in range(settings.steps)]
    quantizer = task.network.quantizer
    x = task.network.encoder(draw_batch(torch.Generator().manual_seed(1))).detach().view(-1, quantizer.width)
    codes = quantizer.nearest(x)
    sizes = torch.tensor(quantizer.codebook_sizes)
    assert codes.shape == (160, len(sizes)) and bool(((codes >= 0) & (codes < sizes)).all())
    assert sorted(level for group in quantizer.groups for level in group) == list(range(len(sizes)))
    assert quantizer.lookup(codes.view(8, 20, -1)).shape == (8, 20, quantizer.width)
    assert figures[-1]["codes_used_share"] > 0.2
    if name != "random":  # its codes are targets, not made to come back from
        assert figures[-1]["error"] < 0.35
    kept = stored(task.network)
    again = build(lambda: Network(QUANTIZERS[name]), 7)
    again.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in kept.items()}, strict=False)
    assert (again.quantizer.nearest(x) == codes).float().mean() > 0.97  # weights are stored in half precision
    assert next(task.network.quantizer.buffers()).device == torch.device("cpu")
