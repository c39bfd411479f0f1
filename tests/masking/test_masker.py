"""Masker: hides what may be hidden, lists what is right, and depends on seed and sample alone."""

from dataclasses import replace

import pytest
import torch

from tokenmask.batch import ABSENT, FILL, GIVEN
from tokenmask.masking import Conditioning, Corruption, Cosine, FixedRate, LevelStages, Linear, Masker, ProcessRate
from tokenmask.scores import HaltonScore, RandomScore, SpanScore, SumScore


class Noisy(Linear):
    """Half of what is hidden at t = 1 shows random codes, none at t = 0."""

    def random_share(self, t):
        return t / 2


MASKERS = [
    Masker(),
    Masker(FixedRate(0.15), RandomScore(), Corruption(0.8, 0.1, 0.1)),
    Masker(ProcessRate(Linear(), rounding="bernoulli")),
    Masker(ProcessRate(Cosine(), per="batch"), SpanScore(3)),
    Masker(ProcessRate(Noisy())),
    Masker(ProcessRate(Noisy(), rounding="bernoulli"), corruption=Corruption(0.8, 0.1, 0.1)),
    Masker(ProcessRate(Linear()), HaltonScore()),
    Masker(ProcessRate(Linear()), SumScore((HaltonScore(), RandomScore()), (0.1, 1.0)), Corruption(0.5, 0.5, 0.0)),
]


@pytest.mark.parametrize("masker", MASKERS, ids=repr)
def test_targets_are_the_clean_codes_of_slots_that_may_be_hidden(masker, batch, layout):
    role = batch.role.clone()
    role[:, 2] = torch.where(role[:, 2] == FILL, GIVEN, role[:, 2])
    given = replace(batch, role=role).drop(torch.tensor([[row % 4 == 1, False, False] for row in range(24)]))
    masked = masker(given, layout, seed=5)
    slots, heads = masked.queries.slots, masked.queries.heads
    maskable = ((given.role == FILL) & given.valid[:, :, None]).flatten()
    assert maskable[slots].all() and (slots.diff() > 0).all()
    clean = given.ids.flatten()[slots]
    assert torch.equal(masked.targets.codes, (clean - layout.offsets()[heads]).long())
    assert torch.equal(heads, layout.head_of(clean))
    untouched = torch.ones_like(maskable).index_fill(0, slots, False)
    assert torch.equal(masked.inputs.ids.flatten()[untouched], given.ids.flatten()[untouched])
    assert torch.equal(masked.hidden, masked.inputs.ids != given.ids)
    shown = masked.inputs.ids.flatten()[slots]
    low = layout.offsets()[heads]
    assert ((shown >= low) & (shown <= low + layout.sizes()[heads])).all()
    noisy = isinstance(getattr(masker.rate, "process", None), Noisy)
    if masker.corruption == Corruption() and not noisy:
        assert torch.equal(shown, layout.mask_of(clean))


@pytest.mark.parametrize("masker", MASKERS, ids=repr)
def test_a_row_is_masked_alike_in_any_batch(masker, batch, layout):
    if isinstance(masker.rate, ProcessRate) and masker.rate.per == "batch":
        masker = replace(masker, rate=FixedRate(0.4))
    index = torch.tensor([17, 4, 9])
    whole, part = masker(batch, layout, seed=1), masker(batch.rows(index), layout, seed=1)
    assert torch.equal(whole.inputs.ids[index], part.inputs.ids)
    again, other = masker(batch, layout, seed=1), masker(batch, layout, seed=2)
    assert torch.equal(again.inputs.ids, whole.inputs.ids)
    assert isinstance(masker.strategy, HaltonScore) or not torch.equal(other.inputs.ids, whole.inputs.ids)


def test_counts_follow_the_process(batch, layout):
    masked = Masker(ProcessRate(Cosine(), rounding="ceil"))(batch, layout, seed=0)
    maskable = (batch.role == FILL).sum((1, 2))
    expected = torch.ceil(torch.sin(masked.t.double() * torch.pi / 2).float().double() * maskable).clamp(min=1)
    assert (masked.hidden.sum((1, 2)) - expected).abs().max() <= 1  # sine of a float may differ in its last bit
    assert masked.t.std() > 0.2
    one = ProcessRate(Cosine(), per="batch")(maskable, step=0, total_steps=1, seed=0, sample_ids=batch.sample_ids)
    assert len(one.t.unique()) == 1
    fixed = FixedRate(0.15)(maskable, step=0, total_steps=1, seed=0, sample_ids=batch.sample_ids)
    assert torch.equal(fixed.count, torch.round(0.15 * maskable.double()).long().clamp(min=1))


def test_bernoulli_shares_within_five_standard_errors(layout, batch):
    rows = batch.rows(torch.arange(24).repeat(40))
    rows = replace(rows, sample_ids=torch.arange(960))
    masked = Masker(ProcessRate(Linear(), low=0.3, high=0.3001, rounding="bernoulli"))(rows, layout, seed=3)
    slots = int((rows.role == FILL).sum())
    error = (0.3 * 0.7 / slots) ** 0.5
    assert abs(float(masked.hidden.sum()) / slots - 0.3) < 5 * error


def test_corruption_shares_within_five_standard_errors(layout, batch):
    rows = replace(batch.rows(torch.arange(24).repeat(40)), sample_ids=torch.arange(960))
    masked = Masker(FixedRate(0.5), corruption=Corruption(0.8, 0.1, 0.1))(rows, layout, seed=3)
    slots = masked.queries.slots
    shown, clean = masked.inputs.ids.flatten()[slots], rows.ids.flatten()[slots]
    sizes = layout.sizes()[masked.queries.heads].double()
    kept = 0.1 + float((0.1 / sizes).mean())  # a random code is the clean one once in size times
    for share, expected in (((shown == layout.mask_of(clean)), 0.8), (shown == clean, kept)):
        error = (expected * (1 - expected) / len(slots)) ** 0.5
        assert abs(float(share.double().mean()) - expected) < 5 * error


