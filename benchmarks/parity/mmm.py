"""MMM, exitudio/MMM: ``Text2Motion_Transformer.sample`` beside our loop.

``python benchmarks/parity/mmm.py FOLDER`` with a folder that holds the official checkout. Equal: the inputs of every
step and the codes of one motion of any length, best codes and drawn ones (theirs are drawn by the largest of many
Gumbel numbers, which has the law of the one number that both sides use here), and codes that are given. Theirs alone:
in a batch all rows have ten steps, and those that are done have their last code drawn anew in each; ``inpaint`` counts
what it masks from the whole length, so that it asks for more places than are free and fills the first steps in vain.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from common import Network, Ours, Trace, compare, inverse, lifted

from tokenmask.sampling import Categorical, PerLength, Sampler
from tokenmask.scores import ConfidenceScore

CASES: dict[str, dict[str, Any]] = {
    "49": {"length": 49, "drawn": True},
    "26": {"length": 26, "drawn": True},
    "13": {"length": 13, "drawn": True},
    "best": {"length": 37, "drawn": False},
    "given": {"length": 40, "drawn": True, "free": 33},
}
CODES, BLOCK = 40, 51


def side(length: int, free: int | None) -> Ours:
    codes = (torch.arange(length) * 7 % CODES).view(1, length, 1)
    given = None if free is None else (torch.arange(length) >= free)[None]
    return Ours(Network(CODES, length, seed=6), codes, given, seed=21)


def ours(length: int, drawn: bool, free: int | None = None) -> Trace:
    pick = Categorical(1.0 if drawn else 0.0)
    # Steps follow the length of the motion, of which codes that are given are a part.
    longest = 49 if free is None else round(49 * free / length)
    schedule = PerLength(longest=longest)
    return side(length, free).run(Sampler(10, schedule=schedule, order=ConfidenceScore(plain=True), pick=pick))


def theirs(checkout: Path, length: int, drawn: bool, free: int | None = None) -> Trace:
    own = side(length, free)
    inputs: list[Any] = []

    def forward(ids: Any, clip: Any, mask: Any, word_emb: Any = None) -> Any:
        codes = ids[:, :length, None].clone()
        codes[codes == CODES + 2] = CODES
        inputs.append(codes.tolist())
        logits = own.network(codes)[:, :, 0]
        whole = torch.zeros(1, BLOCK, CODES)
        whole[:, 1 : length + 1] = logits
        return whole

    def gumbel_sample(logits: Any, temperature: float, dim: int) -> Any:
        if temperature == 0:
            return logits.argmax(dim)
        uniforms = torch.zeros(logits.shape[:2], dtype=torch.float64)
        uniforms[:, :length] = own.draws(len(inputs) - 1)[0]
        return inverse((logits / temperature).softmax(dim), uniforms)

    helpers = lifted(
        checkout / "exit" / "utils.py", ["cosine_schedule", "generate_src_mask"], {"torch": torch, "math": math}
    )
    space = {**helpers, "torch": torch, "gumbel_sample": gumbel_sample, "rearrange": lambda value, how: value[..., 0]}
    sample = lifted(checkout / "models" / "t2m_trans.py", ["sample"], space)["sample"]
    itself = SimpleNamespace(num_vq=CODES, block_size=BLOCK, forward=forward)
    told = None
    if free is not None:
        told = torch.full((1, BLOCK - 1), CODES + 2)
        told[:, free:length] = own.neutral(own.batch)[:, free:, 0]
    frames = torch.tensor([4.0 * length])
    codes = sample(itself, torch.zeros(1, 4), None, frames, rand_pos=drawn, token_cond=told)
    return {"inputs": inputs, "codes": codes[:, :length, None].tolist()}


if __name__ == "__main__":
    compare("mmm", CASES, ours, theirs)
