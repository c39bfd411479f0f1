"""Cost as things grow, and what a second thread or process is worth: python benchmarks/scaling.py

Log-log plots with slopes into docs/scaling.png, all numbers into results/scaling.json. Each size of a series is
measured in turn, in rounds, CPU time of one thread, medians. A slope is that of the larger half: 1 is cost in
proportion, 0 is none. Threads and processes: wall time of one and of two, so on an idle machine only; the load stands
beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from harness import RESULTS, device_name
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tokenmask.batch import Batch, collate
from tokenmask.corpus import Corpus, CorpusWriter, Mixture, Record
from tokenmask.layout import Layout
from tokenmask.masking import Masker
from tokenmask.models import MaskedModel, TransformerConfig
from tokenmask.objectives import MaskedCrossEntropy
from tokenmask.streams import StreamSpec, TokenStream

OUT = Path(__file__).parents[1] / "docs" / "scaling.png"
POSITIONS, CODES, ROWS = 256, 1024, 2
SIZES: Mapping[str, Sequence[int]] = {
    "positions of a row": (64, 128, 256, 512, 1024, 2048),
    "levels of a stream": (1, 2, 4, 8, 16),
    "codes of a level": (256, 1024, 4096, 16384, 65536),
    "streams of a record": (1, 2, 4, 8, 16),
    "corpora of a mixture": (1, 4, 16, 64),
}


def random_stream(spec: StreamSpec, length: int) -> TokenStream:
    g = torch.Generator().manual_seed(length)
    levels = [torch.randint(size, (length,), generator=g, dtype=torch.int32) for size in spec.codebook_sizes]
    return TokenStream(spec, torch.stack(levels, 1))


def training(positions: int, levels: int = 1, codes: int = CODES, streams: int = 1) -> Callable[[], Any]:
    """A step of training without its optimiser: masking, forward, loss and backward, of as many positions in all."""
    specs = {f"s{k}": StreamSpec(f"s{k}", (codes,) * levels, ("time",), rate_hz=50.0) for k in range(streams)}
    layout = Layout(specs)
    model = MaskedModel.create(TransformerConfig(width=128, depth=2, heads=4), layout, seed=0)
    record = {name: random_stream(spec, positions // streams) for name, spec in specs.items()}
    batch: Batch = collate([layout.pack(record)] * ROWS)
    masker, objective = Masker(), MaskedCrossEntropy()

    def step() -> None:
        model.zero_grad(set_to_none=True)
        objective(model, masker(batch, layout, seed=0)).total.backward()

    return step


def reading(count: int, folder: Path) -> Callable[[], Any]:
    """Eight batches of 64 records from so many corpora of 2048 records in all."""
    spec = StreamSpec("s", (CODES,), ("index",))
    corpora = []
    for number in range(count):
        with CorpusWriter(folder / str(number), {"s": spec}) as writer:
            for index in range(2048 // count):
                writer.add(Record(str(index), {"s": random_stream(spec, 64)}))
        corpora.append((Corpus(folder / str(number)), 1.0))
    return lambda: [next(mixture) for mixture in [Mixture(corpora, seed=0, batch_size=64)] for _ in range(8)]


def jobs(series: str, folder: Path) -> dict[int, Callable[[], Any]]:
    if series == "corpora of a mixture":
        return {size: reading(size, folder / str(size)) for size in SIZES[series]}
    kinds: dict[str, Callable[[int], Callable[[], Any]]] = {
        "positions of a row": training,
        "levels of a stream": lambda size: training(POSITIONS, levels=size),
        "codes of a level": lambda size: training(POSITIONS, codes=size),
        "streams of a record": lambda size: training(POSITIONS, streams=size),
    }
    return {size: kinds[series](size) for size in SIZES[series]}


def measured(work: Mapping[int, Callable[[], Any]], rounds: int) -> dict[int, float]:
    """CPU milliseconds of each, medians of rounds after one that warms up."""
    times: dict[int, list[float]] = {size: [] for size in work}
    for _ in range(rounds + 1):
        for size, job in work.items():
            start = time.process_time()
            job()
            times[size].append((time.process_time() - start) * 1e3)
    return {size: statistics.median(own[1:]) for size, own in times.items()}


def slope(points: Mapping[int, float]) -> float:
    """Of the larger half of the sizes, by least squares of the logarithms."""
    pairs = [(math.log(size), math.log(value)) for size, value in points.items()]
    upper = pairs[len(pairs) // 2 :] if len(pairs) > 3 else pairs
    x, y = ([pair[which] for pair in upper] for which in (0, 1))
    return statistics.linear_regression(x, y).slope


def steps_a_second(threads: int, seconds: float) -> float:
    """Training steps of 1024 positions in wall time, in this process."""
    torch.set_num_threads(threads)
    step, done = training(1024), 0
    step()
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        step()
        done += 1
    return done / (time.perf_counter() - start)


def side_by_side(processes: int, seconds: float) -> float:
    """The same by processes of one thread each, together."""
    words = [sys.executable, __file__, "--alone", str(seconds)]
    started = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return sum(float(one.communicate()[0]) for one in started)


def beside(seconds: float, rounds: int) -> dict[str, Any]:
    """Throughput of two threads and of two processes over that of one, medians of rounds in turn."""
    ways: dict[str, Callable[[int], float]] = {
        "threads": lambda count: steps_a_second(count, seconds),
        "processes": lambda count: side_by_side(count, seconds),
    }
    found: dict[str, Any] = {"load": os.getloadavg(), "unit": "steps of 1024 positions a second, wall time"}
    rates = {name: {count: list[float]() for count in (1, 2)} for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            for count in (1, 2):
                rates[name][count].append(way(count))
    torch.set_num_threads(1)
    for name, own in rates.items():
        one, two = (statistics.median(own[count]) for count in (1, 2))
        found[name] = {"1": one, "2": two, "efficiency": two / one / 2}
    return found


def drawn(series: Mapping[str, Mapping[int, float]], slopes: Mapping[str, float]) -> None:
    figure = Figure(figsize=(9, 2.6), layout="constrained", dpi=120)
    for axes, (name, points) in zip(figure.subplots(1, len(series)), series.items(), strict=True):
        axes.loglog(list(points), list(points.values()), marker="o", markersize=3, linewidth=1.2)
        axes.set_title(f"slope {slopes[name]:.2f}", fontsize=8)
        axes.set_xlabel(name, fontsize=8)
        axes.tick_params(which="both", labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("CPU ms", fontsize=8)
    FigureCanvasAgg(figure).print_png(OUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement of threads and processes")
    parser.add_argument("--alone", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.alone is not None:
        print(steps_a_second(1, arguments.alone))
        return
    series, slopes = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name in SIZES:
            series[name] = measured(jobs(name, Path(folder)), arguments.rounds)
            slopes[name] = slope(series[name])
            print(f"{name}: slope {slopes[name]:.2f}", {k: round(v, 1) for k, v in series[name].items()}, flush=True)
    drawn(series, slopes)
    write(series, slopes, {})
    pairs = beside(arguments.seconds, min(arguments.rounds, 3))
    print(json.dumps(pairs))
    write(series, slopes, pairs)


def write(series: Mapping[str, Any], slopes: Mapping[str, float], pairs: Mapping[str, Any]) -> None:
    content = {
        "device": device_name(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "milliseconds": "CPU time of one thread, medians",
        "series": series,
        "slopes": slopes,
        "two of them": pairs,
    }
    (RESULTS / "scaling.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
