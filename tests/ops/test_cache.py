"""rotate_and_store and attend_cached: equality with the references, independence of neighbours, refusals."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tokenmask.nn import RMSNorm, Rotary
from tokenmask.nn.rotary import rotate
from tokenmask.ops import attend_cached, rotate_and_store
from tokenmask.ops.attend_cached import attend_cached_reference
from tokenmask.ops.rotate_and_store import rotate_and_store_reference

# rows' new positions, heads, size of a head, slots
SHAPES = [((3,), 1, 2, 16), ((1, 4, 0, 7), 3, 18, 32), ((25, 25), 8, 64, 512), ((0, 0), 2, 32, 16), ((13,), 2, 40, 48)]


def splits(counts, device: str = "cpu") -> Tensor:
    return F.pad(torch.tensor(counts).cumsum(0), (1, 0)).to(device)


def draw(counts, heads: int, size: int, total: int, seed: int = 0, device: str = "cpu", dtype=torch.float32):
    """A packed projection, weights, turns, distinct slots, and a cache that is full already."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g).to(device)

    count, rows = sum(counts), len(counts)
    slots = torch.cat([torch.randperm(total, generator=g)[:n] for n in counts]).to(device)
    angles = normal(count, size // 2) * 10
    turn = torch.cat([angles.cos()] * 2, -1), torch.cat([-angles.sin(), angles.sin()], -1)
    other = normal(count, size // 2) * 10
    query_turn = torch.cat([other.cos()] * 2, -1), torch.cat([-other.sin(), other.sin()], -1)
    keys, values = normal(rows, heads, total // 16, size, 16).to(dtype), normal(rows, heads, total, size).to(dtype)
    vectors = normal(count, 3, heads, size).to(dtype), normal(size).to(dtype), normal(size).to(dtype)
    return vectors, turn, splits(counts, device), slots, keys, values, query_turn


@pytest.mark.parametrize("turns", ["same", "two"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rotate_and_store_equals_its_reference(shape, turns: str, device: str, capability: str) -> None:
    vectors, turn, ends, slots, keys, values, query_turn = draw(*shape, device=device)
    one, two = (keys.clone(), values.clone()), (keys.clone(), values.clone())
    extra = query_turn if turns == "two" else (None, None)
    found = rotate_and_store(*vectors, *turn, ends, slots, *one, query_cos=extra[0], query_sin=extra[1])
    expected = rotate_and_store_reference(*vectors, *turn, *extra, ends, slots, *two)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    touched = torch.zeros(values.shape[0], values.shape[2], dtype=torch.bool, device=device)
    touched[torch.repeat_interleave(torch.arange(len(shape[0]), device=device), ends.diff()), slots] = True
    assert torch.equal(one[1].transpose(1, 2)[~touched], values.transpose(1, 2)[~touched])


def test_it_is_the_norm_and_the_rotation_of_the_network() -> None:
    vectors, _, ends, slots, keys, values, _ = draw((9,), 4, 16, 32)
    rotary = Rotary(16, (0.5, 0.25, 0.25))
    rotary.initialise(torch.Generator())
    cos, sin = rotary(torch.arange(27, dtype=torch.int32).view(9, 3))
    query = rotate_and_store(*vectors, cos, sin, ends, slots, keys, values)
    norms = []
    for weight in vectors[1:]:
        norm = RMSNorm(16)
        norm.weight = torch.nn.Parameter(weight)
        norms.append(norm)
    with torch.no_grad():
        normed = [norm(vectors[0][:, place]) for place, norm in enumerate(norms)]
    torch.testing.assert_close(query, rotate(normed[0], cos[:, None], sin[:, None]))
    stored = keys[0].permute(1, 3, 0, 2).flatten(0, 1)[slots]
    torch.testing.assert_close(stored, rotate(normed[1], cos[:, None], sin[:, None]))
    assert torch.equal(values[0].transpose(0, 1)[slots], vectors[0][:, 2])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_attend_cached_equals_its_reference(shape, masked: bool, device: str, capability: str) -> None:
    counts, _, _, total = shape
    vectors, _, ends, _, keys, values, _ = draw(*shape, device=device)
    query = vectors[0][:, 0]
    for lengths in ([total] * len(counts), [(7 * n + 5) % (total + 1) for n in range(len(counts))], [0] * len(counts)):
        length = torch.tensor(lengths, device=device)
        allowed = torch.rand(len(query), total, generator=torch.Generator().manual_seed(1)).to(device) < 0.4
        allowed[: len(query) // 2, 8:] = False  # some queries may see very little
        options = {"allowed": allowed} if masked else {}
        found = attend_cached(query, ends, keys, values, length, **options)
        expected = attend_cached_reference(query, ends, keys, values, length, **options)
        torch.testing.assert_close(found, expected, atol=2e-6, rtol=2e-5)
        if not any(lengths):
            assert not found.any()


def test_it_is_torchs_attention(device: str) -> None:
    vectors, _, ends, _, keys, values, _ = draw((20, 20), 4, 32, 64, device=device)
    query, length = vectors[0][:, 0], torch.tensor([64, 64], device=device)
    flat = keys.permute(0, 1, 2, 4, 3).flatten(2, 3)
    expected = F.scaled_dot_product_attention(query.view(2, 20, 4, 32).transpose(1, 2), flat, values)
    found = attend_cached(query, ends, keys, values, length).view(2, 20, 4, 32).transpose(1, 2)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=2e-5)


@pytest.mark.parametrize("scale", [1e-30, 30.0, 1e4])
def test_scores_of_any_size_are_finite(scale: float, capability: str) -> None:
    vectors, _, ends, _, keys, values, _ = draw((5,), 2, 16, 64)
    query, length = vectors[0][:, 0] * scale, torch.tensor([50])
    found = attend_cached(query, ends, keys, values, length)
    torch.testing.assert_close(found, attend_cached_reference(query, ends, keys, values, length), atol=1e-5, rtol=1e-3)


def test_what_lies_behind_a_rows_length_does_not_matter(capability: str) -> None:
    vectors, _, ends, _, keys, values, _ = draw((6, 6), 2, 16, 64)
    query, length = vectors[0][:, 0], torch.tensor([37, 5])
    before = attend_cached(query, ends, keys, values, length)
    for row, used in enumerate((37, 5)):
        values[row, :, used:] = math.nan
        for slot in range(used, 64):
            keys[row, :, slot // 16, :, slot % 16] = math.nan
    assert torch.equal(attend_cached(query, ends, keys, values, length), before)
    torch.testing.assert_close(attend_cached_reference(query, ends, keys, values, length), before, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("place", ["query", "key", "value"])
def test_nan_and_infinity_are_not_lost(place: str, bad: float, device: str, capability: str) -> None:
    """Where softmax has no answer it is NaN in the kernels and the reference alike, and only there."""
    vectors, _, ends, _, keys, values, _ = draw((6, 7), 2, 16, 320, device=device)
    query, length = vectors[0][:, 0].clone(), torch.tensor([300, 290], device=device)
    if place == "query":
        query[3, 1, 5] = bad
    elif place == "key":
        keys[0, 1, 270 // 16, 5, 270 % 16] = bad
    else:
        values[0, 1, 270, 5] = bad
    found = attend_cached(query, ends, keys, values, length)
    expected = attend_cached_reference(query, ends, keys, values, length)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=2e-5, equal_nan=True)
    lost = ~found.isfinite()
    assert bool(lost[:6, 1].any()) and not bool(lost[:, 0].any()) and not bool(lost[6:].any())
    hidden = torch.ones(13, 320, dtype=torch.bool, device=device)
    hidden[:, 270] = place == "query"  # what may not be seen does not matter, but a query sees with itself
    found = attend_cached(query, ends, keys, values, length, allowed=hidden)
    if place != "value":
        assert bool(found.isnan().any()) == (place == "query")


def test_scores_that_are_all_minus_infinity_give_nan(device: str, capability: str) -> None:
    vectors, _, ends, _, keys, values, _ = draw((4,), 1, 16, 32, device=device)
    query, length = torch.full_like(vectors[0][:, 0], -3e38), torch.tensor([20], device=device)
    keys[:] = 3e38
    allowed = torch.ones(4, 32, dtype=torch.bool, device=device)
    allowed[2] = False
    found = attend_cached(query, ends, keys, values, length, allowed=allowed)
    expected = attend_cached_reference(query, ends, keys, values, length, allowed)
    torch.testing.assert_close(found, expected, equal_nan=True)
    assert found.isnan().flatten(1).all(1).tolist() == [True, True, False, True] and not found[2].any()


def test_flags_may_be_any_byte(device: str, capability: str) -> None:
    vectors, _, ends, _, keys, values, _ = draw((5,), 2, 16, 48, device=device)
    query, length = vectors[0][:, 0], torch.tensor([43], device=device)
    size = (5, 48)
    bytes_ = torch.randint(0, 4, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)).to(device)
    found = attend_cached(query, ends, keys, values, length, allowed=bytes_.view(torch.bool))
    assert torch.equal(found, attend_cached(query, ends, keys, values, length, allowed=bytes_ != 0))


def test_a_slot_named_twice_holds_one_of_its_positions(device: str, capability: str) -> None:
    vectors, turn, ends, _, keys, values, _ = draw((3,), 4, 64, 32, device=device)
    slots = torch.tensor([5, 9, 5], device=device)
    rotate_and_store(*vectors, *turn, ends, slots, keys, values)
    alone = []
    for position in (0, 2):
        one, two = torch.zeros_like(keys), torch.zeros_like(values)
        pick = slice(position, position + 1)
        turned = turn[0][pick], turn[1][pick]
        rotate_and_store(vectors[0][pick], *vectors[1:], *turned, splits([1], device), slots[pick], one, two)
        alone.append((one[0, :, 0, :, 5], two[0, :, 5]))
    for head in range(4):
        for which, held in enumerate((keys[0, :, 0, :, 5], values[0, :, 5])):
            assert any(torch.equal(held[head], each[which][head]) for each in alone)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_query_does_not_depend_on_its_neighbours_or_on_threads(threads: int, capability: str) -> None:
    counts, heads, size, total = (7, 1, 12, 25), 4, 64, 256
    vectors, _, ends, _, keys, values, _ = draw(counts, heads, size, total)
    query, length = vectors[0][:, 0], torch.tensor([200, 256, 33, 100])
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        together = attend_cached(query, ends, keys, values, length)
    finally:
        torch.set_num_threads(before)
    for row in range(4):
        for at in range(int(ends[row]), int(ends[row + 1])):
            one = torch.tensor([row])
            alone = attend_cached(query[at : at + 1], splits([1]), keys[one], values[one], length[one])
            assert torch.equal(alone[0], together[at])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
    st.integers(1, 3),
    st.integers(1, 36),
    st.integers(1, 5),
    st.integers(0, 10**6),
)
def test_any_shape_equals_the_reference(counts, heads: int, half: int, tiles: int, seed: int) -> None:
    counts = [min(n, tiles * 16) for n in counts]
    vectors, turn, ends, slots, keys, values, _ = draw(counts, heads, 2 * half, tiles * 16, seed)
    length = torch.randint(0, tiles * 16 + 1, (len(counts),), generator=torch.Generator().manual_seed(seed))
    strided = vectors[0].transpose(0, 3).contiguous().transpose(0, 3)
    one, two = (keys.clone(), values.clone()), (keys, values)
    query = rotate_and_store(strided, *vectors[1:], *turn, ends, slots, *one)
    expected = rotate_and_store_reference(*vectors, *turn, None, None, ends, slots, *two)
    torch.testing.assert_close(query, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(one[0], two[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        attend_cached(query, ends, *one, length),
        attend_cached_reference(expected, ends, *two, length),
        atol=1e-5,
        rtol=1e-4,
    )


@pytest.mark.needs_cuda
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_on_the_gpu(dtype: torch.dtype) -> None:
    vectors, turn, ends, slots, keys, values, _ = draw((9, 4), 4, 64, 64, device="cuda", dtype=dtype)
    one, two = (keys.clone(), values.clone()), (keys.clone(), values.clone())
    query = rotate_and_store(*vectors, *turn, ends, slots, *one)
    expected = rotate_and_store_reference(*vectors, *turn, None, None, ends, slots, *two)
    torch.testing.assert_close(query, expected, atol=0.03, rtol=0.02)
    length = torch.tensor([50, 64], device="cuda")
    found = attend_cached(query, ends, *one, length)
    torch.testing.assert_close(found, attend_cached_reference(query, ends, *one, length), atol=0.03, rtol=0.02)


@pytest.mark.needs_cuda
def test_what_a_kernel_refuses_is_raised_by_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENMASK_CHECK")
    vectors, turn, ends, slots, keys, values, _ = draw((3, 2), 2, 16, 32, device="cuda")
    before = values.clone()
    rotate_and_store(*vectors, *turn, ends, slots + 32, keys, values)
    torch.cuda.synchronize()
    assert torch.equal(values, before)
    with pytest.raises(ValueError, match=r"slots must lie in 0..31, got another at position . of an earlier call"):
        rotate_and_store(*vectors, *turn, ends, slots, keys, values)
    rotate_and_store(*vectors, *turn, ends, slots, keys, values)
    found = attend_cached(vectors[0][:, 0], ends, keys, values, torch.tensor([33, 2], device="cuda"))
    assert bool(found[:3].isnan().all()) and bool(found[3:].isfinite().all())
    with pytest.raises(ValueError, match=r"lengths must lie in 0..32, got another in row 0 of an earlier call"):
        attend_cached(vectors[0][:, 0], ends, keys, values, torch.tensor([3, 2], device="cuda"))


@pytest.mark.needs_cuda
def test_other_streams_and_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENMASK_CHECK")
    vectors, _, ends, _, keys, values, _ = draw((9, 4), 4, 64, 64, device="cuda")
    query, length = vectors[0][:, 0].contiguous(), torch.tensor([50, 64], device="cuda")
    expected = attend_cached(query, ends, keys, values, length)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        found = attend_cached(query, ends, keys, values, length)
    side.synchronize()
    assert torch.equal(found, expected)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = attend_cached(query, ends, keys, values, length)
    captured.zero_()
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(captured, expected)


def test_wrong_input_gets_one_sentence() -> None:
    vectors, turn, ends, slots, keys, values, _ = draw((3, 2), 2, 16, 32)
    length = torch.tensor([3, 2])
    query = vectors[0][:, 0]
    cases = [
        (lambda: rotate_and_store(*vectors, *turn, ends, slots + 32, keys, values), "slots must lie in 0..31, got"),
        (lambda: rotate_and_store(*vectors, *turn, ends, slots - 32, keys, values), "slots must lie in 0..31, got"),
        (lambda: rotate_and_store(*vectors, *turn, ends + 1, slots, keys, values), "row_splits must rise from 0"),
        (
            lambda: rotate_and_store(*vectors, *turn, ends[:1], slots, keys[:0], values[:0]),
            "row_splits must rise from 0",
        ),
        (lambda: attend_cached(query, ends[:1], keys[:0], values[:0], length[:0]), "row_splits must rise from 0"),
        (lambda: rotate_and_store(vectors[0][:, :2], *vectors[1:], *turn, ends, slots, keys, values), "M, 3, H, D"),
        (lambda: rotate_and_store(*vectors, turn[0], turn[1][:2], ends, slots, keys, values), "sin must be"),
        (lambda: rotate_and_store(*vectors, *turn, ends, slots, keys, values[..., :31, :]), "keys must be"),
        (
            lambda: rotate_and_store(*vectors, *turn, ends, slots, keys, values.transpose(2, 3).contiguous().mT),
            "must be contiguous",
        ),
        (lambda: rotate_and_store(*vectors, *turn, ends, slots, keys, values, query_cos=turn[0]), "go together"),
        (lambda: attend_cached(query, ends, keys, values, length + 30), "lengths must lie in 0..32, got"),
        (lambda: attend_cached(query, ends.flip(0), keys, values, length), "row_splits must rise"),
        (lambda: attend_cached(query[0], ends, keys, values, length), "M, H, D"),
        (lambda: attend_cached(query, ends, keys, values, length, allowed=torch.ones(5, 31).bool()), "allowed must be"),
    ]
    for call, sentence in cases:
        with pytest.raises(ValueError, match=sentence):
            call()
    for call in (
        lambda: rotate_and_store(vectors[0].double(), *vectors[1:], *turn, ends, slots, keys, values),
        lambda: attend_cached(query.bfloat16(), ends, keys.bfloat16(), values.bfloat16(), length),
        lambda: attend_cached(query, ends, keys, values, length.int()),
    ):
        with pytest.raises(TypeError, match="must be"):
            call()


def test_opcheck() -> None:
    vectors, turn, ends, slots, keys, values, query_turn = draw((3, 2), 2, 16, 32)
    ops = torch.ops.tokenmask
    torch.library.opcheck(ops.rotate_and_store.default, (*vectors, *turn, *query_turn, ends, slots, keys, values, 1e-6))
    torch.library.opcheck(ops.rotate_and_store.default, (*vectors, *turn, None, None, ends, slots, keys, values, 1e-6))
    allowed = torch.ones(5, 32, dtype=torch.bool)
    length = torch.tensor([3, 2])
    for mask in (None, allowed):
        torch.library.opcheck(ops.attend_cached.default, (vectors[0][:, 0], ends, keys, values, length, mask))
