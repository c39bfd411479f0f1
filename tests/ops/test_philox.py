"""Philox4x32-10 against the published vectors, and the three implementations against each other."""

from __future__ import annotations

import pytest
import torch

from tokenmask import _C
from tokenmask.ops import Purpose, uniform
from tokenmask.ops.philox import draw_reference, philox4x32
from tokenmask.ops.uniform import uniform_reference

# Random123, tests/kat_vectors, the lines "philox4x32 10": counter, key, result.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_published_vectors(counter: tuple[int, ...], key: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert tuple(_C.philox4x32(counter, key)) == expected
    c0, c1, c2, c3 = (torch.tensor([word]) for word in counter)
    k0, k1 = (torch.tensor([word]) for word in key)
    assert tuple(int(word) for word in philox4x32((c0, c1, c2, c3), (k0, k1))) == expected


def test_reference_equals_header() -> None:
    words = torch.randint(0, 2**32, (200, 6), generator=torch.Generator().manual_seed(1))
    ours = torch.stack(philox4x32(tuple(words[:, :4].T), tuple(words[:, 4:].T)), 1)
    assert ours.tolist() == [_C.philox4x32(row[:4], row[4:]) for row in words.tolist()]


def test_purposes_are_mirrored() -> None:
    assert _C.purposes() == {purpose.name: int(purpose) for purpose in Purpose}


def test_counter_layout() -> None:
    """Word 0 is the slot, 1 the purpose, 2 and 3 the counter; the key is the seed; low words first."""
    seed, slot, counter = 0x1122334455667788, 9, 0x0A0B0C0D01020304
    expected = _C.philox4x32([slot, int(Purpose.latent), 0x01020304, 0x0A0B0C0D], [0x55667788, 0x11223344])
    words = draw_reference(seed, torch.tensor(slot), Purpose.latent, torch.tensor(counter))
    assert [int(word) for word in words] == expected


@pytest.mark.parametrize("seed", [0, 1, -1, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("size", [0, 1, 1000])
def test_uniform_equals_reference(seed: int, size: int, device: str) -> None:
    counters = torch.randint(-(2**62), 2**62, (size,), generator=torch.Generator().manual_seed(2)).to(device)
    drawn = uniform(seed=seed, counters=counters, purpose="order")
    assert torch.equal(drawn, uniform_reference(counters, seed, None, Purpose.order))
    per_row = torch.full((size,), seed, device=device)
    assert torch.equal(drawn, uniform(seed=per_row, counters=counters, purpose=Purpose.order))
    assert bool(((drawn >= 0) & (drawn < 1)).all())


def test_unsigned_and_signed_seeds_agree() -> None:
    counters = torch.arange(4)
    assert torch.equal(
        uniform(seed=2**64 - 3, counters=counters, purpose="code"), uniform(seed=-3, counters=counters, purpose="code")
    )


def test_uniform_is_uniform() -> None:
    """Chi-square over 64 bins, 2^18 draws; 63 degrees of freedom exceed 120 with probability 2e-5."""
    drawn = uniform(seed=3, counters=torch.arange(2**18), purpose="dropout")
    observed = torch.bincount((drawn * 64).long(), minlength=64).double()
    expected = 2**18 / 64
    assert float(((observed - expected) ** 2 / expected).sum()) < 120


def test_purposes_do_not_share_draws() -> None:
    counters = torch.arange(1000)
    draws = torch.stack([uniform(seed=0, counters=counters, purpose=purpose) for purpose in Purpose])
    assert float(torch.corrcoef(draws).fill_diagonal_(0).abs().max()) < 0.2  # 6 standard deviations


def test_strided_counters() -> None:
    counters = torch.arange(20)
    assert torch.equal(
        uniform(seed=1, counters=counters[::2], purpose="mask"), uniform(seed=1, counters=counters, purpose="mask")[::2]
    )


def test_wrong_input_gets_a_sentence() -> None:
    counters = torch.arange(3)
    with pytest.raises(ValueError, match=r"purpose must be one of mask, code, .*got 'noise'"):
        uniform(seed=0, counters=counters, purpose="noise")
    with pytest.raises(TypeError, match="counters must be int64, got int32"):
        uniform(seed=0, counters=counters.int(), purpose="mask")
    with pytest.raises(ValueError, match="seed must fit 64 bits"):
        uniform(seed=2**64, counters=counters, purpose="mask")
    with pytest.raises(ValueError, match=r"counters must be \[N\]"):
        uniform(seed=0, counters=counters[None], purpose="mask")


@pytest.mark.parametrize("seeds", [None, torch.arange(5)])
def test_registration(seeds: torch.Tensor | None) -> None:
    torch.library.opcheck(torch.ops.tokenmask.uniform.default, (torch.arange(5), 7, seeds, 2))
