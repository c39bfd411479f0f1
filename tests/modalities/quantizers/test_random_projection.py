"""Random projections by hand: law of what is drawn, nearest by angle, invariance to scale, usage, no dependence."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tokenmask.fitting import step_generator
from tokenmask.modalities.codebook_report import code_usage
from tokenmask.modalities.quantizers.random_projection import (
    RandomProjectionQuantizer,
    RandomProjectionQuantizerConfig,
)
from tokenmask.nn.init import build


def quantizer(seed: int = 0, **settings: int) -> RandomProjectionQuantizer:
    config = RandomProjectionQuantizerConfig(**{"codes": 64, "width": 20, "code_width": 8, **settings})  # type: ignore[arg-type]
    return build(lambda: RandomProjectionQuantizer(config), seed)


def latents(count: int, width: int = 20) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(0))


def test_what_is_drawn() -> None:
    book = quantizer(codes=500, width=300, code_width=100, levels=2)
    assert book.projection.std().item() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert torch.allclose(book.codebook.norm(dim=-1), torch.ones(2, 500))
    assert not torch.equal(book.codebook[0], book.codebook[1])
    assert torch.equal(quantizer(1).projection, quantizer(1).projection)
    assert not torch.equal(quantizer(1).projection, quantizer(2).projection)


def test_nearest_is_the_smallest_distance_of_normalised_projections() -> None:
    book, x = quantizer(levels=2), latents(100)
    normal = (x - x.mean(1, keepdim=True)) / x.var(1, correction=0, keepdim=True).add(1e-5).sqrt()
    for level in range(2):
        projected = torch.nn.functional.normalize(normal @ book.projection[level], dim=1)
        distances = torch.cdist(projected.double(), book.codebook[level].double())
        assert torch.equal(book.nearest(x)[:, level], distances.argmin(1))
    assert torch.equal(book.nearest(5 * x + 3), book.nearest(x))


def test_rows_do_not_depend_on_their_company() -> None:
    book, x = quantizer(codes=512), latents(500)
    whole = book.nearest(x)
    for size in (1, 3, 64, 100):
        assert torch.equal(torch.cat([book.nearest(part) for part in x.split(size)]), whole)


def test_normalising_keeps_codes_in_use() -> None:
    """Section 3 of the paper: without it latents far from zero fall on few codes."""
    far = latents(4000) + 10
    plain = quantizer(normalise=False)  # type: ignore[arg-type]
    assert code_usage(plain.nearest(far), 64)[1] < 12
    assert code_usage(quantizer().nearest(far), 64)[1] > 24


def test_it_stands_where_a_residual_quantiser_stands() -> None:
    book, x = quantizer(levels=3), latents(30).requires_grad_()
    assert (book.codebook_sizes, book.width, book.groups) == ((64,) * 3, 20, ((0,), (1,), (2,)))
    before = {name: value.clone() for name, value in book.state_dict().items()}
    quantised, codes, loss = book(x, items=3, draw=step_generator(0, 0))
    assert codes.shape == (30, 3) and loss.item() == 0
    assert torch.allclose(quantised, book.lookup(codes), atol=1e-6)
    first = book.codebook[0][codes[:, 0]] @ book.projection[0].T
    assert torch.allclose(book.lookup(codes.view(5, 6, 3), 1).view(30, 20), first, atol=1e-6)
    quantised.sum().backward()
    assert x.grad is not None and torch.equal(x.grad, torch.ones_like(x))
    book.update(x, codes, step_generator(0, 0))
    book.start_from(x, per_step=30, generator=step_generator(0, 0))
    assert all(torch.equal(before[name], value) for name, value in book.state_dict().items())


def test_settings_of_the_paper_and_the_smallest_ones() -> None:
    assert RandomProjectionQuantizerConfig() == RandomProjectionQuantizerConfig(8192, 64, 16, 1, True)
    book = quantizer(codes=2, width=1, code_width=1)
    assert book.codebook_sizes == (2,) and book.codebook.abs().flatten().tolist() == [1.0, 1.0]


@pytest.mark.parametrize("settings", [{"codes": 1}, {"width": 0}, {"code_width": 0}, {"levels": 0}])
def test_settings_out_of_range_are_one_sentence(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="a random-projection quantiser needs"):
        quantizer(**settings)
