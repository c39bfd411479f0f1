"""sample_codes and the sampler's step against eager PyTorch: as usually written, and the best eager form known to us.

Random peers that are driven by our uniform draws must return our codes (all but 1 in 1000: their float sums round
differently). Peers with another random source must agree in the mean log-probability of what they draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from cases.common import SEED, generator, invert, same_codes, same_law
from harness import Case, Peer, Work
from torch import Tensor

from tokenmask.ops import commit, sample_codes, uniform
from tokenmask.ops.commit import commit_reference
from tokenmask.ops.sample_codes import sample_codes_reference


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
        Work(bytes=4 * rows * size),
    )


def hard_rows_case(name: str, **options: Any) -> Case:
    """Ours on Gaussian rows, and as "peers" ours on rows made to be hard: "x ours" is what they cost."""
    rows, size = 2048, 1024
    g = generator()
    normal, share = torch.randn(rows, size, generator=g), torch.rand(rows, size, generator=g)
    kinds = {
        "constant": torch.zeros(rows, size),
        "tiny spread": 5 + normal * 1e-6,
        "peaked": normal * 30,
        "ties (rounded)": (normal * 2).round(),
        "97 % -inf": normal.masked_fill(share < 0.97, -torch.inf).index_fill(1, torch.tensor([size // 2]), 0.5),
    }
    counters = torch.arange(rows)

    def reference(logits: Tensor) -> Any:
        filters = (options.get("top_k", 0), options.get("top_p", 1.0), options.get("min_p", 0.0))
        return sample_codes_reference(logits, counters, SEED, None, 1.0, None, *filters, None, 1.0, None, None)

    def run(logits: Tensor) -> Callable[[], Any]:
        return partial(sample_codes, logits, seed=SEED, counters=counters, **options)

    def same(logits: Tensor) -> Callable[[Any, Any], bool]:
        return lambda got, _: torch.equal(got[0], reference(logits)[0])

    return Case(
        name,
        Peer("Gaussian rows", run(normal * 3), same_codes),
        partial(reference, normal * 3),
        tuple(Peer(kind, run(logits), same(logits)) for kind, logits in kinds.items()),
    )


def step_case() -> Case:
    """One step of MaskGIT's decoding, 4 x 256 slots of 8192 codes: draw, add Gumbel noise, reveal the best."""
    batch, slots, size, mask_id, noise = 4, 256, 8192, 8192, 2.0
    random = generator()
    logits = torch.randn(batch, slots, size, generator=random) * 3
    ids = torch.full((batch, slots), mask_id, dtype=torch.int32)
    is_open = torch.ones(batch, slots, dtype=torch.bool)
    ratio = math.cos(0.5 * math.pi / 2)  # half of the steps are done
    hidden = int(slots * ratio)
    count, counters = torch.full((batch,), slots - hidden), torch.arange(batch * slots)

    def ours(draw: Callable[..., Any], reveal: Callable[..., Any]) -> tuple[Tensor, Tensor]:
        codes, logprob, _, _ = draw(logits.view(-1, size), seed=SEED, counters=counters)
        gumbel = uniform(seed=SEED, counters=counters, purpose="order").clamp_(1e-7).log_().neg_().log_().neg_()
        confidence = logprob.add_(gumbel, alpha=noise)
        return reveal(ids, codes.view(batch, slots), confidence.view(batch, slots), is_open, count)  # type: ignore[no-any-return]

    def drawn_by_reference(flat: Tensor, *, seed: int, counters: Tensor) -> Any:
        return sample_codes_reference(flat, counters, seed, None, 1.0, None, 0, 1.0, 0.0, None, 1.0, None, None)

    def scheduler() -> tuple[Tensor, Tensor]:
        """The steps of diffusers' AmusedScheduler: softmax, multinomial, gather, Gumbel noise, sort, threshold."""
        unknown = ids == mask_id
        p = logits.softmax(-1)
        drawn = torch.multinomial(p.view(-1, size), 1, generator=random).view(batch, slots)
        drawn = torch.where(unknown, drawn, ids.long())
        hide = torch.full((batch, 1), hidden).minimum(unknown.sum(-1, keepdim=True) - 1).clamp(min=1)
        chosen = p.gather(-1, drawn[..., None])[..., 0]
        chosen = torch.where(unknown, chosen, torch.finfo(chosen.dtype).max)
        gumbel = -(-torch.rand(chosen.shape, generator=random).clamp(min=1e-20).log()).clamp(min=1e-20).log()
        confidence = chosen.clamp(min=1e-20).log() + noise * gumbel
        cut = confidence.sort(-1).values.gather(1, hide)
        still_hidden = confidence < cut
        return torch.where(still_hidden, mask_id, drawn).int(), still_hidden

    log = logits.log_softmax(-1)

    def same_step(got: Any, expected: Any) -> bool:
        """As many slots revealed, and of the same mean log-probability within 5 standard errors."""
        both = []
        for revealed, still_open in (got, expected):
            values = log.gather(-1, revealed.long().clamp(max=size - 1)[..., None])[..., 0][~still_open]
            both.append(values)
        a, b = both
        return len(a) == len(b) and bool((a.mean() - b.mean()).abs() <= 5 * ((a.var() + b.var()) / len(a)).sqrt())

    def same_ids(got: Any, expected: Any) -> bool:
        return float((got[0] == expected[0]).float().mean()) >= 0.999

    return Case(
        "sampler step 4 x 256 slots, 8192 codes",
        Peer("tokenmask.ops", partial(ours, sample_codes, commit), same_ids),
        partial(ours, drawn_by_reference, commit_reference),
        (Peer("the steps of AmusedScheduler.step", scheduler, same_step),),
        Work(bytes=4 * logits.numel()),
    )


def guided_case() -> Case:
    """Guidance, an allowed set, top-p and statistics in one call."""
    rows, size = 2048, 8192
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
        Work(bytes=8 * rows * size),
    )


CASES: dict[str, Callable[[], Case]] = {
    "sample": partial(sample_case, "sample 2048 x 8192", 2048, 8192, "plain"),
    "sample-narrow": partial(sample_case, "sample 2048 x 1024", 2048, 1024, "plain"),
    "sample-top-k": partial(sample_case, "sample 2048 x 8192, top-k 50", 2048, 8192, "top_k", top_k=50),
    "sample-top-p": partial(sample_case, "sample 2048 x 8192, top-p 0.9", 2048, 8192, "top_p", top_p=0.9),
    "sample-guided": guided_case,
    "hard-plain": partial(hard_rows_case, "hard rows 2048 x 1024, plain"),
    "hard-top-k": partial(hard_rows_case, "hard rows 2048 x 1024, top-k 50", top_k=50),
    "hard-top-p": partial(hard_rows_case, "hard rows 2048 x 1024, top-p 0.9", top_p=0.9),
    "step": step_case,
}
