"""mask_tokens: equality with the reference, invariance of a row, shares and their edges."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tokenmask.ops import choose, mask_tokens, uniform
from tokenmask.ops.mask_tokens import _thresholds, mask_tokens_reference

VOCABULARY = 50
SHARES = [(1.0, 0.0, 0.0), (0.8, 0.1, 0.1), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.0, 0.5), (0.9, 0.1, 0.0)]
SHAPES = [(0, 5), (3, 0), (1, 1), (4, 7), (3, 64), (2, 777)]


def make_case(
    shape: tuple[int, int], *, scored: bool = False, per_row: bool = False, device: str = "cpu"
) -> dict[str, Any]:
    g = torch.Generator().manual_seed(shape[1] + scored)
    rows, length = shape
    like = shape if per_row else (length,)
    low = torch.randint(0, 9, like, generator=g, dtype=torch.int32)
    case = {
        "ids": torch.randint(0, VOCABULARY, shape, generator=g, dtype=torch.int32),
        "maskable": torch.rand(shape, generator=g) < 0.8,
        "count": torch.randint(-1, length + 2, (rows,), generator=g),
        "mask_ids": torch.arange(math.prod(like), dtype=torch.int32).view(like) + 1000,
        "scores": (torch.randn(shape, generator=g) * 3).round() if scored else None,
        "random_range": (low, low + torch.randint(1, 40, like, generator=g, dtype=torch.int32)),
        "sample_ids": torch.randint(-(2**60), 2**60, (rows,), generator=g),
    }

    def move(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(move(each) for each in value)
        return value.to(device) if isinstance(value, Tensor) else value

    return {name: move(value) for name, value in case.items()}


def registered(case: dict[str, Any], shares: tuple[float, float, float], seed: int) -> tuple[Any, ...]:
    """The arguments of torch.ops.tokenmask.mask_tokens for a call of the face."""
    low, high = case["random_range"] if shares[1] else (None, None)
    head = (case["ids"], case["maskable"], case["count"], case["mask_ids"], case["scores"], low, high)
    return (*head, case["sample_ids"], seed, *_thresholds(shares))


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.usefixtures("capability")
def test_equals_reference(shares: tuple[float, float, float], scored: bool, per_row: bool, device: str) -> None:
    for shape in SHAPES:
        case = make_case(shape, scored=scored, per_row=per_row, device=device)
        for seed in (0, -5):
            got = mask_tokens(**case, shares=shares, seed=seed)
            for ours, theirs in zip(got, mask_tokens_reference(*registered(case, shares, seed)), strict=True):
                assert ours.dtype == theirs.dtype
                assert torch.equal(ours, theirs)


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.usefixtures("capability")
def test_flags_may_be_any_byte(scored: bool, device: str) -> None:
    case = make_case((4, 77), scored=scored, device=device)
    flags = case["maskable"].to(torch.uint8) * 3
    got = mask_tokens(**{**case, "maskable": flags.view(torch.bool)}, shares=SHARES[0], seed=0)
    for ours, theirs in zip(got, mask_tokens(**case, shares=SHARES[0], seed=0), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.usefixtures("capability")
def test_lists_and_ids_agree(scored: bool) -> None:
    case = make_case((5, 300), scored=scored)
    ids, maskable = case["ids"], case["maskable"]
    corrupted, slots, targets = mask_tokens(**case, seed=4)
    hidden = corrupted != ids
    assert torch.equal(hidden.flatten().nonzero().flatten(), slots)  # mask ids are no codes here
    assert torch.equal(ids.flatten()[slots], targets)
    assert torch.equal(corrupted[hidden], case["mask_ids"].expand_as(ids)[hidden])
    assert not (hidden & ~maskable).any()
    assert torch.equal(hidden.sum(1), case["count"].clamp(min=0).minimum(maskable.sum(1)))
    if scored:
        assert torch.equal(hidden, choose(case["scores"], maskable, case["count"]))


def test_uniform_scores_are_the_documented_draw() -> None:
    """Slot 0 of a row shares its draw with ``uniform`` of purpose mask, whose counter is the sample id."""
    samples = torch.arange(2000)
    ids = torch.zeros(2000, 2, dtype=torch.int32)
    open_ = torch.ones(2000, 2, dtype=torch.bool)
    mask_ids = torch.full((2,), 7, dtype=torch.int32)
    corrupted, _, _ = mask_tokens(ids, open_, torch.ones_like(samples), mask_ids, seed=3, sample_ids=samples)
    first = uniform(seed=3, counters=samples, purpose="mask")
    assert float(first[corrupted[:, 0] == 7].mean()) > 0.6  # the larger of two uniforms has the mean 2/3
    assert float(first[corrupted[:, 0] != 7].mean()) < 0.4


def test_a_row_depends_on_itself_only() -> None:
    case = make_case((9, 200), per_row=True)
    shares = (0.8, 0.1, 0.1)
    whole, slots, targets = mask_tokens(**case, shares=shares, seed=11)
    rows = torch.tensor([8, 2, 5])
    part = {name: value[rows] for name, value in case.items() if isinstance(value, Tensor)}
    low, high = case["random_range"]
    got = mask_tokens(**part, random_range=(low[rows], high[rows]), shares=shares, seed=11)
    assert torch.equal(got[0], whole[rows])
    of_rows = torch.cat([(slots // 200 == row).nonzero().flatten() for row in rows])
    assert torch.equal(got[2], targets[of_rows])
    other = mask_tokens(**case, shares=shares, seed=12)[0]
    assert not torch.equal(other, whole)


def test_threads_and_strides() -> None:
    case = make_case((64, 1500))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = mask_tokens(**case, shares=(0.8, 0.1, 0.1), seed=1)
        torch.set_num_threads(2)
        together = mask_tokens(**case, shares=(0.8, 0.1, 0.1), seed=1)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    strided = {**case, "ids": case["ids"].T.contiguous().T, "mask_ids": case["mask_ids"].repeat_interleave(2)[::2]}
    again = mask_tokens(**strided, shares=(0.8, 0.1, 0.1), seed=1)
    assert all(torch.equal(a, b) for a, b in zip(alone, again, strict=True))


@pytest.mark.usefixtures("capability")
def test_shares_and_random_ids_are_distributed_as_stated() -> None:
    """2^17 chosen slots. Chi-square of 3 kinds (2 degrees: above 25 with probability 4e-6) and of 16 random ids (15
    degrees: above 52 with probability 6e-6)."""
    size = 2**17
    ids = torch.full((size // 64, 64), 99, dtype=torch.int32)
    low, high = torch.zeros(64, dtype=torch.int32), torch.full((64,), 16, dtype=torch.int32)
    corrupted, slots, _ = mask_tokens(
        ids,
        torch.ones_like(ids, dtype=torch.bool),
        torch.full((size // 64,), 64),
        torch.full((64,), 50, dtype=torch.int32),
        shares=(0.8, 0.1, 0.1),
        random_range=(low, high),
        seed=8,
        sample_ids=torch.arange(size // 64),
    )
    assert len(slots) == size
    kinds = torch.stack([(corrupted == 50).sum(), (corrupted < 16).sum(), (corrupted == 99).sum()]).double()
    expected = torch.tensor([0.8, 0.1, 0.1], dtype=torch.float64) * size
    assert float(((kinds - expected) ** 2 / expected).sum()) < 25
    drawn = torch.bincount(corrupted[corrupted < 16].long(), minlength=16).double()
    assert float(((drawn - drawn.mean()) ** 2 / drawn.mean()).sum()) < 52


def test_each_subset_is_equally_likely() -> None:
    """2 of 5 slots in 20000 rows: 10 subsets, 9 degrees of freedom exceed 42 with probability 3e-6."""
    rows = 20000
    ids = torch.zeros(rows, 5, dtype=torch.int32)
    _, slots, _ = mask_tokens(
        ids,
        torch.ones(rows, 5, dtype=torch.bool),
        torch.full((rows,), 2),
        torch.ones(5, dtype=torch.int32),
        seed=21,
        sample_ids=torch.arange(rows),
    )
    pairs = (slots % 5).view(rows, 2)
    observed = torch.bincount(pairs[:, 0] * 5 + pairs[:, 1], minlength=25).double()
    observed = observed[observed > 0]
    assert len(observed) == 10
    assert float(((observed - rows / 10) ** 2 / (rows / 10)).sum()) < 42


def test_errors_get_a_sentence() -> None:
    case = make_case((4, 9), scored=True)
    with pytest.raises(ValueError, match=r"shares \(mask, random, keep\) must be at least 0 and sum to 1"):
        mask_tokens(**case, shares=(0.8, 0.1, 0.2), seed=0)
    with pytest.raises(ValueError, match=r"needs random_range, got the share 0.1"):
        mask_tokens(**{**case, "random_range": None}, shares=(0.8, 0.1, 0.1), seed=0)
    with pytest.raises(TypeError, match="seed must be an int, got a tensor"):
        mask_tokens(**case, seed=torch.arange(4))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"mask_ids must be \[S\] or \[B, S\] = \[9\], got \[8\]"):
        mask_tokens(**{**case, "mask_ids": case["mask_ids"][1:]}, seed=0)
    case["maskable"][:] = True
    case["scores"][2, 3] = math.nan
    low, high = case["random_range"]
    low[5] = high[5]
    case["count"][:] = 9
    with pytest.raises(ValueError, match="scores of maskable slots must not be NaN, got NaN in row 2"):
        mask_tokens(**{**case, "random_range": (low - 1, high)}, shares=(0.8, 0.1, 0.1), seed=0)
    case["scores"] = None
    for run in (torch.ops.tokenmask.mask_tokens, mask_tokens_reference):
        with pytest.raises(ValueError, match="low < high at each chosen slot, got an empty range in row 0"):
            run(*registered(case, (0.8, 0.1, 0.1), 0))


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (4, 7)])
def test_registration(shape: tuple[int, int], device: str) -> None:
    for scored, per_row, shares in ((False, False, SHARES[0]), (True, True, SHARES[1])):
        case = make_case(shape, scored=scored, per_row=per_row, device=device)
        torch.library.opcheck(torch.ops.tokenmask.mask_tokens.default, registered(case, shares, 3))
