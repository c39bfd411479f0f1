"""What published loops did with a small network: in which step each place was filled, and the codes.

Recorded by the scripts of ``benchmarks/parity`` from Fast-dLLM, DUS and Halton-MaskGIT. A place that is filled in
another step, or by another code, changes what the network says of all others.
"""

import importlib
import math
from pathlib import Path

import pytest
import torch

from tokenmask.sampling import (
    Blocks,
    BlockSchedule,
    ByGroups,
    Categorical,
    ConfidenceAbove,
    EntropyBounded,
    Sampler,
    UniformSchedule,
)
from tokenmask.scores import BinaryScore, Blockwise, ConfidenceScore, DilatedScore, EntropyScore

# Name -> the number of inputs in which each place is still hidden, and its code in the end.
RECORDED = {
    "by count": (
        "0 0 0 0 4 1 1 4 3 3 2 2 6 8 7 5 6 5 7 8 10 12 10 9 9 12 11 11",
        "3 1 4 1 0 0 0 0 0 0 0 0 0 10 0 0 0 0 0 11 1 11 10 0 0 11 10 10",
    ),
    "threshold 0.3": (
        "0 0 0 0 1 1 1 1 1 1 1 1 2 2 2 2 2 2 2 2 3 3 3 3 3 3 3 3",
        "3 1 4 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 2 10 0 0 10 10 0",
    ),
    "threshold 0.9": (
        "0 0 0 0 1 1 1 1 1 2 1 1 3 5 3 3 3 3 3 4 11 12 8 7 6 13 9 10",
        "3 1 4 1 0 0 0 0 0 0 0 0 0 10 0 0 0 0 0 11 2 11 10 0 0 11 10 10",
    ),
    "dilated": (
        "0 0 0 1 4 3 4 2 4 3 4 1 4 3 4 2 4 3 4 5 8 7 8 6 8 7 8 5 8 7 8 6 8 7 8",
        "3 1 4 4 4 4 0 4 4 4 0 4 0 4 4 4 0 0 4 0 0 0 0 3 0 0 0 10 0 1 0 0 0 0 0",
    ),
    "binary": (
        "0 0 0 4 3 4 2 4 3 4 1 4 3 4 2 4 3 4 4 8 7 8 6 8 7 8 5 8 7 8 6 8 7 8 8",
        "3 1 4 1 4 4 4 0 4 4 4 0 4 0 4 4 4 0 4 0 2 0 0 0 0 0 0 10 0 1 0 0 1 0 0",
    ),
    "entropy 4 bits": (
        "0 0 0 2 1 1 1 1 1 1 1 2 2 2 1 1 1 1 1 3 6 3 3 5 4 3 3 4 3 6 3 3 5 4 3",
        "3 1 4 0 4 4 4 4 4 4 4 0 0 0 4 4 4 4 4 0 11 0 0 0 0 0 0 10 0 9 0 4 11 0 0",
    ),
    "halton": (
        "8 8 5 7 4 8 6 2 7 3 5 1 8 4 8 7 4 8 2 8 6 1 8 5 6 2 8 7 5 7 3 8 "
        "2 6 1 8 8 5 7 4 7 4 8 3 8 6 1 8 1 8 8 4 7 3 8 6 8 7 3 6 2 8 5 8",
        "11 3 3 3 3 3 3 3 3 3 3 3 3 3 11 3 3 11 3 3 3 3 3 3 3 3 11 3 3 3 11 3 "
        "3 11 3 3 3 3 11 3 3 3 11 11 3 3 3 3 3 11 3 3 3 3 11 3 3 3 3 3 3 11 3 11",
    ),
}  # fmt: skip
CONFIDENT, CERTAIN = Blockwise(ConfidenceScore(plain=True), 8), Blockwise(EntropyScore(), 16)
LEVELS = {"dilated": DilatedScore(16), "binary": BinaryScore(16)}
GREEDY = Categorical(0.0)
THRESHOLDS = {f"threshold {least}": BlockSchedule(ConfidenceAbove(least), 8) for least in (0.3, 0.9)}
SAMPLERS = {
    "by count": Sampler(12, schedule=Blocks(UniformSchedule(), 8), order=CONFIDENT, pick=GREEDY),
    "entropy 4 bits": Sampler(
        1, schedule=BlockSchedule(EntropyBounded(4 * math.log(2)), 16), order=CERTAIN, pick=GREEDY
    ),
    **{name: Sampler(1, schedule=one, order=CONFIDENT, pick=GREEDY) for name, one in THRESHOLDS.items()},
    **{name: Sampler(1, schedule=ByGroups(one), order=one, pick=GREEDY) for name, one in LEVELS.items()},
}


@pytest.fixture(name="parity")
def _parity(monkeypatch):
    """The scripts' modules."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "benchmarks" / "parity"))
    return importlib.import_module


def hidden_in(seen) -> str:
    """In how many of the inputs each place of the first row is hidden, 12 standing for MASK."""
    return " ".join(str(sum(rows[0][place] == 12 for rows in seen)) for place in range(len(seen[0][0])))


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_a_text_is_filled_as_by_the_published_loop(parity, name):
    common = parity("network")
    prompt, length = ([3, 1, 4, 1], 24) if SAMPLERS[name].order == CONFIDENT else ([3, 1, 4], 32)
    network = common.Network(len(prompt) + length, 0)
    codes = common.filled(SAMPLERS[name], network, prompt, length)
    assert (hidden_in(network.seen), " ".join(map(str, codes))) == RECORDED[name]


def test_a_picture_is_filled_as_by_the_published_loop(parity):
    halton = parity("halton")
    network = parity("network").Network(64, 0)
    codes, _ = halton.ours(network, torch.tensor([3]), 8, False)
    assert (hidden_in(network.seen), " ".join(map(str, codes[0]))) == RECORDED["halton"]
