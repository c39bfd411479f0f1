"""Encoders in items a second and times as fast as the recording lasts: python benchmarks/encoders.py

Ours that ship, and the encoders of EnCodec and DAC of transformers with random weights of the published sizes (pip
install transformers), on two seconds of speech at each one's rate: alone and eight at once, CPU time of one thread,
medians of rounds in turn; then in one process and in two side by side, wall time, on an idle machine only (the load
stands beside it). Writes results/encoders.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from harness import RESULTS, device_name

import tokenmask as tm
from tokenmask import data
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.image import Image
from tokenmask.modalities.text import Text

SECONDS, TOGETHER = 2.0, 8
Encode = Callable[[int], Any]
"""A number of items at once -> their codes."""


def speech(rate_hz: int) -> list[torch.Tensor]:
    """Float32 [time] of two seconds each: recordings that ship, one after the other."""
    clips = [AudioClip.load(one.path).resample(rate_hz) for one in data.speech()[:60]]
    samples = torch.cat([clip.samples.mean(0) for clip in clips])
    size = int(SECONDS * rate_hz)
    return [samples[start : start + size] for start in range(0, TOGETHER * size, size)]


def ours_audio() -> tuple[Encode, float]:
    tokenizer = tm.load().tokenizers["audio"]
    clips = [AudioClip(one[None], 16000) for one in speech(16000)]
    return lambda count: tokenizer.encode_many(clips[:count]), SECONDS


def encodec() -> tuple[Encode, float]:
    """The 24 kHz model (arXiv:2210.13438) at 6 kbit/s: 8 codebooks."""
    from transformers import EncodecConfig, EncodecModel

    model = EncodecModel(EncodecConfig()).eval()
    waves = torch.stack(speech(24000))[:, None]
    return lambda count: model.encode(waves[:count], bandwidth=6.0), SECONDS


def dac() -> tuple[Encode, float]:
    """The 16 kHz model (arXiv:2306.06546): 12 codebooks, 50 frames a second."""
    from transformers import DacConfig, DacModel

    shape = {"downsampling_ratios": [2, 4, 5, 8], "upsampling_ratios": [8, 5, 4, 2], "n_codebooks": 12}
    model = DacModel(DacConfig(**shape, sampling_rate=16000, hop_length=320)).eval()
    waves = torch.stack(speech(16000))[:, None]
    return lambda count: model.encode(waves[:count]), SECONDS


def ours(name: str, items: Sequence[Any]) -> tuple[Encode, float]:
    tokenizer = tm.load().tokenizers[name]
    return lambda count: tokenizer.encode_many(items[:count]), 0.0


def pictures() -> tuple[Encode, float]:
    return ours("image", [Image(torch.from_numpy(one.pixels)) for one in data.emoji()[:TOGETHER]])


def words() -> tuple[Encode, float]:
    return ours("text", [Text(one.name) for one in data.emoji()[:TOGETHER]])


ENCODERS: dict[str, Callable[[], tuple[Encode, float]]] = {
    "tokenmask audio, 7 levels": ours_audio,
    "EnCodec 24 kHz, 8 levels": encodec,
    "DAC 16 kHz, 12 levels": dac,
    "tokenmask image": pictures,
    "tokenmask text": words,
}


def alone_and_together(rounds: int) -> list[dict[str, Any]]:
    built = {name: make() for name, make in ENCODERS.items()}
    times: dict[tuple[str, int], list[float]] = {(name, count): [] for name in built for count in (1, TOGETHER)}
    for _ in range(rounds + 1):
        for (name, count), own in times.items():
            start = time.process_time()
            built[name][0](count)
            own.append((time.process_time() - start) / count)
    rows = []
    for (name, count), own in times.items():
        each, lasts = statistics.median(own[1:]), built[name][1]
        row = {"encoder": name, "at once": count, "cpu_ms": each * 1e3, "items_a_second": 1 / each}
        rows.append(row | ({"times_real_time": lasts / each} if lasts else {}))
    return rows


def rate(name: str, seconds: float) -> float:
    """Items a second of wall time, eight at once, in this process."""
    encode, _ = ENCODERS[name]()
    encode(TOGETHER)
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        encode(TOGETHER)
        done += TOGETHER
    return done / (time.perf_counter() - start)


def in_processes(name: str, count: int, seconds: float) -> float:
    words = [sys.executable, __file__, "--alone", name, "--seconds", str(seconds)]
    started = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return sum(float(one.communicate()[0].split()[-1]) for one in started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement of processes")
    parser.add_argument("--alone", choices=sorted(ENCODERS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.inference_mode():
        if arguments.alone:
            print(rate(arguments.alone, arguments.seconds))
            return
        rows = alone_and_together(arguments.rounds)
    for row in rows:
        print(json.dumps(row), flush=True)
    processes = list[dict[str, Any]]()
    write(arguments.rounds, rows, processes)
    for name in list(ENCODERS)[:3]:
        one, two = (in_processes(name, count, arguments.seconds) for count in (1, 2))
        found = {"encoder": name, "items_a_second": {"1": one, "2": two}, "efficiency": two / one / 2}
        processes.append(found | {"times_real_time": {"1": one * SECONDS, "2": two * SECONDS}})
        print(json.dumps(processes[-1]), flush=True)
        write(arguments.rounds, rows, processes)


def write(rounds: int, rows: Sequence[Any], processes: Sequence[Any]) -> None:
    content = {
        "device": device_name(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "rounds": rounds,
        "rows": rows,
        "processes": {"load": os.getloadavg(), "wall time, eight at once": processes},
    }
    (RESULTS / "encoders.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
