"""embed_codes, both ways, and quantize_residual beside embeddings and matrix products."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from timing import DEVICE, case, compiled, normal, scaled

from tokenmask import ops


def embed(dtype: torch.dtype, share: float) -> None:
    batch, length, levels, width, codes = scaled(64, 2), scaled(1500, 9), 4, scaled(512, 16), scaled(1024, 11)
    g = torch.Generator(DEVICE).manual_seed(0)
    ids = (
        torch.randint(0, codes, (batch, length, levels), device=DEVICE, generator=g)
        + torch.arange(levels, device=DEVICE) * codes
        + 1
    ).int()
    if share:  # as a masked batch has it: one id at most positions
        ids[torch.rand(ids.shape, device=DEVICE, generator=g) < share] = levels * codes
    table = normal(levels * codes + 1, width, dtype=dtype)
    leaf = table.clone().requires_grad_()
    grad = normal(batch, length, width, dtype=dtype, seed=4)
    flat = ids.view(-1, levels)

    def ours_both() -> Any:
        return torch.autograd.grad(ops.embed_codes(ids, leaf), leaf, grad)

    def bag() -> torch.Tensor:
        return F.embedding_bag(flat, table, mode="sum")

    def gathers(ids: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        return (
            F.embedding(ids[..., 0], table)
            + F.embedding(ids[..., 1], table)
            + F.embedding(ids[..., 2], table)
            + F.embedding(ids[..., 3], table)
        )

    def eager_both() -> Any:
        return torch.autograd.grad(gathers(ids, leaf), leaf, grad)

    moved = ids.numel() * 4 + batch * length * width * table.element_size()
    name = f"[{batch}, {length}, {levels}] x {width} {str(dtype)[6:]}{f', {share:.0%} one id' if share else ''}"
    peers: dict[str, Callable[[], Any]] = {"embedding_bag": bag, "4 embeddings": lambda: gathers(ids, table)}
    if dtype == torch.bfloat16 and not share:
        fast = compiled(gathers)
        peers["compiled"] = lambda: fast(ids, table)
    case(f"embed_codes {name}", partial(ops.embed_codes, ids, table), peers, moved=moved)
    case(
        f"embed_codes both ways {name}",
        ours_both,
        {"4 embeddings": eager_both},
        moved=2 * moved + table.numel() * table.element_size(),
    )


def embedding() -> None:
    for case_of in [(torch.float32, 0.0), (torch.bfloat16, 0.0), (torch.bfloat16, 0.6)]:
        embed(*case_of)


def quantize(rows: int, width: int, levels: int, codes: int) -> None:
    rows, width, levels, codes = scaled(rows, 9), scaled(width, 8), scaled(levels, 2), scaled(codes, 17)
    books = normal(levels, codes, width, seed=1) * 0.5 ** torch.arange(levels, device=DEVICE)[:, None, None]
    x = normal(rows, width)
    turned, biases = books.mT.contiguous(), books.square().sum(-1)

    def addmm() -> torch.Tensor:
        left = x
        for book, other, bias in zip(books, turned, biases, strict=True):
            left = left - book[torch.addmm(bias, left, other, alpha=-2).argmin(1)]
        return left

    def addmm_tf32() -> torch.Tensor:
        torch.backends.cuda.matmul.allow_tf32 = True
        try:
            return addmm()
        finally:
            torch.backends.cuda.matmul.allow_tf32 = False

    products = [lambda: [torch.mm(x, other) for other in turned]]
    case(
        f"quantize_residual [{rows}, {width}] {levels} x {codes}",
        partial(ops.quantize_residual, x, books),
        {"addmm argmin fp32": addmm, "addmm argmin tf32": addmm_tf32, "products alone": products[0]},
        flops=2.0 * rows * width * levels * codes,
        moved=8.0 * rows * width,
    )


def quantizing() -> None:
    for case_of in [
        (6000, 128, 8, 1024),
        (131072, 128, 8, 1024),
        (16384, 512, 8, 1024),
        (64, 128, 8, 1024),
    ]:
        quantize(*case_of)
