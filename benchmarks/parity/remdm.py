"""ReMDM, kuleshov-group/remdm: ``_sample`` with ``_ddpm_caching_update`` beside our loop, four rules of hiding again.

``python benchmarks/parity/remdm.py FOLDER`` with a folder that holds the official checkout. Equal: the inputs of every
step and the codes, by the rules "cap", "rescale", "conf" and "loop", MDLM's own step of that file, and with the loop
over the whole of time. Theirs draws code and mask by one number; here by two, the same two on both sides. Theirs
alone: confidences are kept in bfloat16, so that it is run in float32 here; times are float32, so that a step whose
time meets an end of the loop may fall on the other side; its nucleus leaves out the code that crosses the bound, where
ours keeps it; a step that changed nothing is not asked again, which changes no code.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from common import Network, Ours, Patched, Trace, compare, inverse, lifted

from tokenmask.sampling import Reversal, Sampler

CASES: dict[str, dict[str, Any]] = {
    "mdlm": {"rule": "never", "steps": 12},
    "cap": {"rule": "cap", "steps": 12, "eta": 0.2},
    "rescale": {"rule": "rescale", "steps": 10, "eta": 0.3},
    "conf": {"rule": "conf", "steps": 12},
    "loop": {"rule": "loop", "steps": 16, "eta": 0.1, "loop": (0.55, 0.05, 0.9)},
    "early": {"rule": "loop", "steps": 14, "eta": 0.3, "loop": (0.77, 0.41, 0.6)},
}
ROWS, LENGTH, CODES, END = 2, 24, 20, 1e-5
SAMPLERS = {"never": "mdlm", "cap": "remdm-cap", "rescale": "remdm-rescale", "conf": "remdm-conf"}


def side() -> Ours:
    return Ours(Network(CODES, LENGTH, seed=12), torch.zeros(ROWS, LENGTH, 1), seed=51)


def ours(rule: Any, steps: int, eta: float = 1.0, loop: tuple[float, float, float] = (0.55, 0.05, 0.9)) -> Trace:
    pick = Reversal(rule=rule, eta=eta, loop=loop, end=END, last="best")
    trace = side().run(Sampler(steps + 1, pick=pick))
    changed = [one for number, one in enumerate(trace["inputs"]) if not number or one != trace["inputs"][number - 1]]
    return {"inputs": changed, "codes": trace["codes"]}  # what is asked twice gives the same answer


def theirs(
    checkout: Path, rule: Any, steps: int, eta: float = 1.0, loop: tuple[float, float, float] = (0.55, 0.05, 0.9)
) -> Trace:
    own = side()
    inputs: list[Any] = []
    step, standing = -1, torch.empty(0)

    def backbone(x: Any, sigma: Any) -> Any:
        if not inputs or inputs[-1] != x[:, :, None].tolist():
            inputs.append(x[:, :, None].tolist())
        return torch.cat([own.network(x[:, :, None])[:, :, 0], torch.zeros(*x.shape, 1)], 2)

    def categorical(probs: Any) -> Any:
        """A code and a mask by the two numbers of our slot."""
        masked = probs[..., CODES] / probs.sum(-1)
        hidden, draws = standing == CODES, own.uniforms(step)
        shown = torch.where(hidden, draws < 1 - masked, draws >= masked)
        return torch.where(shown, inverse(probs[..., :CODES], own.draws(step)[0]), CODES)

    exact = Patched(torch, bfloat16=torch.float32)
    space = {"torch": exact, "_sample_categorical": categorical, "tqdm": lambda one: one}
    file = lifted(checkout / "diffusion.py", ["_ddpm_caching_update", "_sample", "_subs_parameterization"], space)

    class Diffusion(SimpleNamespace):
        _sample, _subs_parameterization = file["_sample"], file["_subs_parameterization"]

        def noise(self, t: Any) -> Any:
            return t, None

        def _sample_prior(self, *size: int) -> Any:
            return torch.full(size, CODES)

        def forward(self, x: Any, sigma: Any) -> Any:
            return self._subs_parameterization(backbone(x, sigma), x)

        def _ddpm_caching_update(self, x: Any, *arguments: Any, **named: Any) -> Any:
            nonlocal step, standing
            step, standing = step + 1, x
            return file["_ddpm_caching_update"](self, x, *arguments, **named)

    sampling = SimpleNamespace(
        steps=steps,
        nucleus_p=1.0,
        sampler=SAMPLERS.get(rule, "remdm-loop"),
        eta=eta,
        dfm=False,
        noise_removal=True,
        t_on=loop[0],
        t_off=loop[1],
        alpha_on=loop[2],
    )
    itself = Diffusion(
        config=SimpleNamespace(
            noise=SimpleNamespace(type="loglinear"),
            sampling=sampling,
            loader=SimpleNamespace(eval_batch_size=ROWS),
            model=SimpleNamespace(length=LENGTH),
        ),
        mask_index=CODES,
        neg_infinity=-1000000.0,
        time_conditioning=False,
        parameterization="subs",
        sampler="ddpm_cache",
        device=torch.device("cpu"),
    )
    codes = itself._sample(eps=END)
    return {"inputs": inputs, "codes": codes[:, :, None].tolist()}


if __name__ == "__main__":
    compare("remdm", CASES, ours, theirs)
