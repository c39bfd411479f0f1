"""A run that is served, beside the same requests one by one: python benchmarks/serving.py. Writes results/serving.json.

In interleaved rounds the same requests, of the model that ships, are answered by: a command each (two are started), one
client that asks again and again, and 64 clients at once. All answers must be those of `run.generate` alone, byte for
byte. CPU time of everything that works, since other processes may want the cores; wall
time beside it, with the load of the machine.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from cases.serving import SIZES, WORDS
from harness import RESULTS, device_name
from torch.utils._python_dispatch import TorchDispatchMode

from tokenmask.run import Run, load
from tokenmask.serving import Served, serve

Answers = list[bytes]
STARTED = 2  # commands of a round; a second of CPU and more each


def requests(stream: str, count: int) -> list[dict[str, Any]]:
    return [
        {"stream": stream, "given": {"text": WORDS[seed % len(WORDS)]}, "seed": seed, **SIZES[stream]}
        for seed in range(count)
    ]


def alone(run: Run, asked: Sequence[dict[str, Any]]) -> Answers:
    """What must come out."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for values in asked:
            (media,) = run.generate(**values)
            path = Path(folder) / f"one{run.tokenizers[values['stream']].media.written_suffixes[0]}"
            media.save(path)
            found.append(path.read_bytes())
    return found


def post(port: int, values: dict[str, Any]) -> bytes:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        line.request("POST", "/generate", json.dumps(values), {"Content-Type": "application/json"})
        answer = line.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {body[:200]!r}")
        return body
    finally:
        line.close()


def one_client(port: int, asked: Sequence[dict[str, Any]]) -> Answers:
    return [post(port, values) for values in asked]


def all_at_once(port: int, asked: Sequence[dict[str, Any]]) -> Answers:
    answers: Answers = [b""] * len(asked)

    def one(place: int) -> None:
        answers[place] = post(port, asked[place])

    clients = [threading.Thread(target=one, args=(place,)) for place in range(len(asked))]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return answers


def a_command_each(asked: Sequence[dict[str, Any]]) -> Answers:
    answers = []
    with tempfile.TemporaryDirectory() as folder:
        for values in asked:
            words = [values["stream"], "--given", f"text={values['given']['text']}", "--seed", str(values["seed"])]
            for option, name in (("--length", "length"), ("--duration", "duration_seconds")):
                words += [option, str(values[name])] if name in values else []
            out = Path(folder) / str(values["seed"])
            subprocess.run(
                [sys.executable, "-m", "tokenmask", "generate", *words, "--out", f"{out}/"],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            answers.append(next(out.iterdir()).read_bytes() if out.is_dir() else b"")
    return answers


def seconds(job: Callable[[], Answers]) -> tuple[Answers, float, float]:
    """What came, CPU seconds of this process and its children, and wall seconds."""

    def used() -> float:
        child = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + child.ru_utime + child.ru_stime

    cpu, wall = used(), time.perf_counter()
    answers = job()
    return answers, used() - cpu, time.perf_counter() - wall


class Operations(TorchDispatchMode):
    """Counts the operations of products, of linear layers and of attention, two for a multiplication."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0.0

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = op.overloadpacket.__name__
        if name in ("mm", "linear"):
            self.total += 2 * args[0].numel() * (args[1].numel() / args[0].shape[-1])
        elif name in ("addmm", "addmm_"):
            self.total += 2 * args[1].numel() * args[2].shape[1]
        elif name.startswith("_scaled_dot_product"):
            self.total += 4 * args[0].numel() * args[1].shape[2]
        return op(*args, **(kwargs or {}))


def ceiling(run: Run, stream: str, count: int) -> dict[str, float]:
    """What no server can go below: the products of a request at the rate of products of a whole batch.

    Operations are counted while requests are drawn, ``count`` at once and one alone. The rates are of the largest
    product of a block, with as many rows as one request and as ``count`` have, in turn, the best of seven.
    """
    asked = requests(stream, count)

    def counted(some: Sequence[dict[str, Any]]) -> float:
        with Operations() as counter:
            run.generate_tokens(
                stream, [one["given"] for one in some], seed=[one["seed"] for one in some], **SIZES[stream]
            )
        return counter.total / len(some) / 1e9

    weight = run.models["main"].backbone.blocks[0].feed_forward.gate_up.weight.detach()
    inputs = [torch.ones(rows, weight.shape[1]) for rows in (64, 64 * count)]
    rates = [0.0, 0.0]
    for _ in range(7):
        for which, x in enumerate(inputs):
            times = max(1, 8192 // len(x))
            start = time.process_time()
            for _ in range(times):
                torch.nn.functional.linear(x, weight)
            taken = time.process_time() - start
            rates[which] = max(rates[which], 2 * times * len(x) * weight.numel() / taken / 1e9)
    each = counted(asked)
    return {
        "gflop_alone": counted(asked[:1]),
        "gflop_together": each,
        "gflop_s_of_64_rows": rates[0],
        f"gflop_s_of_{64 * count}_rows": rates[1],
        "least_ms": each / rates[1] * 1e3,
    }


def measured(run: Run, up: Served, stream: str, count: int, rounds: int) -> list[dict[str, Any]]:
    port, asked = int(up.address.rstrip("/").rpartition(":")[2]), requests(stream, count)
    expected = alone(run, asked)
    ways: dict[str, tuple[int, Callable[[], Answers]]] = {
        "a command each": (STARTED, lambda: a_command_each(asked[:STARTED])),
        "one client": (count, lambda: one_client(port, asked)),
        f"{count} clients at once": (count, lambda: all_at_once(port, asked)),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    calls = 0
    for _ in range(rounds):
        for name, (done, job) in ways.items():
            before = up.waiting.now()["calls"]
            answers, cpu, wall = seconds(job)
            if answers != expected[:done]:
                raise RuntimeError(f"{stream}, {name}: an answer is not what the run alone makes")
            times[name].append((cpu * 1e3 / done, wall * 1e3 / done))
            calls = up.waiting.now()["calls"] - before
    rows = []
    ours = statistics.median(cpu for cpu, _ in times[f"{count} clients at once"])
    for name, pairs in times.items():
        cpu = statistics.median(cpu for cpu, _ in pairs)
        wall = statistics.median(wall for _, wall in pairs)
        rows.append({"stream": stream, "way": name, "cpu_ms": cpu, "wall_ms": wall, "times_at_once": cpu / ours})
    return [*rows[:-1], {**rows[-1], "calls": calls}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--stream", action="append", choices=sorted(SIZES))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the commands
    run = load()
    rows, ceilings, load_before = [], {}, os.getloadavg()
    up = serve(run)
    try:
        for stream in arguments.stream or SIZES:
            rows += measured(run, up, stream, arguments.clients, arguments.rounds)
            ceilings[stream] = ceiling(run, stream, arguments.clients)
            ceilings[stream]["at_most_times_one_client"] = rows[-2]["cpu_ms"] / ceilings[stream]["least_ms"]
            for row in (*rows[-3:], ceilings[stream]):
                print(json.dumps(row), flush=True)
    finally:
        up.close()
    content = {
        "device": device_name(),
        "threads": 1,
        "cores": os.cpu_count(),
        "load": [load_before, os.getloadavg()],
        "torch": torch.__version__,
        "rounds": arguments.rounds,
        "clients": arguments.clients,
        "milliseconds": "a request, median of the rounds",
        "rows": rows,
        "ceilings": ceilings,
    }
    (RESULTS / "serving.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
