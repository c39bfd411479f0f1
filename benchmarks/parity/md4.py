"""MD4, google-deepmind/md4: ``ancestral_sample_step`` and ``decode`` beside our loop.

``python benchmarks/parity/md4.py FOLDER`` with a folder that holds the official checkout. Their file is written for
jax; its functions run here over torch. Equal: the inputs of every step and the codes, by the linear, the
cosine and the polynomial schedule, on the even grid of times and on the cosine one, which with the linear schedule is
the cosine schedule. Theirs draws code and mask by one number, or which slot and which code apart ("mean"); here both by
two, the same two on both sides. A step past the end of time takes the best code of what is still hidden.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from common import Network, Ours, Trace, compare, inverse, lifted

from tokenmask.masking import Cosine, Linear, Polynomial
from tokenmask.sampling import Reversal, Sampler

LAWS = {"linear": Linear(), "cosine": Cosine(), "poly2": Polynomial(2.0)}
CASES: dict[str, dict[str, Any]] = {
    "linear": {"law": "linear", "steps": 8},
    "cosine": {"law": "cosine", "steps": 10},
    "polynomial": {"law": "poly2", "steps": 7},
    "grid": {"law": "linear", "steps": 9, "grid": "cosine"},
    "mean": {"law": "linear", "steps": 9, "sampler": "mean"},
}
ROWS, LENGTH, CODES, EPS = 2, 20, 24, 1e-4


def side() -> Ours:
    return Ours(Network(CODES, LENGTH, seed=14), torch.zeros(ROWS, LENGTH, 1), seed=71)


def ours(law: str, steps: int, grid: str = "uniform", sampler: str = "ancestral") -> Trace:
    process = Cosine() if grid == "cosine" else LAWS[law]
    return side().run(Sampler(steps + 1, pick=Reversal(process=process, end=EPS / (1 - EPS), last="best")))


def theirs(checkout: Path, law: str, steps: int, grid: str = "uniform", sampler: str = "ancestral") -> Trace:
    own = side()
    inputs: list[Any] = []

    class Categorical:
        """What ``tfd.Categorical`` is there."""

        def __init__(self, probs: Any = None, logits: Any = None) -> None:
            self.probs = logits.softmax(-1) if probs is None else probs

        def sample(self, seed: Any) -> Any:
            probs, step = self.probs, len(inputs) - 1
            codes = inverse(probs[..., :CODES], own.draws(step)[0])
            if probs.shape[-1] == CODES:
                return codes
            return torch.where(own.uniforms(step) < 1 - probs[..., CODES] / probs.sum(-1), codes, CODES)

        def mode(self) -> Any:
            return self.probs.argmax(-1).numpy()

    def softmax(value: Any, axis: int) -> Any:
        return value.softmax(axis)

    def independent(law: Any, axes: int) -> Any:
        return law

    nn = SimpleNamespace(softmax=softmax, one_hot=torch.nn.functional.one_hot)
    random = SimpleNamespace(
        fold_in=lambda rng, step: rng,
        split=lambda rng: (rng, rng),
        bernoulli=lambda rng, odds, shape: own.uniforms(len(inputs) - 1) < odds,
    )
    jnp = SimpleNamespace(
        cos=math.cos,
        where=torch.where,
        zeros_like=torch.zeros_like,
        array=lambda value: value,
        ones=lambda size: torch.ones(size, dtype=torch.float64),
        concatenate=lambda parts, axis: torch.cat([part.double() for part in parts], axis),
    )
    tfd = SimpleNamespace(Categorical=Categorical, Independent=independent)
    space = {"jax": SimpleNamespace(nn=nn, random=random, lax=SimpleNamespace(cos=math.cos)), "jnp": jnp, "nn": nn}
    space |= {"math": math, "tfd": tfd}
    path = checkout / "md4" / "models" / "diffusion" / "md4.py"
    names = ["get_sampling_grid", "ancestral_sample_step", "mean_sample_step", "_alpha", "alpha", "decode"]
    file = lifted(path, names, space)

    class Schedule(SimpleNamespace):
        _alpha, alpha = file["_alpha"], file["alpha"]

    class Md4(SimpleNamespace):
        get_sampling_grid, decode = file["get_sampling_grid"], file["decode"]

        def get_cond_embedding(self, conditioning: Any) -> Any:
            return None

        def predict_x(self, zt: Any, t: Any, cond: Any = None) -> Any:
            inputs.append(zt[:, :, None].tolist())
            return own.network(zt[:, :, None])[:, :, 0], None

    schedule = Schedule(schedule_fn_type=law, eps=EPS)
    itself = Md4(noise_schedule=schedule, vocab_size=CODES, sampling_grid=grid)
    codes = torch.full((ROWS, LENGTH), CODES)
    for step in range(steps):
        codes = file[f"{sampler}_sample_step"](itself, 0, step, steps, codes)
    return {"inputs": inputs, "codes": itself.decode(codes)[:, :, None].tolist()}


if __name__ == "__main__":
    compare("md4", CASES, ours, theirs)
