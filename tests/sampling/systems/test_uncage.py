"""112 UNCAGE: the contrast of maps, what it is a term of, and that without it nothing changes."""

import math

import pytest
import torch

from tests.models.small import randomise
from tokenmask.batch import GIVEN, collate
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel, TransformerConfig
from tokenmask.sampling import AttentionContrast, ProcessSchedule, Sampler, SamplerState
from tokenmask.sampling.contrast import blurred
from tokenmask.scores import ConfidenceScore, GumbelScore, LogitScore, Progress, ScoreContext, SumScore, UntilScore
from tokenmask.streams import StreamSpec, TokenStream

WORDS, PICTURE = StreamSpec("text", (5,), ("index",)), StreamSpec("image", (6,), ("row", "column"), grid=(3, 4))
LAYOUT = Layout({"text": WORDS, "image": PICTURE})


def state_of(rows: int = 2, words: int = 4) -> SamplerState:
    streams = {
        "text": TokenStream(WORDS, torch.arange(words, dtype=torch.int32)[:, None]),
        "image": TokenStream(PICTURE, torch.zeros(3, 4, 1, dtype=torch.int32)),
    }
    packed = LAYOUT.pack(streams, roles={"text": GIVEN})
    batch = collate([packed] * rows, torch.arange(rows), multiple=1)
    return SamplerState.start(batch, LAYOUT, torch.full((rows,), 7))


def told(maps: torch.Tensor) -> ScoreContext:
    state = state_of(len(maps))
    return ScoreContext(state.batch, state.is_open, state.seeds, state.keys, taps={"contrast.0": maps[:, None]})


def draws(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_of_two_words_it_is_the_distance_of_their_maps():
    maps = draws(2, 17, 2)
    found = AttentionContrast(((0,), (1,)), blur=0.0)(told(maps))[..., 0]
    assert torch.allclose(found, (maps[..., 0] - maps[..., 1]).abs(), atol=1e-7)


@pytest.mark.parametrize("subjects", [((0, 1), (2, 3)), ((0,), (1, 2, 3)), ((0,), (1,), (2, 3)), ((0, 1, 2, 3),)])
def test_the_contrast_is_that_of_loops(subjects):
    maps = draws(2, 17, 4)
    found = AttentionContrast(subjects, blur=0.0)(told(maps))
    for row in range(2):
        for place in range(17):
            each = []
            for number, own in enumerate(subjects):
                rivals = [word for other, words in enumerate(subjects) if other != number for word in words]
                least = min(float(maps[row, place, word]) for word in own)
                each.append(least - max((float(maps[row, place, word]) for word in rivals), default=0.0))
            assert float(found[row, place, 0]) == pytest.approx(max(each), abs=1e-6)


def test_maps_are_blurred_over_the_grid_alone():
    """A map that is 1 at the cell (1, 1): the share of each cell falls as exp(-d^2 / 2 s^2), weights sum to 1."""
    batch = state_of(1).batch
    maps = torch.zeros(1, 17, 1)
    cell = lambda row, column: 5 + row * 4 + column  # noqa: E731 (a control and four words stand before)
    maps[0, cell(1, 1)] = 1.0
    found = blurred(maps, batch, 1.5)[0, :, 0]
    for row in range(3):
        for column in range(4):
            near = {(r, c): math.exp(-((r - row) ** 2 + (c - column) ** 2) / 4.5) for r in range(3) for c in range(4)}
            assert float(found[cell(row, column)]) == pytest.approx(near[1, 1] / sum(near.values()), abs=1e-6)
    assert not found[:5].any()
    assert torch.allclose(blurred(torch.ones(1, 17, 1), batch, 2.0)[0, 5:], torch.ones(12, 1))


def test_a_blur_is_that_of_torchvision():
    """Its ``gaussian_blur`` (7 x 7, 1.5) of these numbers among zeros, over that of ones among zeros."""
    maps = torch.zeros(1, 17, 1)
    maps[0, 5:, 0] = torch.arange(12) * 5 % 7
    theirs = [3.264082, 3.056746, 2.726044, 2.366932, 3.477425, 3.17548, 2.82452, 2.522575]
    theirs += [3.633068, 3.273956, 2.943254, 2.735918]
    assert torch.allclose(blurred(maps, state_of(1).batch, 1.5)[0, 5:, 0], torch.tensor(theirs), atol=1e-6)


def order_of(weight: float, until: int = 16) -> SumScore:
    contrast = UntilScore(AttentionContrast(((0, 1), (2, 3)), (0, 1)), until)
    return SumScore((LogitScore(), GumbelScore(1.0, 0.01, "ends"), contrast), (1.0, 1.0, weight))


def test_codes_are_those_of_the_plain_order_where_it_weighs_nothing():
    model = MaskedModel.create(TransformerConfig(width=64, depth=2, heads=2), LAYOUT)
    randomise(model, size=0.3)
    plain = SumScore((LogitScore(), GumbelScore(1.0, 0.01, "ends")), (1.0, 1.0))
    found = {}
    for name, order in (("plain", plain), ("w0", order_of(0.0)), ("until 0", order_of(3.0, 0)), ("w", order_of(300.0))):
        sampler, state, left = Sampler(6, schedule=ProcessSchedule(), order=order), state_of(8), []
        for step in sampler.iterate({"main": model}, LAYOUT, state):
            filled = ~state.is_open & state.batch.to_fill
            assert torch.equal(step.state.batch.ids[filled], state.batch.ids[filled])  # what is committed stays
            state = step.state
            left.append(state.is_open.sum((1, 2)).tolist())
        assert left == [[count] * 8 for count in ProcessSchedule().plan(12, 6)]
        found[name] = state.batch.ids
    assert torch.equal(found["w0"], found["plain"]) and torch.equal(found["until 0"], found["plain"])
    assert not torch.equal(found["w"], found["plain"])


def test_noise_of_its_own_is_that_of_the_confidence_order():
    state = state_of(3)
    predictions, progress = {"logprob": torch.zeros_like(state.score)}, Progress(1, 4).on("after")
    context = ScoreContext(state.batch, state.is_open, state.seeds, state.keys, progress, predictions)
    both = SumScore((ConfidenceScore(), GumbelScore(4.5, 0.0)), (1.0, 1.0))
    assert torch.allclose(both(context), ConfidenceScore(4.5)(context))


def test_what_is_no_subject_is_refused():
    with pytest.raises(ValueError, match="subjects must not be empty"):
        AttentionContrast(())
    with pytest.raises(ValueError, match="must have a word"):
        AttentionContrast(((),))
    assert AttentionContrast(((0,), (9,)), blur=0.0).taps(told(draws(2, 17, 2)))[0].columns.tolist() == [[1, -1]] * 2
