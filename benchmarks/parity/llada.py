"""LLaDA, ML-GSAI/LLaDA: ``generate`` beside our loop.

``python benchmarks/parity/llada.py FOLDER`` with a folder that holds the official checkout. Equal: the inputs of every
step and the codes, in one block and in several, with steps that do not divide a block, with a prompt that guidance
hides, in random order, best codes and drawn ones (theirs are drawn by the largest of many Gumbel numbers, which has the
law of the one number that both sides use here); ends of a text that are forbidden, or revealed last at temperature 0.
Theirs alone: above temperature 0 the first of the two codes that are to come last does not; guidance without an
attention mask fails; and where two candidates have one confidence, as ends have, their order is that of ``topk``.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from common import Network, Ours, Patched, Trace, compare, inverse, lifted

from tokenmask.sampling import (
    AllowAll,
    Blocks,
    Categorical,
    ClassifierFree,
    ForbidCodes,
    NoGuidance,
    Sampler,
    Suppressed,
    UniformSchedule,
)
from tokenmask.scores import Blockwise, ConfidenceScore, RandomScore

CASES: dict[str, dict[str, Any]] = {
    "whole": {"steps": 24, "block": 24},
    "few": {"steps": 7, "block": 24},
    "blocks": {"steps": 12, "block": 8},
    "uneven": {"steps": 9, "block": 8},
    "drawn": {"steps": 12, "block": 12, "temperature": 0.7},
    "guided": {"steps": 8, "block": 12, "scale": 1.5},
    "random": {"steps": 10, "block": 12, "temperature": 0.7, "random": True},
    "ends last": {"steps": 12, "block": 12, "late": True},
    "ends last, guided": {"steps": 8, "block": 24, "scale": 1.0, "late": True},
    "no end": {"steps": 12, "block": 12, "temperature": 0.7, "never": True},
}
ENDS = (25, 22)  # codes that are drawn often, as if of the end of a text and of a turn
ROWS, PROMPT, ANSWER, CODES = 2, 6, 24, 32


def side() -> Ours:
    length = PROMPT + ANSWER
    codes = (torch.arange(ROWS * length) * 7 % CODES).view(ROWS, length, 1)
    return Ours(Network(CODES, length, seed=8), codes, (torch.arange(length) < PROMPT).expand(ROWS, length), seed=31)


def ours(
    steps: int,
    block: int,
    temperature: float = 0.0,
    scale: float = 0.0,
    late: bool = False,
    never: bool = False,
    random: bool = False,
) -> Trace:
    plain = not (late or never)
    sampler = Sampler(
        steps,
        schedule=Blocks(UniformSchedule(), block),
        order=Blockwise(RandomScore() if random else ConfidenceScore(plain=plain), block),
        pick=Categorical(temperature)
        if plain
        else Suppressed(Categorical(temperature), {"audio": ENDS} if late else {}),
        constraint=ForbidCodes({"audio": ENDS[:1]}) if never else AllowAll(),
        guidance=ClassifierFree(1 + scale, conditions="hidden") if scale else NoGuidance(),
    )
    return side().run(sampler)


def theirs(
    checkout: Path,
    steps: int,
    block: int,
    temperature: float = 0.0,
    scale: float = 0.0,
    late: bool = False,
    never: bool = False,
    random: bool = False,
) -> Trace:
    own = side()
    inputs: list[Any] = []

    def model(ids: Any, attention_mask: Any = None) -> Any:
        inputs.append(ids[:ROWS, :, None].tolist())
        return SimpleNamespace(logits=own.network(ids[:, :, None])[:, :, 0])

    def noisy(logits: Any, temperature: float) -> Any:
        """Largest where a draw of the softmax at that temperature falls."""
        if temperature == 0:
            return logits
        drawn = inverse((logits / temperature).softmax(-1), own.draws(len(inputs) - 1)[0])
        return torch.nn.functional.one_hot(drawn, CODES).double()

    class Model:
        device = torch.device("cpu")

        def __call__(self, *arguments: Any, **named: Any) -> Any:
            return model(*arguments, **named)

    def rand(size: Any, device: Any = None) -> Any:
        return own.draws(len(inputs) - 1)[1].clone()

    space = {"torch": Patched(torch, rand=rand), "np": np, "F": torch.nn.functional}
    helper = lifted(checkout / "generate.py", ["get_num_transfer_tokens"], space)
    space |= {**helper, "add_gumbel_noise": noisy}
    ends = dict(zip((126081, 126348), ENDS, strict=True))
    generate = lifted(checkout / "generate.py", ["generate"], space, ends)["generate"]
    prompt = own.neutral(own.batch)[:, :PROMPT, 0]
    codes = generate(
        Model(),
        prompt,
        torch.ones_like(prompt),
        steps=steps,
        gen_length=ANSWER,
        block_length=block,
        temperature=temperature,
        cfg_scale=scale,
        remasking="random" if random else "low_confidence",
        mask_id=CODES,
        logits_eos_inf=never,
        confidence_eos_eot_inf=late,
    )
    return {"inputs": inputs, "codes": codes[:, :, None].tolist()}


if __name__ == "__main__":
    compare("llada", CASES, ours, theirs)
