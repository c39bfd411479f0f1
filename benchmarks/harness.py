"""How a benchmark is run: checked first, then timed in interleaved rounds on one thread. See README.md."""

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
class Case:
    """Ours, the reference that it must agree with, and the peers. Inputs are bound in the functions."""

    name: str
    ours: Peer
    reference: Callable[[], Any]
    peers: tuple[Peer, ...]


@dataclass(frozen=True)
class Row:
    case: str
    name: str
    milliseconds: float | None  # median; None if the peer differs from the reference
    spread: float | None  # interquartile range in milliseconds
    times_ours: float | None


def restart_with_steady_malloc() -> None:
    """Start this program again with the malloc settings, unless they are there."""
    if any(os.environ.get(name) != value for name, value in MALLOC.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MALLOC})


def measure(case: Case, rounds: int) -> list[Row]:
    """Check every function against the reference, then time those that agree, in turn, ``rounds`` times."""
    expected = case.reference()
    agreeing = [peer for peer in (case.ours, *case.peers) if peer.agrees(peer.run(), expected)]
    if case.ours not in agreeing:
        raise RuntimeError(f"{case.name}: our op differs from its reference, so there is nothing to time")
    times: dict[str, list[float]] = {peer.name: [] for peer in agreeing}
    for index in range(rounds + 2):
        for peer in agreeing:
            start = time.thread_time()
            peer.run()
            elapsed = time.thread_time() - start
            if index >= 2:  # the first two rounds warm up
                times[peer.name].append(elapsed * 1e3)
    ours = statistics.median(times[case.ours.name])
    rows = []
    for peer in (case.ours, *case.peers):
        if peer.name not in times:
            rows.append(Row(case.name, peer.name, None, None, None))
            continue
        low, median, high = statistics.quantiles(times[peer.name], n=4)
        rows.append(Row(case.name, peer.name, median, high - low, median / ours))
    return rows


def table(rows: Sequence[Row]) -> str:
    lines = ["| case | what | ms (median) | spread | x ours |", "|---|---|---|---|---|"]
    for row in rows:
        if row.milliseconds is None:
            lines.append(f"| {row.case} | {row.name} | differs | | |")
        else:
            numbers = f"{row.milliseconds:.3f} | {row.spread:.3f} | {row.times_ours:.2f}"
            lines.append(f"| {row.case} | {row.name} | {numbers} |")
    return "\n".join(lines)


def device_name() -> str:
    """The processor in words."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def write(rows: Sequence[Row], rounds: int) -> Path:
    """Save the rows with what is needed to read them, as results/<device>-<date>.json."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    date = datetime.date.today().isoformat()
    slug = re.sub(r"[^a-z0-9]+", "-", device_name().lower()).strip("-")
    content = {
        "commit": commit,
        "date": date,
        "device": device_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "command": " ".join(["python", *sys.argv]),
        "rounds": rounds,
        "rows": [asdict(row) for row in rows],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{slug}-{date}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path
