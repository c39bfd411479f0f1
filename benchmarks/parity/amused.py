"""aMUSEd, huggingface/diffusers: ``AmusedScheduler.step`` beside our loop.

``python benchmarks/parity/amused.py FOLDER`` with a folder that holds a checkout of diffusers. Equal: the inputs of
every step and the codes, by the cosine and the linear schedule, with noise that falls from 2 or another number, and
with guidance, whose pipeline mixes logits. Theirs alone: counts are of the whole picture in float32, so that of a
picture that is given in part one slot a step is revealed until the schedule has come to what is left.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from common import Network, Ours, Patched, Trace, compare, inverse, lifted

from tokenmask.masking import Cosine, Linear
from tokenmask.sampling import Categorical, ClassifierFree, NoGuidance, ProcessSchedule, Sampler
from tokenmask.scores import ConfidenceScore

LAWS = {"cosine": Cosine(), "linear": Linear()}
CASES: dict[str, dict[str, Any]] = {
    "cosine": {"law": "cosine", "steps": 12},
    "linear": {"law": "linear", "steps": 7, "noise": 1.0},
    "guided": {"law": "cosine", "steps": 8, "scale": 10.0},
}
ROWS, LENGTH, CODES = 2, 36, 24


def side(scale: float) -> Ours:
    return Ours(Network(CODES, LENGTH, seed=18), torch.zeros(ROWS, LENGTH, 1), told=scale != 1, seed=101)


def ours(law: str, steps: int, noise: float = 2.0, scale: float = 1.0) -> Trace:
    sampler = Sampler(
        steps,
        schedule=ProcessSchedule(LAWS[law]),
        order=ConfidenceScore(noise, grid="ends"),
        pick=Categorical(),
        guidance=ClassifierFree(scale) if scale != 1 else NoGuidance(),
    )
    return side(scale).run(sampler)


def theirs(checkout: Path, law: str, steps: int, noise: float = 2.0, scale: float = 1.0) -> Trace:
    own = side(scale)
    inputs: list[Any] = []

    def asked(ids: Any) -> Any:
        inputs.append(ids[:, :, None].tolist())
        if scale == 1:
            return own.network(ids[:, :, None])[:, :, 0]
        told = torch.ones(ROWS, dtype=torch.bool)
        c, u = (own.network(ids[:, :, None], one)[:, :, 0] for one in (told, ~told))
        return u + scale * (c - u)

    def multinomial(probs: Any, count: int, generator: Any = None) -> Any:
        return inverse(probs, own.draws(len(inputs) - 1)[0].flatten())[:, None]

    space = {
        "torch": Patched(torch, multinomial=multinomial),
        "math": math,
        "gumbel_noise": lambda value, generator=None: -torch.log(-torch.log(own.draws(len(inputs) - 1)[1])),
    }
    path = checkout / "src" / "diffusers" / "schedulers" / "scheduling_amused.py"
    file = lifted(path, ["mask_by_random_topk", "set_timesteps", "step"], space)
    itself = SimpleNamespace(config=SimpleNamespace(mask_token_id=CODES, masking_schedule=law))
    file["set_timesteps"](itself, steps, (noise, 0))
    ids = torch.full((ROWS, LENGTH), CODES)
    for time in itself.timesteps:
        ids, _ = file["step"](itself, asked(ids), time, ids, return_dict=False)
    return {"inputs": inputs, "codes": ids[:, :, None].tolist()}


if __name__ == "__main__":
    compare("amused", CASES, ours, theirs)
