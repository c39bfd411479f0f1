"""MaskGIT, google-research/maskgit: ``parallel_decode.decode`` beside our loop, step by step.

``python benchmarks/parity/maskgit.py FOLDER`` with a folder that holds the official checkout. Their file is written for
jax; its two functions run here over numpy, which has all that they use. Equal: the inputs of every step and the codes.
Their last step leaves one slot masked and the output is its draw before that, which is what our last step commits.
Theirs alone: counts are floored in float32, so that 36 slots in 6 steps of the linear law leave 23 and not 24 after two
(1 - 2 / 6 is 0.6666666 there); where the product is no whole number both agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from common import Network, Ours, Patched, Trace, compare, gumbel, inverse, lifted

from tokenmask.masking import Cosine, Linear, Power
from tokenmask.sampling import Categorical, ProcessSchedule, Sampler
from tokenmask.scores import ConfidenceScore

LAWS = {"cosine": Cosine(), "uniform": Linear(), "pow2.5": Power(2.5)}
CASES: dict[str, dict[str, Any]] = {
    "cosine": {"law": "cosine", "steps": 8, "noise": 4.5},
    "linear": {"law": "uniform", "steps": 7, "noise": 1.0},
    "power": {"law": "pow2.5", "steps": 5, "noise": 0.0},
    "edit": {"law": "cosine", "steps": 6, "noise": 4.5, "holes": 20},
}
ROWS, LENGTH, CODES = 2, 36, 24


def side(holes: int | None) -> Ours:
    network = Network(CODES, LENGTH, seed=1)
    codes = (torch.arange(ROWS * LENGTH) * 7 % CODES).view(ROWS, LENGTH, 1)
    given = None if holes is None else (torch.arange(ROWS * LENGTH) * 11 % LENGTH >= holes).view(ROWS, LENGTH)
    return Ours(network, codes, given, seed=3)


def ours(law: str, steps: int, noise: float, holes: int | None = None) -> Trace:
    schedule = ProcessSchedule(LAWS[law], "floor")
    return side(holes).run(Sampler(steps, schedule=schedule, order=ConfidenceScore(noise), pick=Categorical(1.0)))


def theirs(checkout: Path, law: str, steps: int, noise: float, holes: int | None = None) -> Trace:
    own = side(holes)
    inputs: list[Any] = []
    first = own.neutral(own.batch)
    first = torch.where((own.batch.role[:, own.first :] == 2), -1, first).squeeze(-1).numpy()

    def tokens_to_logits(ids: Any) -> Any:
        codes = torch.from_numpy(np.where(ids == -1, CODES, ids)).long()[:, :, None]
        inputs.append(codes.tolist())
        return own.network(codes)[:, :, 0].numpy()

    def categorical(rng: Any, logits: Any) -> Any:
        code, _ = own.draws(len(inputs) - 1)
        return inverse(torch.from_numpy(logits).softmax(-1), code).numpy()

    def update(whole: Any, part: Any, start: Any) -> Any:
        whole = whole.copy()
        whole[:, int(start[1]) : int(start[1]) + 1] = part
        return whole

    def loop(condition: Any, body: Any, state: Any) -> Any:
        while condition(state):
            state = body(state)
        return state

    random = SimpleNamespace(
        split=lambda rng, number=2: (rng, rng),
        categorical=categorical,
        gumbel=lambda rng, shape: gumbel(own.draws(len(inputs) - 1)[1]).numpy(),
    )
    lax = SimpleNamespace(dynamic_update_slice=update, while_loop=loop, cos=np.cos)
    nn = SimpleNamespace(softmax=lambda x, axis: torch.from_numpy(x).softmax(axis).numpy())
    # In float32, as jax computes: at 20 cos(pi / 3) and its like the floor hangs on it.
    jnp = Patched(np, log=_log, array=np.float32, sum=lambda x, **how: np.float32(np.sum(x, **how)))
    space = {"jax": SimpleNamespace(random=random, lax=lax, nn=nn), "jnp": jnp, "lax": lax, "math": math}
    library = checkout / "maskgit" / "libml"
    schedule = lifted(library / "mask_schedule.py", ["schedule"], space)
    space |= {"State": State, "mask_schedule": SimpleNamespace(**schedule), "_CONFIDENCE_OF_KNOWN_TOKENS": np.inf}
    loops = lifted(library / "parallel_decode.py", ["decode", "mask_by_random_topk", "state_init"], space)
    final = loops["decode"](first, None, tokens_to_logits, -1, steps, 0, noise, law)
    return {"inputs": inputs, "codes": final[:, -1, :, None].tolist()}


@dataclass(frozen=True)
class State:
    """Their state, which flax makes there."""

    cur_index: Any
    cur_seqs: Any
    rng: Any
    final_seqs: Any

    def replace(self, **fields: Any) -> State:
        return replace(self, **fields)


def _log(value: Any) -> Any:
    with np.errstate(divide="ignore"):
        return np.log(value)


if __name__ == "__main__":
    compare("maskgit", CASES, ours, theirs)
