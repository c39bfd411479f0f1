"""Codes, quantised values and moved codebooks against vector_quantize_pytorch, on the same codebooks and latents."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tokenmask.fitting import step_generator
from tokenmask.modalities.quantizers.fsq import FiniteScalarQuantizer, FiniteScalarQuantizerConfig
from tokenmask.modalities.quantizers.random_projection import (
    RandomProjectionQuantizer,
    RandomProjectionQuantizerConfig,
)
from tokenmask.modalities.quantizers.residual import ResidualQuantizer, ResidualQuantizerConfig
from tokenmask.modalities.quantizers.vq import VectorQuantizer, VectorQuantizerConfig
from tokenmask.nn.init import build

reference: Any = pytest.importorskip(
    "vector_quantize_pytorch", reason="parity needs the reference: pip install vector-quantize-pytorch==1.32.0"
)


@pytest.fixture(autouse=True)
def _reference_draws_from_the_global_generator() -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def latents(count: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def own(codes: int, width: int, unit: bool = False, **settings: float) -> VectorQuantizer:
    config = VectorQuantizerConfig(codes, width, unit=unit, revive_below=0.0, **settings)  # type: ignore[arg-type]
    return build(lambda: VectorQuantizer(config), seed=1)


def the_other(book: VectorQuantizer) -> Any:
    """The same codebook there; moving averages without smoothing, revival or noise."""
    config = book.config
    other = reference.VectorQuantize(
        dim=config.width,
        codebook_size=config.codes,
        decay=config.decay,
        eps=0.0,
        use_cosine_sim=config.unit,
        commitment_weight=config.commitment,
        threshold_ema_dead_code=0,
        rotation_trick=False,
    )
    share(book, other)
    return other


def share(book: VectorQuantizer, other: Any) -> None:
    held = other._codebook
    held.embed.data.copy_(book.codebook[None])
    held.embed_avg.copy_(book.ema_sum[None])
    held.cluster_size.copy_(book.ema_count[None])


@pytest.mark.parametrize("unit", [False, True])
def test_codes_values_and_commitment(unit: bool) -> None:
    book, x = own(128, 12, unit), latents(300, 12)
    other = the_other(book).train()
    theirs, their_codes, their_loss = other(x[None], freeze_codebook=True)
    quantised, codes, loss = book(x)
    assert torch.equal(codes, their_codes[0])
    assert torch.allclose(book.lookup(codes), other.get_codes_from_indices(their_codes)[0], atol=1e-5)
    assert torch.allclose(quantised, theirs[0], atol=1e-5)
    if not unit:  # the reference compares codes with latents of any length there
        assert loss.mean().item() == pytest.approx(their_loss.item(), rel=1e-5)


@pytest.mark.parametrize("unit", [False, True])
def test_three_steps_of_moving_averages(unit: bool) -> None:
    book = own(16, 6, unit, decay=0.8)
    book.start_from(latents(500, 6, seed=9), per_step=200, generator=step_generator(0, 0))
    before = book.codebook.clone()
    other = the_other(book).train()
    for step in range(3):
        x = latents(200, 6, seed=step)
        other(x[None])
        book.update(x, book.nearest(x), step_generator(0, step))
        assert torch.allclose(book.codebook, other._codebook.embed[0], atol=1e-5)
        assert torch.allclose(book.ema_count, other._codebook.cluster_size[0], atol=1e-4)
    assert (book.codebook - before).abs().max() > 0.05


@pytest.mark.parametrize("unit", [False, True])
def test_residual_levels(unit: bool) -> None:
    codebook = VectorQuantizerConfig(64, 10, unit=unit)
    mine = build(lambda: ResidualQuantizer(ResidualQuantizerConfig(5, codebook)), seed=2)
    other = reference.ResidualVQ(dim=10, codebook_size=64, num_quantizers=5, use_cosine_sim=unit).eval()
    for book, layer in zip(mine._books(), other.layers, strict=True):
        share(book, layer)
    x = latents(257, 10)
    theirs, their_codes, _ = other(x[None])
    codes = mine.nearest(x)
    assert torch.equal(codes, their_codes[0])
    assert torch.allclose(mine.lookup(codes), theirs[0], atol=1e-5)
    assert torch.allclose(mine(x)[0], theirs[0], atol=1e-5)
    assert codes.unique().numel() > 30


@pytest.mark.parametrize("sizes", [(8, 8, 8), (8, 5, 5, 5), (3, 4), (7, 6, 5, 4, 3), (5,)])
def test_finite_scalars(sizes: tuple[int, ...]) -> None:
    mine = build(lambda: FiniteScalarQuantizer(FiniteScalarQuantizerConfig(sizes)), seed=0)
    other = reference.FSQ(list(sizes))
    x = (2 * latents(3000, len(sizes))).requires_grad_()
    y = x.detach().clone().requires_grad_()
    theirs, their_codes = other(y[None])
    quantised, codes, _ = mine(x)
    assert torch.equal(codes[:, 0], their_codes[0].long())
    assert torch.allclose(quantised, theirs[0], atol=1e-5)
    assert torch.allclose(mine.lookup(codes), other.indices_to_codes(their_codes)[0], atol=1e-5)
    (quantised**2).sum().backward()
    (theirs**2).sum().backward()
    assert x.grad is not None and y.grad is not None
    assert torch.allclose(x.grad, y.grad, atol=1e-5)
    every = torch.arange(mine.codebook_sizes[0])[:, None]
    assert torch.allclose(mine.lookup(every), other.implicit_codebook, atol=1e-6)


@pytest.mark.parametrize(("levels", "normalise"), [(1, True), (3, True), (2, False)])
def test_random_projections(levels: int, normalise: bool) -> None:
    config = RandomProjectionQuantizerConfig(200, width=40, code_width=16, levels=levels, normalise=normalise)
    mine = build(lambda: RandomProjectionQuantizer(config), seed=3)
    x = 3 * latents(500, 40) + 1
    codes = mine.nearest(x)
    for level in range(levels):  # several at once have a learned projection more there
        other = reference.RandomProjectionQuantizer(dim=40, codebook_size=200, codebook_dim=16, norm=normalise)
        other.rand_projs.copy_(mine.projection[level : level + 1])
        other.vq._codebook.embed.data.copy_(mine.codebook[level : level + 1])
        assert torch.equal(codes[:, level], other(x[None]).reshape(500))
    assert codes.unique().numel() > 100
