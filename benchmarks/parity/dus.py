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
from types import SimpleNamespace
from typing import Any, Optional, Union

import numpy
import torch
from network import CODES, Network, compared, filled, functions

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

NAMES = {
    *("dilated_unmask_levels", "binary_search_levels", "merge_last_level", "apply_spacing_filter", "get_raw_entropy"),
    *("generate_scheduled", "generate_eb_sampler", "generate_cb_sampler", "get_mask_by_confidence"),
    *("add_gumbel_noise", "check_stop_generation"),
}
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


def generations_are_equal(space: dict[str, Any]) -> int:
    """Small networks of 15 seeds."""
    cases, greedy = 0, Categorical(0.0)
    entropy = Blockwise(EntropyScore(), BLOCK)
    confident = Blockwise(ConfidenceScore(plain=True), BLOCK)
    for seed in range(15):
        kinds: list[tuple[str, dict[str, Any], Sampler]] = []
        for scheduler, order in (("dilated", DilatedScore(BLOCK)), ("binary", BinaryScore(BLOCK))):
            options = {"scheduler": scheduler, "remasking": "none"}
            kinds.append(
                ("generate_scheduled", options, Sampler(1, order=order, schedule=ByGroups(order), pick=greedy))
            )
        for bits in (0.5, 4.0):
            schedule = BlockSchedule(EntropyBounded(bits * math.log(2)), BLOCK)
            options = {"gamma": bits, "steps": LENGTH}
            kinds.append(("generate_eb_sampler", options, Sampler(1, order=entropy, schedule=schedule, pick=greedy)))
        for tau in (0.3, 0.6):
            schedule = BlockSchedule(ConfidenceAbove(tau), BLOCK)
            options = {"tau": tau, "steps": LENGTH}
            kinds.append(("generate_cb_sampler", options, Sampler(1, order=confident, schedule=schedule, pick=greedy)))
        for name, options, sampler in kinds:
            its, mine = Network(len(PROMPT) + LENGTH, seed), Network(len(PROMPT) + LENGTH, seed)
            found, _ = space[name](its, torch.tensor([PROMPT]), **COMMON, **options)
            codes = filled(sampler, mine, PROMPT, LENGTH)
            compared(f"{name} {options} of seed {seed}", (mine.seen, codes), (its.seen, found[0].tolist()))
            cases += 1
    return cases


def main(folder: str) -> None:
    """Compares, and prints what was equal."""
    given = {"Any": Any, "List": list, "Optional": Optional, "Tuple": tuple, "Union": Union, "AutoTokenizer": object}
    quiet = SimpleNamespace(collect=lambda: None)
    space = functions(folder, "generate.py", NAMES, torch=torch, np=numpy, F=torch.nn.functional, gc=quiet, **given)
    levels, filters, generations = levels_are_equal(space), filters_are_equal(space), generations_are_equal(space)
    print(f"{levels} lists of levels, {filters} filters and {generations} generations are equal in every step")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("skipped: name a folder with a checkout of DUS")
    main(sys.argv[1])
