"""How the shared model learned: python benchmarks/curve.py --weights runs/weights draws docs/training.png.

Cross-entropy of hidden codes in training, a line for each kind of codes, over the records of all kinds seen so far.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tokenmask.recipes import load_recipe

OUT = Path(__file__).parents[1] / "docs" / "training.png"
PARTS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "run")
SHOWN = {"image": "pictures", "audio.0": "speech, level 1", "text": "words", "motion.0": "motion, root", "eeg.1": "EEG"}
WINDOW = 3200  # records of a point


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--weights", type=Path, default=Path("runs/weights"), help="where weights.py made everything")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="all of them, or some")
    parser.add_argument("--out", type=Path, default=OUT, help="the picture")
    arguments = parser.parse_args()
    figure = Figure(figsize=(7, 3.2), layout="constrained", dpi=120)
    axes = figure.subplots()
    seen = 0
    points: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in SHOWN}
    for part in arguments.parts:
        folder = arguments.weights / part
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        size = load_recipe(folder / "recipe.yaml").training.batch_size
        steps = WINDOW // size
        for start in range(0, len(rows) - steps + 1, steps):
            for name, (x, y) in points.items():
                x.append((seen + (start + steps / 2) * size) / 1000)
                y.append(mean(rows[start : start + steps], name))
        seen += len(rows) * size
        axes.axvline(seen / 1000, color="0.8", linewidth=1)
    for name, (x, y) in points.items():
        axes.plot(x, y, label=SHOWN[name], linewidth=1.4)
    axes.set(xlabel="thousand records", ylabel="nats a hidden code", xlim=(0, seen / 1000))
    figure.legend(loc="outside upper center", fontsize=8, ncols=len(SHOWN), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure).print_png(arguments.out)


def mean(rows: Sequence[Mapping[str, float]], name: str) -> float:
    """Over all hidden codes of the steps."""
    counts = [row.get(f"{name}/count", 0.0) for row in rows]
    total = sum(row.get(f"{name}/nats", 0.0) * count for row, count in zip(rows, counts, strict=True))
    return total / sum(counts) if sum(counts) else float("nan")


if __name__ == "__main__":
    main()
