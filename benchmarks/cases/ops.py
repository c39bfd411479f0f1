"""The other ops of tokenmask against eager PyTorch and vector_quantize_pytorch; every peer must return our results."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from cases.common import SEED, equal, generator
from harness import Case, Peer, Work
from torch import Tensor
from vector_quantize_pytorch import ResidualVQ

from tokenmask.ops import choose, commit, embed_codes, mask_tokens, quantize_residual
from tokenmask.ops.choose import choose_reference
from tokenmask.ops.commit import commit_reference
from tokenmask.ops.embed_codes import embed_codes_backward_reference, embed_codes_reference
from tokenmask.ops.mask_tokens import mask_tokens_reference


def choose_case(name: str, share: float | None) -> Case:
    rows, length = 256, 4096
    g = generator()
    scores = torch.randn(rows, length, generator=g)
    is_open = torch.ones(rows, length, dtype=torch.bool)
    count = torch.randint(0, length + 1, (rows,), generator=g) if share is None else None
    fixed = 0 if share is None else int(share * length)
    count = torch.full((rows,), fixed) if count is None else count

    def stable_argsort() -> Tensor:
        order = scores.masked_fill(~is_open, -torch.inf).argsort(dim=1, descending=True, stable=True)
        chosen = torch.arange(length) < count[:, None]
        return torch.zeros_like(is_open).scatter_(1, order, chosen) & is_open

    def topk() -> Tensor:
        largest = scores.masked_fill(~is_open, -torch.inf).topk(int(count.max()), sorted=True).indices
        chosen = torch.arange(largest.shape[1]) < count[:, None]
        return torch.zeros_like(is_open).scatter_(1, largest, chosen) & is_open

    return Case(
        name,
        Peer("tokenmask.ops", partial(choose, scores, is_open, count), equal),
        partial(choose_reference, scores, is_open, count),
        (Peer("stable argsort, scatter", stable_argsort, equal), Peer("topk, scatter", topk, equal)),
        Work(bytes=6 * rows * length),
    )


def commit_case() -> Case:
    rows, length = 256, 1024
    g = generator()
    ids = torch.randint(0, 1024, (rows, length), generator=g, dtype=torch.int32)
    proposed = torch.randint(0, 1024, (rows, length), generator=g, dtype=torch.int32)
    confidence = torch.rand(rows, length, generator=g)
    is_open = torch.rand(rows, length, generator=g) < 0.6
    count = torch.full((rows,), 60)

    def sort_threshold() -> tuple[Tensor, Tensor]:
        masked = confidence.masked_fill(~is_open, -1.0)
        order = masked.argsort(dim=1, descending=True, stable=True)
        chosen = torch.zeros_like(is_open).scatter_(1, order, torch.arange(length) < count[:, None]) & is_open
        return torch.where(chosen, proposed, ids), is_open & ~chosen

    def topk() -> tuple[Tensor, Tensor]:
        best = confidence.masked_fill(~is_open, -1.0).topk(60).indices
        chosen = torch.zeros_like(is_open).scatter_(1, best, True) & is_open
        return torch.where(chosen, proposed, ids), is_open & ~chosen

    arguments = (ids, proposed, confidence, is_open, count)
    return Case(
        "commit 256 x 1024",
        Peer("tokenmask.ops", partial(commit, *arguments), equal),
        partial(commit_reference, *arguments),
        (Peer("stable argsort, where", sort_threshold, equal), Peer("topk, where", topk, equal)),
    )


def mask_tokens_case() -> Case:
    """15 % of [64, 1024], replaced 80/10/10. The peers hide each slot with probability 0.15, ours a fixed count."""
    rows, length, mask_id, size = 64, 1024, 30000, 30000
    random = generator()
    ids = torch.randint(0, size, (rows, length), generator=random, dtype=torch.int32)
    maskable = torch.ones(rows, length, dtype=torch.bool)
    count = torch.full((rows,), round(0.15 * length))
    mask_ids = torch.full((length,), mask_id, dtype=torch.int32)
    low, high = torch.zeros(length, dtype=torch.int32), torch.full((length,), size, dtype=torch.int32)
    samples = torch.arange(rows)

    def collator() -> tuple[Tensor, Tensor, Tensor]:
        inputs, labels = ids.clone(), ids.long()
        hidden = torch.bernoulli(torch.full(labels.shape, 0.15).masked_fill(~maskable, 0.0), generator=random).bool()
        labels[~hidden] = -100
        replaced = torch.bernoulli(torch.full(labels.shape, 0.8), generator=random).bool() & hidden
        inputs[replaced] = mask_id
        noisy = torch.bernoulli(torch.full(labels.shape, 0.5), generator=random).bool() & hidden & ~replaced
        words = torch.randint(size, labels.shape, generator=random, dtype=torch.int32)
        inputs[noisy] = words[noisy]
        slots = hidden.flatten().nonzero().squeeze(1)
        return inputs, slots, labels.flatten()[slots]

    def lean() -> tuple[Tensor, Tensor, Tensor]:
        hidden = (torch.rand(rows, length, generator=random) < 0.15) & maskable
        slots = hidden.flatten().nonzero().squeeze(1)
        targets = ids.flatten()[slots]
        kind = torch.rand(len(slots), generator=random)
        words = torch.randint(size, (len(slots),), generator=random, dtype=torch.int32)
        new = torch.where(kind < 0.8, mask_id, torch.where(kind < 0.9, words, targets))
        return ids.flatten().index_copy(0, slots, new).view(rows, length), slots, targets

    def same_shares(got: Any, _: Any) -> bool:
        """Within 5 standard errors: 15 % in the list, 80 % of these masked."""
        corrupted, slots, targets = got
        total = rows * length
        masked = float((corrupted.flatten()[slots] == mask_id).float().mean())
        fits = abs(len(slots) / total - 0.15) < 5 * (0.15 * 0.85 / total) ** 0.5
        return bool(
            fits and abs(masked - 0.8) < 5 * (0.16 / len(slots)) ** 0.5 and (targets == ids.flatten()[slots]).all()
        )

    options: dict[str, Any] = {
        "shares": (0.8, 0.1, 0.1),
        "random_range": (low, high),
        "seed": SEED,
        "sample_ids": samples,
    }
    bounds = (round(0.8 * 2**32), round((0.8 + 0.1) * 2**32))
    return Case(
        "mask_tokens 64 x 1024, 15 %, 80/10/10",
        Peer("tokenmask.ops", partial(mask_tokens, ids, maskable, count, mask_ids, **options), equal),
        partial(mask_tokens_reference, ids, maskable, count, mask_ids, None, low, high, samples, SEED, *bounds),
        (Peer("collator as usually written", collator, same_shares), Peer("lean eager", lean, same_shares)),
    )


def quantize_case() -> Case:
    rows, width, levels, codes = 6000, 128, 8, 1024
    g = generator()
    scales = 0.5 ** torch.arange(levels)[:, None, None]
    x, books = torch.randn(rows, width, generator=g), torch.randn(levels, codes, width, generator=g) * scales
    library = ResidualVQ(dim=width, codebook_size=codes, num_quantizers=levels, kmeans_init=False).eval()
    with torch.no_grad():
        for layer, book in zip(library.layers, books, strict=True):
            layer._codebook.embed.copy_(book[None])
    transposed, biases = books.mT.contiguous(), books.square().sum(-1)

    def addmm() -> tuple[Tensor, Tensor]:
        left, total, chosen = x, torch.zeros_like(x), []
        for book, turned, bias in zip(books, transposed, biases, strict=True):
            code = torch.addmm(bias, left, turned, alpha=-2).argmin(1)
            vector = book[code]
            left, total = left - vector, total + vector
            chosen.append(code)
        return torch.stack(chosen, 1).int(), total

    def of_library() -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            total, chosen, _ = library(x[None])
        return chosen[0].int(), total[0]

    out = torch.empty(rows, codes)

    def products() -> Tensor:
        for turned in transposed:
            torch.mm(x, turned, out=out)
        return out

    def same_rows(got: Any, expected: Any) -> bool:
        """All but 1 in 1000 rows: after one near tie all later levels differ."""
        return float((got[0] == expected[0]).all(1).float().mean()) >= 0.999

    exact = partial(quantize_by_float64, x, books)
    return Case(
        "quantize_residual 6000 x 128, 8 x 1024 codes",
        Peer("tokenmask.ops", partial(quantize_residual, x, books), same_rows),
        exact,  # the bit-exact reference takes minutes here; tests/ops compare with it
        (
            Peer("vector_quantize_pytorch ResidualVQ", of_library, same_rows),
            Peer("addmm, argmin", addmm, same_rows),
            Peer("the eight products alone", products, lambda got, _: bool(got.isfinite().all())),
        ),
        Work(operations=2.0 * rows * width * levels * codes),
    )


def quantize_by_float64(x: Tensor, books: Tensor) -> tuple[Tensor, Tensor]:
    left, chosen = x.double(), []
    for book in books.double():
        code = (book.square().sum(1) / 2 - left @ book.T).argmin(1)
        left = left - book[code]
        chosen.append(code)
    return torch.stack(chosen, 1).int(), x - left.float()


def embed_case(name: str, backward: bool) -> Case:
    batch, length, levels, width, codes = 8, 1500, 4, 512, 1024
    g = generator()
    # Every level has ids of its own, from 1: id 0 is PAD.
    ids = torch.randint(0, codes, (batch, length, levels), generator=g) + torch.arange(levels) * codes + 1
    ids = ids.int()
    table = torch.randn(levels * codes + 1, width, generator=g)
    table[0] = 0
    gradient = torch.randn(batch, length, width, generator=g)
    leaf = table.clone().requires_grad_(backward)
    parts = [
        torch.nn.Embedding.from_pretrained(table[1 + k * codes : 1 + (k + 1) * codes].clone(), freeze=not backward)
        for k in range(levels)
    ]
    own = (ids - 1 - torch.arange(levels) * codes).int()
    columns = [own[..., k].contiguous() for k in range(levels)]

    def finish(out: Tensor, leaves: list[Tensor]) -> list[Tensor]:
        return [out.detach(), *(torch.autograd.grad(out, leaves, gradient) if backward else ())]

    def ours() -> list[Tensor]:
        return finish(embed_codes(ids, leaf), [leaf])

    def embeddings() -> list[Tensor]:
        a, b, c, d = (part(column) for part, column in zip(parts, columns, strict=True))
        return finish(a + b + c + d, [part.weight for part in parts])

    def bag() -> list[Tensor]:
        out = torch.nn.functional.embedding_bag(ids.view(-1, levels), leaf, mode="sum").view(batch, length, width)
        return finish(out, [leaf])

    def reference() -> list[Tensor]:
        results = [embed_codes_reference(ids, table)]
        return [*results, embed_codes_backward_reference(gradient, ids, len(table))] if backward else results

    def close(got: list[Tensor], expected: list[Tensor]) -> bool:
        grads = [got[1]] if len(got) == 2 else [torch.cat([torch.zeros(1, width), *got[1:]])] if backward else []
        pairs = zip([got[0], *grads], expected, strict=True)
        return all(torch.allclose(a, b, rtol=1e-5, atol=1e-5) for a, b in pairs)

    moved = 4.0 * batch * length * width
    return Case(
        name,
        Peer("tokenmask.ops", ours, equal),
        reference,
        (Peer("4 nn.Embedding", embeddings, close), Peer("embedding_bag", bag, close)),
        # Out once; for the gradient its input once and the table's gradient once. The table stays in cache.
        Work(bytes=moved + (moved + 4.0 * table.numel() if backward else 0)),
    )


CASES: dict[str, Callable[[], Case]] = {
    "choose": partial(choose_case, "choose 256 x 4096, mixed counts", None),
    "choose-few": partial(choose_case, "choose 256 x 4096, 1 %", 0.01),
    "commit": commit_case,
    "mask_tokens": mask_tokens_case,
    "quantize_residual": quantize_case,
    "embed_codes": partial(embed_case, "embed_codes 8 x 1500 x 4, width 512", False),
    "embed_codes-backward": partial(embed_case, "embed_codes 8 x 1500 x 4, width 512, with gradient", True),
}
