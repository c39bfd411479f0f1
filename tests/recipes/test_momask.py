"""Recipe momask decodes as the paper does: the first level step by step, then the residual level in one pass."""

import math

import torch

from tests.sampling.test_sampler import Seer
from tokenmask.batch import GIVEN, collate
from tokenmask.layout import Layout
from tokenmask.recipes import load_recipe
from tokenmask.sampling import NoGuidance, SamplerState
from tokenmask.streams import StreamSpec, TokenStream

BODY = StreamSpec("motion", (8,) * 6, ("time",), level_groups=((0, 1), (2, 3), (4, 5)), rate_hz=7.5)
LAYOUT = Layout({"text": StreamSpec("text", (9,), ("index",)), "motion": BODY})


def empty_motions(rows: int, frames: int):
    words = TokenStream(LAYOUT.streams["text"], torch.tensor([[3], [1], [4]], dtype=torch.int32))
    body = TokenStream(BODY, torch.zeros(frames, 6, dtype=torch.int32))
    packed = LAYOUT.pack({"text": words, "motion": body}, roles={"text": GIVEN})
    return SamplerState.start(collate([packed] * rows), LAYOUT, torch.arange(rows))


def test_ten_steps_fill_the_first_level_and_one_fills_the_next():
    sampler, model = load_recipe("momask").sampler, Seer(LAYOUT)
    state = empty_motions(rows=3, frames=12)
    depth = LAYOUT.depths()[LAYOUT.head_of(state.batch.ids).clamp(min=0)]
    first, second = state.is_open & (depth == 0), state.is_open & (depth == 1)
    assert int(first.sum()) == int(second.sum()) == 3 * 12 * 3
    states = [step.state for step in sampler.iterate({"main": model}, LAYOUT, state)]
    still_open = [int((one.is_open & first)[0].sum()) for one in states]
    cosine = [max(1, round(36 * math.cos(step / 9 * math.pi / 2))) for step in range(1, 10)]
    assert len(states) == 11 and still_open == [*cosine, 0, 0]
    assert [int((one.is_open & second).sum()) for one in states] == [108] * 10 + [0]
    assert torch.equal(states[-1].batch.ids[first], states[-2].batch.ids[first])
    residual = model.seen[-1].ids[:3]  # the rows before those of guidance
    assert torch.equal(residual[second], LAYOUT.mask_of(state.batch.ids)[second])
    assert torch.equal(residual[first], states[-1].batch.ids[first])


def test_guidance_and_the_cut_off_are_the_papers():
    recipe = load_recipe("momask")
    assert recipe.sampler.guidance.scale(0.0) == recipe.sampler.guidance.scale(1.0) == 4.0
    assert not isinstance(recipe.sampler.guidance, NoGuidance) and recipe.conditioning.drop == 0.1
    assert recipe.sampler.pick.top_k == 7  # a tenth of 64 codes, rounded up
    assert (recipe.masker.corruption.mask, recipe.masker.corruption.random) == (0.792, 0.1)
