"""What picks of others share with ``ops.sample_codes``: the same logits to draw from, the same figures of a code."""

import pytest
import torch

from tests.sampling.test_values import start
from tokenmask.ops import sample_codes
from tokenmask.sampling import PickContext, guided, sureness


def context(allowed: torch.Tensor | None, guidance: float = 1.5) -> PickContext:
    keys = torch.arange(200)
    return PickContext(keys, keys, guidance, 0.0, allowed, keys % 4, start(), 0)


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("with_uncond", [False, True])
def test_figures_are_those_of_the_op(size: int, with_uncond: bool) -> None:
    draw = torch.Generator().manual_seed(size)
    logits, uncond = (2 * torch.randn(200, size, generator=draw) for _ in range(2))
    allowed = torch.ones(size, dtype=torch.bool)
    allowed[1:3] = size == 2
    told = context(allowed)
    base = uncond if with_uncond else None
    options = {"uncond": base, "guidance": 1.5, "allowed": allowed, "seed": told.seeds, "counters": told.counters}
    codes, *expected = sample_codes(logits, **options)
    found = guided(logits, base, told)
    assert bool(torch.isneginf(found[:, ~allowed]).all()) and bool(found[:, allowed].isfinite().all())
    for ours, theirs in zip(sureness(found, codes), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_guidance_by_hand_and_a_hidden_slot_is_certain() -> None:
    logits, uncond = torch.tensor([[2.0, 1.0, -torch.inf]]), torch.tensor([[1.0, 1.0, 5.0]])
    assert guided(logits, uncond, context(None, 3.0)).tolist() == [[4.0, 1.0, -torch.inf]]  # 1 + 3 (2 - 1); 1 + 0
    assert guided(logits, None, context(None)) is logits
    halves = torch.zeros(2, 2)
    logprob, entropy, margin = sureness(halves, torch.tensor([1, 2]))
    assert logprob.tolist() == pytest.approx([-0.693147, 0.0]) and margin.tolist() == [0.0, 0.0]
    assert entropy.tolist() == pytest.approx([0.693147] * 2)
