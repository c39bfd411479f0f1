"""Records a second, padded and joined (``training.records``): benchmarks/joined.py [--steps 12] [--out FILE.json].

Captions (names of emoji) and verses of the data that ships, in the text tokenizer that ships, by the model of
recipe ``captions``. All ways take the same steps in turn, so what else the machine does meets them alike: "alike"
batches are sorted by length, "mixed" ones as drawn (``training.lengths``), and each pair has the same batches, masks
and first losses. Figures are medians of CPU time of one thread.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from harness import device_name

from tokenmask import data
from tokenmask.corpus import Item, build_corpus
from tokenmask.files import write_text_atomic
from tokenmask.modalities.text import Text
from tokenmask.recipes import load_recipe
from tokenmask.run import load_tokenizer, prepare
from tokenmask.training import Trainer


def corpora() -> dict[str, list[str]]:
    """Short texts; verses with captions have the widest range of lengths."""
    captions, verses = [entry.name for entry in data.emoji()], data.gospel_verses()[:2000]
    return {"captions": captions, "verses": verses, "captions and verses": captions + verses[:1000]}


def trainer(folder: Path, corpus: Path, lengths: str, records: str) -> Trainer:
    """Of recipe ``captions``, whose records have words alone here."""
    says = [f"training.lengths={lengths}", f"training.records={records}", "training.prefetch=0"]
    recipe = load_recipe("captions", overrides=says)
    tokenizer = load_tokenizer("text")
    return prepare(folder, recipe, {"text": tokenizer, "image": load_tokenizer("image")}, [(corpus, 1.0)])


def measured(name: str, texts: list[str], steps: int, scratch: Path) -> list[dict[str, object]]:
    """A row for each way."""
    corpus = scratch / name / "corpus"
    items = [Item(str(number), {"text": Text(text)}) for number, text in enumerate(texts)]
    build_corpus(items, {"text": load_tokenizer("text")}, corpus, progress=False)
    ways = list(itertools.product(("alike", "mixed"), ("padded", "joined")))
    ours = {way: trainer(scratch / name / "-".join(way), corpus, *way) for way in ways}
    seconds: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
    losses: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
    padding = {}
    for way, one in ours.items():
        batches = [one.batch(next(one.mixture)).valid for _ in range(20)]
        padding[way] = 1 - sum(int(valid.sum()) for valid in batches) / sum(valid.numel() for valid in batches)
    for step in range(steps + 2):
        for way, one in ours.items():
            start = time.process_time()
            losses[way].append(one.step(step)["loss"])
            if step > 1:
                seconds[way].append(time.process_time() - start)
    rows = []
    for way in ways:
        middle = statistics.median(seconds[way])
        other = losses[way[0], "padded"]
        far = max(abs(mine - its) / its for mine, its in zip(losses[way], other, strict=True))
        rate = ours[way].training.batch_size / middle
        rows.append(
            {"corpus": name, "lengths": way[0], "records": way[1], "records a second": round(rate)}
            | {"padding": 0.0 if way[1] == "joined" else round(padding[way], 3), "losses differ by": far}
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--steps", type=int, default=12, help="timed steps of each way, default 12")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    print("| corpus | lengths | records | records a second | padding | losses differ by |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for name, texts in corpora().items():
            for row in measured(name, texts, arguments.steps, Path(scratch)):
                rows.append(row)
                values = (f"{value:.2g}" if isinstance(value, float) else str(value) for value in row.values())
                print("| " + " | ".join(values) + " |", flush=True)
    if arguments.out:
        about = {"device": device_name(), "torch": torch.__version__, "steps": arguments.steps, "rows": rows}
        write_text_atomic(arguments.out, json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
