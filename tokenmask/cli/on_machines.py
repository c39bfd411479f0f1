"""``tokenmask train --dry-run --nodes N --gpus N``: a training on machines that are not here, in a few lines.

Arrow: Recipe + a counted model --> lines. Does not know: data, how anything is computed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tokenmask.models import MaskedModel, TransformerConfig
from tokenmask.recipes import Recipe
from tokenmask.training.scaling import MACHINES, Estimate, Load, kept_bytes, on_machines, operations_of


@dataclass(frozen=True)
class Asked:
    """Which machines.

    Args:
        kind: a name of ``MACHINES``.
        nodes: how many.
        gpus: of each.
    """

    kind: str
    nodes: int
    gpus: int

    def __post_init__(self) -> None:
        if self.kind not in MACHINES:
            raise ValueError(f"--nodes and --gpus know the devices {', '.join(MACHINES)}, got {self.kind}; name one")


def lines(asked: Asked, recipe: Recipe, model: MaskedModel, records: int, positions: int) -> list[str]:
    """What a training takes of each GPU, and how well it uses them.

    Args:
        asked: the machines.
        recipe: to be trained.
        model: of it, on the meta device.
        records: of a batch.
        positions: of each.

    Raises:
        ValueError: fewer records than GPUs.
    """
    size, training, machine = asked.nodes * asked.gpus, recipe.training, MACHINES[asked.kind]
    if records < size:
        raise ValueError(
            f"each of {size} GPUs needs a record of a batch, which has {records}; raise training.batch_size to a "
            f"multiple of {size}"
        )
    rows = -(-records // size)
    estimate = on_machines(_load(recipe, model, rows, positions), machine, asked.nodes, asked.gpus)
    room, seconds = 100 * estimate.memory / machine.memory, estimate.computing + estimate.waiting
    shared = "in shards" if training.sharding == "full" else "as copies (training.sharding=full shares them out)"
    bits = "bfloat16" if training.precision == "bfloat16" else "float32 (training.precision=bfloat16 is faster)"
    advice = "" if room <= 90 else "; it does not fit: more GPUs, or training.accumulate, or training.recompute"
    return [
        f"on {asked.nodes} node(s) of {asked.gpus} {asked.kind}: {rows} record(s) x {positions} positions each, "
        f"weights {shared}",
        f"memory of each: about {estimate.memory / 1e9:.3g} GB, {room:.0f} % of it ({_parts(estimate)}){advice}",
        f"sent by each: about {estimate.sent / 1e9:.3g} GB a step",
        f"time: about {seconds:.2g} s a step in {bits}, {records * positions / seconds:,.0f} positions a second in "
        f"all; efficiency {100 * estimate.efficiency:.0f} % of as many GPUs alone",
        f"assumed: {100 * machine.utilisation:.0f} % of the peak without waiting, {machine.inside / 1e9:.0f} GB/s "
        f"within a node and {machine.between / 1e9:.0f} GB/s of each GPU between nodes; data are there in time",
    ]


def _load(recipe: Recipe, model: MaskedModel, rows: int, positions: int) -> Load:
    training, config = recipe.training, recipe.model
    parts = tuple(sum(one.numel() for one in part.parameters()) for part in model.backbone.parts())
    total = sum(one.numel() for one in model.parameters())
    at_once = -(-rows // training.accumulate) * positions
    floats = training.kept_floats(config, at_once) or 0.0
    reduced = training.precision == "bfloat16"
    attends = (config.depth, config.width) if isinstance(config, TransformerConfig) else (0, 0)
    flowing = 2 * at_once * math.prod(attends)  # what goes into both layers of a block
    operations = operations_of(total, *attends, positions, rows * positions)
    kept = kept_bytes(floats, flowing, reduced)
    weight_bytes = 2 if training.gathered == "bfloat16" else 4
    turns = min(training.accumulate, rows)
    return Load(parts, total - sum(parts), operations, kept, weight_bytes, reduced, training.sharding, turns)


def _parts(estimate: Estimate) -> str:
    return (
        f"{estimate.state / 1e9:.3g} GB for weights, gradients and optimiser, {estimate.gathered / 1e9:.2g} GB for "
        f"gathered weights, {estimate.activations / 1e9:.3g} GB for activations"
    )
