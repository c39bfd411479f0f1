"""sample_codes draws from exactly the filtered softmax: chi-square of 2^18 draws for every filter, alone and combined.

Each test of frequencies has a false-alarm rate of 1e-7, by the quantile of Wilson and Hilferty, which is within 1 %.
With about 30 of them, a right kernel fails the file once in 300,000 changes of seed; the seeds are fixed.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tokenmask.ops import sample_codes

DRAWS = 2**18
CODES = 60
_NORMAL_QUANTILE = 5.2  # of 1 - 1e-7


def chi_square_limit(degrees: int) -> float:
    """What chi-square of so many degrees exceeds with probability 1e-7."""
    share = 2 / (9 * degrees)
    return float(degrees * (1 - share + _NORMAL_QUANTILE * math.sqrt(share)) ** 3)


def filtered_softmax(logits: Tensor, options: dict[str, Any]) -> Tensor:
    """The probabilities of the docstring's steps 1 to 6 in float64, for one row."""
    z = logits.double()
    if "uncond" in options:
        base = options["uncond"].double()
        z = base + options["guidance"] * (z - base)
    if "allowed" in options:
        z = z.masked_fill(~options["allowed"], -math.inf)
    p = (z / options.get("temperature", 1.0)).softmax(0)
    order = z.argsort(descending=True, stable=True)
    ranked = p[order]
    if options.get("top_k"):
        ranked[options["top_k"] :] = 0
    ranked = ranked / ranked.sum()
    ranked = ranked * (ranked.cumsum(0) - ranked < options.get("top_p", 1.0))
    ranked = ranked * (ranked >= options.get("min_p", 0.0) * ranked[0])
    return torch.zeros_like(p).scatter(0, order, ranked / ranked.sum())


def make_row(seed: int) -> Tensor:
    return torch.randn(CODES, generator=torch.Generator().manual_seed(seed))


GUIDED = {"uncond": make_row(1), "guidance": 2.5}
ALLOWED = {"allowed": torch.rand(CODES, generator=torch.Generator().manual_seed(2)) < 0.6}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"temperature": 0.5},
    {"temperature": 1.7},
    {"top_k": 7},
    {"top_p": 0.8},
    {"min_p": 0.2},
    GUIDED,
    ALLOWED,
    {"temperature": 0.7, "top_k": 12},
    {"temperature": 1.3, "top_p": 0.6},
    {"top_k": 20, "top_p": 0.7},
    {"top_k": 20, "min_p": 0.3},
    {"top_p": 0.9, "min_p": 0.15},
    {**GUIDED, "top_p": 0.9},
    {**ALLOWED, "top_k": 9},
    {**GUIDED, **ALLOWED, "temperature": 0.8, "top_k": 25, "top_p": 0.85, "min_p": 0.05},
]


def draw(logits: Tensor, options: dict[str, Any], seed: int) -> Tensor:
    rows = {name: value.expand(DRAWS, -1) if name == "uncond" else value for name, value in options.items()}
    counters = torch.arange(DRAWS) * 5 - 2**40
    return sample_codes(logits.expand(DRAWS, -1), seed=seed, counters=counters, **rows)[0].long()


def assert_drawn_from(codes: Tensor, p: Tensor) -> None:
    observed = torch.bincount(codes, minlength=len(p)).double()
    assert bool((observed[p == 0] == 0).all())
    expected = p[p > 0] * len(codes)
    degrees = len(expected) - 1
    if degrees:
        assert float(expected.min()) > 5  # else chi-square is no chi-square
        assert float(((observed[p > 0] - expected).square() / expected).sum()) < chi_square_limit(degrees)


@pytest.mark.parametrize("index", range(len(OPTIONS)))
def test_frequencies(index: int) -> None:
    logits = make_row(0)
    assert_drawn_from(draw(logits, OPTIONS[index], seed=100 + index), filtered_softmax(logits, OPTIONS[index]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_frequencies_of_half_precision(dtype: torch.dtype) -> None:
    logits = make_row(0).to(dtype)
    for options in ({}, {"top_p": 0.8}):
        assert_drawn_from(draw(logits, options, seed=7), filtered_softmax(logits.float(), options))


def test_frequencies_on_every_instruction_set(capability: str) -> None:
    logits = make_row(3)
    assert_drawn_from(
        draw(logits, {"top_k": 30, "top_p": 0.9}, seed=9),
        filtered_softmax(logits, OPTIONS[0] | {"top_k": 30, "top_p": 0.9}),
    )


def test_a_wrong_law_is_noticed() -> None:
    """The test has power: draws of a temperature 3 % off, and of a top-p that keeps one code more, fail it."""
    logits = make_row(0)
    with pytest.raises(AssertionError):
        assert_drawn_from(draw(logits, {"temperature": 1.03}, seed=1), filtered_softmax(logits, {}))
    with pytest.raises(AssertionError):
        assert_drawn_from(draw(logits, {"top_k": 8}, seed=1), filtered_softmax(logits, {"top_k": 7}))


def test_neighbouring_counters_and_seeds_are_independent() -> None:
    """Pairs of draws of 8 codes: 63 degrees against the product of the laws, for counters next to each other and for
    the same counter under two seeds."""
    logits = make_row(0)[:8]
    p = logits.double().softmax(0)
    pairs = p[:, None] * p[None]
    counters = torch.arange(DRAWS)
    first = sample_codes(logits.expand(DRAWS, -1), seed=1, counters=counters)[0].long()
    second = sample_codes(logits.expand(DRAWS, -1), seed=2, counters=counters)[0].long()
    assert_drawn_from(first[:-1:2] * 8 + first[1::2], pairs.flatten())
    assert_drawn_from(first * 8 + second, pairs.flatten())


@pytest.mark.parametrize("index", range(len(OPTIONS)))
def test_a_row_is_drawn_alone(index: int, capability: str) -> None:
    """Batch, order of rows and strides: a row's four results depend on nothing but the row, bit for bit."""
    g = torch.Generator().manual_seed(index)
    logits, uncond = torch.randn(90, 333, generator=g) * 3, torch.randn(90, 333, generator=g)
    options = {name: value for name, value in OPTIONS[index].items() if name not in ("uncond", "allowed")}
    rows: dict[str, Tensor] = {"uncond": uncond} if "uncond" in OPTIONS[index] else {}
    if "allowed" in OPTIONS[index]:
        rows["allowed"] = torch.rand(90, 333, generator=g) < 0.5
    counters = torch.arange(90) * 3
    whole = sample_codes(logits, seed=4, counters=counters, **options, **rows)
    some = torch.randperm(90, generator=g)[:20]
    picked = {name: value[some] for name, value in rows.items()}
    part = sample_codes(logits[some], seed=4, counters=counters[some], **options, **picked)
    turned = {name: value.T.contiguous().T for name, value in rows.items()}
    strided = sample_codes(logits.T.contiguous().T, seed=4, counters=counters, **options, **turned)
    one = {name: value[17:18] for name, value in rows.items()}
    alone = sample_codes(logits[17:18], seed=4, counters=counters[17:18], **options, **one)
    for a, b, c, d in zip(whole, part, strided, alone, strict=True):
        assert torch.equal(a[some], b)
        assert torch.equal(a, c)
        assert torch.equal(a[17:18], d)
