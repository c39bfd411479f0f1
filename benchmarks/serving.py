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
    rows, load_before = [], os.getloadavg()
    up = serve(run)
    try:
        for stream in arguments.stream or SIZES:
            rows += measured(run, up, stream, arguments.clients, arguments.rounds)
            for row in rows[-3:]:
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
    }
    (RESULTS / "serving.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
