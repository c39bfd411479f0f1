"""How a case of the GPU's benchmark is timed, and what is kept of it.

Milliseconds are medians. `kernel` is the sum of the GPU's kernel times of a call by the profiler; `call` is the time
between calls by the host's clock with one wait at the end, so that what an op itself waits for shows. The file is
written after every case, so that a stop loses only what was not reached.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

DEVICE = os.environ.get("DEVICE", "cuda")
CUDA = DEVICE == "cuda"
QUICK = os.environ.get("QUICK") == "1"  # tiny sizes, which show that the script itself works
DEADLINE = time.monotonic() + float(os.environ.get("LEFT", "240")) - 8
PATH = Path(os.environ.get("OUT", ".")) / "gpu.json"
RESULT: dict[str, Any] = json.loads(PATH.read_text()) if PATH.exists() else {}
RESULT.update({"floors": {}, "cases": [], "checks": {}})


def save() -> None:
    PATH.write_text(json.dumps(RESULT, indent=1) + "\n")


def sync() -> None:
    if CUDA:
        torch.cuda.synchronize()


# What a peer or an op of this machine's software may raise; it is written down, and the next case goes on.
FAILURES = (RuntimeError, ValueError, TypeError, NotImplementedError, ImportError, AttributeError)


def call_ms(run: Callable[[], Any], rounds: int = 7, budget: float = 0.25) -> float:
    """Median over rounds of the time of a call, several calls a round."""
    for _ in range(2):
        run()
    sync()
    start = time.perf_counter()
    run()
    sync()
    once = time.perf_counter() - start
    repeats = max(1, min(200, int(budget / rounds / max(once, 1e-6))))
    times = []
    for _ in range(rounds if once < 0.5 else 1):
        sync()
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        sync()
        times.append((time.perf_counter() - start) / repeats)
    return statistics.median(times) * 1e3


def kernel_ms(run: Callable[[], Any], calls: int = 3) -> float | None:
    if not CUDA:
        return None
    from torch.profiler import ProfilerActivity, profile

    run()
    sync()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(calls):
            run()
        sync()
    total = sum(getattr(event, "self_device_time_total", 0.0) for event in profiler.key_averages())
    return total / calls / 1e3


def capturable(run: Callable[[], Any]) -> str:
    if not CUDA:
        return "no GPU"
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    try:
        with torch.cuda.graph(graph, stream=stream):
            run()
        graph.replay()
        sync()
        return "yes"
    except FAILURES as error:
        sync()
        return str(error).splitlines()[0][:120]


def case(
    name: str, ours: Callable[[], Any], peers: dict[str, Callable[[], Any]], *, moved: float = 0.0, flops: float = 0.0
) -> None:
    if time.monotonic() > DEADLINE:
        print(f"{name}: no time left", flush=True)
        return
    row: dict[str, Any] = {"case": name, "bytes": moved, "flops": flops, "peers": {}}
    try:
        row["call_ms"], row["kernel_ms"] = call_ms(ours), kernel_ms(ours)
        least = row["kernel_ms"] or row["call_ms"]
        if moved:
            row["share_of_copy"] = moved / (least * 1e-3) / RESULT["floors"]["copy_bytes_per_s"]
        if flops:
            row["tflops"] = flops / (least * 1e-3) / 1e12
        row["graph"] = capturable(ours)
    except FAILURES as error:
        row["error"] = str(error).splitlines()[0][:200]
    RESULT["cases"].append(row)
    for peer, run in peers.items():
        if time.monotonic() > DEADLINE:
            break
        try:
            row["peers"][peer] = {"call_ms": call_ms(run, rounds=5, budget=0.15), "kernel_ms": kernel_ms(run)}
        except FAILURES as error:
            row["peers"][peer] = {"error": str(error).splitlines()[0][:200]}
    save()
    shown = "  ".join(
        f"{k} {v['kernel_ms'] or v['call_ms']:.3f}" if "call_ms" in v else f"{k} failed"
        for k, v in row["peers"].items()
    )
    print(
        f"{name:52} call {row.get('call_ms', 0):9.3f} kernel {row.get('kernel_ms') or 0:9.3f} ms"
        f" copy {row.get('share_of_copy', 0):6.1%} {row.get('tflops', 0):7.1f} TF | {shown} | {row.get('error', '')}",
        flush=True,
    )


def scaled(full: int, tiny: int) -> int:
    return tiny if QUICK else full


def normal(*shape: int, dtype: torch.dtype = torch.float32, scale: float = 1.0, seed: int = 0) -> torch.Tensor:
    g = torch.Generator(DEVICE).manual_seed(seed)
    return torch.randn(shape, generator=g, device=DEVICE, dtype=dtype).mul_(scale)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=False) if CUDA else function


def floors() -> None:
    size = scaled(1 << 30, 1 << 20)
    a = normal(size)
    b = torch.empty_like(a)
    RESULT["floors"]["copy_bytes_per_s"] = 8 * size / (call_ms(lambda: b.copy_(a)) * 1e-3)
    RESULT["floors"]["read_bytes_per_s"] = 4 * size / (call_ms(lambda: a.sum()) * 1e-3)
    n = scaled(8192, 256)
    x, y = normal(n, n, dtype=torch.bfloat16), normal(n, n, dtype=torch.bfloat16, seed=1)
    RESULT["floors"]["bf16_flops"] = 2 * n**3 / (call_ms(lambda: x @ y) * 1e-3)
    n //= 2
    x, y = normal(n, n), normal(n, n, seed=1)
    RESULT["floors"]["fp32_flops"] = 2 * n**3 / (call_ms(lambda: x @ y) * 1e-3)
    small = torch.zeros(1, device=DEVICE)
    RESULT["floors"]["launch_ms"] = call_ms(lambda: small.add_(1))
    RESULT["floors"]["item_ms"] = call_ms(lambda: small.item())
    save()
    print({k: f"{v:.4g}" for k, v in RESULT["floors"].items()}, flush=True)
