"""The ops of tokenmask against eager PyTorch: as usually written, and the best eager form known to us.

Random peers that are driven by our uniform draws must return our codes (all but 1 in 1000: their float sums round
differently). Peers with another random source must agree in the mean log-probability of what they draw.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from harness import Case, Peer
from torch import Tensor

from tokenmask.ops import choose, commit, mask_tokens, sample_codes, uniform
from tokenmask.ops.choose import choose_reference
from tokenmask.ops.commit import commit_reference
from tokenmask.ops.mask_tokens import mask_tokens_reference
from tokenmask.ops.sample_codes import sample_codes_reference

SEED = 1


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def equal(got: Any, expected: Any) -> bool:
    if isinstance(got, Tensor):
        return torch.equal(got, expected)
    return all(equal(a, b) for a, b in zip(got, expected, strict=True))


def same_codes(got: Any, expected: Any) -> bool:
    codes = got[0] if isinstance(got, tuple) else got
    return float((codes.flatten() == expected[0]).float().mean()) >= 0.999


def same_law(logits: Tensor) -> Callable[[Any, Any], bool]:
    """The mean log-probability of two independent sets of draws agrees within 5 standard errors."""
    log = logits.log_softmax(-1)

    def agrees(got: Tensor, expected: Any) -> bool:
        a, b = (log.gather(1, codes.long().view(-1, 1)) for codes in (got, expected[0]))
        return bool((a.mean() - b.mean()).abs() <= 5 * ((a.var() + b.var()) / len(a)).sqrt())

    return agrees


def invert(p: Tensor, draws: Tensor) -> Tensor:
    cumulative = p.cumsum(-1)
    return torch.searchsorted(cumulative, draws[:, None] * cumulative[:, -1:], right=True).clamp(max=p.shape[1] - 1)


def sample_case(name: str, rows: int, size: int, peers: str, **options: Any) -> Case:
    logits = torch.randn(rows, size, generator=generator()) * 3
    counters = torch.arange(rows)
    draws = uniform(seed=SEED, counters=counters, purpose="code")
    random = generator()

    def multinomial(p: Tensor) -> Tensor:
        return torch.multinomial(p, 1, generator=random)

    def top_k_masked() -> Tensor:
        least = logits.topk(50).values[:, -1:]
        return multinomial(logits.masked_fill(logits < least, -torch.inf).softmax(-1))

    def top_k_few() -> Tensor:
        values, codes = logits.topk(50)
        return codes.gather(1, invert(values.softmax(-1), draws))

    def top_p_masked() -> Tensor:
        values, order = logits.sort(descending=False)
        drop = values.softmax(-1).cumsum(-1) <= 1 - 0.9
        return multinomial(logits.masked_fill(drop.scatter(1, order, drop), -torch.inf).softmax(-1))

    def top_p_sorted() -> Tensor:
        p, order = logits.softmax(-1).sort(descending=True)
        before = p.cumsum(-1) - p
        return order.gather(1, invert(p * (before < 0.9), draws))

    def invert_plain() -> Tensor:
        return invert(logits.softmax(-1), draws)

    law = same_law(logits)
    known = {
        "plain": (
            Peer("softmax alone (no draw)", lambda: logits.softmax(-1), lambda got, _: bool(got.isfinite().all())),
            Peer("softmax, multinomial", lambda: multinomial(logits.softmax(-1)), law),
            Peer("softmax, cumsum, searchsorted", invert_plain, same_codes),
        ),
        "top_k": (
            Peer("topk, mask, softmax, multinomial", top_k_masked, law),
            Peer("topk, softmax of 50, searchsorted", top_k_few, law),  # draws in order of rank, not of index
        ),
        "top_p": (
            Peer("sort, mask, softmax, multinomial", top_p_masked, law),
            Peer("sort once, searchsorted", top_p_sorted, law),
        ),
    }
    return Case(
        name,
        Peer("tokenmask.ops", partial(sample_codes, logits, seed=SEED, counters=counters, **options), same_codes),
        partial(
            sample_codes_reference,
            *(logits, counters, SEED, None, 1.0, None),
            *(options.get("top_k", 0), options.get("top_p", 1.0), options.get("min_p", 0.0), None, 1.0, None, None),
        ),
        known[peers],
    )


def guided_case() -> Case:
    """Guidance, an allowed set, top-p and statistics in one call."""
    rows, size = 2048, 1024
    g = generator()
    cond, uncond = (torch.randn(rows, size, generator=g) * 2 for _ in range(2))
    allowed = torch.rand(size, generator=g) < 0.9
    counters, random = torch.arange(rows), generator()
    z = (uncond + 1.5 * (cond - uncond)).masked_fill(~allowed, -torch.inf)

    def chain() -> Tensor:
        logits = (uncond + 1.5 * (cond - uncond)).masked_fill(~allowed, -torch.inf)
        log = logits.log_softmax(-1)
        p = log.exp()
        -(p * log.nan_to_num(neginf=0.0)).sum(-1)
        p.topk(2)
        values, order = logits.sort(descending=False)
        drop = values.softmax(-1).cumsum(-1) <= 1 - 0.9
        codes = torch.multinomial(
            logits.masked_fill(drop.scatter(1, order, drop), -torch.inf).softmax(-1), 1, generator=random
        )
        log.gather(1, codes)
        return codes

    options = {"uncond": uncond, "guidance": 1.5, "allowed": allowed, "top_p": 0.9}
    return Case(
        "sample guided + allowed + top-p",
        Peer("tokenmask.ops", partial(sample_codes, cond, seed=SEED, counters=counters, **options), same_codes),
        partial(sample_codes_reference, cond, counters, SEED, None, 1.0, None, 0, 0.9, 0.0, uncond, 1.5, None, allowed),
        (Peer("eager chain", chain, same_law(z)),),
    )


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


CASES: dict[str, Callable[[], Case]] = {
    "sample": partial(sample_case, "sample 2048 x 8192", 2048, 8192, "plain"),
    "sample-narrow": partial(sample_case, "sample 2048 x 1024", 2048, 1024, "plain"),
    "sample-wide": partial(sample_case, "sample 64 x 32768", 64, 32768, "plain"),
    "sample-top-k": partial(sample_case, "sample 2048 x 1024, top-k 50", 2048, 1024, "top_k", top_k=50),
    "sample-top-p": partial(sample_case, "sample 2048 x 1024, top-p 0.9", 2048, 1024, "top_p", top_p=0.9),
    "sample-guided": guided_case,
    "choose": partial(choose_case, "choose 256 x 4096, mixed counts", None),
    "choose-few": partial(choose_case, "choose 256 x 4096, 1 %", 0.01),
    "commit": commit_case,
    "mask_tokens": mask_tokens_case,
}
