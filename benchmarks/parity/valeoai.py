"""The reproduction of MaskGIT, valeoai/Maskgit-pytorch: ``ConfidenceSampler`` beside our loop.

``python benchmarks/parity/valeoai.py FOLDER`` with a folder that holds the official checkout (or Halton-MaskGIT's,
which has the same sampler). Equal: the inputs of every step and the codes, by all five schedules, with guidance that
rises and with each way of adding randomness. Theirs alone: counts are floored in float32, so that a whole number may
lose one; and a slip: codes that are known are drawn anew in every step, from what the network says of a place that
shows its code, since ``code[f_mask] = pred_code[f_mask]`` takes the known places along. Here their draws give known
places the codes that stand, but for the case "slip", which runs it as it is: its first three inputs are those of our
loop, with what is known drawn anew.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from common import Network, Ours, Patched, Trace, compare, gumbel, inverse, lifted

from tokenmask.masking import Arccos, Cosine, Linear, Power
from tokenmask.sampling import Categorical, ClassifierFree, NoGuidance, ProcessSchedule, Sampler
from tokenmask.scores import ConfidenceScore, RandomScore, Score, SumScore, UntilScore

CASES: dict[str, dict[str, Any]] = {
    "arccos": {"law": "arccos", "steps": 8},
    "cosine": {"law": "cosine", "steps": 9, "scale": 0.0},
    "root": {"law": "root", "steps": 8, "heat": 1.3},
    "square": {"law": "square", "steps": 8, "noise": "no"},
    "linear": {"law": "linear", "steps": 9, "noise": "warm_up"},
    "random": {"law": "arccos", "steps": 12, "noise": "random"},
    "slip": {"law": "linear", "steps": 6, "slip": True},
}
ROWS, SIDE, CODES = 2, 6, 24
LAWS = {"arccos": Arccos(), "cosine": Cosine(), "root": Power(0.5), "square": Power(2.0), "linear": Linear()}
ORDERS: dict[str, Score] = {
    "linear": ConfidenceScore(4.5, grid="ends"),
    "no": ConfidenceScore(),
    "warm_up": SumScore((UntilScore(RandomScore(), 2), ConfidenceScore()), (1e4, 1.0)),
    "random": RandomScore(),
}


def side(scale: float) -> Ours:
    network = Network(CODES, SIDE**2, seed=16)
    return Ours(network, torch.zeros(ROWS, SIDE**2, 1), told=bool(scale), seed=91)


def ours(
    law: str, steps: int, scale: float = 3.0, heat: float = 1.0, noise: str = "linear", slip: bool = False
) -> Trace:
    sampler = Sampler(
        steps,
        schedule=ProcessSchedule(LAWS[law], "ceil", "first"),
        order=ORDERS[noise],
        pick=Categorical(1 / heat),
        guidance=ClassifierFree(1.0, 1 + scale, grid="ends") if scale else NoGuidance(),
    )
    own = side(scale)
    trace = own.run(sampler)
    if slip:
        before = torch.tensor(trace["inputs"][1])
        told = torch.tensor([True]).expand(ROWS)
        less, more = own.network(before, ~told)[:, :, 0], own.network(before, told)[:, :, 0]
        share = scale / (steps - 1)
        anew = inverse(((1 + share) * more - share * less).softmax(-1), own.draws(1)[0])
        known = before[:, :, 0] != CODES
        after = torch.where(known, anew, torch.tensor(trace["inputs"][2])[:, :, 0])[:, :, None].tolist()
        if after == trace["inputs"][2]:
            raise SystemExit("what was drawn anew is what stood there: choose another seed")
        return {"inputs": [*trace["inputs"][:2], after], "codes": after}
    return trace


def theirs(
    checkout: Path,
    law: str,
    steps: int,
    scale: float = 3.0,
    heat: float = 1.0,
    noise: str = "linear",
    slip: bool = False,
) -> Trace:
    own = side(scale)
    inputs: list[Any] = []

    class Drawn:
        """What ``torch.distributions.Categorical`` is there, but that what is known stays."""

        def __init__(self, probs: Any) -> None:
            self.probs = probs

        def sample(self) -> Any:
            drawn = inverse(self.probs, own.draws(len(inputs) - 1)[0])
            stands = torch.tensor(inputs[-1])[:, :, 0]
            return drawn if slip else torch.where(stands == CODES, drawn, stands)

    class Vit:
        def __call__(self, code: Any, labels: Any, drop_label: Any) -> Any:
            codes = code.flatten(1)[:, :, None]
            inputs.append(codes[:ROWS].tolist())
            return own.network(codes, ~drop_label if scale else None)[:, :, 0]

        def eval(self) -> None: ...

        def train(self) -> None: ...

    def noisy(size: Any) -> Any:
        return gumbel(own.draws(len(inputs) - 1)[1]).numpy()

    def rand_like(like: Any) -> Any:
        return own.draws(len(inputs) - 1)[1].clone()

    space = {
        "torch": Patched(torch, rand_like=rand_like, distributions=SimpleNamespace(Categorical=Drawn)),
        "np": Patched(np, random=SimpleNamespace(gumbel=noisy)),
        "math": math,
        "tqdm": lambda one, **how: one,
    }
    path = checkout / "Sampler" / "confidence_sampler.py"
    file = lifted(path, ["build_sequence", "__call__"], space)
    itself = SimpleNamespace(
        sm_temp=heat,
        w=scale,
        randomize=noise,
        r_temp=4.5,
        sched_mode=law,
        step=steps,
        build_sequence=file["build_sequence"],
    )
    trainer = SimpleNamespace(
        vit=Vit(),
        input_size=SIDE,
        args=SimpleNamespace(use_ema=False, mask_value=CODES, codebook_size=CODES, device="cpu"),
        ae=SimpleNamespace(decode_code=lambda code: code / 1000),
    )
    found, _, _ = file["__call__"](itself, trainer, None, ROWS, torch.zeros(ROWS), False)
    codes = (found * 1000).round().long().flatten(1)[:, :, None].tolist()
    return {"inputs": inputs[:3], "codes": inputs[2]} if slip else {"inputs": inputs, "codes": codes}


if __name__ == "__main__":
    compare("valeoai", CASES, ours, theirs)
