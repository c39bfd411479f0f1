"""rms_norm, turn_heads and gate: kernels against references, references against torch's own gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tokenmask.ops import gate, rms_norm, turn_heads
from tokenmask.ops.between import (
    HAS_KERNELS,
    gate_backward_reference,
    gate_reference,
    rms_norm_backward_reference,
    rms_norm_reference,
    turn_heads_backward_reference,
    turn_heads_reference,
)

OPS = torch.ops.tokenmask
pytestmark = pytest.mark.skipif(not HAS_KERNELS, reason="the kernels are of the CPU alone")
WIDTHS = [0, 1, 3, 16, 47, 64, 130]
HEADS = [(0, 5, 2, 4), (2, 0, 2, 4), (1, 1, 1, 2), (2, 37, 3, 6), (3, 50, 2, 34), (1, 70, 2, 64)]
ROWS = [0, 1, 63, 64, 65, 200]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def heads(rows: int, length: int, count: int, size: int) -> tuple[Tensor, ...]:
    """qkv, both weights, and cosines and sines of keys and of queries, all different."""
    turns = [normal(rows, length, size, seed=seed) for seed in (3, 4, 5, 6)]
    return normal(rows, length, 3, count, size), 1 + normal(size, seed=1), 1 + normal(size, seed=2), *turns


def same(found: Tensor | tuple[Tensor, ...], exact: Tensor | tuple[Tensor, ...], error: float = 3e-6) -> None:
    """Within ``error`` of what double precision gives, measured by the largest value."""
    found, exact = ((each,) if isinstance(each, Tensor) else each for each in (found, exact))
    for one, other in zip(found, exact, strict=True):
        assert one.dtype == torch.float32 and one.shape == other.shape and one.is_contiguous()
        assert not one.numel() or float((one.double() - other).abs().max()) <= error * (1 + float(other.abs().max()))


def doubled(*tensors: Tensor) -> list[Tensor]:
    return [tensor.double() for tensor in tensors]


@pytest.mark.parametrize("width", WIDTHS[1:])
@pytest.mark.parametrize("rows", ROWS)
def test_rms_norm_equals_its_reference(rows: int, width: int, capability: str) -> None:
    x, grad, weight = normal(rows, width), normal(rows, width, seed=1), normal(width, seed=2)
    y, scale = OPS.rms_norm(x, weight, 1e-3)
    same((y, scale), rms_norm_reference(*doubled(x, weight), 1e-3))
    exact = rms_norm_backward_reference(*doubled(grad, x, scale, weight))
    same(OPS.rms_norm_backward(grad, x, scale, weight), exact)


@pytest.mark.parametrize(
    "shape", [(0, 5, 2, 4), (2, 0, 2, 4), (1, 1, 1, 2), (2, 37, 3, 6), (3, 50, 2, 34), (1, 70, 2, 64)]
)
def test_turn_heads_equals_its_reference(shape: tuple[int, int, int, int], capability: str) -> None:
    arguments = heads(*shape)
    same(OPS.turn_heads(*arguments, 1e-3), turn_heads_reference(*doubled(*arguments), 1e-3))
    grads = [normal(*shape, seed=seed) for seed in (7, 8, 9)]
    exact = turn_heads_backward_reference(*doubled(*grads, *arguments), 1e-3)
    same(OPS.turn_heads_backward(*grads, *arguments, 1e-3), exact, 1e-5)


@pytest.mark.parametrize("width", WIDTHS)
def test_gate_equals_its_reference(width: int, capability: str) -> None:
    x, grad = 6 * normal(70, 2 * width), normal(70, width, seed=1)
    same(OPS.gate(x), gate_reference(x.double()), 3e-7)
    same(OPS.gate_backward(grad, x), gate_backward_reference(*doubled(grad, x)), 3e-7)


def test_gate_of_numbers_at_the_ends(capability: str) -> None:
    ends = torch.tensor([0.0, -0.0, 1e-40, 60.0, -60.0, 87.5, -87.5, 200.0, -200.0, 3e38, torch.inf, torch.nan])
    x = torch.stack([ends, torch.ones_like(ends)], 1)
    torch.testing.assert_close(OPS.gate(x)[:, 0], F.silu(ends), rtol=1e-6, atol=1e-30, equal_nan=True)
    back = OPS.gate_backward(torch.ones(len(ends), 1), x)
    assert back[:10].isfinite().all() and back[11].isnan().all()
    torch.testing.assert_close(back[:5, 0], torch.tensor([0.5, 0.5, 0.5, 1.0, 0.0]), rtol=1e-6, atol=1e-24)


def test_gradients_of_the_references_are_those_of_their_formulas() -> None:
    """In double precision, by differences."""
    x, weight = (each.requires_grad_() for each in doubled(normal(5, 6), normal(6, seed=1)))
    assert torch.autograd.gradcheck(lambda x, w: rms_norm(x, w, 1e-3), (x, weight))
    assert torch.autograd.gradcheck(gate, (x,))
    qkv, *weights_and_turns = doubled(*heads(2, 3, 2, 4))
    weights, turns = weights_and_turns[:2], weights_and_turns[2:]

    def turned(qkv: Tensor, one: Tensor, other: Tensor) -> tuple[Tensor, ...]:
        query, key, value = turn_heads(qkv, (one, other), (turns[0], turns[1]), (turns[2], turns[3]), 1e-3)
        return query, key, value * 1.0

    assert torch.autograd.gradcheck(turned, tuple(each.requires_grad_() for each in (qkv, *weights)))


def test_gradients_run_through_the_kernels() -> None:
    """float32 by the faces, against torch's own gradient of the plain formulas in double precision."""
    arguments = heads(2, 70, 3, 16)
    wanted = [normal(2, 70, 3, 16, seed=seed) for seed in (7, 8, 9)]
    found = []
    for mine in (True, False):
        leaves = [each.clone() if mine else each.double() for each in arguments]
        qkv, *weights = (each.requires_grad_() for each in leaves[:3])
        if mine:
            made = turn_heads(qkv, (weights[0], weights[1]), (leaves[3], leaves[4]), (leaves[5], leaves[6]), 1e-3)
        else:
            made = (*turn_heads_reference(*leaves, 1e-3), qkv[:, :, 2])
        total = sum((one * other.to(one.dtype)).sum() for one, other in zip(made, wanted, strict=True))
        found.append(torch.autograd.grad(total, [qkv, *weights]))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5)


