"""GenMol, NVIDIA-Digital-Bio/genmol: ``Sampler.generate`` with bionemo-moco's ``step_confidence`` beside our loop.

``python benchmarks/parity/genmol.py FOLDER`` with a folder that holds both official checkouts, ``genmol`` and
``bionemo-framework``. Equal: the inputs of every step and the codes, without guidance and with a part of the context
hidden, and where ``remask`` makes a fragment of a molecule anew, in another length. Theirs alone: what is hidden is
drawn once for the batch, from the places of its first row, so that one row is compared; a generation of one code would
divide by 0, for which they take two steps at least.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from common import Network, Ours, Patched, Trace, compare, inverse, lifted

from tokenmask.ops import Purpose, uniform
from tokenmask.sampling import Categorical, ContextCorrupted, NoGuidance, Sampler, UniformSchedule
from tokenmask.scores import ConfidenceScore, slot_counters

CASES: dict[str, dict[str, Any]] = {
    "new": {"heat": 0.5, "noise": 0.5},
    "fragment": {"heat": 1.2, "noise": 2.0, "given": 7},
    "guided": {"heat": 1.2, "noise": 1.2, "given": 7, "share": 0.3},
    "remasked": {"heat": 1.2, "noise": 2.0, "hole": (8, 14)},
    "remasked, guided": {"heat": 0.8, "noise": 1.0, "hole": (15, 24), "share": 0.4},
}
Hole = tuple[int, int] | None  # places of a fragment that is made anew, between dots
DOT = 29
LENGTH, CODES = 24, 30


def side(given: int, hole: Hole) -> Ours:
    codes, places = (torch.arange(LENGTH) * 7 % DOT).view(1, LENGTH, 1), torch.arange(LENGTH)
    kept = places < given
    if hole is not None:
        codes[0, [7, 14], 0] = DOT
        kept = (places < hole[0]) | (places >= hole[1])
    return Ours(Network(CODES, LENGTH, seed=10), codes, kept[None], seed=41)


def ours(heat: float, noise: float, given: int = 0, share: float = 0.0, hole: Hole = None) -> Trace:
    sampler = Sampler(
        schedule=UniformSchedule(1),
        order=ConfidenceScore(noise, grid="ends"),
        pick=Categorical(heat),
        guidance=ContextCorrupted(share, 2.0) if share else NoGuidance(),
    )
    return side(given, hole).run(sampler)


def theirs(checkout: Path, heat: float, noise: float, given: int = 0, share: float = 0.0, hole: Hole = None) -> Trace:
    own = side(given, hole)
    inputs: list[Any] = []

    calls: list[int] = []

    def model(ids: Any, attention_mask: Any = None) -> Any:
        calls.append(1)
        codes = ids[:, 1:-1, None]
        if not share or len(calls) % 2:  # each second pass is the one with a poor context
            inputs.append(codes.tolist())
        logits = torch.full((1, LENGTH + 2, CODES + 4), -1e6)  # marks are never drawn
        logits[:, 1:-1, :CODES] = own.network(codes)[:, :, 0]
        return logits

    class Drawn:
        """What ``torch.distributions.Categorical`` is there."""

        def __init__(self, probs: Any) -> None:
            self.probs = probs

        def sample(self) -> Any:
            uniforms = torch.zeros(1, LENGTH + 2, dtype=torch.float64)
            uniforms[:, 1:-1] = own.draws(len(inputs) - 1)[0]
            return inverse(self.probs, uniforms)

    def rand(shape: Any, **how: Any) -> Any:
        uniforms = torch.full((1, LENGTH + 2), 0.5)
        uniforms[:, 1:-1] = own.draws(len(inputs) - 1)[1]
        return uniforms

    def sample(places: list[int], count: int) -> list[int]:
        """The places whose draws are largest, as ours are chosen."""
        keys = (own.batch.sample_ids << 16) | (len(inputs) - 1)
        counters = slot_counters(keys, *own.batch.shape[1:])[0, own.first :, 0]
        draws = uniform(seed=int(own.seeds[0]), counters=counters.contiguous(), purpose=Purpose.dropout)
        return sorted(places, key=lambda place: -float(draws[place - 1]))[:count]

    moco = "sub-packages/bionemo-moco/src/bionemo/moco/interpolants/continuous_time/discrete/mdlm.py"
    distributions = SimpleNamespace(Categorical=Drawn)
    space = {"torch": Patched(torch, rand=rand, distributions=distributions), "math": math}
    names = ["step_confidence", "_subs_parameterization", "get_num_steps_confidence"]
    steps = lifted(checkout / "bionemo-framework" / moco, names, space)

    class Mdlm(SimpleNamespace):
        pass

    for name, function in steps.items():
        setattr(Mdlm, name, function)
    chosen = iter(() if hole is None else ([8, 15].index(hole[0]) + 1, hole[1] - hole[0]))  # fragment, new length
    random = SimpleNamespace(sample=sample, randint=lambda least, most: next(chosen))
    space = {"torch": torch, "random": random, "safe_to_smiles": lambda text, fix: text}
    file = lifted(checkout / "genmol" / "src" / "genmol" / "sampler.py", ["generate", "remask"], space)
    generate = file["generate"]
    first, last, pad = CODES + 1, CODES + 2, CODES + 3

    final: list[Any] = []
    tokenizer = SimpleNamespace(batch_decode=lambda ids, skip_special_tokens: final.append(ids) or [])
    network = SimpleNamespace(bos_index=first, eos_index=last, mask_index=CODES, device="cpu", tokenizer=tokenizer)
    network.config = SimpleNamespace(training={}, model=SimpleNamespace(max_position_embeddings=256))

    class Called:
        """Their model: it is called, and has the places of its marks."""

        def __getattr__(self, name: str) -> Any:
            return getattr(network, name)

        def __call__(self, ids: Any, attention_mask: Any = None) -> Any:
            return model(ids, attention_mask)

    mdlm = Mdlm(mask_index=CODES, rng_generator=None)
    itself = SimpleNamespace(model=Called(), mdlm=mdlm, pad_index=pad)
    ids = own.neutral(own.batch)[:, :, 0]
    ids[own.batch.role[:, own.first :, 0] == 2] = CODES
    if hole is not None:  # what stood there was shorter
        ids = torch.cat([ids[:, : hole[0]], torch.tensor([[3, 5]]), ids[:, hole[1] :]], 1)
    ids = torch.cat([torch.full((1, 1), first), ids, torch.full((1, 1), last)], 1)
    if hole is None:
        generate(itself, ids, heat, noise, gamma=share, w=2)
    else:
        itself.generate = lambda *what, **how: generate(itself, *what, **how)
        itself.dot_index = DOT
        file["remask"](itself, "", ids, softmax_temp=heat, randomness=noise, gamma=share, w=2)
    return {"inputs": inputs, "codes": final[0][:, 1:-1, None].tolist()}


if __name__ == "__main__":
    compare("genmol", CASES, ours, theirs)
