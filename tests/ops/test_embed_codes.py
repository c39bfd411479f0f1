"""embed_codes: equality with the reference and with nn.Embedding, its gradient, padding, wrong ids."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tokenmask.ops import embed_codes
from tokenmask.ops.embed_codes import embed_codes_backward_reference, embed_codes_reference

SHAPES = [(0, 5, 2), (2, 0, 3), (3, 4, 0), (1, 1, 1), (2, 37, 4), (3, 50, 2)]
TYPES = [torch.float32, torch.bfloat16, torch.float16]


def make_case(
    shape: tuple[int, int, int], rows: int = 40, width: int = 19, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(width)
    ids = torch.randint(0, rows, shape, generator=g, dtype=torch.int32)
    ids[torch.rand(shape, generator=g) < 0.2] = 0
    return ids, torch.randn(rows, width, generator=g).to(dtype)


def backward(ids: Tensor, grad: Tensor, rows: int) -> Tensor:
    result: Tensor = torch.ops.tokenmask.embed_codes_backward(grad, ids, rows)
    return result


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_reference(shape: tuple[int, int, int], dtype: torch.dtype, capability: str) -> None:
    for width in (0, 1, 19, 64, 130):
        ids, table = make_case(shape, width=width, dtype=dtype)
        got = embed_codes(ids, table)
        assert got.dtype == dtype
        assert torch.equal(got, embed_codes_reference(ids, table))
        grad = torch.randn(got.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
        assert torch.equal(backward(ids, grad, 40), embed_codes_backward_reference(grad, ids, 40))


@pytest.mark.needs_cuda
@pytest.mark.parametrize("dtype", TYPES)
def test_equals_reference_on_cuda(dtype: torch.dtype) -> None:
    ids, table = (each.cuda() for each in make_case((3, 50, 2), dtype=dtype))
    got = embed_codes(ids, table)
    assert torch.equal(got, embed_codes_reference(ids, table))
    assert torch.equal(backward(ids, got, 40).cpu(), embed_codes_backward_reference(got.cpu(), ids.cpu(), 40))


def test_every_half_is_rounded_as_torch_rounds(capability: str) -> None:
    """A sum of two rows covers normal, subnormal and overflowing results, ties among them."""
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    for dtype in (torch.float16, torch.bfloat16):
        one = bits.view(dtype)
        other = one[torch.randperm(2**16, generator=torch.Generator().manual_seed(3))]
        table = torch.cat([torch.zeros(1, dtype=dtype), one, other])[:, None]
        at = torch.arange(2**16, dtype=torch.int32)
        ids = torch.stack([at + 1, at + 1 + 2**16], 1)[None]
        expected = (one.float() + other.float()).to(dtype)
        torch.testing.assert_close(embed_codes(ids, table)[0, :, 0], expected, rtol=0, atol=0, equal_nan=True)


def test_equals_embeddings_of_torch() -> None:
    """Four nn.Embedding added left to right, forward and backward, bit for bit."""
    ids, table = make_case((4, 200, 4), rows=30, width=48)
    ours, theirs = table.clone().requires_grad_(), nn.Embedding.from_pretrained(table, freeze=False, padding_idx=0)
    with torch.no_grad():
        theirs.weight[0] = 0
    mine = embed_codes(ids, ours)
    levels = [theirs(level) for level in ids.unbind(-1)]
    other = levels[0] + levels[1] + levels[2] + levels[3]
    assert torch.equal(mine, other)
    weights = torch.randn(mine.shape, generator=torch.Generator().manual_seed(2))
    (mine * weights).sum().backward()
    (other * weights).sum().backward()
    assert ours.grad is not None and theirs.weight.grad is not None
    assert not ours.grad[0].any()
    torch.testing.assert_close(ours.grad, theirs.weight.grad, rtol=1e-5, atol=1e-5)  # torch sums level by level
    exact = embed_codes_backward_reference(weights.double(), ids, 30)
    torch.testing.assert_close(ours.grad.double(), exact, rtol=1e-5, atol=1e-5)


def test_gradient_against_differences() -> None:
    """The sum is linear in the table, so differences of any size are its gradient."""
    ids, table = make_case((2, 9, 3), rows=11, width=5)
    table = table.round().requires_grad_()
    weights = torch.randint(-3, 4, (2, 9, 5), generator=torch.Generator().manual_seed(0)).float()
    (embed_codes(ids, table) * weights).sum().backward()
    for row in range(11):
        moved = table.detach().clone()
        moved[row] += 1
        change = ((embed_codes(ids, moved) - embed_codes(ids, table.detach())) * weights).sum((0, 1))
        assert table.grad is not None
        assert torch.equal(change, table.grad[row])


def test_threads_and_strides() -> None:
    ids, table = make_case((8, 700, 4), rows=60, width=96)
    grad = torch.randn(8, 700, 96, generator=torch.Generator().manual_seed(0))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = embed_codes(ids, table), backward(ids, grad, 60)
        torch.set_num_threads(2)
        together = embed_codes(ids, table), backward(ids, grad, 60)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    assert torch.equal(embed_codes(ids.mT.contiguous().mT, table.T.contiguous().T), alone[0])
    assert torch.equal(embed_codes(ids[::2, 1::3], table), alone[0][::2, 1::3])
    assert torch.equal(backward(ids, grad.mT.contiguous().mT, 60), alone[1])


def test_wrong_input_gets_a_sentence() -> None:
    ids, table = make_case((2, 5, 3))
    for bad in (-1, 40, 2**31 - 1):
        wrong = ids.clone()
        wrong[1, 2, 1] = bad
        runs: list[Callable[[Tensor, Tensor], Tensor]] = [embed_codes, embed_codes_reference]
        for run in (*runs, lambda each, _: backward(each, torch.zeros(2, 5, 19), 40)):
            with pytest.raises(ValueError, match="ids must be rows of the table, got another id at position 7"):
                run(wrong, table)
    with pytest.raises(TypeError, match="ids must be int32, got int64"):
        embed_codes(ids.long(), table)
    with pytest.raises(TypeError, match="table must be float32 or bfloat16 or float16, got float64"):
        embed_codes(ids, table.double())
    with pytest.raises(ValueError, match=r"ids must be \[B, L, K\]"):
        embed_codes(ids[0], table)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_registration(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    ids, table = make_case(shape, dtype=dtype)
    torch.library.opcheck(torch.ops.tokenmask.embed_codes.default, (ids, table.requires_grad_()))
    grad = torch.ones(*shape[:2], 19, dtype=dtype)
    torch.library.opcheck(torch.ops.tokenmask.embed_codes_backward.default, (grad, ids, 40))