def test_threads_do_not_matter() -> None:
    x, grad, weight, arguments = normal(500, 300), normal(500, 300, seed=1), normal(300, seed=2), heads(3, 150, 2, 16)
    wide, before, found = normal(500, 600, seed=3), torch.get_num_threads(), []
    grads = [normal(3, 150, 2, 16, seed=seed) for seed in (7, 8, 9)]
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            y, scale = OPS.rms_norm(x, weight, 1e-6)
            results = [y, *OPS.rms_norm_backward(grad, x, scale, weight), *OPS.turn_heads(*arguments, 1e-6)]
            results += [
                *OPS.turn_heads_backward(*grads, *arguments, 1e-6),
                OPS.gate(wide),
                OPS.gate_backward(grad, wide),
            ]
            found.append(results)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_any_layout_of_memory_is_taken() -> None:
    x, weight = normal(40, 64).T, normal(40, seed=1)
    assert torch.equal(OPS.rms_norm(x, weight, 1e-6)[0], OPS.rms_norm(x.contiguous(), weight, 1e-6)[0])
    assert torch.equal(OPS.gate(x), OPS.gate(x.contiguous()))


def test_registration() -> None:
    """Their gradients are those of the faces, which call them."""
    x, weight, arguments = normal(5, 6), normal(6), heads(2, 3, 2, 4)
    grads = [normal(2, 3, 2, 4, seed=seed) for seed in (7, 8, 9)]
    for op, inputs in (
        (OPS.rms_norm, (x, weight, 1e-6)),
        (OPS.rms_norm_backward, (x, x, x[:, 0].contiguous(), weight)),
        (OPS.turn_heads, (*arguments, 1e-6)),
        (OPS.turn_heads_backward, (*grads, *arguments, 1e-6)),
        (OPS.gate, (x,)),
        (OPS.gate_backward, (x[:, :3], x)),
    ):
        torch.library.opcheck(op.default, inputs, test_utils=("test_schema", "test_faketensor"))


def test_wrong_input_is_refused() -> None:
    x, arguments = normal(5, 6), heads(2, 3, 2, 4)
    for op, inputs in (
        (OPS.rms_norm, (x, normal(5), 1e-6)),
        (OPS.rms_norm_backward, (x[:4], x, normal(5), normal(6))),
        (OPS.turn_heads, (*heads(2, 3, 2, 5), 1e-6)),
        (OPS.turn_heads, (arguments[0][:1], *arguments[1:], 1e-6)),
        (OPS.gate, (x[:, :5],)),
        (OPS.gate_backward, (x, x)),
    ):
        with pytest.raises(ValueError, match="must"):
            op(*inputs)
    with pytest.raises(TypeError, match="must be Float, got Double"):
        OPS.rms_norm(x, normal(6).double(), 1e-6)
