"""Dream, HKUNLP/Dream: ``_sample`` beside our loop, its four rules, temperatures, cuts and drawn orders.

``python benchmarks/parity/dream.py FOLDER`` with a folder that holds a checkout of NVlabs/Fast-dLLM, whose
``dream/model/generation_utils.py`` is Dream's file (published beside its weights) and a further rule. Equal: the inputs
of every step and the codes, by "origin", "maskgit_plus", "topk_margin" and "entropy", at temperatures 0 and above, with
top-p and top-k, with ``alg_temp``. Theirs alone: rows of one batch reveal as many slots each, from the mean of what is
hidden; the network's answers are shifted by a place, which ``shifted`` networks of ours do themselves; top-p comes
before top-k; where a cut leaves one code in several slots, these are equally sure, and their order is that of ``topk``.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from common import Network, Ours, Patched, Trace, compare, gumbel, inverse, lifted

from tokenmask.sampling import Categorical, ExpectedSchedule, Pick, Reversal, Sampler, Truncated
from tokenmask.scores import EntropyScore, GumbelScore, MarginScore, ProbabilityScore, Score, SumScore

CASES: dict[str, dict[str, Any]] = {
    "origin": {"rule": "origin", "steps": 10, "temperature": 0.8},
    "best": {"rule": "maskgit_plus", "steps": 9},
    "confidence": {"rule": "maskgit_plus", "steps": 10, "temperature": 0.6},
    "margin": {"rule": "topk_margin", "steps": 8, "temperature": 0.4},
    "entropy": {"rule": "entropy", "steps": 8, "temperature": 0.9, "top_p": 0.95},
    "cut": {"rule": "maskgit_plus", "steps": 8, "temperature": 1.0, "top_k": 5},
    "cut margin": {"rule": "topk_margin", "steps": 7, "top_p": 0.8},
    "drawn": {"rule": "maskgit_plus", "steps": 9, "temperature": 0.5, "drawn": 0.1},
    "drawn entropy": {"rule": "entropy", "steps": 9, "temperature": 0.5, "drawn": 0.4},
    "drawn margin": {"rule": "topk_margin", "steps": 9, "drawn": 0.2},
}
ROWS, PROMPT, LENGTH, CODES = 2, 5, 29, 30
ORDERS: dict[str, Score] = {
    "maskgit_plus": ProbabilityScore(),
    "topk_margin": MarginScore(),
    "entropy": EntropyScore(),
}


def side() -> Ours:
    codes = (torch.arange(ROWS * LENGTH) * 7 % CODES).view(ROWS, LENGTH, 1)
    return Ours(Network(CODES, LENGTH, seed=15), codes, (torch.arange(LENGTH) < PROMPT).expand(ROWS, LENGTH), seed=81)


def ours(
    rule: str, steps: int, temperature: float = 0.0, top_p: float = 1.0, top_k: int = 0, drawn: float = 0.0
) -> Trace:
    pick: Pick = Categorical(temperature, top_k=top_k, top_p=top_p)
    if top_k or top_p < 1:
        pick = Truncated(pick)
    if rule == "origin":
        return side().run(Sampler(steps, pick=Reversal(pick, end=1e-3)))
    order = ORDERS[rule]
    if drawn:
        order = SumScore((order, GumbelScore(1.0, None)), (1 / drawn, 1.0))
    return side().run(Sampler(steps, schedule=ExpectedSchedule(), order=order, pick=pick))


def theirs(
    checkout: Path,
    rule: str,
    steps: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    top_k: int = 0,
    drawn: float = 0.0,
) -> Trace:
    own = side()
    inputs: list[Any] = []
    hidden = torch.empty(0)

    def rand(size: int, device: Any = None) -> Any:
        return own.uniforms(len(inputs) - 1)[hidden]

    def multinomial(weights: Any, num_samples: int) -> Any:
        """Without replacement, as torch does it, by the noise of our order."""
        noise = gumbel(own.draws(len(inputs) - 1)[1])
        return (weights.log() + noise).topk(num_samples, dim=-1).indices

    class Drawn:
        """What ``torch.distributions.Categorical`` is there."""

        def __init__(self, probs: Any) -> None:
            self.probs = probs

        def sample(self) -> Any:
            uniforms = own.draws(len(inputs) - 1)[0][hidden]
            if len(self.probs) < len(uniforms):  # of those that "origin" reveals, whose numbers are the smallest
                least = rand(0).argsort()[: len(self.probs)].sort().values
                uniforms = uniforms[least]
            return inverse(self.probs, uniforms)

    class Model(SimpleNamespace):
        def __call__(self, x: Any, attention_mask: Any, tok_idx: Any) -> Any:
            nonlocal hidden
            inputs.append(x[:, :, None].tolist())
            hidden = x == CODES
            logits = torch.cat([own.network(x[:, :, None])[:, :, 0], torch.full((*x.shape, 1), -1e9)], 2)
            return SimpleNamespace(logits=logits.roll(-1, 1))  # their loop shifts it back

    space = {
        "torch": Patched(torch, rand=rand, multinomial=multinomial),
        "F": torch.nn.functional,
        "dists": SimpleNamespace(Categorical=Drawn),
        "time": SimpleNamespace(time=lambda: 0.0),
        "print": lambda *what: None,
    }
    path = checkout / "dream" / "model" / "generation_utils.py"
    names = ["top_p_logits", "top_k_logits", "sample_tokens", "_sample"]
    sample = lifted(path, names, space)["_sample"]
    asked = SimpleNamespace(
        output_history=False,
        return_dict_in_generate=False,
        max_length=LENGTH,
        mask_token_id=CODES,
        steps=steps,
        eps=1e-3,
        alg=rule,
        alg_temp=drawn or None,
        temperature=temperature,
        top_p=top_p if top_p < 1 else None,
        top_k=top_k or None,
    )
    prompt = own.neutral(own.batch)[:, :PROMPT, 0]
    codes = sample(
        Model(device=torch.device("cpu")), prompt, None, asked, lambda i, x, logits: x, lambda i, x, logits: logits
    )
    return {"inputs": inputs, "codes": codes[:, :, None].tolist()}


if __name__ == "__main__":
    compare("dream", CASES, ours, theirs)
