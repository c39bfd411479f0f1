"""What stands between the products of a block, forward and backward, against operations of torch on the same numbers.

The sizes are those of a training step of [8, 512] positions, 8 heads of 64 and a gate of 1408.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from cases.common import generator
from harness import Case, Peer, Work
from torch import Tensor

from tokenmask.ops import gate, rms_norm, turn_heads

ROWS, LENGTH, HEADS, SIZE, WIDE = 8, 512, 8, 64, 1408
EPS = 1e-6


def case(
    name: str, ours: Callable[..., Tensor], torchs: Callable[..., Tensor], inputs: list[Tensor], moved: int
) -> Case:
    """Results and gradients; ``moved`` floats are read or written if each pass goes through memory once."""
    leaves = [one.requires_grad_() for one in inputs]
    with torch.no_grad():
        like = torchs(*leaves)
    gradient = torch.randn(like.shape, generator=generator())

    def both(function: Callable[..., Tensor]) -> list[Tensor]:
        out = function(*leaves)
        return [out.detach(), *torch.autograd.grad(out, leaves, gradient)]

    def close(got: list[Tensor], expected: list[Tensor]) -> bool:
        return all(torch.allclose(a, b, rtol=1e-4, atol=1e-3) for a, b in zip(got, expected, strict=True))

    return Case(
        name,
        Peer("tokenmask.ops", lambda: both(ours), close),
        lambda: both(torchs),
        (Peer("operations of torch", lambda: both(torchs), close),),
        Work(bytes=4.0 * moved),
    )


def norm_case() -> Case:
    g, width = generator(), HEADS * SIZE
    x, weight = torch.randn(ROWS, LENGTH, width, generator=g), torch.rand(width, generator=g)
    return case(
        "rms_norm [8, 512, 512], with gradient",
        lambda x, weight: rms_norm(x, weight, EPS),
        lambda x, weight: F.rms_norm(x, (width,), weight, EPS),
        [x, weight],
        5 * x.numel(),
    )


def turn_case() -> Case:
    g = generator()
    qkv = torch.randn(ROWS, LENGTH, 3, HEADS, SIZE, generator=g)
    weights = [torch.rand(SIZE, generator=g) for _ in range(2)]
    cos, sin = (torch.randn(ROWS, LENGTH, SIZE, generator=g) for _ in range(2))

    def turn(x: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        return x * cos[:, :, None] + torch.cat([second, first], -1) * sin[:, :, None]

    def torchs(qkv: Tensor, one: Tensor, other: Tensor) -> Tensor:
        query, key, value = qkv.unbind(2)
        normed = F.rms_norm(query, (SIZE,), one, EPS), F.rms_norm(key, (SIZE,), other, EPS)
        return torch.cat([turn(normed[0]), turn(normed[1]), value], -1)

    def ours(qkv: Tensor, one: Tensor, other: Tensor) -> Tensor:
        return torch.cat(turn_heads(qkv, (one, other), (cos, sin), (cos, sin), EPS), -1)

    return case("turn_heads [8, 512, 3, 8, 64], with gradient", ours, torchs, [qkv, *weights], 4 * qkv.numel())


def gate_case() -> Case:
    x = torch.randn(ROWS, LENGTH, 2 * WIDE, generator=generator())

    def torchs(x: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        return F.silu(first) * second

    return case("gate [8, 512, 2816], with gradient", gate, torchs, [x], 4 * x.numel())


CASES: dict[str, Callable[[], Case]] = {"rms_norm": norm_case, "turn_heads": turn_case, "gate": gate_case}