def test_a_process_shows_random_codes_in_the_place_of_mask(layout, batch):
    masker = Masker(ProcessRate(Noisy(), low=0.8, high=0.8001, rounding="bernoulli"))
    masked = masker(batch, layout, seed=4)
    plain = replace(masker, rate=replace(masker.rate, process=Linear()))(batch, layout, seed=4)
    slots = masked.queries.slots
    assert torch.equal(slots, plain.queries.slots)  # which are hidden, and what is asked, does not change
    shown, clean = masked.inputs.ids.flatten()[slots], batch.ids.flatten()[slots]
    random = shown != layout.mask_of(clean)
    count = len(slots)
    assert abs(random.double().mean() - 0.4) < 5 * (0.24 / count) ** 0.5
    codes, sizes = (shown - layout.first_of(clean))[random], layout.sizes()[layout.head_of(clean)][random]
    assert bool(((codes >= 0) & (codes < sizes)).all())
    assert abs((codes / (sizes - 1)).double().mean() - 0.5) < 5 * (1 / 8 / int(random.sum())) ** 0.5
    levels = Masker(ProcessRate(Noisy()), stages=LevelStages(whole_from=1))(batch, layout, seed=4)
    whole = (levels.t == 1)[:, None, None] & (levels.inputs.ids != batch.ids)
    assert bool(whole.any()) and torch.equal(levels.inputs.ids[whole], layout.mask_of(batch.ids)[whole])


def test_spans_move_together(layout, batch):
    masked = Masker(FixedRate(0.5), SpanScore(4))(batch, layout, seed=2)
    for row in range(24):
        for stream in batch.stream[row].unique().tolist():
            inside = (batch.stream[row] == stream) & (stream >= 0)
            hidden = masked.hidden[row, inside].any(-1)
            partial = [len(set(span.tolist())) > 1 for span in hidden.split(4)]
            assert sum(partial) <= 2  # the run that the count cuts, and a level of it


def test_halton_covers_every_grid_and_every_prefix_evenly():
    from tokenmask.scores import halton_ranks

    for height, width in ((8, 8), (5, 7), (64, 64), (96, 96), (1, 13)):
        assert halton_ranks(height, width).sort().values.tolist() == list(range(height * width))
    first = (halton_ranks(8, 8) < 16).view(2, 4, 2, 4).sum((1, 3))
    assert first.min() >= 3 and first.max() <= 5


def test_scores_from_outside_replace_the_strategy(layout, batch):
    wanted = torch.rand(batch.shape, generator=torch.Generator().manual_seed(0))
    masked = Masker(FixedRate(0.25))(batch, layout, seed=0, scores=wanted)
    for row in range(24):
        maskable = batch.role[row] == FILL
        hidden = masked.hidden[row]
        assert wanted[row][hidden].min() > wanted[row][maskable & ~hidden].max()


def test_conditioning_draws_targets_conditions_and_drops(layout, batch):
    rows = replace(batch.rows(torch.arange(24).repeat(100)), sample_ids=torch.arange(2400))
    drawn = Conditioning(drop=0.2, odds={"text": 1.0, "image": 3.0, "audio": 0.0})(rows, layout, seed=0)
    assert torch.equal(drawn.role == ABSENT, rows.role == ABSENT)
    filled = torch.stack([((drawn.stream == s)[:, :, None] & (drawn.role == FILL)).any((1, 2)) for s in range(3)], 1)
    assert (filled.sum(1) == 1).all() and not filled[:, 1].any()  # audio has odds 0
    both = (rows.stream == 2).any(1)
    assert abs(float(filled[both, 2].double().mean()) - 0.75) < 5 * (0.75 * 0.25 / int(both.sum())) ** 0.5
    present = torch.stack([(rows.stream == s).any(1) for s in range(3)], 1)
    gone = present & ~torch.stack([((drawn.stream == s) & drawn.valid).any(1) for s in range(3)], 1)
    assert not (gone & filled).any()
    conditions = int((present & ~filled).sum())
    assert abs(int(gone.sum()) / conditions - 0.2) < 5 * (0.2 * 0.8 / conditions) ** 0.5
    assert drawn.valid[:, 0].all()
    joint = Conditioning(joint=1.0)(rows, layout, seed=0)
    assert torch.equal(joint.role == FILL, rows.role == FILL)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda layout, batch: Corruption(0.5, 0.1, 0.1), "sum to 1"),
        (lambda layout, batch: FixedRate(0.0), "FixedRate.share"),
        (lambda layout, batch: ProcessRate(low=0.5, high=0.5), "low < high"),
        (lambda layout, batch: SpanScore(0), "SpanScore.span"),
        (lambda layout, batch: SumScore((RandomScore(),), ()), "a weight for each term"),
        (lambda layout, batch: Conditioning(drop=1.5), "probabilities"),
        (lambda layout, batch: Conditioning(odds={"video": 1.0})(batch, layout, seed=0), "no 'video'"),
        (lambda layout, batch: Conditioning(odds={"text": 0.0})(batch, layout, seed=0), "odds above 0"),
    ],
)
def test_wrong_input_gets_one_sentence(call, sentence, layout, batch):
    with pytest.raises(ValueError, match=sentence):
        call(layout, batch)
