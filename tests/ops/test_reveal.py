"""reveal: bit for bit the ops that it stands for, a step by hand, and wrong input."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import Tensor

from tokenmask.ops import commit, reveal, sample_codes
from tokenmask.ops.reveal import IS_WHOLE, STATISTICS, reveal_in_parts

Arguments = dict[str, Tensor | int | float | None]


def make_case(
    device: str, rows: int = 3, length: int = 20, size: int = 37, dtype: torch.dtype = torch.float32
) -> Arguments:
    """Some of the open slots are asked, in any order; the last row asks nothing."""
    g = torch.Generator().manual_seed(rows * length + size)
    is_open = torch.rand(rows, length, 1, generator=g) < 0.6
    slots = (is_open.flatten() & (torch.rand(rows * length, generator=g) < 0.9)).nonzero()[:, 0]
    slots = slots[slots < max(rows - 1, 1) * length]
    case: Arguments = {
        "logits": (torch.randn(len(slots), size, generator=g) * 3).to(dtype),
        "index": torch.randperm(len(slots), generator=g),
        "slots": slots,
        "ids": torch.arange(rows * length, dtype=torch.int32).view(rows, length, 1),
        "score": torch.randn(rows, length, 1, generator=g) - 2,
        "is_open": is_open,
        "count": torch.randint(-1, length, (rows,), generator=g),
        "counters": torch.randint(0, 1 << 60, (rows, length, 1), generator=g),
        "later": 3 << 24,
        "seeds": torch.randint(-(2**62), 2**62, (rows,), generator=g),
        "temperature": 1.0,
    }
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in case.items()}


def in_ops(case: Arguments, by: int, noise: Tensor | None, ranks: Tensor | None, **how: float) -> tuple[Tensor, ...]:
    """The docstring, step by step."""
    shape, where = case["ids"].shape, case["slots"][case["index"]]
    rows, size = shape[0], shape[1] * shape[2]
    codes, *known = sample_codes(
        case["logits"],
        seed=case["seeds"][where // size],
        counters=case["counters"].flatten()[where] + case["later"],
        temperature=case["temperature"],
        **how,
    )
    proposed, drawn = case["ids"].flatten().clone(), case["score"].flatten().clone()
    proposed[where], drawn[where] = codes + 1000, known[0]
    order = case["score"].flatten().clone()
    told = (known[0], -known[1], known[2])[by]
    order[where] = told if noise is None else told + noise
    order = order if ranks is None else ranks
    ids, still = commit(
        *(one.view(rows, size) for one in (case["ids"], proposed, order, case["is_open"])), case["count"]
    )
    score = torch.where(still.flatten(), case["score"].flatten(), drawn)
    return ids.view(shape), still.view(shape), score.view(shape), still.flatten().nonzero()[:, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [1, 5, 37, 600])
@pytest.mark.usefixtures("capability")
def test_equals_its_ops(size: int, dtype: torch.dtype, device: str) -> None:
    case = make_case(device, size=size, dtype=dtype)
    noise = torch.linspace(-2, 2, len(case["slots"]), device=device)
    ranks = torch.linspace(3, -3, case["ids"].numel(), device=device).cos().view(case["ids"].shape)
    for by in range(len(STATISTICS)):
        for extra in ((None, None), (noise, None), (None, ranks)):
            for heat, how in ((0.0, {}), (1.0, {}), (0.6, {"top_k": 3, "top_p": 0.8}), (1.0, {"min_p": 0.1})):
                case["temperature"] = heat
                got = reveal(**case, **how, offset=1000, by=by, noise=extra[0], ranks=extra[1])
                expected = in_ops(case, by, *extra, **how)
                assert all(torch.equal(one, other) for one, other in zip(got, expected, strict=True))


@pytest.mark.parametrize("size", [1, 5, 63, 64, 200, 1025])
@pytest.mark.usefixtures("capability")
def test_best_codes_of_all_open_slots_are_those_of_its_ops(size: int) -> None:
    """A few of many slots are revealed: ties, near ties, rows alike, steep and flat, far from 0, and with noise."""
    g = torch.Generator().manual_seed(size)
    rows, length = 4, 70
    case = make_case("cpu", rows, length, size) | {"temperature": 0.0}
    slots = case["is_open"].flatten().nonzero()[:, 0][torch.randperm(int(case["is_open"].sum()), generator=g)]
    many = len(slots)
    case |= {"slots": slots, "index": torch.randperm(many, generator=g), "count": torch.tensor([7, 0, -1, 25])}
    drawn = torch.randn(many, size, generator=g)
    near = torch.zeros(many, size)
    near[:, 0] = 2 + 1e-7 * torch.arange(many)
    hidden = torch.where(torch.rand(many, size, generator=g) < 0.5, drawn, -math.inf)
    hidden[:, -1] = 0.5
    kinds = [drawn * 3, drawn.round(), near, drawn[:1].expand(many, -1), drawn * 40, drawn * 1e-3, drawn + 1e4, hidden]
    for logits in kinds:
        case["logits"] = logits.contiguous()
        for noise in (None, 4.5 * torch.randn(many, generator=g)):
            got = reveal(**case, offset=1000, noise=noise)
            expected = in_ops(case, 0, noise, None)
            assert all(torch.equal(one, other) for one, other in zip(got, expected, strict=True))
            assert int((case["is_open"] & ~got[1]).sum()) == 32


def test_a_step_by_hand(device: str) -> None:
    """Best codes of four slots, of which two are revealed: the surest of the first row, none of the second."""
    logits = torch.tensor([[0.0, 1.0], [0.0, 3.0], [2.0, 0.0], [0.0, 9.0]], device=device)
    whole = torch.arange(4, device=device)
    ids, score = torch.full((2, 3), -1, dtype=torch.int32, device=device), torch.zeros(2, 3, device=device)
    is_open = torch.tensor([[True, True, True], [False, True, False]], device=device)
    slots, count = torch.tensor([0, 1, 2, 4], device=device), torch.tensor([2, 0], device=device)
    counters, seeds = (
        torch.zeros(2, 3, dtype=torch.int64, device=device),
        torch.zeros(2, dtype=torch.int64, device=device),
    )
    found, still, sure, left = reveal(
        logits, whole, slots, ids, score, is_open, count, counters, 0, seeds, 0.0, offset=10
    )
    assert found.tolist() == [[-1, 11, 10], [-1, -1, -1]]
    assert still.tolist() == [[True, False, False], [False, True, False]] and left.tolist() == [0, 4]
    by_hand = torch.tensor([[0.0, -math.log1p(math.exp(-3)), -math.log1p(math.exp(-2))], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(sure.cpu(), by_hand, rtol=1e-6, atol=1e-7)


@pytest.mark.usefixtures("capability")
def test_bad_logits_and_ranks_are_named_by_their_op() -> None:
    case = make_case("cpu")
    rest = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "offset": 0, "by": 0, "noise": None, "ranks": None}
    bad = {**case, **rest, "logits": case["logits"].clone()}
    bad["logits"][4, 2] = math.nan
    for run in (reveal, reveal_in_parts):
        with pytest.raises(ValueError, match="sample_codes: allowed logits must not be NaN, got NaN in row 4"):
            run(**bad)
    slots = case["is_open"].flatten().nonzero()[:, 0]  # all of them, best codes: the cheap look refuses the same
    best = {**bad, "slots": slots, "index": torch.arange(len(slots)), "temperature": 0.0, "count": torch.ones(3).long()}
    for value, said in ((math.nan, "not be NaN, got NaN"), (math.inf, "be below +inf, got +inf")):
        best["logits"] = torch.zeros(len(slots), 37)
        best["logits"][5, 36] = value
        with pytest.raises(ValueError, match=re.escape(f"sample_codes: allowed logits must {said} in row 5")):
            reveal(**best)
    noise = torch.zeros(len(slots))
    noise[3] = math.nan
    with pytest.raises(ValueError, match="commit: confidence of open slots must not be NaN"):
        reveal(**{**best, "logits": torch.zeros(len(slots), 37), "noise": noise})
    row = int(case["slots"][0] // 20)
    ranks = torch.zeros(case["ids"].shape)
    ranks.view(-1)[case["slots"][0]] = math.nan
    with pytest.raises(ValueError, match=f"commit: confidence of open slots must not be NaN, got NaN in row {row}"):
        reveal(**case, ranks=ranks)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"slots": torch.tensor([0, 60])}, "slots must lie in 0..59"),
        ({"index": torch.tensor([0, 2])}, "index must lie in 0..1"),
        ({"temperature": math.nan}, "temperature must be finite"),
        ({"by": 3}, "by must be in 0..2, got 3"),
        ({"ids": torch.zeros(0, 2, dtype=torch.int32)}, "ids must be .* with a row or more"),
        ({"score": torch.zeros(3, 20)}, "score must be"),
    ],
)
def test_wrong_input_is_one_sentence(wrong: Arguments, sentence: str) -> None:
    two = {"slots": torch.tensor([0, 1]), "index": torch.tensor([0, 1]), "logits": torch.zeros(2, 4)}
    with pytest.raises(ValueError, match=f"reveal: {sentence}"):
        reveal(**{**make_case("cpu"), **two, **wrong})


@pytest.mark.skipif(not IS_WHOLE, reason="reveal is of the CPU alone")
def test_registration() -> None:
    case = make_case("cpu")
    rest = (0, 1.0, 0.0, 10, 0, None, None)
    torch.library.opcheck(torch.ops.tokenmask.reveal.default, (*case.values(), *rest))
    torch.library.opcheck(torch.ops.tokenmask.reveal.default, (*case.values(), *rest[:-1], case["score"]))
