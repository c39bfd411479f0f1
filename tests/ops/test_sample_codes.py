"""sample_codes: equal codes from kernel and reference, exact tables, frequencies, invariance, bad rows."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tokenmask.ops import sample_codes
from tokenmask.ops.sample_codes import sample_codes_reference
from tokenmask.ops.weight import weight_reference

KINDS = ["normal", "flat", "peaked", "ties", "constant", "mostly -inf", "tiny spread", "two clusters", "large"]
FILTERS: list[dict[str, Any]] = [
    {},
    {"top_k": 1},
    {"top_k": 50},
    {"top_p": 0.9},
    {"top_p": 0.999},
    {"top_p": 1e-6},
    {"min_p": 0.05},
    {"min_p": 1.0},
    {"top_k": 20, "top_p": 0.7, "min_p": 0.02},
]


def make_logits(kind: str, rows: int, size: int, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    normal = torch.randn(rows, size, generator=g)
    share = torch.rand(rows, size, generator=g)
    values = {
        "normal": normal * 3,
        "flat": normal,
        "peaked": normal * 30,
        "ties": (normal * 2).round(),
        "constant": torch.full((rows, size), -0.25),
        "mostly -inf": normal.masked_fill(share < 0.97, -math.inf).index_fill(1, torch.tensor([size // 2]), 0.5),
        "tiny spread": 5 + normal * 1e-6,
        "two clusters": normal * 0.01 + 8 * (share < 0.3),
        "large": 1e4 + normal * 100,
    }
    return values[kind]


def registered(logits: Tensor, counters: Tensor, seed: int | Tensor = 0, **options: Any) -> tuple[Any, ...]:
    """The arguments of torch.ops.tokenmask.sample_codes for a call of the face."""

    def split(value: Any) -> tuple[float, Tensor | None]:
        return (0.0, value) if isinstance(value, Tensor) else (value, None)

    seeds = seed if isinstance(seed, Tensor) else None
    return (
        logits,
        counters,
        0 if isinstance(seed, Tensor) else seed,
        seeds,
        *split(options.get("temperature", 1.0)),
        options.get("top_k", 0),
        options.get("top_p", 1.0),
        options.get("min_p", 0.0),
        options.get("uncond"),
        *split(options.get("guidance", 1.0)),
        options.get("allowed"),
    )


def assert_equals_reference(logits: Tensor, **options: Any) -> None:
    counters = torch.arange(logits.shape[0], device=logits.device) * 7919
    got = sample_codes(logits, counters=counters, **{"seed": 5, **options})
    expected = sample_codes_reference(*registered(logits, counters, **{"seed": 5, **options}))
    assert [each.dtype for each in got] == [torch.int32, *[torch.float32] * 3]
    assert torch.equal(got[0], expected[0])
    assert torch.equal(got[2], expected[2])  # an order of slots by entropy is the same everywhere
    for ours, theirs in zip(got[1:], expected[1:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-6, atol=2e-6)


@pytest.mark.usefixtures("capability")
def test_allowed_flags_may_be_any_byte(device: str) -> None:
    logits = make_logits("normal", 4, 77).to(device)
    flags = (torch.arange(77, dtype=torch.uint8) % 4).to(device)
    for ours, theirs in zip(
        sample_codes(logits, seed=1, counters=torch.arange(4, device=device), allowed=flags.view(torch.bool)),
        sample_codes(logits, seed=1, counters=torch.arange(4, device=device), allowed=flags != 0),
        strict=True,
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("capability")
def test_equals_reference(kind: str, filters: dict[str, Any], device: str) -> None:
    for size in (1, 3, 64, 65, 1000):
        for temperature in (1.0, 0.3, 0.0):
            logits = make_logits(kind, 6, size).to(device)
            assert_equals_reference(logits, temperature=temperature, **filters)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("filters", [FILTERS[0], FILTERS[-1]])
@pytest.mark.usefixtures("capability")
def test_guidance_allowed_and_types(dtype: torch.dtype, filters: dict[str, Any], device: str) -> None:
    g = torch.Generator().manual_seed(1)
    rows, size = 7, 257
    logits = make_logits("normal", rows, size).to(device, dtype)
    uncond = make_logits("flat", rows, size, seed=9).to(device, dtype)
    logits[1, ::3] = -math.inf
    uncond[2, ::5] = -math.inf
    per_row = torch.rand(rows, generator=g).to(device) * 4
    allowed = (torch.rand(rows, size, generator=g) < 0.5).to(device)
    allowed[:, 7] = True
    for seed in (5, torch.arange(rows, device=device) - 3):
        assert_equals_reference(logits, seed=seed, **filters)
        assert_equals_reference(logits, uncond=uncond, guidance=2.5, seed=seed, **filters)
        assert_equals_reference(
            logits, uncond=uncond, guidance=per_row, temperature=per_row, allowed=allowed, seed=seed, **filters
        )
        assert_equals_reference(logits, allowed=allowed[0], temperature=per_row.round(), seed=seed, **filters)


@pytest.mark.usefixtures("capability")
def test_half_precision_is_widened_exactly() -> None:
    """Every float16 and bfloat16 below infinity, one logit against 0: the log-odds give the value back."""
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    for dtype in (torch.float16, torch.bfloat16):
        values = bits.view(dtype)
        values = values[values.isfinite() & (values.abs() < 15)]
        pairs = torch.stack([values, torch.zeros_like(values)], 1)
        got = sample_codes(pairs, seed=0, counters=torch.arange(len(values)))
        expected = sample_codes(pairs.float(), seed=0, counters=torch.arange(len(values)))
        assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("size", [(0, 5), (0, 0)])
def test_empty_batch(size: tuple[int, int]) -> None:
    got = sample_codes(torch.zeros(size), seed=0, counters=torch.zeros(0, dtype=torch.int64))
    assert [list(each.shape) for each in got] == [[0]] * 4


# Four probabilities, by hand: what each filter keeps, in index order.
TABLE = torch.tensor([0.1, 0.4, 0.2, 0.3])
KEPT: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [0, 1, 2, 3]),
    ({"top_k": 1}, [1]),
    ({"top_k": 2}, [1, 3]),
    ({"top_k": 4}, [0, 1, 2, 3]),
    ({"top_p": 0.39}, [1]),
    ({"top_p": 0.41}, [1, 3]),
    ({"top_p": 0.71}, [1, 2, 3]),
    ({"top_p": 0.95}, [0, 1, 2, 3]),
    ({"top_k": 3, "top_p": 0.6}, [1, 3]),  # of the mass 0.9 that top-k leaves: 0.4 + 0.3 reach 0.54
    ({"min_p": 0.49}, [1, 2, 3]),
    ({"min_p": 0.51}, [1, 3]),
    ({"min_p": 1.0}, [1]),
    ({"temperature": 0.0}, [1]),
    ({"allowed": torch.tensor([True, False, True, False])}, [0, 2]),
    ({"allowed": torch.tensor([True, False, True, False]), "top_k": 1}, [2]),
]


@pytest.mark.parametrize(("options", "kept"), KEPT)
@pytest.mark.usefixtures("capability")
def test_four_entries(options: dict[str, Any], kept: list[int]) -> None:
    """Drawn frequencies of 20000 rows; 3 degrees of freedom exceed 28 with probability 4e-6."""
    rows = 20000
    codes, logprob, _, _ = sample_codes(TABLE.log().expand(rows, 4), seed=1, counters=torch.arange(rows), **options)
    observed = torch.bincount(codes.long(), minlength=4).double()
    assert observed.nonzero().flatten().tolist() == kept
    expected = torch.zeros(4, dtype=torch.float64)
    expected[kept] = TABLE.double()[kept] / TABLE.double()[kept].sum() * rows
    assert float(((observed - expected) ** 2 / expected.clamp(min=1e-9))[kept].sum()) < 28
    allowed = options.get("allowed", torch.ones(4, dtype=torch.bool))
    softmax = TABLE * allowed / (TABLE * allowed).sum()
    torch.testing.assert_close(logprob, softmax.log()[codes.long()])


@pytest.mark.usefixtures("capability")
def test_ties_go_to_the_lower_index() -> None:
    logits = torch.tensor([[0.0, 1.0, 1.0, 1.0, -0.0]])
    for options, kept in (({"top_k": 2}, {1, 2}), ({"top_p": 0.5}, {1, 2}), ({"top_k": 4}, {0, 1, 2, 3})):
        codes = sample_codes(logits.expand(500, 5), seed=0, counters=torch.arange(500), **options)[0]
        assert set(codes.tolist()) == kept
    assert int(sample_codes(logits, seed=0, counters=torch.tensor([0]), temperature=0.0)[0]) == 1
    zeros = torch.tensor([[-0.0, 0.0, -1.0]])
    assert int(sample_codes(zeros, seed=0, counters=torch.tensor([0]), temperature=0.0)[0]) == 0


@pytest.mark.usefixtures("capability")
def test_statistics_by_hand() -> None:
    for temperature in (0.0, 1.0):  # at temperature 0 they are those of temperature 1
        _, logprob, entropy, margin = sample_codes(
            TABLE.log()[None], seed=0, counters=torch.tensor([3]), temperature=temperature, top_k=1
        )
        assert float(logprob) == pytest.approx(math.log(0.4), rel=1e-6)  # before top-k
        assert float(entropy) == pytest.approx(-sum(p * math.log(p) for p in TABLE.tolist()), rel=1e-6)
        assert float(margin) == pytest.approx(0.1, rel=1e-5)
    _, logprob, entropy, margin = sample_codes(torch.tensor([[2.0]]), seed=0, counters=torch.tensor([0]))
    assert (float(logprob), float(entropy), float(margin)) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("kind", ["normal", "flat", "peaked", "two clusters"])
@pytest.mark.usefixtures("capability")
def test_statistics_against_float64(kind: str) -> None:
    """Errors against float64 are at most twice those of torch in float32, or 1e-6."""
    logits = make_logits(kind, 50, 1000)
    codes, logprob, entropy, margin = sample_codes(logits, seed=0, counters=torch.arange(50))
    assert bool((entropy >= 0).all())

    def statistics(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        log = values.log_softmax(1)
        top = log.exp().topk(2, dim=1).values
        return log.gather(1, codes.long()[:, None])[:, 0], -(log.exp() * log).sum(1), top[:, 0] - top[:, 1]

    exact, plain = statistics(logits.double()), statistics(logits)
    for ours, theirs, best in zip((logprob, entropy, margin), plain, exact, strict=True):
        limit = max(2 * float((theirs - best).abs().max()), 1e-6)
        assert float((ours - best).abs().max()) <= limit


@pytest.mark.parametrize(
    "options", [{}, {"top_p": 0.8}, {"temperature": 0.5}, {"top_k": 10}], ids=["plain", "top-p", "temperature", "top-k"]
)
def test_frequencies(options: dict[str, Any]) -> None:
    """Chi-square of 2^16 draws from 40 codes against torch's softmax of the kept ones.

    At most 39 degrees of freedom exceed 95 with probability 1e-6.
    """
    draws = 2**16
    logits = make_logits("flat", 1, 40)
    codes = sample_codes(logits.expand(draws, 40), seed=13, counters=torch.arange(draws), **options)[0]
    p = (logits[0].double() / options.get("temperature", 1.0)).softmax(0)
    ranked = p.sort(descending=True)
    kept = torch.arange(40) < options.get("top_k", 40)
    kept &= ranked.values.cumsum(0) - ranked.values < options.get("top_p", 1.0)
    p = torch.zeros_like(p).scatter(0, ranked.indices[kept], ranked.values[kept])
    expected = p / p.sum() * draws
    observed = torch.bincount(codes.long(), minlength=40).double()
    assert bool((observed[expected == 0] == 0).all())
    assert float(((observed - expected) ** 2 / expected.clamp(min=1e-9))[expected > 0].sum()) < 95


def test_weights_against_float64() -> None:
    x = torch.linspace(-25, 0, 500001)
    exact = (x.double().exp() * 2**30).clamp(max=2**30)
    error = (weight_reference(x) - exact).abs()
    assert float((error - exact * 4e-7).max()) <= 0.51
    assert weight_reference(torch.tensor([0.0, -0.0, -math.inf])).tolist() == [2**30, 2**30, 0]


@pytest.mark.usefixtures("capability")
def test_row_subsets_threads_and_strides() -> None:
    logits = make_logits("normal", 200, 1500)
    counters, seeds = torch.arange(200) * 3, torch.arange(200) % 7
    options: dict[str, Any] = {"top_p": 0.9, "temperature": 0.8}
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = sample_codes(logits, seed=seeds, counters=counters, **options)
        torch.set_num_threads(2)
        together = sample_codes(logits, seed=seeds, counters=counters, **options)
    finally:
        torch.set_num_threads(threads)
    rows = torch.tensor([150, 3, 77])
    part = sample_codes(logits[rows], seed=seeds[rows], counters=counters[rows], **options)
    strided = sample_codes(logits.T.contiguous().T, seed=seeds, counters=counters, **options)
    for whole, both, some, other in zip(alone, together, part, strided, strict=True):
        assert torch.equal(whole, both)
        assert torch.equal(whole[rows], some)
        assert torch.equal(whole, other)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "allowed logits must not be NaN, got NaN in row 1"),
        (math.inf, r"allowed logits must be below \+inf, got \+inf in row 1"),
        (-math.inf, "each row needs an allowed code whose logit is above -inf, got none in row 1"),
    ],
)
@pytest.mark.parametrize("size", [1, 5, 64, 200])
@pytest.mark.usefixtures("capability")
def test_bad_rows_are_named(value: float, message: str, size: int, device: str) -> None:
    logits = make_logits("normal", 4, size).to(device)
    counters = torch.arange(4, device=device)
    logits[1:3] = -math.inf
    logits[1:3, -1] = value
    for sign in (1, -1):  # NaN comes with both signs
        logits[1:3, -1] = math.copysign(value, sign) if math.isnan(value) else value
        for run in (torch.ops.tokenmask.sample_codes, sample_codes_reference):
            with pytest.raises(ValueError, match="sample_codes: " + message):
                run(*registered(logits, counters))
    if size > 1 and value > -math.inf:  # where it is not allowed, it does not matter
        logits[:, 0] = 0.0
        allowed = torch.ones(size, dtype=torch.bool, device=device)
        allowed[-1] = False
        assert_equals_reference(logits, allowed=allowed)


def test_nothing_allowed_and_bad_temperature() -> None:
    logits, counters = make_logits("normal", 3, 8), torch.arange(3)
    allowed = torch.tensor([[True], [True], [False]]).expand(3, 8)
    for run in (torch.ops.tokenmask.sample_codes, sample_codes_reference):
        with pytest.raises(ValueError, match="got none in row 2"):
            run(*registered(logits, counters, allowed=allowed))
        for bad in (-1.0, math.nan, math.inf):
            with pytest.raises(
                ValueError, match="temperature must be finite and at least 0, got another value in row 1"
            ):
                run(*registered(logits, counters, temperature=torch.tensor([1.0, bad, 1.0])))


def test_wrong_input_gets_a_sentence() -> None:
    logits, counters = torch.zeros(2, 4), torch.arange(2)
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"top_p": 0.0}, ValueError, "top_p must be above 0 and at most 1, got 0.0"),
        ({"min_p": 1.5}, ValueError, r"min_p must be in 0\.\.1, got 1.5"),
        ({"top_k": -1}, ValueError, "top_k must be at least 0, got -1"),
        ({"temperature": -0.5}, ValueError, "temperature must be finite and at least 0, got -0.5"),
        ({"temperature": "hot"}, TypeError, "temperature must be a number or a float32 tensor"),
        ({"counters": counters.int()}, TypeError, "counters must be int64, got int32"),
        ({"uncond": torch.zeros(2, 3)}, ValueError, r"uncond must be \[N, V\] = \[2, 4\], got \[2, 3\]"),
        ({"uncond": torch.zeros(2, 4).half()}, TypeError, "uncond must be float32, got float16"),
        ({"allowed": torch.ones(3, dtype=torch.bool)}, ValueError, r"allowed must be \[V\] or \[N, V\] = \[4\]"),
        ({"seed": 1.5}, TypeError, "seed must be an int or an int64 tensor"),
    ]
    for options, kind, message in wrong:
        with pytest.raises(kind, match=message):
            sample_codes(logits, **{"seed": 0, "counters": counters, **options})
    with pytest.raises(TypeError, match="logits must be float32 or bfloat16 or float16, got float64"):
        sample_codes(logits.double(), seed=0, counters=counters)


@pytest.mark.parametrize(("shape", "guided"), list(itertools.product([(0, 5), (1, 1), (4, 70)], [False, True])))
def test_registration(shape: tuple[int, int], guided: bool, device: str) -> None:
    logits = make_logits("normal", *shape).to(device)
    rows = torch.arange(shape[0], device=device)
    options: dict[str, Any] = {}
    if guided:
        options = {
            "uncond": -logits,
            "guidance": rows.float(),
            "temperature": rows.float(),
            "allowed": torch.ones(shape[1], dtype=torch.bool, device=device),
            "seed": rows,
            "top_p": 0.9,
        }
    torch.library.opcheck(torch.ops.tokenmask.sample_codes.default, registered(logits, rows, **options))
