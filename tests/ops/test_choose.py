"""choose and commit: equality with the references on many shapes, ties and counts, and their properties."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tokenmask.ops import choose, commit
from tokenmask.ops.choose import choose_reference
from tokenmask.ops.commit import commit_reference

KINDS = ["normal", "uniform", "ties", "constant", "sorted", "infinities", "zeros", "tiny", "two clusters"]
SHAPES = [(0, 5), (3, 0), (1, 1), (4, 7), (3, 64), (2, 1000), (5, 333)]


def make_scores(kind: str, rows: int, length: int, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    normal = torch.randn(rows, length, generator=g)
    pick = torch.randint(0, 3, (rows, length), generator=g)
    values = {
        "normal": normal,
        "uniform": torch.rand(rows, length, generator=g),
        "ties": (normal * 2).round(),
        "constant": torch.full((rows, length), -1.5),
        "sorted": torch.arange(length).float().expand(rows, length),
        "infinities": torch.tensor([-math.inf, 0.0, math.inf])[pick] + normal,
        "zeros": torch.tensor([-0.0, 0.0, 1.0])[pick],
        "tiny": normal * 1e-42,
        "two clusters": torch.tensor([1e30, -1e-30, 3.0])[pick] * (1 + 1e-6 * normal),
    }
    return values[kind]


def make_case(kind: str, shape: tuple[int, int], device: str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(len(kind))
    rows, length = shape
    is_open = torch.rand(rows, length, generator=g) < 0.7
    count = torch.randint(-1, length + 2, (rows,), generator=g)
    return make_scores(kind, rows, length).to(device), is_open.to(device), count.to(device)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("capability")
def test_choose_equals_reference(kind: str, shape: tuple[int, int], device: str) -> None:
    scores, is_open, count = make_case(kind, shape, device)
    for counts in (count, torch.full_like(count, -1), torch.full_like(count, shape[1] + 1), count // 8 + 1):
        assert torch.equal(choose(scores, is_open, counts), choose_reference(scores, is_open, counts))
    closed = torch.zeros_like(is_open)
    assert not choose(scores, closed, count + 3).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("capability")
def test_every_count(kind: str) -> None:
    scores = make_scores(kind, 1, 70).expand(72, 70)
    count = torch.arange(-1, 71)
    is_open = torch.arange(70) % 5 != 0
    is_open = is_open.expand(72, 70)
    chosen = choose(scores, is_open, count)
    assert torch.equal(chosen, choose_reference(scores, is_open, count))
    assert chosen.sum(1).tolist() == count.clamp(0, 56).tolist()


@pytest.mark.usefixtures("capability")
def test_order_by_hand() -> None:
    scores = torch.tensor([[1.0, 3.0, 3.0, -0.0, 0.0, 2.0]])
    is_open = torch.tensor([[True, False, True, True, True, True]])
    order = [2, 5, 0, 3, 4]  # 3.0 at 1 is closed; -0 and +0 are equal, so index decides
    for count in range(6):
        chosen = choose(scores, is_open, torch.tensor([count]))
        assert chosen[0].nonzero().flatten().tolist() == sorted(order[:count])


@given(
    st.lists(st.floats(width=32, allow_nan=False) | st.integers(-3, 3).map(float), max_size=200),
    st.integers(-2, 210),
    st.integers(0, 2**32),
)
@settings(max_examples=150, deadline=None)
def test_choose_property(values: list[float], count: int, seed: int) -> None:
    scores = torch.tensor([values], dtype=torch.float32)
    is_open = torch.rand(1, len(values), generator=torch.Generator().manual_seed(seed)) < 0.6
    chosen = choose(scores, is_open, torch.tensor([count]))
    ranked = sorted((i for i in range(len(values)) if is_open[0, i]), key=lambda i: (-scores[0, i].item(), i))
    assert chosen[0].nonzero().flatten().tolist() == sorted(ranked[: max(count, 0)])


def test_large_rows_and_threads() -> None:
    scores, is_open, count = make_case("normal", (40, 5000))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = choose(scores, is_open, count)
        torch.set_num_threads(2)
        together = choose(scores, is_open, count)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(alone, together)
    assert torch.equal(alone, choose_reference(scores, is_open, count))
    rows = torch.tensor([7, 3, 31])
    assert torch.equal(choose(scores[rows], is_open[rows], count[rows]), alone[rows])


@pytest.mark.usefixtures("capability")
def test_flags_may_be_any_byte(device: str) -> None:
    g = torch.Generator().manual_seed(0)
    scores = torch.randn(5, 77, generator=g).to(device)
    flags = torch.randint(0, 4, (5, 77), dtype=torch.uint8, generator=g).to(device)
    count = torch.tensor([0, 3, 40, 77, 60], device=device)
    ids = torch.zeros(5, 77, dtype=torch.int32, device=device)
    odd, plain = flags.view(torch.bool), flags != 0
    assert torch.equal(choose(scores, odd, count), choose(scores, plain, count))
    for ours, theirs in zip(
        commit(ids, ids + 1, scores, odd, count), commit(ids, ids + 1, scores, plain, count), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_strided_inputs() -> None:
    scores, is_open, count = make_case("ties", (8, 60))
    expected = choose(scores[::2, ::3].contiguous(), is_open[::2, ::3].contiguous(), count[::2].contiguous())
    assert torch.equal(choose(scores[::2, ::3], is_open[::2, ::3], count[::2]), expected)
    assert torch.equal(choose(scores.T.contiguous().T, is_open.T.contiguous().T, count), choose(scores, is_open, count))


@pytest.mark.usefixtures("capability")
def test_nan_names_the_first_row(device: str) -> None:
    scores, is_open, count = make_case("normal", (4, 9), device)
    is_open[:, 4] = False
    scores[:, 4] = math.nan
    choose(scores, is_open, count)  # closed slots may hold anything
    is_open[2:, 4] = True
    for run in (choose, choose_reference):
        with pytest.raises(ValueError, match="choose: scores of open slots must not be NaN, got NaN in row 2"):
            run(scores, is_open, count)


def test_wrong_input_gets_a_sentence() -> None:
    scores, is_open, count = make_case("normal", (4, 9))
    with pytest.raises(TypeError, match=r"scores must be float32, got float64; convert it with \.to\(\)"):
        choose(scores.double(), is_open, count)
    with pytest.raises(ValueError, match=r"is_open must be \[B, S\] = \[4, 9\], got \[4, 8\]"):
        choose(scores, is_open[:, 1:], count)
    with pytest.raises(ValueError, match=r"count must be \[B\] = \[4\], got \[3\]"):
        choose(scores, is_open, count[1:])
    with pytest.raises(ValueError, match=r"scores must be \[B, S\], got the shape \[36\]"):
        choose(scores.flatten(), is_open, count)
    with pytest.raises(TypeError, match="count must be a tensor, got int"):
        choose(scores, is_open, 3)  # type: ignore[arg-type]


def make_commit(kind: str, shape: tuple[int, int], device: str = "cpu") -> tuple[Tensor, ...]:
    scores, is_open, count = make_case(kind, shape, device)
    ids = torch.arange(shape[0] * shape[1], dtype=torch.int32, device=device).view(shape)
    return ids, -1 - ids, scores, is_open, count


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("capability")
def test_commit_equals_reference(kind: str, shape: tuple[int, int], device: str) -> None:
    ids, proposed, scores, is_open, count = make_commit(kind, shape, device)
    copies = [each.clone() for each in (ids, proposed, scores, is_open, count)]
    got = commit(ids, proposed, scores, is_open, count)
    expected = commit_reference(ids, proposed, scores, is_open, count)
    assert torch.equal(got[0], expected[0])
    assert torch.equal(got[1], expected[1])
    assert all(torch.equal(a, b) for a, b in zip(copies, (ids, proposed, scores, is_open, count), strict=True))
    chosen = choose(scores, is_open, count)
    assert torch.equal(got[0] < 0, chosen)
    assert torch.equal(got[1], is_open & ~chosen)


def test_commit_until_nothing_is_open() -> None:
    ids, proposed, scores, is_open, _ = make_commit("ties", (3, 50))
    first, given_ids = is_open, ids
    for _ in range(10):
        ids, is_open = commit(ids, proposed, scores, is_open, torch.full((3,), 5))
    assert not is_open.any()
    assert torch.equal(ids, torch.where(first, proposed, given_ids))


@pytest.mark.usefixtures("capability")
def test_commit_nan_names_the_row() -> None:
    ids, proposed, scores, is_open, count = make_commit("normal", (4, 9))
    scores[1, 3], is_open[1, 3] = math.nan, True
    for run in (commit, commit_reference):
        with pytest.raises(ValueError, match="commit: confidence of open slots must not be NaN, got NaN in row 1"):
            run(ids, proposed, scores, is_open, count)
    with pytest.raises(TypeError, match="proposed must be int32, got int64"):
        commit(ids, proposed.long(), scores, is_open, count)


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (4, 7)])
def test_registration(shape: tuple[int, int], device: str) -> None:
    ids, proposed, scores, is_open, count = make_commit("ties", shape, device)
    torch.library.opcheck(torch.ops.tokenmask.choose.default, (scores, is_open, count))
    torch.library.opcheck(torch.ops.tokenmask.commit.default, (ids, proposed, scores, is_open, count))
    torch.library.opcheck(torch.ops.tokenmask.choose.default, (scores.T.contiguous().T, is_open, count))
