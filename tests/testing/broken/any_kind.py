"""Components of every kind that cannot be stored, that forget, that draw from global generators, that write inputs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.testing.broken.planting import altered, planted
from tokenmask.evaluation.metrics import Bits
from tokenmask.layout import Parallel
from tokenmask.masking import Conditioning, Corruption, GroupChain, LevelStages, Linear, Masker, ProcessRate
from tokenmask.models import Causal
from tokenmask.objectives import MaskedCrossEntropy
from tokenmask.procedures import Plain
from tokenmask.sampling import (
    AllowAll,
    Categorical,
    ClassifierFree,
    NoReuse,
    RevokeLeastLikely,
    Sampler,
    UniformSchedule,
)
from tokenmask.scores import RandomScore
from tokenmask.training import Packing

# kind -> a good component, the method that answers, and of its arguments a tensor that it was given to read
GOOD: dict[str, tuple[Any, str, Callable[..., Tensor] | None]] = {
    "process": (Linear(), "hidden", lambda t: t),
    "rate": (ProcessRate(Linear()), "__call__", lambda n, **told: told["sample_ids"]),
    "score": (RandomScore(), "__call__", lambda context: context.batch.sample_ids),
    "stages": (LevelStages(), "stage", lambda ids, may, layout, seed, sample_ids: sample_ids),
    "chain": (GroupChain(1.0), "__call__", lambda batch, layout, seed: batch.coordinates),
    "masker": (Masker(), "__call__", lambda batch, layout, seed: batch.coordinates),
    "conditioning": (Conditioning(), "__call__", lambda batch, layout, seed: batch.coordinates),
    "packing": (Packing(), "__call__", lambda layout, record, **told: next(iter(record.values())).codes),
    "arrangement": (Parallel(), "place", lambda codes: codes),
    "pattern": (Causal(), "allows", lambda query, key: key.coordinates),
    "objective": (MaskedCrossEntropy(), "__call__", lambda model, masked, extra: masked.inputs.coordinates),
    "procedure": (Plain(), "loss", lambda model, masked, objective, kept: masked.inputs.coordinates),
    "schedule": (UniformSchedule(), "time", lambda share: share),
    "pick": (Categorical(), "__call__", lambda logits, uncond, context: logits),
    "guidance": (ClassifierFree(), "unconditional", lambda batch, context: batch.coordinates),
    "constraint": (AllowAll(), "allowed", None),
    "revoke": (RevokeLeastLikely(0.5), "__call__", lambda context: context.state.score),
    "reuse": (NoReuse(), "score", lambda model, step, cache: step.inputs.coordinates),
    "sampler": (Sampler(2), "run", lambda models, layout, state: state.seeds),
    "metric": (Bits(), "__call__", None),
}


def no_file_could_hold(good: Any) -> Any:
    """Made with an argument that it does not keep."""
    return planted(good, __init__=lambda self, lost=3: None)


def forgetful(good: Any, method: str) -> Any:
    """Another answer every time."""
    calls, answer = itertools.count(), getattr(type(good), method)
    return planted(good, **{method: lambda self, *told, **more: other(answer(good, *told, **more), next(calls))})


def other(answer: Any, number: int) -> Any:
    """Another answer of the same kind."""
    if answer is None:  # of AllowAll, to a layout whose smallest range has five codes
        return None if number % 2 else torch.arange(5) > 0
    if hasattr(answer, "groups"):  # of a reuse policy
        groups = tuple(group._replace(logits=group.logits.roll(number, 1)) for group in answer.groups)
        return type(answer)(groups, answer.cache, answer.computed)
    if isinstance(answer, list):
        return answer[number % 2 :]
    return altered(answer, number)


def global_drawer(good: Any, method: str) -> Any:
    """A number out of torch's global generator, which it does not even use."""
    answer = getattr(type(good), method)

    def draws(self, *told, **more):
        torch.rand(1)
        return answer(good, *told, **more)

    return planted(good, **{method: draws})


def writer(good: Any, method: str, given: Callable[..., Tensor]) -> Any:
    """Adds 1 to what it was given to read."""
    answer = getattr(type(good), method)

    def writes(self, *told, **more):
        found = answer(good, *told, **more)
        with torch.inference_mode(False):
            given(*told, **more).add_(1)
        return found

    return planted(good, **{method: writes})


def drawing(value: float) -> property:
    def read(self):
        torch.rand(1)
        return value

    return property(read, lambda self, value: None)


def in_turn(one: float, another: float) -> property:
    """A share that is another one in every second batch."""
    looks = itertools.count()
    return property(lambda self: another if next(looks) % 2 else one, lambda self, value: None)


BROKEN: dict[tuple[str, str], Any] = {
    ("corruption", "comes_back_from_a_file"): no_file_could_hold(Corruption()),
    ("corruption", "leaves_global_draws_alone"): planted(Corruption(), keep=drawing(0.0)),
    ("corruption", "repeats"): planted(Corruption(), mask=in_turn(0.0, 1.0), keep=in_turn(1.0, 0.0)),
}
for kind, (good, method, given) in GOOD.items():
    BROKEN[kind, "comes_back_from_a_file"] = no_file_could_hold(good)
    BROKEN[kind, "repeats"] = forgetful(good, method)
    BROKEN[kind, "leaves_global_draws_alone"] = global_drawer(good, method)
    if given is not None:
        BROKEN[kind, "leaves_its_inputs_alone"] = writer(good, method, given)
