"""What makes training faster on a CPU, side by side: python benchmarks/faster.py [--steps 150] [--out FILE.json].

Captions and pictures of the data that ships, in the tokenizers that ship, by the model of recipe ``five``. All ways
take the same steps in turn, so what else the machine does meets them alike; of each the best round counts, in CPU time
of one thread. Then float32 and the last way train from the same seeds, to see that what they learn is as good.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from harness import device_name

from tokenmask.corpus import HELD_OUT, TRAIN, Corpus, build_corpus
from tokenmask.corpus import statistics as counts_of
from tokenmask.demo import items
from tokenmask.files import write_text_atomic
from tokenmask.nn import has_bfloat16_products
from tokenmask.recipes import load_recipe
from tokenmask.run import load_tokenizer, prepare
from tokenmask.training import Trainer, held_out_scores

ONLY = ("text", "image")
BEFORE, KEEPS = "norms, turns, gates and attention's projections computed again", "kept"
PRODUCTS, ALL = "kept, training.products", "kept, training.products, Muon's iteration"
REDUCED = ("training.products=bfloat16",)
WAYS = {
    BEFORE: ("training.keep_gb=0",),
    KEEPS: (),
    PRODUCTS: REDUCED,
    ALL: (*REDUCED, "training.optimiser.iteration=bfloat16"),
}
LAST = 20  # steps whose mean loss is that of a training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--rounds", type=int, default=12, help="timed steps of each way, default 12")
    parser.add_argument("--batch", type=int, action="append", help="records of a step; may be repeated, default 32, 64")
    parser.add_argument("--steps", type=int, default=150, help="of the trainings that are compared; 0 for none")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each way, default 2")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    arguments = parser.parse_args()
    if not has_bfloat16_products():
        raise SystemExit("this processor does not multiply in bfloat16 by itself, so there is nothing to compare")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(Path(scratch))
        speed = [bench.speed(size, arguments.rounds) for size in arguments.batch or (32, 64)]
        for one in speed:
            print("\n".join(speed_table(one)))
        quality = bench.quality(arguments.steps, arguments.seeds) if arguments.steps else []
    print("\n".join(quality_table(quality)))
    if arguments.out:
        about = {"device": device_name(), "torch": torch.__version__, "speed": speed, "quality": quality}
        write_text_atomic(arguments.out, json.dumps(about, indent=1) + "\n")


class Bench:
    """A corpus, and trainers on it."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.tokenizers = {name: load_tokenizer(name) for name in ONLY}
        records = items.corpora(mirrored=False)["emoji"]
        build_corpus(records, self.tokenizers, scratch / "corpus", progress=False, on_error="raise")

    def trainer(self, changes: Sequence[str], name: str) -> Trainer:
        recipe = load_recipe("five", overrides=changes).of(ONLY)
        return prepare(self.scratch / name, recipe, self.tokenizers, [(self.scratch / "corpus", 1.0)])

    def speed(self, batch_size: int, rounds: int) -> dict[str, Any]:
        """Milliseconds of the steps of every way, taken in turn; the first two warm up."""
        made = {
            way: self.trainer([f"training.batch_size={batch_size}", *changes], f"speed {number} {batch_size}")
            for number, (way, changes) in enumerate(WAYS.items())
        }
        times: dict[str, list[float]] = {way: [] for way in made}
        losses: dict[str, list[float]] = {way: [] for way in made}
        for index in range(rounds + 2):
            for way, trainer in made.items():
                started = time.thread_time()
                losses[way].append(trainer.step(index)["loss"])
                times[way].append(1e3 * (time.thread_time() - started))
        if losses[BEFORE] != losses[KEEPS]:
            raise RuntimeError("keeping must leave every loss as it is, bit for bit")
        return {"batch_size": batch_size, "milliseconds": {way: found[2:] for way, found in times.items()}}

    def quality(self, steps: int, seeds: int) -> list[dict[str, Any]]:
        """Losses of whole trainings in float32 and in the last way, a pair for each seed."""
        held_out = list(Corpus(self.scratch / "corpus", split=HELD_OUT))
        counts = counts_of(Corpus(self.scratch / "corpus", split=TRAIN))
        found = []
        for seed in range(seeds):
            for way in (KEEPS, ALL):
                fixed = (f"training.steps={steps}", "training.batch_size=32", f"training.seed={seed}")
                trainer = self.trainer([*fixed, *WAYS[way]], f"quality {len(found)}")
                losses = [step["loss"] for step in trainer.fit(progress=False)]
                scores = held_out_scores(trainer.model, trainer.packing, held_out, counts, draws=4)
                figures = {f"{score.stream} given {', '.join(score.given) or 'nothing'}": score for score in scores}
                own = {name: score.cross_entropy for name, score in figures.items()}
                found.append({"way": way, "seed": seed, "loss": statistics.mean(losses[-LAST:]), "held_out": own})
        return found


def speed_table(found: Mapping[str, Any]) -> list[str]:
    size, best = found["batch_size"], {way: min(times) for way, times in found["milliseconds"].items()}
    lines = [
        "",
        f"| batch {size} | ms a step, best | median | records a CPU-second | x before |",
        "|---|---|---|---|---|",
    ]
    for way, time_ms in best.items():
        median = statistics.median(found["milliseconds"][way])
        speed = f"{1e3 * size / time_ms:.0f} | {best[BEFORE] / time_ms:.2f}"
        lines.append(f"| {way} | {time_ms:.0f} | {median:.0f} | {speed} |")
    return lines


def quality_table(found: Sequence[Mapping[str, Any]]) -> list[str]:
    if not found:
        return []
    names = list(found[0]["held_out"])
    lines = ["", f"| way | seed | loss | held out: {' | '.join(names)} |", "|---" * (3 + len(names)) + "|"]
    for one in found:
        values = " | ".join(f"{one['held_out'][name]:.3f}" for name in names)
        lines.append(f"| {one['way']} | {one['seed']} | {one['loss']:.3f} | {values} |")
    return lines


if __name__ == "__main__":
    main()
