"""MoMask, EricGuo5513/momask-codes: the masked and the residual ``generate`` beside our loop.

``python benchmarks/parity/momask.py FOLDER`` with a folder that holds the official checkout. Equal: the inputs of every
step and the codes, for rows of several lengths, with guidance, the cut to a tenth of the codes, and holes of an edit.
Each residual level is one step of a stage; theirs draws there by the largest of many Gumbel numbers, which has the law
of the one number that both sides use here. Theirs alone: a count such as 49 cos(pi / 3) = 24.5 is rounded in float32.
"""

from __future__ import annotations

import ast
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from common import Network, Ours, Trace, compare, inverse, lifted

from tokenmask.sampling import Categorical, ClassifierFree, NoGuidance, ProcessSchedule, Sampler, Stage
from tokenmask.scores import ConfidenceScore

CASES: dict[str, dict[str, Any]] = {
    "plain": {"lengths": (31, 22, 9), "steps": 10},
    "guided": {"lengths": (31, 26), "steps": 10, "scale": 4.0},
    "holes": {"lengths": (31, 31), "steps": 6, "hole": 14},
    "residual": {"lengths": (20, 13), "steps": 5, "levels": 3, "scale": 2.0},
}
CODES = 48
TOP = 5  # of 48 codes, a tenth rounded up


def side(lengths: tuple[int, ...], levels: int, scale: float, hole: int) -> Ours:
    rows, length = len(lengths), max(lengths)
    network = Network(CODES, length, levels, seed=4)
    codes = (torch.arange(rows * length * levels) * 5 % CODES).view(rows, length, levels)
    given = (torch.arange(length) < length - hole).expand(rows, length) if hole else None
    return Ours(network, codes, given, lengths, told=scale != 1, seed=11)


def ours(lengths: tuple[int, ...], steps: int, levels: int = 1, scale: float = 1.0, hole: int = 0) -> Trace:
    sampler = Sampler(
        stages=(Stage(steps, (0,)), *(Stage(1, (level,)) for level in range(1, levels))),
        schedule=ProcessSchedule(rounding="round", grid="ends"),
        order=ConfidenceScore(),
        pick=Categorical(1.0, top_k=TOP),
        guidance=NoGuidance() if scale == 1 else ClassifierFree(scale),
    )
    return side(tuple(lengths), levels, scale, hole).run(sampler)


def theirs(
    checkout: Path, lengths: tuple[int, ...], steps: int, levels: int = 1, scale: float = 1.0, hole: int = 0
) -> Trace:
    own = side(tuple(lengths), levels, scale, hole)
    inputs: list[Any] = []
    codes = torch.full((len(lengths), max(lengths), levels), CODES)
    level = 0
    there = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    codes[~there] = CODES + 1

    def uniforms() -> Any:
        return own.draws(len(inputs) - 1, level)[0]

    def asked(now: Any, strength: float) -> Any:
        codes[:, :, level] = torch.where(there, now, CODES + 1)
        inputs.append(codes.tolist())
        told = torch.ones(len(lengths), dtype=torch.bool)
        conditional = own.network(codes, told if scale != 1 else None)[:, :, level]
        if strength != 1:
            without = own.network(codes, ~told)[:, :, level]
            conditional = without + (conditional - without) * strength
        return conditional.permute(0, 2, 1)

    class Drawn:
        """What ``torch.distributions.Categorical`` is there."""

        def __init__(self, probs: Any) -> None:
            self.probs = probs

        def sample(self) -> Any:
            return inverse(self.probs, uniforms())

    files = checkout / "models" / "mask_transformer"
    helpers = lifted(
        files / "tools.py", ["top_k", "lengths_to_mask", "cosine_schedule"], {"torch": torch, "math": math}
    )
    space = {
        **helpers,
        "torch": torch,
        "F": torch.nn.functional,
        "Categorical": Drawn,
        "gumbel_sample": lambda logits, temperature, dim: inverse((logits / temperature).softmax(dim), uniforms()),
        "repeat": lambda value, how, b: value[None].expand(b, *value.shape),
    }
    first, second = _two_of_a_name(files / "transformer.py", "edit" if hole else "generate", space)
    itself = SimpleNamespace(
        parameters=lambda: iter([torch.zeros(1)]),
        cond_mode="uncond",
        latent_dim=4,
        pad_id=CODES + 1,
        mask_id=CODES,
        noise_schedule=helpers["cosine_schedule"],
        forward_with_cond_scale=lambda ids, cond_vector, padding_mask, cond_scale, force_mask: asked(ids, cond_scale),
    )
    sizes = torch.tensor(lengths)
    if hole:
        tokens = own.neutral(own.batch)[:, :, 0]
        holes = torch.arange(max(lengths)).expand(tokens.shape) >= max(lengths) - hole
        done = first(itself, None, tokens, sizes, steps, scale, edit_mask=holes)
        return {"inputs": inputs, "codes": done[:, :, None].tolist()}
    done = first(itself, None, sizes, steps, scale)
    codes[:, :, 0] = torch.where(done < 0, CODES + 1, done)
    if levels == 1:
        return {"inputs": inputs, "codes": codes.tolist()}

    # The sum of embeddings that they hand on stands for the codes below, which the network is given here.
    def gather(history: Any, number: int, vector: Any, padding: Any, cond_scale: float) -> Any:
        nonlocal level
        level = number
        codes[:, :, number - 1] = torch.where(there, history[:, :, number - 1].long(), CODES + 1)
        return asked(torch.full(there.shape, CODES), cond_scale)

    # Code c of level q has a vector that shows c at place q - 1 alone, so that their sum is all codes below.
    shown = torch.zeros(levels, CODES + 2, levels)
    for number in range(levels):
        shown[number, :, number] = torch.arange(CODES + 2)
    space["repeat"] = _repeat
    _, second = _two_of_a_name(files / "transformer.py", "generate", space)
    residual = SimpleNamespace(
        **{name: value for name, value in vars(itself).items() if name != "forward_with_cond_scale"},
        process_embed_proj_weight=lambda: None,
        token_embed_weight=shown,
        opt=SimpleNamespace(num_quantizers=levels),
        forward_with_cond_scale=gather,
    )
    done = second(residual, codes[:, :, 0].clone(), [None] * len(lengths), sizes, cond_scale=scale)
    return {"inputs": inputs, "codes": torch.where(done < 0, CODES + 1, done).tolist()}


def _repeat(value: Any, how: str, **sizes: int) -> Any:
    if how == "c d -> b c d":
        return value[None].expand(sizes["b"], *value.shape)
    return value[:, :, None].expand(*value.shape, sizes["d"])


def _two_of_a_name(path: Path, name: str, space: dict[str, Any]) -> tuple[Any, Any]:
    """The functions of one name in the two classes of a file, in that order."""
    if not path.is_file():
        raise SystemExit(f"skipped: {path} is not there; give the folder of the official checkout")
    found = []
    for kind in ast.parse(path.read_text(encoding="utf-8")).body:
        own = [n for n in getattr(kind, "body", []) if isinstance(n, ast.FunctionDef) and n.name == name]
        for node in own:
            node.decorator_list.clear()
            scope = dict(space)
            exec(compile(ast.fix_missing_locations(ast.Module([node], [])), str(path), "exec"), scope)
            found.append(scope[name])
    if len(found) != 2:
        raise SystemExit(f"skipped: {path.name} has {len(found)} functions {name}; it is another version")
    return found[0], found[1]


if __name__ == "__main__":
    compare("momask", CASES, ours, theirs)
