"""quantize_residual: the reference bit for bit, float64 where no tie is near, ties, invariance, wrong input."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from tokenmask.ops import quantize_residual
from tokenmask.ops.quantize_residual import fused, quantize_residual_reference


def make_case(rows: int, levels: int, codes: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    scales = 0.5 ** torch.arange(levels)[:, None, None]
    return torch.randn(rows, width, generator=g), torch.randn(levels, codes, width, generator=g) * scales


def test_fused_rounds_once() -> None:
    """Against exact rational arithmetic, near ties of float32 among others."""
    g = torch.Generator().manual_seed(0)
    a, b, c = (torch.randn(3000, generator=g) * 2.0 ** torch.randint(-12, 12, (3000,), generator=g) for _ in range(3))
    c[:1000] = -(a * b)[:1000] * (1 + 2.0**-23)
    c[1000:2000] = torch.tensor(2.0**25)
    got = fused(a, b, c)
    for i in range(3000):
        exact = Fraction(a[i].item()) * Fraction(b[i].item()) + Fraction(c[i].item())
        here = got[i].item()
        around = (math.nextafter(here, math.inf), math.nextafter(here, -math.inf))
        neighbours = [torch.nextafter(got[i], torch.tensor(side)).item() for side in around]
        assert all(abs(Fraction(here) - exact) <= abs(Fraction(each) - exact) for each in neighbours)


@pytest.mark.parametrize("unit_norm", [False, True])
@pytest.mark.parametrize(
    ("rows", "levels", "codes", "width"),
    [
        (0, 2, 5, 3),
        (1, 1, 1, 1),
        (5, 0, 4, 3),
        (3, 2, 7, 0),
        (101, 3, 70, 17),
        (12, 2, 33, 8),
        (64, 4, 16, 5),
        (33, 2, 70, 33),  # on CUDA by tensor cores
    ],
)
def test_equals_reference(rows: int, levels: int, codes: int, width: int, unit_norm: bool, capability: str) -> None:
    x, books = make_case(rows, levels, codes, width)
    for scale in (1.0, 1e-20, 1e18):  # subnormal products and products that overflow
        got = quantize_residual(x * scale, books * scale, unit_norm=unit_norm)
        expected = quantize_residual_reference(x * scale, books * scale, unit_norm)
        assert got[0].dtype == torch.int32
        assert torch.equal(got[0], expected[0])
        assert torch.equal(got[1], expected[1])


@pytest.mark.needs_cuda
@pytest.mark.parametrize("unit_norm", [False, True])
@pytest.mark.parametrize("width", [17, 40])  # narrow vectors in float32, others by tensor cores
def test_equals_reference_on_cuda(width: int, unit_norm: bool) -> None:
    x, books = make_case(101, 3, 70, width)
    got = quantize_residual(x.cuda(), books.cuda(), unit_norm=unit_norm)
    expected = quantize_residual_reference(x, books, unit_norm)
    assert torch.equal(got[0].cpu(), expected[0])
    assert torch.equal(got[1].cpu(), expected[1])


def test_nearest_by_float64(capability: str) -> None:
    """The codes are those of exact distances wherever the second nearest is not within 1e-5 of the nearest."""
    x, books = make_case(2000, 4, 256, 32)
    codes, quantized = quantize_residual(x, books)
    left, close = x.double(), torch.zeros(len(x), dtype=torch.bool)
    for level, book in enumerate(books.double()):
        distances = torch.cdist(left, book).square()
        two = distances.topk(2, dim=1, largest=False)
        close |= two.values[:, 1] - two.values[:, 0] < 1e-5 * two.values[:, 1].clamp(min=1)
        assert bool((close | (codes[:, level] == two.indices[:, 0])).all())
        left = left - book[codes[:, level].long()]
    assert float(close.float().mean()) < 0.01
    torch.testing.assert_close(quantized.double(), x.double() - left, rtol=1e-5, atol=1e-5)


def test_ties_go_to_the_lower_code(capability: str) -> None:
    book = torch.tensor([[3.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]).repeat(20, 1)
    x = torch.tensor([[1.0, 1.0], [0.0, 0.0], [-9.0, 0.0], [0.0, 5.0]])
    codes, quantized = quantize_residual(x, book[None])
    assert codes[:, 0].tolist() == [1, 1, 4, 1]
    assert torch.equal(quantized, book[codes[:, 0].long()])
    unit = torch.nn.functional.normalize(book)
    assert quantize_residual(x, unit[None], unit_norm=True)[0][:, 0].tolist() == [0, 0, 4, 1]


def test_unit_codes_ignore_the_length_of_a_row() -> None:
    x, books = make_case(50, 1, 64, 8)
    books = torch.nn.functional.normalize(books, dim=-1)
    codes, _ = quantize_residual(x, books, unit_norm=True)
    assert torch.equal(codes, quantize_residual(x * 1024, books, unit_norm=True)[0])
    assert torch.equal(codes[:, 0].long(), (x.double() @ books[0].double().T).argmax(1))


def test_batch_threads_and_strides() -> None:
    x, books = make_case(333, 3, 200, 40)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = quantize_residual(x, books)
        torch.set_num_threads(2)
        together = quantize_residual(x, books)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    rows = torch.tensor([300, 7, 7, 112])
    assert torch.equal(quantize_residual(x[rows], books)[0], alone[0][rows])
    for row in (0, 47, 48, 332):
        assert torch.equal(quantize_residual(x[row : row + 1], books)[1], alone[1][row : row + 1])
    strided = quantize_residual(x.T.contiguous().T, books.transpose(0, 2).contiguous().transpose(0, 2))
    assert torch.equal(strided[0], alone[0])


@pytest.mark.parametrize("width", [1536, 1537, 8000])
def test_wide_vectors(width: int, device: str) -> None:
    x, books = make_case(9, 2, 5, width)
    codes, quantized = quantize_residual(x.to(device), books.to(device))
    expected = quantize_residual_reference(x, books, False)
    assert torch.equal(codes.cpu(), expected[0]) and torch.equal(quantized.cpu(), expected[1])


def test_codebooks_are_named_before_rows(device: str) -> None:
    x, books = make_case(9, 2, 5, 3)
    x[0, 1] = books[1, 2, 2] = math.nan
    with pytest.raises(ValueError, match="codebooks must be finite, got NaN or infinity at level 1"):
        quantize_residual(x.to(device), books.to(device))


def test_wrong_input_gets_a_sentence() -> None:
    x, books = make_case(9, 2, 5, 3)
    for bad in (math.nan, math.inf):
        broken, torn = x.clone(), books.clone()
        broken[4, 1] = broken[7, 0] = torn[1, 2, 2] = bad
        for run in (torch.ops.tokenmask.quantize_residual, quantize_residual_reference):
            with pytest.raises(ValueError, match="x must be finite, got NaN or infinity in row 4"):
                run(broken, books, False)
            with pytest.raises(ValueError, match="codebooks must be finite, got NaN or infinity at level 1"):
                run(x, torn, False)
    with pytest.raises(ValueError, match=r"codebooks must be \[K, C, D\] = \[2, 5, 3\], got \[2, 5, 2\]"):
        quantize_residual(x, books[..., 1:])
    with pytest.raises(ValueError, match="must hold at least one code"):
        quantize_residual(x, books[:, :0])
    with pytest.raises(TypeError, match="x must be float32, got float64"):
        quantize_residual(x.double(), books)


@pytest.mark.parametrize("shape", [(0, 2, 5, 3), (4, 0, 5, 3), (7, 2, 5, 3)])
def test_registration(shape: tuple[int, int, int, int]) -> None:
    x, books = make_case(*shape)
    torch.library.opcheck(torch.ops.tokenmask.quantize_residual.default, (x, books, False))
