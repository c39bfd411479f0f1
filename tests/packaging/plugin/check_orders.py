"""Running confidence and contrastive attention of examples/plugin, in values that a person can check."""

import math
from dataclasses import replace

import pytest
import torch
from tokenmask_example.running_confidence import FillAll, Remask, RunningConfidence
from tokenmask_example.uncage import ContrastiveAttention

import tokenmask as tm
from tests.sampling.test_values import Table, trace
from tokenmask.batch import GIVEN, collate
from tokenmask.layout import Layout
from tokenmask.sampling import Categorical, Sampler, SamplerState, UniformSchedule
from tokenmask.scores import ScoreContext
from tokenmask.streams import StreamSpec, TokenStream

CONFIDENT = torch.tensor([[0.9, 0.04, 0.03, 0.03], [0.5, 0.3, 0.1, 0.1], [0.6, 0.2, 0.1, 0.1], [0.4, 0.3, 0.2, 0.1]])


class SurerLater(Table):
    """CONFIDENT in the first step; then open slots are sure of their second code, the last one more than the others."""

    def logits(self, inputs, queries, t=None, **more):
        self.times.append(queries.slots.tolist())
        later = torch.tensor([[0.1, 0.7, 0.1, 0.1]] * 3 + [[0.02, 0.94, 0.02, 0.02]]).log()
        table = self.table if len(self.times) == 1 else later
        yield 0, torch.arange(len(queries)), table[queries.slots % inputs.shape[1] - 1]


def test_running_confidence_hides_what_was_filled_early_again():
    rcr = Sampler(4, schedule=FillAll(), order=RunningConfidence(), pick=Categorical(0.0), revoke=Remask())
    expected = [
        [0, -1, -1, -1],  # 0.9, 0.5, 0.6, 0.4: three of four are hidden again
        [0, -1, -1, 1],  # 0.9, 0.7, 0.7, 0.94: two
        [0, -1, 1, 1],  # again 0.7 and 0.7: one, the first
        [0, 1, 1, 1],
    ]
    for by in ("probability", "carried"):
        assert trace(replace(rcr, revoke=Remask(by=by)), SurerLater(CONFIDENT)) == expected
    # Two steps: floor(4 / 2) are hidden again. Margins are 0.8, 0.05, 0.15, 0.2: not those of 0.4 and 0.45.
    two = replace(rcr, steps=2, order=RunningConfidence("margin"), revoke=Remask(by="carried"))
    table = torch.tensor([[0.9, 0.1, 0, 0], [0.5, 0.45, 0.05, 0], [0.45, 0.1, 0.3, 0.15], [0.4, 0.2, 0.2, 0.2]]) + 1e-9
    assert trace(two, Table(table))[0] == [0, -1, -1, 0]
    with pytest.raises(ValueError, match="needs what the order RunningConfidence carries; name it as order"):
        trace(Sampler(4, revoke=Remask(by="carried")), Table())
    counts = [Remask().left.plan(10, 4)[step] for step in range(4)]
    assert counts == [math.floor(10 * (1 - (step + 1) / 4)) for step in range(4)] == [7, 5, 2, 0]


def test_running_confidence_opens_an_early_code_for_a_surer_late_one():
    table = CONFIDENT.clone()
    table[0] = torch.tensor([0.65, 0.25, 0.05, 0.05])
    rcr = Sampler(4, schedule=FillAll(), order=RunningConfidence(), pick=Categorical(0.0), revoke=Remask())
    # 0.65 stays in the first step; in the second 0.7, 0.7 and 0.94 are all surer, so it goes.
    for by in ("probability", "carried"):
        assert trace(replace(rcr, revoke=Remask(by=by)), SurerLater(table))[:2] == [[0, -1, -1, -1], [-1, -1, 1, 1]]


class Looks(Table):
    """Six places after four words; attention of each place to the words, the same in two heads."""

    def __init__(self, maps):
        super().__init__(torch.full((20, 4), 0.25))
        self.maps, self.asked = maps, []

    def __call__(self, inputs, queries, t=None, group=None, taps=()):
        self.asked.append([(tap.layer, tap.columns.tolist()) for tap in taps])
        seen = torch.zeros(1, 2, inputs.shape[1], self.maps.shape[1])
        seen[:, :, -len(self.maps) :] = self.maps
        groups = tuple(self.logits(inputs, queries, t))
        return type("Seen", (), {"groups": groups, "taps": {tap.name: seen for tap in taps}})()


