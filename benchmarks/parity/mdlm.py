"""MDLM, kuleshov-group/mdlm: ``_sample`` beside our loop, by its ancestral sampler and by the one that keeps answers.

``python benchmarks/parity/mdlm.py FOLDER`` with a folder that holds the official checkout. Equal: the inputs of every
step and the codes. Theirs draws code and mask by one number; here by two, the same two on both sides. Theirs alone: the
sampler with a cache does not ask again after a step that changed nothing, which changes no code, so that here an input
counts once.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from common import Network, Ours, Trace, compare, inverse, lifted

from tokenmask.sampling import Reversal, Sampler

CASES: dict[str, dict[str, Any]] = {
    "ancestral": {"steps": 9, "sampler": "ddpm"},
    "cached": {"steps": 40, "sampler": "ddpm_cache"},
}
ROWS, LENGTH, CODES, END = 2, 20, 24, 1e-5


def side() -> Ours:
    return Ours(Network(CODES, LENGTH, seed=13), torch.zeros(ROWS, LENGTH, 1), seed=61)


def ours(steps: int, sampler: str) -> Trace:
    trace = side().run(Sampler(steps + 1, pick=Reversal(end=END, last="best")))
    changed = [one for number, one in enumerate(trace["inputs"]) if not number or one != trace["inputs"][number - 1]]
    return {"inputs": changed, "codes": trace["codes"]}


def theirs(checkout: Path, steps: int, sampler: str) -> Trace:
    own = side()
    inputs: list[Any] = []
    step = -1

    def categorical(probs: Any) -> Any:
        """A code and a mask by the two numbers of our slot."""
        shown = own.uniforms(step) < 1 - probs[..., CODES] / probs.sum(-1)
        return torch.where(shown, inverse(probs[..., :CODES], own.draws(step)[0]), CODES)

    names = ["_ddpm_update", "_ddpm_caching_update", "_sample", "_subs_parameterization"]
    file = lifted(checkout / "diffusion.py", names, {"torch": torch, "_sample_categorical": categorical})
    noise = lifted(checkout / "noise_schedule.py", ["total_noise"], {"torch": torch})["total_noise"]

    class Diffusion(SimpleNamespace):
        _sample, _subs_parameterization = file["_sample"], file["_subs_parameterization"]

        def noise(self, t: Any) -> Any:
            total = noise(SimpleNamespace(eps=1e-3), t)
            return total, None

        def _sample_prior(self, *size: int) -> Any:
            return torch.full(size, CODES)

        def forward(self, x: Any, sigma: Any) -> Any:
            if not inputs or inputs[-1] != x[:, :, None].tolist():
                inputs.append(x[:, :, None].tolist())
            logits = torch.cat([own.network(x[:, :, None])[:, :, 0], torch.zeros(*x.shape, 1)], 2)
            return self._subs_parameterization(logits, x)

        def _ddpm_update(self, *arguments: Any) -> Any:
            nonlocal step
            step += 1
            return file["_ddpm_update"](self, *arguments)

        def _ddpm_caching_update(self, *arguments: Any, **named: Any) -> Any:
            nonlocal step
            step += 1
            return file["_ddpm_caching_update"](self, *arguments, **named)

    itself = Diffusion(
        config=SimpleNamespace(
            noise=SimpleNamespace(type="loglinear"),
            sampling=SimpleNamespace(steps=steps, noise_removal=True),
            loader=SimpleNamespace(eval_batch_size=ROWS),
            model=SimpleNamespace(length=LENGTH),
        ),
        mask_index=CODES,
        neg_infinity=-1000000.0,
        time_conditioning=False,
        parameterization="subs",
        sampler=sampler,
        device=torch.device("cpu"),
    )
    codes = itself._sample(eps=END)
    return {"inputs": inputs, "codes": codes[:, :, None].tolist()}


if __name__ == "__main__":
    compare("mdlm", CASES, ours, theirs)
