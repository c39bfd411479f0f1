"""uniform, and an op on a stream of its own."""

from __future__ import annotations

from functools import partial

import torch
from timing import CUDA, DEVICE, RESULT, case, normal, save, scaled

from tokenmask import ops


def streams_and_numbers() -> None:
    counters = torch.arange(scaled(1 << 26, 1000), device=DEVICE)
    run = partial(ops.uniform, seed=1, counters=counters, purpose="code")
    case(
        f"uniform [{len(counters)}]",
        run,
        {"rand": lambda: torch.rand(len(counters), device=DEVICE, generator=torch.Generator(DEVICE))},
        moved=12.0 * len(counters),
    )
    if not CUDA:
        return
    # A side stream must see its own inputs: a long kernel writes the logits there first.
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        big = normal(4096, 8192)
        late = (big @ big.T)[:64].contiguous()
        found = ops.sample_codes(late, seed=3, counters=torch.arange(64, device=DEVICE))[0]
    side.synchronize()
    RESULT["checks"]["side_stream"] = bool(
        torch.equal(found.cpu(), ops.sample_codes(late.cpu(), seed=3, counters=torch.arange(64))[0])
    )
    save()
