"""sample_codes beside torch's ways and FlashInfer's, and its rows beyond 2^32 elements."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from timing import DEVICE, RESULT, case, compiled, normal, scaled

from tokenmask import ops


def sample(rows: int, size: int, dtype: torch.dtype) -> None:
    try:
        import flashinfer.sampling as flashinfer  # not on the machine as of 2026-11; used where it is
    except ImportError:
        flashinfer = None

    def fused_eager(z: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = z.float()
        x = x - x.amax(1, keepdim=True)
        log_mass = x.exp().sum(1).log()
        entropy = log_mass - (x.exp() * x).sum(1) / x.exp().sum(1)
        code = (x - (-noise.log()).log()).argmax(1)
        return code, x.gather(1, code[:, None])[:, 0] - log_mass, entropy

    rows, size = scaled(rows, 3), scaled(size, 257)
    logits = normal(rows, size, dtype=dtype, scale=3.0)
    counters = torch.arange(rows, device=DEVICE)
    each = partial(ops.sample_codes, logits, seed=1, counters=counters)
    noise = torch.rand(rows, size, device=DEVICE, generator=torch.Generator(DEVICE).manual_seed(2)).clamp_(1e-7)
    multinomial = torch.Generator(DEVICE).manual_seed(3)
    least = logits.numel() * logits.element_size()
    name = f"[{rows}, {size}] {str(dtype)[6:]}"

    def as_usual() -> torch.Tensor:
        return torch.multinomial(logits.float().softmax(-1), 1, generator=multinomial)

    def top_p() -> torch.Tensor:
        p, order = logits.float().softmax(-1).sort(descending=True)
        before = p.cumsum(-1) - p
        kept = p * (before < 0.9)
        return order.gather(
            1,
            (kept.cumsum(-1) / kept.sum(-1, keepdim=True) <= noise[:, :1]).sum(-1, keepdim=True).clamp(max=size - 1),
        )

    def top_k() -> torch.Tensor:
        values, order = logits.float().topk(min(50, size))
        return order.gather(1, torch.multinomial(values.softmax(-1), 1, generator=multinomial))

    peers: dict[str, Callable[[], Any]] = {"softmax": lambda: logits.softmax(-1), "multinomial": as_usual}
    if dtype == torch.bfloat16 and size > 100000 and rows > 100:
        fused = compiled(fused_eager)
        peers["compiled gumbel+stats"] = lambda: fused(logits, noise)
    probabilities = logits.float().softmax(-1)
    if flashinfer:
        peers["flashinfer sampling_from_logits"] = lambda: flashinfer.sampling_from_logits(logits.float())
    case(f"sample_codes plain {name}", each, peers, moved=least)
    case(f"sample_codes T=0.7 {name}", partial(each, temperature=0.7), {}, moved=least)
    more = {"flashinfer": lambda: flashinfer.top_p_sampling_from_probs(probabilities, 0.9)} if flashinfer else {}
    case(f"sample_codes top_p=0.9 {name}", partial(each, top_p=0.9), {"sort": top_p, **more}, moved=least)
    more = {"flashinfer": lambda: flashinfer.top_k_sampling_from_probs(probabilities, 50)} if flashinfer else {}
    case(f"sample_codes top_k=50 {name}", partial(each, top_k=50), {"topk": top_k, **more}, moved=least)
    case(
        f"sample_codes greedy {name}",
        partial(each, temperature=0.0),
        {"argmax": lambda: logits.argmax(-1)},
        moved=least,
    )
    case(
        f"sample_codes guided {name}",
        partial(each, uncond=logits, guidance=2.0, allowed=torch.ones(size, dtype=torch.bool, device=DEVICE)),
        {},
        moved=2 * least,
    )


def sampling() -> None:
    for case_of in [
        (4096, 8192, torch.float32),
        (4096, 8192, torch.bfloat16),
        (512, 128256, torch.bfloat16),
        (8, 150000, torch.bfloat16),
    ]:
        sample(*case_of)


def huge() -> None:
    """Rows beyond 2^31 and 2^32 elements, against the CPU kernels."""
    rows, size = scaled(65536, 300), scaled(131072, 131)
    logits = torch.empty(rows, size, dtype=torch.bfloat16, device=DEVICE)
    for begin in range(0, rows, 8192):
        logits[begin : begin + 8192] = normal(
            len(logits[begin : begin + 8192]), size, dtype=torch.bfloat16, scale=3.0, seed=begin
        )
    counters = torch.arange(rows, device=DEVICE)
    run = partial(ops.sample_codes, logits, seed=5, counters=counters)
    found = run()
    some = torch.tensor([0, 1, rows // 3, rows // 2, rows - 1])
    expected = ops.sample_codes(logits[some.to(DEVICE)].cpu(), seed=5, counters=some)
    RESULT["checks"]["huge"] = bool(torch.equal(found[0][some.to(DEVICE)].cpu(), expected[0]))
    again = run()
    RESULT["checks"]["huge_repeats"] = all(bool(torch.equal(a, b)) for a, b in zip(found, again, strict=True))
    case(f"sample_codes plain [{rows}, {size}] bfloat16", run, {}, moved=2.0 * rows * size)
