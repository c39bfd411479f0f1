"""Scaling on paper: what a step of a training would take on machines that are not here.

Arrow: (Load, Machine, nodes) --**on_machines**--> memory, bytes sent, seconds and efficiency of a step.
Does not know: recipes, data, how anything is computed. Plain arithmetic, with what it assumes below.

A step is the forward and backward pass of the parts of a backbone, one after the other. In shards, the weights of a
part are gathered while the part before it computes, in the forward and again in the backward pass, and its gradients
are reduced while the next one computes; as copies, gradients are averaged while the backward pass goes on. What is not
hidden behind computing is waited for: the first gather, the last reduction, and whatever takes longer than its part.
Collectives are rings (source of their costs: Thakur et al., doi:10.1177/1094342005051521, and NCCL's bus bandwidth).
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenmask.training.parallel import Sharding

HOP_SECONDS = 3e-6  # of a step of a ring, assumed
STATE_BYTES = 16  # of a weight in float32 with its gradient and two moments of AdamW


@dataclass(frozen=True)
class Machine:
    """GPUs of a kind, as their maker has them; and how they are usually connected.

    Args:
        peak16: operations a second in bfloat16, dense.
        peak32: in float32, without tensor cores.
        memory: bytes.
        inside: bytes a second of a GPU to the others of its node, one way (NVLink).
        between: bytes a second of a GPU to other nodes, one way (a network card of its own).
        utilisation: part of the peak that a step without communication reaches.
    """

    peak16: float
    peak32: float
    memory: float
    inside: float
    between: float
    utilisation: float


# Peaks, memory and links: NVIDIA's data sheets of the SXM forms. Networks: 200 Gb/s of a DGX A100, 400 Gb/s of a DGX
# H100. Utilisation: what torchtitan publishes of Llama 3 of 8 billion parameters, in tests/training/test_scaling.py.
MACHINES = {
    "a100": Machine(312e12, 19.5e12, 80e9, 300e9, 25e9, 0.57),
    "h100": Machine(989e12, 67e12, 80e9, 450e9, 50e9, 0.39),
    "h200": Machine(989e12, 67e12, 141e9, 450e9, 50e9, 0.39),
}


@dataclass(frozen=True)
class Load:
    """A step as every process has it.

    Args:
        parts: weights of each part of the backbone that is gathered alone.
        others: weights outside of them (embeddings, heads).
        operations: of one process in a step, forward and backward.
        activations: bytes that a process keeps for the backward pass.
        weight_bytes: of a weight as it is gathered; gradients are reduced in float32.
        reduced: whether products are of bfloat16.
        sharding: as in training.
        turns: parts in which the rows of a process are computed, one after the other (``training.accumulate``). Shards
            gather weights and reduce gradients in each, copies average gradients in the last.
    """

    parts: tuple[int, ...]
    others: int
    operations: float
    activations: float
    weight_bytes: int = 4
    reduced: bool = True
    sharding: Sharding = "full"
    turns: int = 1

    @property
    def parameters(self) -> int:
        """All weights."""
        return sum(self.parts) + self.others


@dataclass(frozen=True)
class Estimate:
    """What a step takes of each process.

    Args:
        state: bytes of weights, gradients and optimiser.
        gathered: bytes of weights that are whole for a while.
        activations: bytes kept for the backward pass.
        sent: bytes.
        computing: seconds.
        waiting: seconds in which nothing is computed.
    """

    state: float
    gathered: float
    activations: float
    sent: float
    computing: float
    waiting: float

    @property
    def memory(self) -> float:
        """Bytes, without what libraries and fragments take."""
        return self.state + self.gathered + self.activations

    @property
    def efficiency(self) -> float:
        """Part of the time in which something is computed: throughput of a GPU against that of one alone."""
        return self.computing / (self.computing + self.waiting)


def operations_of(parameters: float, layers: int, width: int, length: float, positions: float) -> float:
    """Operations of a step: 6 a weight and position, and attention of all positions to all, ``12 layers width length``.

    Args:
        parameters: weights that positions are multiplied with; embeddings are looked up.
        layers: with attention.
        width: of all heads of a layer together.
        length: positions of a row.
        positions: of all rows.
    """
    return positions * (6 * parameters + 12 * layers * width * length)


def kept_bytes(floats: float, flowing: float, reduced: bool) -> float:
    """Bytes of what a backward pass needs: with products of bfloat16, half of them, but for what flows between layers.

    Args:
        floats: that are kept, see :meth:`tokenmask.models.BackboneConfig.kept_floats`.
        flowing: of them those that a layer adds to, which autocast leaves in float32.
        reduced: whether products are of bfloat16.
    """
    return 2 * (floats + flowing) if reduced else 4 * floats


def on_machines(load: Load, machine: Machine, nodes: int, gpus: int) -> Estimate:
    """A step of one process of ``nodes * gpus``.

    Args:
        load: of one process.
        machine: the GPUs.
        nodes: how many.
        gpus: of each.

    Raises:
        ValueError: no nodes or GPUs.
    """
    if nodes < 1 or gpus < 1:
        raise ValueError(f"nodes and gpus must be at least 1, got {nodes} and {gpus}; raise them")
    size = nodes * gpus
    total, peak = load.parameters, machine.peak16 if load.reduced else machine.peak32
    computing = load.operations / (peak * machine.utilisation)
    forward, backward = computing / load.turns / 3, 2 * computing / load.turns / 3

    def ring(size_in_bytes: float) -> float:
        """Seconds in which a part is gathered, or reduced to parts: each process sends all but its own."""
        speed = machine.inside if nodes == 1 else min(machine.inside, gpus * machine.between)
        return (size - 1) * (HOP_SECONDS + size_in_bytes / size / speed)

    shares = [weights / total for weights in load.parts]
    rest = 1 - sum(shares)
    units = [*zip(load.parts, shares, strict=True), (load.others, rest)]
    waiting = sent = 0.0
    if load.sharding == "full":
        gathers = [ring(load.weight_bytes * weights) for weights, _ in units]
        reductions = [ring(4 * weights) for weights, _ in units]
        waiting += gathers[0] + reductions[0]
        for number, (_, share) in enumerate(units):
            beside = gathers[number + 1] if number + 1 < len(units) else 0.0
            waiting += max(0.0, beside - forward * share)
            behind = gathers[number - 1] if number else 0.0
            after = reductions[number + 1] if number + 1 < len(units) else 0.0
            waiting += max(0.0, behind + after - backward * share)
        waiting *= load.turns
        sent = load.turns * (2 * load.weight_bytes + 4) * total * (size - 1) / size
        gathered = 2.0 * load.weight_bytes * max(weights for weights, _ in units) if size > 1 else 0.0
    else:
        reductions = [2 * ring(4 * weights) for weights, _ in units]  # reduced to parts, and gathered
        waiting += reductions[0]
        for number, (_, share) in enumerate(units):
            after = reductions[number + 1] if number + 1 < len(units) else 0.0
            waiting += max(0.0, after - backward * share)
        sent = 2 * 4 * total * (size - 1) / size
        gathered = 0.0
    held = size if load.sharding == "full" else 1
    return Estimate(STATE_BYTES * total / held, gathered, load.activations, sent, computing, waiting)