def scene(columns: int = 6):
    words = StreamSpec("text", (4,), ("index",))
    picture = StreamSpec("image", (4,), ("row", "column"), grid=(1, columns))
    layout = Layout({"text": words, "image": picture})
    streams = {
        "text": TokenStream(words, torch.zeros(4, 1, dtype=torch.int32)),
        "image": TokenStream(picture, torch.zeros(1, columns, 1, dtype=torch.int32)),
    }
    return layout, collate([layout.pack(streams, roles={"text": GIVEN})], multiple=1)


def test_contrast_of_maps_by_hand():
    maps = torch.tensor([[[0.5, 0.2, 0.1], [0.1, 0.6, 0.3], [0.1, 0.2, 0.9]]])  # words: red ball, box
    contrast = ContrastiveAttention(((0, 1), (2,))).contrast(maps)
    # ball: min(red, ball) - box; box: box - max(red, ball); the larger of both
    assert contrast.tolist()[0] == pytest.approx([0.1, -0.2, 0.7])
    bare = ContrastiveAttention(((0,), (1,))).contrast(maps[..., :2])
    assert torch.allclose(bare, (maps[..., 0] - maps[..., 1]).abs(), atol=1e-7)
    assert torch.equal(ContrastiveAttention(((0, 1),)).contrast(maps[..., :2]), maps[..., :2].amin(-1))


def test_an_order_by_contrast_reveals_places_of_one_subject_first():
    layout, batch = scene()
    maps = torch.tensor([[0.3, 0.3], [0.8, 0.1], [0.4, 0.2], [0.1, 0.7], [0.5, 0.0], [0.2, 0.3]])  # |.|: 0 7 2 6 5 1
    order = ContrastiveAttention(((1,), (3,)), layers=(0, 1), weight=100.0, blur=0.0, until=2, noise=0.1)
    model = Looks(maps)
    state = SamplerState.start(batch, layout, torch.tensor([0]))
    sampler = Sampler(3, schedule=UniformSchedule(), order=order, pick=Categorical(0.0))
    steps = [step.state.is_open[0, -6:, 0].tolist() for step in sampler.iterate({"main": model}, layout, state)]
    assert [[n for n, hidden in enumerate(row) if not hidden] for row in steps[:2]] == [[1, 3], [1, 2, 3, 4]]
    words = [int(place) for place in (batch.stream[0] == 0).nonzero()[[1, 3]]]
    assert model.asked == [[(0, [words]), (1, [words])]] * 2  # the third step looks at no maps


def test_pictures_of_the_model_that_ships():
    """Without weight, or once it guides no more, it is the order beneath, bit for bit; a batch changes no row of it."""

    run = tm.load()
    order = ContrastiveAttention(((0,), (2,)), layers=(0, 1), stream=run.layout.index("text"), weight=200.0)
    prompts = ["red apple", "a cat and a dog"]

    def drawn(order, prompts, count=2, **more):
        sampler = replace(run.recipe.sampler_of("image"), order=replace(order, **more))
        found = []
        for prompt in prompts:
            found += run.generate_tokens("image", given={"text": prompt}, steps=4, num_samples=count, sampler=sampler)
        return torch.stack([one.codes for one in found])

    plain, guided = drawn(order, prompts, weight=0.0), drawn(order, prompts)
    assert torch.equal(plain, drawn(order, prompts, until=0)) and not torch.equal(plain, guided)
    assert torch.equal(guided[[0, 2]], drawn(order, prompts, count=1))


def test_maps_are_blurred_over_the_grid():
    _, batch = scene(3)
    is_open = (batch.stream == 1)[:, :, None]
    context = ScoreContext(batch, is_open, torch.tensor([0]), torch.tensor([0]))
    maps = torch.zeros(1, batch.shape[1], 1)
    maps[0, -3] = 1.0  # the left one of three places
    blurred = ContrastiveAttention(((0,),), blur=1.0)._blurred(maps, context)
    near, far = math.exp(-0.5), math.exp(-2.0)
    assert blurred[0, -3:, 0].tolist() == pytest.approx(
        [1 / (1 + near + far), near / (1 + 2 * near), far / (1 + near + far)]
    )
