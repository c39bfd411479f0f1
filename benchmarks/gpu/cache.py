"""rotate_and_store and attend_cached beside scatters and SDPA."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from timing import CUDA, DEVICE, case, compiled, normal, scaled

from tokenmask import ops


def attend(rows: int, new: int, heads: int, size: int, total: int, dtype: torch.dtype) -> None:
    rows, new, heads, size, total = (
        scaled(rows, 2),
        min(new, scaled(new, 3)),
        scaled(heads, 2),
        scaled(size, 16),
        scaled(total, 32),
    )
    count = rows * new
    dtype = dtype if CUDA else torch.float32
    qkv = normal(count, 3, heads, size, dtype=dtype)
    weight = torch.ones(size, dtype=dtype, device=DEVICE)
    angle = normal(count, size)
    ends = torch.arange(0, count + 1, new, device=DEVICE)
    slots = torch.arange(new, device=DEVICE).repeat(rows)
    keys, values = (
        normal(rows, heads, total // 16, size, 16, dtype=dtype),
        normal(rows, heads, total, size, dtype=dtype),
    )
    plain = normal(rows, heads, total, size, dtype=dtype)
    row = torch.arange(rows, device=DEVICE).repeat_interleave(new)
    lengths = torch.full((rows,), total, device=DEVICE)
    query = qkv[:, 0].contiguous()
    name = f"[{rows} x {new}, {heads}, {size}] T {total} {str(dtype)[6:]}"

    def eager(qkv: torch.Tensor, cos: torch.Tensor) -> tuple[torch.Tensor, ...]:
        q, k, v = qkv.float().unbind(1)
        q = F.rms_norm(q, (size,)) * cos[:, None] + F.rms_norm(q, (size,)).roll(size // 2, -1) * cos[:, None]
        k = F.rms_norm(k, (size,)) * cos[:, None] + F.rms_norm(k, (size,)).roll(size // 2, -1) * cos[:, None]
        return q.to(dtype), k.to(dtype), v.to(dtype)

    fast = compiled(eager) if new == 64 else eager

    def rotate_peer() -> None:
        _, k, v = fast(qkv, angle)
        plain[row, :, slots] = k
        values[row, :, slots] = v

    moved = qkv.numel() * 2 * qkv.element_size() + count * size * 8
    case(
        f"rotate_and_store {name}",
        partial(ops.rotate_and_store, qkv, weight, weight, angle, angle, ends, slots, keys, values),
        {"eager or compiled, scatter": rotate_peer},
        moved=moved,
    )
    dense = query.view(rows, new, heads, size).transpose(1, 2)
    case(
        f"attend_cached {name}",
        partial(ops.attend_cached, query, ends, keys, values, lengths),
        {"SDPA": lambda: F.scaled_dot_product_attention(dense, plain, values)},
        moved=2.0 * (keys.numel() + values.numel() + query.numel()) * keys.element_size() / 2,
        flops=4.0 * count * heads * size * total,
    )


def cache() -> None:
    for case_of in [
        (4, 25, 8, 64, 512, torch.float32),
        (64, 64, 16, 128, 2048, torch.bfloat16),
        (64, 1, 16, 128, 4096, torch.bfloat16),
        (8, 512, 16, 64, 2048, torch.bfloat16),
    ]:
        attend(*case_of)
