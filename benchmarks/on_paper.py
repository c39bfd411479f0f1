"""Table of docs/nodes.md, by arithmetic alone: models of three sizes on many GPUs. ``python benchmarks/on_paper.py``"""

from __future__ import annotations

from tokenmask.models import TransformerConfig
from tokenmask.training.scaling import MACHINES, Load, kept_bytes, on_machines, operations_of

SIZES = {"100 M": (14, 768), "1 B": (20, 2048), "7 B": (35, 4096)}  # blocks of 12 width^2 weights
CODES, LENGTH, POSITIONS = 16_384, 1024, 16_384  # of a vocabulary; of a row; of a GPU in a step
GPUS = (8, 32, 64, 256)


def load_of(depth: int, width: int) -> Load:
    """A step of a transformer in shards, in bfloat16."""
    block, others = 12 * width**2, 2 * CODES * width
    operations = operations_of(depth * block + others / 2, depth, width, LENGTH, POSITIONS)
    floats = TransformerConfig(width=width, depth=depth, heads=width // 64).kept_floats(POSITIONS)
    kept = kept_bytes(floats, 2 * depth * width * POSITIONS, reduced=True)
    return Load((block,) * depth, others, operations, kept)


def rows(kind: str = "h100") -> list[str]:
    """The table in Markdown."""
    made = [f"| parameters | {' | '.join(f'{count} GPUs' for count in GPUS)} |", f"|---|{'---|' * len(GPUS)}"]
    for name, shape in SIZES.items():
        estimates = [on_machines(load_of(*shape), MACHINES[kind], count // 8, 8) for count in GPUS]
        cells = [f"{one.memory / 1e9:.0f} GB, {100 * one.efficiency:.0f} %" for one in estimates]
        made.append(f"| {name}, {estimates[-1].sent / 1e9:.2g} GB sent a step | {' | '.join(cells)} |")
    return made


if __name__ == "__main__":
    print("\n".join(rows()))
