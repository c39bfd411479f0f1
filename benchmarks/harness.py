"""How a benchmark is run: checked first, then timed in interleaved rounds. See README.md."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tokenmask.ops import build_info

RESULTS = Path(__file__).parent / "results"

# Without these a fresh result of some MB costs page faults or not as glibc pleases, and ratios swing by a factor of 2.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "8000000000",
    "MALLOC_TOP_PAD_": "500000000",
}


@dataclass(frozen=True)
class Peer:
    """Another way to the same result: how it is run, and whether what it returns agrees with the reference."""

    name: str
    run: Callable[[], Any]
    agrees: Callable[[Any, Any], bool]


@dataclass(frozen=True)
class Work:
    """What a case cannot do without: floating-point operations, and bytes moved to or from memory."""

    operations: float = 0.0
    bytes: float = 0.0


@dataclass(frozen=True)
class Floors:
    """What the threads in use reach on this machine, measured with torch before the cases."""

    operations_per_ms: float  # a float32 product of two 1024 x 1024 matrices
    bytes_per_ms: float  # the sum of 256 MB
    exponentials_per_ms: float  # torch.exp of 16 KB, again and again; for the reader, no floor: ours is another exp

    def milliseconds(self, work: Work) -> float:
        """The time of the slower of the two, if the other costs nothing."""
        return max(work.operations / self.operations_per_ms, work.bytes / self.bytes_per_ms)


@dataclass(frozen=True)
class Case:
    """Ours, the reference that it must agree with, and the peers. Inputs are bound in the functions."""

    name: str
    ours: Peer
    reference: Callable[[], Any]
    peers: tuple[Peer, ...]
    work: Work = Work()


@dataclass(frozen=True)
class Row:
    case: str
    name: str
    milliseconds: float | None  # median; None if the peer differs from the reference
    spread: float | None  # interquartile range in milliseconds
    times_ours: float | None
    floor: float | None = None  # milliseconds that the work takes at the measured peaks; for ours only


def restart_with_steady_malloc() -> None:
    """Start this program again with the malloc settings, unless they are there."""
    if any(os.environ.get(name) != value for name, value in MALLOC.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MALLOC})


def now() -> float:
    """Seconds of the clock of a run: the CPU time of the one thread, or wall time of several."""
    return time.thread_time() if torch.get_num_threads() == 1 else time.perf_counter()


def measure_floors(rounds: int = 15) -> Floors:
    matrix, long, short = torch.ones(1024, 1024), torch.ones(64 << 20), torch.ones(4096)
    out, result = torch.empty(1024, 1024), torch.empty(4096)

    def repeat_exp() -> None:
        for _ in range(100):
            torch.exp(short, out=result)

    def best(run: Callable[[], Any]) -> float:
        times = []
        for _ in range(rounds):
            start = now()
            run()
            times.append(now() - start)
        return min(times) * 1e3

    product = best(lambda: torch.mm(matrix, matrix, out=out))
    return Floors(2 * 1024**3 / product, 4 * long.numel() / best(long.sum), 100 * 4096 / best(repeat_exp))


def measure(case: Case, rounds: int, floors: Floors) -> list[Row]:
    """Check every function against the reference, then time those that agree, in turn, ``rounds`` times."""
    expected = case.reference()
    agreeing = [peer for peer in (case.ours, *case.peers) if peer.agrees(peer.run(), expected)]
    if case.ours not in agreeing:
        raise RuntimeError(f"{case.name}: our op differs from its reference, so there is nothing to time")
    times: dict[str, list[float]] = {peer.name: [] for peer in agreeing}
    for index in range(rounds + 2):
        for peer in agreeing:
            start = now()
            peer.run()
            elapsed = now() - start
            if index >= 2:  # the first two rounds warm up
                times[peer.name].append(elapsed * 1e3)
    ours = statistics.median(times[case.ours.name])
    rows = []
    for peer in (case.ours, *case.peers):
        if peer.name not in times:
            rows.append(Row(case.name, peer.name, None, None, None))
            continue
        low, median, high = statistics.quantiles(times[peer.name], n=4)
        floor = floors.milliseconds(case.work) if peer is case.ours and case.work != Work() else None
        rows.append(Row(case.name, peer.name, median, high - low, median / ours, floor))
    return rows


def table(rows: Sequence[Row]) -> str:
    lines = ["| case | what | ms (median) | spread | x ours | share of the floor |", "|---|---|---|---|---|---|"]
    for row in rows:
        if row.milliseconds is None:
            lines.append(f"| {row.case} | {row.name} | differs | | | |")
        else:
            numbers = f"{row.milliseconds:.3f} | {row.spread:.3f} | {row.times_ours:.2f}"
            share = "" if row.floor is None else f"{row.floor / row.milliseconds:.0%}"
            lines.append(f"| {row.case} | {row.name} | {numbers} | {share} |")
    return "\n".join(lines)


def describe(floors: Floors) -> str:
    """Clock, threads and measured peaks in a line, the heading of a table."""
    threads = torch.get_num_threads()
    who = "CPU time of one thread, which reaches" if threads == 1 else f"wall time of {threads} threads, which reach"
    reads, takes = ("reads", "takes") if threads == 1 else ("read", "take")
    return (
        f"{who} {floors.operations_per_ms / 1e6:.0f} GFLOP/s (matrix product), {reads} "
        f"{floors.bytes_per_ms / 1e6:.1f} GB/s (sum of 256 MB), and {takes} {1e6 / floors.exponentials_per_ms:.2f} ns "
        "for an exp of torch"
    )


def device_name() -> str:
    """The processor in words."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def write(rows: Sequence[Row], rounds: int, floors: Floors) -> Path:
    """Save the rows with what is needed to read them, as results/<device>[-<n>-threads]-<date>.json."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    date = datetime.date.today().isoformat()
    threads = torch.get_num_threads()
    slug = re.sub(r"[^a-z0-9]+", "-", device_name().lower()).strip("-") + (
        "" if threads == 1 else f"-{threads}-threads"
    )
    content = {
        "commit": commit,
        "date": date,
        "device": device_name(),
        "threads": threads,
        "clock": "CPU time of the thread" if threads == 1 else "wall time",
        "torch": torch.__version__,
        "command": " ".join(["python", *sys.argv]),
        "rounds": rounds,
        "cpu_capability": build_info()["cpu_capability"],
        "floors": asdict(floors),
        "rows": [asdict(row) for row in rows],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{slug}-{date}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path
