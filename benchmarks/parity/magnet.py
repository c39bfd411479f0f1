"""MAGNeT, facebookresearch/audiocraft: ``MagnetLMModel._generate_stage`` and the span masks of its solver.

``python benchmarks/parity/magnet.py FOLDER`` with a folder that holds the official checkout. Equal: the inputs of every
step of every level and the codes, with guidance that falls, a temperature that falls to 0.01, top-p and a prompt of
whole runs; spans that overlap ("stride1") too; the table from rates to numbers of spans; and the masks of the same
starts. Theirs alone: where all codes of several runs have probability 1 in float32, their order is that of ``topk``;
with top-k the probabilities that rank runs are those after the cut, which ``Truncated`` says here; a prompt that ends
inside a run is written back, so that the run counts as a whole one; without any condition the loop fails; 10 runs after
2 of 4 steps are 5 there, of 10 cos(pi / 3) in float32, and 4 here, of a double below 5.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from common import Network, Ours, Patched, Trace, compare, inverse, lifted

from tokenmask.masking import FixedRate, Masker
from tokenmask.sampling import (
    Categorical,
    Chunks,
    ClassifierFree,
    NeverRevoke,
    NoGuidance,
    RevealAll,
    RevokeSpans,
    Sampler,
    Stage,
)
from tokenmask.scores import ChunkScore, ScoreContext, SpanUnion, slot_noise, span_starts

CASES: dict[str, dict[str, Any]] = {
    "max": {"how": "max", "steps": (5, 3)},
    "prod": {"how": "prod", "steps": (6, 2), "temperature": 1.0},
    "guided": {"how": "max", "steps": (5, 3), "guided": True},
    "prompt": {"how": "max", "steps": (5, 2), "prompt": 6, "top_p": 1.0},
    "stride1": {"steps": (6, 4), "stride": True},
    "stride1, prompt": {"steps": (7, 3), "prompt": 7, "temperature": 1.0, "stride": True},
    "spans": {"spans": 3},
}
ROWS, LENGTH, CODES, SPAN = 2, 30, 24, 3


def side(prompt: int, guided: bool) -> Ours:
    network = Network(CODES, LENGTH, 2, seed=2, scale=0.3)
    codes = (torch.arange(ROWS * LENGTH * 2) * 7 % CODES).view(ROWS, LENGTH, 2)
    given = (torch.arange(LENGTH) < prompt).expand(ROWS, LENGTH)
    return Ours(network, codes, given, told=guided, seed=5)


def ours(
    how: Any = "max",
    steps: tuple[int, ...] = (),
    temperature: float = 3.0,
    top_p: float = 0.9,
    guided: bool = False,
    prompt: int = 0,
    spans: int = 0,
    stride: bool = False,
) -> Trace:
    if spans:
        return our_spans(spans)
    sampler = Sampler(
        revoke=RevokeSpans(SPAN) if stride else NeverRevoke(),
        stages=tuple(Stage(number, (level,)) for level, number in enumerate(steps)),
        schedule=RevealAll() if stride else Chunks(span=SPAN),
        order=ChunkScore(SPAN, how),
        pick=Categorical(temperature, 0.0, top_p=top_p, grid="after", least=0.01),
        guidance=ClassifierFree(10.0, 1.0, "cosine", grid="ends") if guided else NoGuidance(),
    )
    return side(prompt, guided).run(sampler)


def theirs(
    checkout: Path,
    how: Any = "max",
    steps: tuple[int, ...] = (),
    temperature: float = 3.0,
    top_p: float = 0.9,
    guided: bool = False,
    prompt: int = 0,
    spans: int = 0,
    stride: bool = False,
) -> Trace:
    if spans:
        return their_spans(checkout, spans)
    own = side(prompt, guided)
    inputs: list[Any] = []
    level, orders = 0, []

    def sort(values: Any, **how: Any) -> Any:
        found = torch.sort(values, **how)
        orders.append(found.indices)
        return found

    def multinomial(probs: Any, num_samples: int) -> Any:
        """Draws in the order of the codes, also where they were sorted."""
        uniforms = own.draws(len(inputs) - 1, level)[0][:, None]
        if not orders:
            return inverse(probs, uniforms)[..., None]
        order = orders.pop()
        back = order.argsort(-1)
        return back.gather(-1, inverse(probs.gather(-1, back), uniforms)[..., None])

    def model(sequence: Any, conditions: Any, told: Any, stage: int) -> Any:
        codes = sequence.transpose(1, 2)
        inputs.append(codes[:ROWS].tolist())
        flags = torch.arange(codes.shape[0]) < ROWS if guided else None
        return own.network(codes, flags).permute(0, 2, 1, 3)

    files = checkout / "audiocraft"
    drawn = lifted(
        files / "utils" / "utils.py", ["sample_top_p"], {"torch": Patched(torch, sort=sort), "multinomial": multinomial}
    )
    utils = SimpleNamespace(**drawn, multinomial=multinomial)
    space = {"torch": torch, "math": math, "utils": utils}
    names = ["_generate_stage", "_construct_spans_mask", "_least_probable_span_masking"]
    file = lifted(files / "models" / "lm_magnet.py", names, space)
    stage_of = file["_generate_stage"]

    class Model(SimpleNamespace):
        _construct_spans_mask = file["_construct_spans_mask"]
        _least_probable_span_masking = file["_least_probable_span_masking"]

        def __call__(self, *arguments: Any, **named: Any) -> Any:
            return model(*arguments, **named)

    itself = Model(special_token_id=CODES, _fsdp=None, span_len=SPAN)
    sequence = torch.full((ROWS, 2, LENGTH), CODES)
    given = own.neutral(own.batch).transpose(1, 2)[..., :prompt]
    sequence[..., :prompt] = given
    for level, number in enumerate(steps):  # read by multinomial
        sequence, _ = stage_of(
            itself,
            sequence,
            {"text": 1},  # without any condition their loop has no sequence to give to the model
            level,
            torch.device("cpu"),
            prompt,
            given,
            temp=temperature,
            max_cfg_coef=10.0 if guided else 1.0,
            top_p=top_p if top_p < 1 else 0.0,
            timesteps=number,
            span_scoring=how,
            span_arrangement="stride1" if stride else "nonoverlap",
        )
    return {"inputs": inputs, "codes": sequence.transpose(1, 2).tolist()}


SIZE, RATES = 50, (0.0, 0.1, 0.38, 0.8, 1.0)


def our_spans(span: int) -> Trace:
    """Masks of a row for some rates, and the table."""
    own = Ours(Network(CODES, SIZE), torch.zeros(1, SIZE, 1))
    masked = [Masker(FixedRate(max(rate, 1e-6)), SpanUnion(span))(own.batch, own.layout, seed=9) for rate in RATES]
    # The rate of a masker has a count, of which there is one at least; the strategy is asked as the paper means it.
    context = ScoreContext(own.batch, own.batch.to_fill, torch.tensor([9]), own.batch.sample_ids)
    counts = [SpanUnion(span).spread(context, torch.tensor([rate])) for rate in RATES]
    hidden = [one.hidden[0, own.first :, 0].int().tolist() for one in masked[1:]]
    return {
        "inputs": [list(span_starts(SIZE, span))],
        "codes": [hidden, [int(one) for one in counts if one is not None]],
    }


def their_spans(checkout: Path, span: int) -> Trace:
    own = Ours(Network(CODES, SIZE), torch.zeros(1, SIZE, 1))
    context = ScoreContext(own.batch, own.batch.to_fill, torch.tensor([9]), own.batch.sample_ids)
    best = slot_noise(context)[0, own.first :, 0].argsort(descending=True)
    # Of the places whose number in their permutation is below k, which are then our k best starts.
    places = torch.empty(SIZE)
    places[best.argsort()] = torch.arange(SIZE).float()
    space = {"torch": Patched(torch, rand=lambda size, device=None: places[None]), "np": np, "rearrange": _column}
    names = ["_calc_mean_maskrate_to_u_LUT", "_spans_mask"]
    solver = lifted(checkout / "audiocraft" / "solvers" / "magnet.py", names, space)
    itself = SimpleNamespace(cfg=SimpleNamespace(masking=SimpleNamespace(span_len=span)))
    table = solver["_calc_mean_maskrate_to_u_LUT"](itself, SIZE)
    itself.mean_maskrate_to_u = torch.tensor(table)
    masks = [solver["_spans_mask"](itself, torch.tensor([rate]), 1, SIZE, torch.device("cpu"))[0] for rate in RATES]
    return {
        "inputs": [table],
        "codes": [[mask.int().tolist() for mask in masks[1:]], [int(mask.sum()) for mask in masks]],
    }


def _column(value: torch.Tensor, how: str) -> torch.Tensor:
    return value[:, None]


if __name__ == "__main__":
    compare("magnet", CASES, ours, theirs)
