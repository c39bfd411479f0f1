"""The error of every order against its steps, on worlds whose law is known: python benchmarks/orders.py.

Total variation between what a sampler makes and the true law, computed by listing all that can happen, with a model
that knows the true conditionals: what is left is due to codes that are drawn at once, and to draws that have a say in
the order. Draws docs/worlds.png and writes benchmarks/results/orders.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.exact.law import joint, made, total_variation  # noqa: E402
from tests.exact.orders import EVEN, ORDERS  # noqa: E402
from tokenmask.worlds import Brackets, Markov, NaeSat, World  # noqa: E402

WORLDS: dict[str, World] = {
    "chain of 6, 3 states": Markov(6),
    "6 brackets": Brackets(6, 1),
    "4 bits and 2 observations": NaeSat(4, 2),
}
SHOWN = {  # order -> how it is called, colour, line
    "random": ("random", "tab:blue", "-"),
    "raster": ("raster", "tab:gray", "-"),
    "blocks": ("raster of blocks of 2", "black", ":"),
    "spans": ("spans of 2", "tab:olive", "-"),
    "halton": ("Halton", "tab:green", "-"),
    "qlds": ("QLDS", "tab:cyan", "--"),
    "margin": ("margin", "tab:purple", "-"),
    "entropy": ("entropy", "tab:pink", "--"),
    "sum": ("margin and entropy", "black", "-."),
    "confidence": ("confidence", "tab:red", "-"),
    "noisy": ("confidence, noise 4.5", "tab:orange", "-"),
}


def main() -> None:
    errors = {name: {order: _errors(world, order) for order in ORDERS} for name, world in WORLDS.items()}
    worlds = {name: repr(world) for name, world in WORLDS.items()}
    results = {"measure": "total variation after 1, 2, ... steps", "worlds": worlds, "errors": errors}
    text = json.dumps(results, indent=1)
    (ROOT / "benchmarks" / "results" / "orders.json").write_text(text + "\n", encoding="utf-8")
    figure = Figure(figsize=(10, 3.4), layout="constrained", dpi=110)
    for number, (axes, (name, lines)) in enumerate(zip(figure.subplots(1, len(errors)), errors.items(), strict=True)):
        for order, (label, colour, line) in SHOWN.items():
            steps = range(1, len(lines[order]) + 1)
            width = 2.4 if line == "-" else 1.3  # lines that fall together show through one another
            axes.plot(steps, lines[order], line, color=colour, label=label, linewidth=width)
        axes.set(title=name, xlabel="steps", xticks=steps, ylim=(-0.02, None))
        axes.set_ylabel("total variation from the true law" if not number else "")
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right", fontsize=8, frameon=False)
    FigureCanvasAgg(figure).print_png(ROOT / "docs" / "worlds.png")


def _errors(world: World, order: str) -> list[float]:
    size, truth, rule = len(world.sizes), joint(world), ORDERS[order][1](world)
    plans = [EVEN.plan(size, steps) for steps in range(1, size + 1)]
    return [round(total_variation(made(world, plan, rule), truth), 4) for plan in plans]


if __name__ == "__main__":
    main()
