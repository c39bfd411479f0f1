"""Finite scalars by hand: thresholds, digits, every code is its own nearest, and no dependence on company."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tokenmask.fitting import step_generator
from tokenmask.modalities.quantizers.fsq import FiniteScalarQuantizer, FiniteScalarQuantizerConfig
from tokenmask.nn.init import build


def quantizer(*sizes: int) -> FiniteScalarQuantizer:
    return build(lambda: FiniteScalarQuantizer(FiniteScalarQuantizerConfig(sizes)), seed=0)


def latents(count: int, width: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(0))


def test_digits_by_hand() -> None:
    assert FiniteScalarQuantizerConfig().sizes == (8, 8, 8)
    book = quantizer(3, 4)
    assert (book.codebook_sizes, book.width, book.groups) == ((12,), 2, ((0,),))
    far = torch.tensor([[-9.0, -9.0], [9.0, -9.0], [-9.0, 9.0], [9.0, 9.0], [0.0, 0.0]])
    codes = book.nearest(far)
    assert codes[:, 0].tolist() == [0, 2, 9, 11, 1 + 3 * 2]  # the first number counts fastest
    values = book.lookup(codes)
    assert values.tolist() == [[-1, -1], [1, -1], [-1, 0.5], [1, 0.5], [0, 0]]  # four levels: -1, -.5, 0, .5


@pytest.mark.parametrize("sizes", [(8, 6, 5), (3, 3, 3), (4, 7)])
def test_all_codes_are_reached(sizes: tuple[int, ...]) -> None:
    book = quantizer(*sizes)
    grid = torch.cartesian_prod(*[torch.linspace(-6, 6, 61)] * len(sizes))
    assert len(book.nearest(grid).unique()) == book.codebook_sizes[0]


def test_thresholds_are_where_tanh_rounds() -> None:
    """Formula of the paper in float64, at latents that are no ties."""
    sizes = torch.tensor([8, 5, 3, 16])
    x = 3 * latents(5000, 4).double()
    half_range = (sizes - 1) * 1.001 / 2
    offset = torch.where(sizes % 2 == 0, 0.5, 0.0).double()
    rounded = (torch.tanh(x + torch.atanh(offset / half_range)) * half_range - offset).round()
    digits = (rounded + sizes // 2).long()
    assert bool(((digits >= 0) & (digits < sizes)).all())
    basis = torch.tensor([1, 8, 40, 120])
    assert torch.equal(quantizer(8, 5, 3, 16).nearest(x.float())[:, 0], (digits * basis).sum(1))


def test_rows_do_not_depend_on_their_company() -> None:
    book, x = quantizer(8, 8, 8), latents(1000, 3)
    whole = book.nearest(x)
    for size in (1, 2, 7, 64, 100):
        assert torch.equal(torch.cat([book.nearest(part) for part in x.split(size)]), whole)
    assert torch.equal(book.nearest(x.T.contiguous().T), whole)
    assert book.nearest(x[:0]).shape == (0, 1)


def test_training_has_a_gradient_and_nothing_to_update() -> None:
    book, x = quantizer(8, 5), latents(50, 2).requires_grad_()
    quantised, codes, loss = book(x, items=5, draw=step_generator(0, 0))
    assert torch.allclose(quantised, book.lookup(codes), atol=1e-6)
    assert loss.item() == 0
    quantised.sum().backward()
    assert x.grad is not None and bool((x.grad > 0).all())
    before = {name: value.clone() for name, value in book.state_dict().items()}
    book.update(x, codes, step_generator(0, 0))
    book.start_from(x, per_step=50, generator=step_generator(0, 0))
    assert list(before) == ["sizes"]
    assert torch.equal(before["sizes"], book.sizes)


def test_the_gradient_is_that_of_the_bounded_number() -> None:
    """y = tanh(x + shift) h - offset in steps of size // 2, with h = (size - 1) 1.001 / 2; y' = h (1 - tanh^2)."""
    x = torch.tensor([[0.0, 0.0], [0.5, -1.0]], requires_grad=True)
    quantizer(5, 8)(x)[0].sum().backward()
    five, eight = 2.002, 3.5035
    shift = math.atanh(0.5 / eight)  # an even number of levels has none at 0
    expected = [
        [five / 2, eight * (1 - (0.5 / eight) ** 2) / 4],
        [five * (1 - math.tanh(0.5) ** 2) / 2, eight * (1 - math.tanh(shift - 1) ** 2) / 4],
    ]
    assert x.grad is not None and torch.allclose(x.grad, torch.tensor(expected), atol=1e-5)


@pytest.mark.parametrize("sizes", [(), (2, 8), (8, 0), (2048, 2048, 2048), (2048, 1024, 1024)])
def test_settings_out_of_range_are_one_sentence(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="sizes must be one or more numbers of levels"):
        FiniteScalarQuantizerConfig(sizes)
