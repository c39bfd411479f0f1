"""Design choices of Meissonic's sampler, xie-lab-ml/Bags_of_Tricks_Meissonic: ``Scheduler.step`` and ``step_zigzag``.

``python benchmarks/parity/meissonic.py FOLDER`` with a folder that holds the official checkout. Equal: the inputs of
every step and the codes of the plain sampler (that of aMUSEd), of the one with noise on the logits, and of zigzag
without noise of confidence. Theirs alone: zigzag is written for one picture, and draws codes for the slots that it
opens, which are masked again; differential sampling stores what it changed in place, ranks known slots too and counts
its steps over pictures, so that its window is looked at in the tests of ours alone.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from common import Network, Ours, Patched, Trace, compare, inverse, lifted

from tokenmask.sampling import (
    Categorical,
    ClassifierFree,
    LogitNoise,
    NeverRevoke,
    PickContext,
    ProcessSchedule,
    Sampler,
    SamplerState,
    Twice,
    Zigzag,
)
from tokenmask.scores import ConfidenceScore, Progress, slot_counters

CASES: dict[str, dict[str, Any]] = {
    "plain": {"steps": 8, "noise": 2.0},
    "noise": {"steps": 6, "noise": 2.0, "logits": 2.0},
    "zigzag": {"steps": 6, "noise": 0.0, "zigzag": True},
}
LENGTH, CODES, SCALE = 36, 24, 3.0


def side() -> Ours:
    return Ours(Network(CODES, LENGTH, seed=12), torch.zeros(1, LENGTH, 1), told=True, seed=51)


def ours(steps: int, noise: float, logits: float = 0.0, zigzag: bool = False) -> Trace:
    schedule = ProcessSchedule()
    sampler = Sampler(
        steps,
        schedule=Twice(schedule) if zigzag else schedule,
        order=ConfidenceScore(noise, grid="ends"),
        pick=LogitNoise(Categorical(), logits) if logits else Categorical(),
        guidance=ClassifierFree(SCALE),
        revoke=Zigzag(0.0) if zigzag else NeverRevoke(),
    )
    return side().run(sampler)


def theirs(checkout: Path, steps: int, noise: float, logits: float = 0.0, zigzag: bool = False) -> Trace:
    own = side()
    inputs: list[Any] = []
    number = 0  # of our step, whose draws are taken

    def asked(ids: Any, scale: float) -> Any:
        inputs.append(ids[:, :, None].tolist())
        told = torch.ones(1, dtype=torch.bool)
        c, u = (own.network(ids[:, :, None], one)[:, :, 0] for one in (told, ~told))
        return u + scale * (c - u)

    def multinomial(probs: Any, count: int, generator: Any = None) -> Any:
        return inverse(probs, own.draws(number)[0][0])[:, None]

    def randn_like(value: Any) -> Any:
        """Our normal draws of the step; those of slots that hold codes do not matter."""
        keys = (own.batch.sample_ids << 16) | number
        counters = slot_counters(keys, *own.batch.shape[1:])[0, own.first :, 0].contiguous()
        state = SamplerState.start(own.batch, own.layout, own.seeds)
        told = PickContext(own.seeds.expand(LENGTH), counters, 1.0, Progress(0, 2), None, counters, state, 0)
        return LogitNoise._noise(value[0], told)[None]

    space = {
        "torch": Patched(torch, multinomial=multinomial, randn_like=randn_like),
        "math": math,
        "gumbel_noise": lambda value, generator=None: -torch.log(-torch.log(own.draws(number)[1])),
        "SchedulerOutput": lambda previous, original: previous,
    }
    source = checkout / "src"
    top = lifted(source / "scheduler.py", ["mask_by_random_topk"], space)["mask_by_random_topk"]
    step = lifted(source / "scheduler.py", ["step"], {**space, "mask_by_random_topk": top})["step"]
    top = lifted(source / "scheduler_inv.py", ["mask_by_random_topk"], space)["mask_by_random_topk"]
    turn = lifted(source / "scheduler_inv.py", ["step_zigzag"], {**space, "mask_by_random_topk": top})["step_zigzag"]
    itself = SimpleNamespace(
        config=SimpleNamespace(mask_token_id=CODES, masking_schedule="cosine"),
        timesteps=torch.arange(steps).flip(0),
        temperatures=torch.linspace(noise, 0, steps),
    )
    ids = torch.full((1, LENGTH), CODES)
    for time in itself.timesteps:
        ids = step(itself, asked(ids, SCALE), time, ids, add_noise="cos" if logits else "none")
        number += 1
        if zigzag and time > 0:
            before = itself.pre_mask_tokens_sum
            ids = turn(itself, asked(ids, 0.0), time, ids, pre_mask_tokens_sum=before)
            ids = step(itself, asked(ids, SCALE), time, ids)
            number += 1
    return {"inputs": inputs, "codes": ids[:, :, None].tolist()}


if __name__ == "__main__":
    compare("meissonic", CASES, ours, theirs)
