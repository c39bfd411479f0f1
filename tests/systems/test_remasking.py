"""Every step fills all, and a critic or the probability of spans says what is hidden for the next one; by hand."""

import pytest
import torch

from tests.sampling.test_values import LAYOUT, MASK, Table, row_of
from tokenmask.batch import GIVEN, collate
from tokenmask.masking import Linear
from tokenmask.sampling import Categorical, RevealAll, RevokeDoubted, RevokeSpans, Sampler, SamplerState, Stage
from tokenmask.streams import TokenStream


class Critic(Table):
    """Says of code 0 that it is real with other probabilities each time it is asked."""

    def __init__(self, *says: list[float]) -> None:
        super().__init__()
        self.says, self.seen = list(says), []

    def logits(self, inputs, queries, t=None, **more):
        self.seen.append((inputs.ids[0, 1:, 0] == MASK).tolist())
        real = torch.tensor(self.says.pop(0))[:, None]
        self.table = torch.cat([real, (1 - real).expand(4, 3) / 3], 1).log()
        return super().logits(inputs, queries, t, **more)


def opened(sampler: Sampler, models, state=None) -> list[list[int]]:
    """The open slots after each step."""
    start = SamplerState.start(row_of(), LAYOUT, torch.tensor([0])) if state is None else state
    steps = list(sampler.iterate(models, LAYOUT, start))
    return [[slot for slot in range(4) if step.state.is_open[0, slot + 1, 0]] for step in steps]


def test_what_a_critic_doubts_most_is_hidden_again_whenever_it_was_filled():
    """ceil(4 * 2 / 3) = 3 are hidden after the first step, ceil(4 / 3) = 2 after the second."""
    critic = Critic([0.1, 0.9, 0.5, 0.7], [0.9, 0.1, 0.8, 0.7])
    sampler = Sampler(
        3, schedule=RevealAll(), pick=Categorical(0.0), revoke=RevokeDoubted(process=Linear(), rounding="ceil")
    )
    assert opened(sampler, {"main": Table(), "critic": critic}) == [[0, 2, 3], [1, 3], []]  # 1 was kept before
    assert critic.seen == [[False] * 4] * 2  # with all codes drawn
    with pytest.raises(ValueError, match="a model that is asked must be one of main, got 'critic'"):
        opened(sampler, {"main": Table()})


def test_what_is_given_is_not_asked():
    role = torch.tensor([[GIVEN], [2], [2], [2]], dtype=torch.int8)
    codes = {"text": TokenStream(LAYOUT.streams["text"], torch.zeros(4, 1, dtype=torch.int32))}
    batch = collate([LAYOUT.pack(codes, roles={"text": role})], multiple=1)
    state = SamplerState.start(batch, LAYOUT, torch.tensor([0]))
    sampler = Sampler(2, schedule=RevealAll(), pick=Categorical(0.0), revoke=RevokeDoubted(process=Linear()))
    critic = Critic([0.01, 0.9, 0.5, 0.7])
    assert opened(sampler, {"main": Table(), "critic": critic}, state) == [[2, 3], []]  # ceil(3 / 2)


def test_noise_blurs_a_critic_less_and_less():
    def first(noise: float, seed: int, step: int) -> list[int]:
        start = SamplerState.start(row_of(), LAYOUT, torch.tensor([seed]))
        critic = Critic(*[[0.4, 0.5, 0.45, 0.55]] * 3)
        revoke = RevokeDoubted(process=Linear(), noise=noise)
        sampler = Sampler(4, schedule=RevealAll(), pick=Categorical(0.0), revoke=revoke)
        return opened(sampler, {"main": Table(), "critic": critic}, start)[step]

    assert first(0.0, 0, 2) == [0] and first(0.0, 0, 1) == [0, 2]
    assert len({tuple(first(20.0, seed, 1)) for seed in range(12)}) > 2


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        # Sums of two: 5 0 1 1 3; from the least probable down the spans begin at 0, 4, 2, 3, 1.
        (1, [0, 1]),  # one span at the least
        (4, [0, 1, 4, 5]),
        (5, [0, 1, 2, 3, 4, 5]),  # 2 spans are 4 places, 3 are 6: the last that was tried
        (6, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_the_union_of_the_least_probable_spans(wanted, places):
    mask = RevokeSpans(2).union(torch.tensor([5.0, 0, 0, 1, 0, 3]).double(), wanted)
    assert mask.nonzero().flatten().tolist() == places


def test_spans_of_what_was_just_drawn_are_hidden_again():
    """Best codes have .7 .4 .5 .97; -log p .36 .92 .69 .03; spans of two 1.27 1.61 .72.

    Linear, 3 steps: floor(4 / 2) = 2 are wanted after the first and 1, so one span, after the second. There places 0
    and 3 count as certain: of the spans that begin at 0, 1 and 2 the second one alone holds no certain place.
    """
    revoke = RevokeSpans(2, Linear())
    sampler = Sampler(3, schedule=RevealAll(), pick=Categorical(0.0), revoke=revoke)
    assert opened(sampler, {"main": Table()}) == [[1, 2], [1, 2], []]
    assert opened(Sampler(1, schedule=RevealAll(), revoke=revoke), {"main": Table()}) == [[]]
    long = Sampler(stages=(Stage(2),), schedule=RevealAll(), pick=Categorical(0.0), revoke=RevokeSpans(9))
    assert opened(long, {"main": Table()}) == [[0, 1, 2, 3], []]  # a span as long as the row


def test_all_is_revealed_in_every_step():
    assert RevealAll().plan(7, 3) == [0, 0, 0] and RevealAll().law() is None
    assert opened(Sampler(3, schedule=RevealAll()), {"main": Table()}) == [[], [], []]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: RevokeDoubted(noise=-1.0), r"RevokeDoubted\.noise must be finite and at least 0, got -1"),
        (lambda: RevokeDoubted(rounding="up"), r"RevokeDoubted\.rounding must be one of floor, round, ceil"),
        (
            lambda: RevokeDoubted(process=Linear),
            r"RevokeDoubted\.process must be a MaskingProcess, got the class",
        ),
        (lambda: RevokeSpans(0), r"RevokeSpans\.span must be at least 1, got 0"),
    ],
)
def test_wrong_values_are_refused(make, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        make()
