"""The codebook: nearest codes and ties, the moving averages by hand, and that revival is what keeps codes in use."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import tokenmask
from tokenmask.fitting import step_generator
from tokenmask.modalities.codebook_report import code_usage
from tokenmask.modalities.image import Image
from tokenmask.modalities.quantizers.vq import VectorQuantizer, VectorQuantizerConfig
from tokenmask.nn.init import build


def quantizer(**settings: float) -> VectorQuantizer:
    return build(lambda: VectorQuantizer(VectorQuantizerConfig(**settings)), seed=0)  # type: ignore[arg-type]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("count", [0, 1, 3, 64, 65, 200])
def test_nearest_is_the_smallest_distance(count: int) -> None:
    book, latents = quantizer(codes=37, width=5), draw(count, 5)
    distances = (latents.double()[:, None] - book.codebook.double()).square().sum(2)
    assert torch.equal(book.nearest(latents), distances.argmin(1))


def test_equal_distances_give_the_lower_code() -> None:
    book = quantizer(codes=64, width=4)
    book.codebook.copy_(draw(16, 4).repeat(4, 1))
    assert int(book.nearest(draw(500, 4, seed=1)).max()) < 16
    book.codebook.zero_()
    assert not book.nearest(draw(9, 4)).any()


def test_rows_do_not_depend_on_their_company() -> None:
    book, latents = quantizer(codes=512, width=16), draw(1024, 16)
    whole = book.nearest(latents)
    for size in (1, 2, 7, 64, 100):
        assert torch.equal(torch.cat([book.nearest(part) for part in latents.split(size)]), whole)


def test_gradient_passes_straight_through() -> None:
    book, latents = quantizer(codes=8, width=3, commitment=0.5), draw(20, 3).requires_grad_()
    before = book.codebook.clone()
    quantised, codes, loss = book(latents)
    assert torch.allclose(quantised, book.lookup(codes), atol=1e-6)
    assert loss.mean().item() == pytest.approx(0.5 * (latents - before[codes]).square().mean().item(), rel=1e-5)
    quantised.sum().backward()
    assert latents.grad is not None
    assert torch.equal(latents.grad, torch.ones_like(latents))
    assert torch.equal(book.codebook, before)  # forward changes nothing


def test_moving_averages_by_hand() -> None:
    book = quantizer(codes=2, width=1, decay=0.75, revive_below=0.0)
    generator = step_generator(0, 0)
    book.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    book.update(torch.tensor([[1.0], [3.0], [9.0]]), torch.tensor([0, 0, 1]), generator)
    assert torch.allclose(book.codebook, torch.tensor([[2.0], [9.0]]))  # the first step is the plain mean
    book.update(torch.tensor([[5.0]]), torch.tensor([0]), generator)
    # N0 = .75 * .5 + .25 = .625, m0 = .75 * 1 + .25 * 5 = 2; code 1 saw nothing and stays where it is.
    assert torch.allclose(book.codebook, torch.tensor([[3.2], [9.0]]))
    assert torch.allclose(book.ema_count, torch.tensor([0.625, 0.1875]))


def test_dead_codes_become_latents_of_the_batch() -> None:
    book = quantizer(codes=16, width=2)
    latents = draw(40, 2, seed=3)
    codes = book.nearest(latents)
    unused = sorted(set(range(16)) - set(codes.tolist()))
    book.update(latents, codes, step_generator(0, 0))
    revived = book.codebook[unused]
    assert unused
    assert all(bool((latents - code).abs().sum(1).min() < 1e-6) for code in revived)
    assert torch.allclose(book.ema_count[unused], book.ema_count[unused[0]])
    few = quantizer(codes=16, width=2)
    few.update(latents[:1], few.nearest(latents[:1]), step_generator(0, 0))  # fewer latents than dead codes
    assert bool(few.codebook.isfinite().all())


def emoji_patches() -> Tensor:
    """Real latents without a network: 4 x 4 patches of emoji, centred, with unit variance."""
    path = Path(tokenmask.__file__).parent / "data" / "images" / "noto_emoji_32.png"
    sheet = Image.load(path).pixels[:1024].float()
    patches = sheet.view(256, 4, 256, 4, 3).transpose(1, 2).reshape(-1, 48)
    return (patches - patches.mean(0)) / patches.std()


def usage_after(patches: Tensor, revive_below: float, seed: int) -> float:
    """From a random start, 256 latents a step: those of four pictures of 8 x 8 places."""
    book = build(lambda: VectorQuantizer(VectorQuantizerConfig(512, 48, revive_below=revive_below)), seed)
    for step in range(300):
        generator = step_generator(seed, step)
        batch = patches[torch.randint(len(patches), (256,), generator=generator)]
        book.update(batch, book.nearest(batch), generator)
    return code_usage(book.nearest(patches), 512)[0]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_without_revival_the_codebook_collapses(seed: int) -> None:
    """Nothing but ``revive_below`` differs: under 15 % of the codes are in use without it, over 90 % with it."""
    patches = emoji_patches()
    assert usage_after(patches, 0.0, seed) < 0.15
    assert usage_after(patches, 0.05, seed) > 0.9


@pytest.mark.parametrize("settings", [{"codes": 1}, {"width": 0}, {"decay": 1.0}, {"revive_below": 1.0}])
def test_settings_out_of_range_are_one_sentence(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a codebook needs"):
        VectorQuantizerConfig(**settings)  # type: ignore[arg-type]
