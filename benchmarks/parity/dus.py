"""Dilated and bounded unmasking beside DUS: levels, the input of every step and the final codes.

    python benchmarks/parity/dus.py FOLDER       # a checkout of github.com/omerlux/DUS

``generate.py``: levels of all blocks up to 128 and three bases, the filter of spacing, and generations at temperature 0
without remasking, bounded by entropy and by confidence. Equal in all cases. Not compared, since theirs differs from
what its paper says: with remasking a slot that is hidden again is never filled, for its level is over;
``high_entropy`` hides the certain ones. Ours fills with the next level what ``RevokeUnlikely`` opened.
"""

from __future__ import annotations

import math
import random
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import torch
from common import Trace, compare, lifted
from network import CODES, Network, filled

from tokenmask.batch import collate
from tokenmask.layout import Layout
from tokenmask.sampling import (
    BlockSchedule,
    ByGroups,
    Categorical,
    ConfidenceAbove,
    EntropyBounded,
    Sampler,
    SamplerState,
)
from tokenmask.scores import (
    BinaryScore,
    Blockwise,
    ConfidenceScore,
    DilatedScore,
    EntropyScore,
    Score,
    ScoreContext,
    SpacedScore,
    binary_levels,
    dilated_levels,
)
from tokenmask.streams import StreamSpec, TokenStream

NAMES = [
    *("dilated_unmask_levels", "binary_search_levels", "merge_last_level", "apply_spacing_filter", "get_raw_entropy"),
    *("generate_scheduled", "generate_eb_sampler", "generate_cb_sampler", "get_mask_by_confidence"),
    *("add_gumbel_noise", "check_stop_generation"),
]
PROMPT, LENGTH, BLOCK = [3, 1, 4], 32, 16
COMMON = {"gen_length": LENGTH, "block_length": BLOCK, "temperature": 0.0, "mask_id": CODES}


def levels_are_equal(space: dict[str, Any]) -> int:
    """All blocks up to 128."""
    cases, merged = 0, space["merge_last_level"]
    for size in range(1, 129):
        its = [merged(space["dilated_unmask_levels"](0, size - 1, base, skip)) for base in (2, 3, 4) for skip in (1, 2)]
        mine = [dilated_levels(size, base, skip) for base in (2, 3, 4) for skip in (1, 2)]
        its.append(merged(space["binary_search_levels"](0, size - 1)))
        mine.append(binary_levels(size))
        for one, other in zip(mine, its, strict=True):
            if [sorted(level) for level in one] != [sorted(level) for level in other]:
                sys.exit(f"levels of {size} places differ: {one}, theirs {other}")
            cases += 1
    return cases


class Given(Score):
    """An order by numbers."""

    def __init__(self, values: torch.Tensor) -> None:
        self.values = values

    def __call__(self, context: ScoreContext) -> torch.Tensor:
        return self.values


def filters_are_equal(space: dict[str, Any]) -> int:
    """Random orders of a block."""
    spec = StreamSpec("text", (CODES,), ("index",))
    packed = Layout({"text": spec}).pack({"text": TokenStream(spec, torch.zeros(32, 1, dtype=torch.int32))})
    layout, draw = Layout({"text": spec}), random.Random(0)
    state = SamplerState.start(collate([packed], multiple=1), layout, torch.tensor([0]))
    for _ in range(200):
        best = draw.sample(range(32), 32)
        values = torch.zeros(1, 33, 1)
        for rank, place in enumerate(best):
            values[0, place + 1, 0] = -rank
        gap = draw.choice([2, 3, 5, 8, 20])
        context = ScoreContext(state.batch, state.is_open, state.seeds, state.keys)
        taken, _ = SpacedScore(Given(values), gap, 32).taken(context)
        accepted, _ = space["apply_spacing_filter"](best, gap)
        if sorted(accepted) != taken[0, 1:, 0].nonzero().squeeze(1).tolist():
            sys.exit(f"the filter with a gap of {gap} differs for {best}")
    return 200


ORDERS = {"dilated": DilatedScore(BLOCK), "binary": BinaryScore(BLOCK)}
CASES: dict[str, dict[str, Any]] = {
    f"{name} {number} of seed {seed}": {"name": name, "number": number, "seed": seed}
    for seed in range(3)
    for name, number in (("dilated", 0.0), ("binary", 0.0), ("eb", 0.5), ("eb", 4.0), ("cb", 0.3), ("cb", 0.6))
}


def ours(name: str, number: float, seed: int) -> Trace:
    """Args:
    name: "dilated" or "binary" levels, or bounded by entropy ("eb") or confidence ("cb").
    number: bits, or the threshold.
    seed: of the small network.
    """
    sampler = Sampler(1, pick=Categorical(0.0))
    if name in ORDERS:
        sampler = replace(sampler, order=ORDERS[name], schedule=ByGroups(ORDERS[name]))
    elif name == "eb":
        schedule = BlockSchedule(EntropyBounded(number * math.log(2)), BLOCK)
        sampler = replace(sampler, order=Blockwise(EntropyScore(), BLOCK), schedule=schedule)
    else:
        schedule = BlockSchedule(ConfidenceAbove(number), BLOCK)
        sampler = replace(sampler, order=Blockwise(ConfidenceScore(plain=True), BLOCK), schedule=schedule)
    network = Network(len(PROMPT) + LENGTH, seed)
    return {"codes": filled(sampler, network, PROMPT, LENGTH), "inputs": network.seen}


def theirs(checkout: Path, name: str, number: float, seed: int) -> Trace:
    network = Network(len(PROMPT) + LENGTH, seed)
    options: dict[str, Any] = {"scheduler": name, "remasking": "none"}
    if name not in ORDERS:
        options = {{"eb": "gamma", "cb": "tau"}[name]: number, "steps": LENGTH}
    loop = official(checkout)["generate_scheduled" if name in ORDERS else f"generate_{name}_sampler"]
    found, _ = loop(network, torch.tensor([PROMPT]), **COMMON, **options)
    return {"codes": found[0].tolist(), "inputs": network.seen}


def official(checkout: Path) -> dict[str, Any]:
    """Functions of their file."""
    space = {"torch": torch, "np": numpy, "F": torch.nn.functional, "gc": SimpleNamespace(collect=lambda: None)}
    return lifted(checkout / "generate.py", NAMES, space)


if __name__ == "__main__":
    folder = compare("dus", CASES, ours, theirs)
    print(f"{levels_are_equal(official(folder))} lists of levels and {filters_are_equal(official(folder))} filters")
