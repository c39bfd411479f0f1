"""Threshold decoding beside Fast-dLLM: the input of every step and the final codes.

    python benchmarks/parity/fast_dllm.py FOLDER       # a checkout of github.com/NVlabs/Fast-dLLM

``llada/generate.py``, ``generate`` at temperature 0, by threshold and by count, in blocks. Equal in all cases.
"""

from __future__ import annotations

import sys

import numpy
import torch
from network import CODES, Network, compared, filled, functions

from tokenmask.sampling import (
    Blocks,
    BlockSchedule,
    Categorical,
    ConfidenceAbove,
    Sampler,
    UniformSchedule,
)
from tokenmask.scores import Blockwise, ConfidenceScore

NAMES = {"generate", "get_transfer_index", "get_num_transfer_tokens", "add_gumbel_noise"}
PROMPT, LENGTH, BLOCK = [3, 1, 4, 1], 24, 8


def main(folder: str) -> None:
    """Compares, and prints what was equal."""
    space = functions(folder, "llada/generate.py", NAMES, torch=torch, np=numpy, F=torch.nn.functional)
    order = Blockwise(ConfidenceScore(plain=True), BLOCK)
    cases = 0
    for seed in range(20):
        for threshold in (None, 0.3, 0.6, 0.9):
            its, mine = Network(len(PROMPT) + LENGTH, seed), Network(len(PROMPT) + LENGTH, seed)
            found, _ = space["generate"](
                its, torch.tensor([PROMPT]), 12, LENGTH, BLOCK, 0.0, "low_confidence", CODES, threshold
            )
            schedule = Blocks(UniformSchedule(), BLOCK)
            if threshold is not None:
                schedule = BlockSchedule(ConfidenceAbove(threshold), BLOCK)
            sampler = Sampler(12, schedule=schedule, order=order, pick=Categorical(0.0))
            codes = filled(sampler, mine, PROMPT, LENGTH)
            compared(f"seed {seed}, threshold {threshold}", (mine.seen, codes), (its.seen, found[0].tolist()))
            cases += 1
    print(f"{cases} generations are equal in every step")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("skipped: name a folder with a checkout of Fast-dLLM")
    main(sys.argv[1])
