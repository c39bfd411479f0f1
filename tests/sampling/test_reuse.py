"""Reuse policies: exact ones equal the whole model, approximate ones do where nothing is stale; work is counted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from tests.sampling.reuse_worlds import filled, model_of, start, world
from tokenmask.batch import FILL, GIVEN
from tokenmask.masking import GroupChain, Power, Queries, chained
from tokenmask.models import Causal, Full, GivenFirst, GroupCausal, Window
from tokenmask.objectives import MaskedCrossEntropy
from tokenmask.sampling import (
    Categorical,
    ClassifierFree,
    ConfidenceAbove,
    GroupCausalReuse,
    NoReuse,
    PrefixReuse,
    ProcessSchedule,
    RevokeDrawn,
    RevokeLeastLikely,
    Sampler,
    Stage,
    StaleReuse,
    UniformSchedule,
    code_lengths,
    drift,
)
from tokenmask.sampling.drift import Drift
from tokenmask.sampling.reuse import ReuseStep
from tokenmask.sampling.sampler import Sampler as _Sampler  # noqa: F401
from tokenmask.scores import (
    ConfidenceScore,
    EntropyScore,
    HaltonScore,
    QLDSScore,
    RandomScore,
    RasterScore,
    Score,
    SumScore,
)


class Recorded:
    """A policy that notes the logits of every slot of every step, and how many positions ran."""

    def __init__(self, policy):
        self.policy, self.steps = policy, []

    def __getattr__(self, name):
        return getattr(self.policy, name)

    def score(self, model, step, cache):
        scored = self.policy.score(model, step, cache)
        logits = {}
        for group in scored.groups:
            for query, row in zip(group.queries.tolist(), group.logits, strict=True):
                logits[int(step.queries.slots[query])] = row
        self.steps.append((step, logits, scored.computed))
        return scored


def recorded(sampler: Sampler, model, batch):
    watch = Recorded(sampler.reuse)
    done = filled(replace(sampler, reuse=watch), model, batch)
    return done, watch.steps


def full_logits(model, inputs, queries, **options):
    with torch.inference_mode():
        return model.logits(inputs, queries, **options)


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).abs().max() < 1e-5 * max(1.0, float(b.abs().max())))


GUIDANCE = [None, ClassifierFree(2.5, 1.0)]


def with_guidance(sampler: Sampler, guidance) -> Sampler:
    return sampler if guidance is None else replace(sampler, guidance=guidance)


# PrefixReuse ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guidance", GUIDANCE, ids=["plain", "guided"])
@pytest.mark.parametrize("levels", [1, 4])
@pytest.mark.parametrize("pattern", [GivenFirst(), Causal()], ids=repr)
def test_prefix_reuse_gives_the_logits_of_a_whole_pass(pattern, levels, guidance):
    layout, batch = world(levels)
    model = model_of(layout, pattern)
    sampler = with_guidance(Sampler(4, order=EntropyScore()), guidance)
    done, steps = recorded(replace(sampler, reuse=PrefixReuse()), model, batch)
    for step, logits, _ in steps:
        for head, index, expected in full_logits(model, step.inputs, step.queries, t=step.t):
            for query, row in zip(index.tolist(), expected, strict=True):
                assert close(logits[int(step.queries.slots[query])], row), head
    plain = filled(sampler, model, batch)
    assert torch.equal(done.batch.ids, plain.batch.ids)
    filled_positions = int(((batch.role == FILL).any(-1) & batch.valid).sum())
    given = int(batch.valid.sum()) - filled_positions
    given_alone = int((batch.valid & (batch.stream < 0)).sum())  # the conditions are dropped in unguided rows
    copies = 1 if guidance is None else 2
    expected = copies * filled_positions * len(steps) + given + (0 if guidance is None else given_alone)
    assert done.counters["computed_positions"] == expected < plain.counters["computed_positions"]


@pytest.mark.parametrize("pattern", [Full(), Window(3), GroupCausal()], ids=repr)
def test_prefix_reuse_is_refused_where_given_positions_see_filled_ones(pattern):
    layout, batch = world()
    with pytest.raises(ValueError, match=r"^PrefixReuse needs a pattern in which given positions never look at filled"):
        filled(Sampler(2, reuse=PrefixReuse()), model_of(layout, pattern), batch)
    with pytest.raises(ValueError, match=r"^PrefixReuse keeps what is given, but this model is told the masking time"):
        filled(Sampler(2, reuse=PrefixReuse()), model_of(layout, GivenFirst(), time_input=True), batch)


# StaleReuse ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guidance", GUIDANCE, ids=["plain", "guided"])
@pytest.mark.parametrize("order", [ConfidenceScore(4.5), RandomScore()], ids=repr)
def test_without_local_steps_stale_reuse_is_the_plain_sampler_bit_for_bit(order, guidance):
    layout, batch = world(4)
    model = model_of(layout)
    sampler = with_guidance(Sampler(5, order=order, revoke=RevokeLeastLikely(0.2)), guidance)
    plain, reused = filled(sampler, model, batch), filled(replace(sampler, reuse=StaleReuse(n_local=0)), model, batch)
    assert torch.equal(plain.batch.ids, reused.batch.ids) and torch.equal(plain.score, reused.score)
    assert plain.counters == reused.counters


@pytest.mark.parametrize("pattern", [Full(), Window(3), Causal()], ids=repr)
@pytest.mark.parametrize("options", [{}, {"adaln": True}, {"time_input": True}], ids=str)
def test_a_cheap_pass_over_all_positions_is_a_full_pass(pattern, options):
    layout, batch = world(4)
    model = model_of(layout, pattern, **options)
    state = start(batch, layout)
    slots = state.is_open.flatten().nonzero().squeeze(1)
    queries = Queries(slots, layout.head_of(state.batch.ids.flatten()[slots]))
    t = torch.tensor([0.3, 0.6, 0.9])
    policy = StaleReuse()
    with torch.inference_mode():
        first = policy.score(model, ReuseStep(state.batch, queries, t * 0, keep=True), None)
        everything = ReuseStep(state.batch, queries, t, fresh=state.batch.valid)
        second = policy.score(model, everything, first.cache)
        expected = model.logits(state.batch, queries, t=t)
    assert second.computed == int(batch.valid.sum())
    for found, right in zip(second.groups, expected, strict=True):
        assert torch.equal(found.queries, right.queries) and close(found.logits, right.logits)


@pytest.mark.parametrize("levels", [1, 4])
def test_in_one_layer_nothing_is_stale(levels):
    """With one layer, keys and values of a position depend on it alone, so cheap logits equal those of a full pass."""
    layout, batch = world(levels)
    model = model_of(layout, depth=1)
    sampler = Sampler(6, order=ConfidenceScore(1.0), reuse=StaleReuse(pre_full=1, n_local=2))
    cheap = 0
    for step, logits, computed in recorded(sampler, model, batch)[1]:
        cheap += step.fresh is not None
        if step.fresh is not None:
            assert computed == int(step.fresh.sum()) < int(batch.valid.sum())
        for _, index, expected in full_logits(model, step.inputs, step.queries, t=step.t):
            for query, row in zip(index.tolist(), expected, strict=True):
                assert close(logits[int(step.queries.slots[query])], row)
    assert cheap == 3 * levels  # of six steps: F, F C C, F C
    measured = drift(sampler, {"main": model}, layout, start(batch, layout))
    assert measured.kl < 1e-6 and measured.computed < 1


STALE = [
    StaleReuse(n_local=1),
    StaleReuse(pre_full=2, n_local=3, recompute="open"),
    StaleReuse(n_local=2, where=RasterScore(), reorder=True),
    StaleReuse(n_local=2, where=RasterScore(), reorder=True, recompute="open"),
]


@pytest.mark.parametrize("guidance", GUIDANCE, ids=["plain", "guided"])
@pytest.mark.parametrize("levels", [1, 4])
@pytest.mark.parametrize("policy", STALE, ids=repr)
def test_stale_reuse_reveals_as_planned_and_reports_its_drift(policy, levels, guidance):
    layout, batch = world(levels, text_role=FILL if guidance is None else GIVEN)
    model = model_of(layout)
    sampler = with_guidance(Sampler(5, order=ConfidenceScore(1.0), reuse=policy), guidance)
    state = start(batch, layout)
    opened = [step.state.is_open.sum((1, 2)) for step in sampler.iterate({"main": model}, layout, state)]
    plain = [
        step.state.is_open.sum((1, 2))
        for step in replace(sampler, reuse=NoReuse()).iterate({"main": model}, layout, state)
    ]
    assert all(torch.equal(a, b) for a, b in zip(opened, plain, strict=True))
    measured = drift(sampler, {"main": model}, layout, state)
    assert 0 <= measured.codes <= 1 and 0 < measured.kl <= measured.kl_largest and 0 < measured.computed < 1


def test_blocks_are_filled_from_left_to_right():
    layout, batch = world()
    policy = StaleReuse(n_local=3, where=RasterScore(), reorder=True)
    sampler = Sampler(8, schedule=UniformSchedule(), order=ConfidenceScore(), reuse=policy)
    steps = list(sampler.iterate({"main": model_of(layout)}, layout, start(batch, layout)))
    open_half = steps[3].state.is_open[..., 0]
    for row in range(3):
        was_open = start(batch, layout).is_open[row, :, 0].nonzero().squeeze(1)
        now_open = open_half[row].nonzero().squeeze(1)
        assert torch.equal(now_open, was_open[len(was_open) - len(now_open) :]) and len(now_open)


# GroupCausalReuse ----------------------------------------------------------------------------------------------------

ORDERS = [RandomScore(), QLDSScore(), HaltonScore(), RasterScore()]


def replayed(model, batch, steps):
    """The chain of the groups that a recorded generation revealed, and its logits by slot."""
    group, score = torch.zeros(batch.shape, dtype=torch.int64), torch.zeros(batch.shape)
    for number, (step, _, _) in enumerate(steps):
        rows = batch.shape[0]
        own = step.queries.slots[step.queries.slots < batch.ids.numel()]
        group.view(-1)[own] = number + 1
        score.view(-1)[own] = step.order[:rows].reshape(-1)[own]
    return group, score


@pytest.mark.parametrize("guidance", GUIDANCE, ids=["plain", "guided"])
@pytest.mark.parametrize("levels", [1, 4])
@pytest.mark.parametrize("order", ORDERS, ids=repr)
def test_cached_steps_give_the_logits_of_one_masked_pass(order, levels, guidance):
    layout, batch = world(levels, text_role=FILL if levels == 1 and guidance is None else GIVEN)
    model = model_of(layout, GroupCausal())
    sampler = Sampler(6, schedule=ProcessSchedule(Power(2.2)), order=order, reuse=GroupCausalReuse())
    done, steps = recorded(with_guidance(sampler, guidance), model, batch)
    found = {slot: row for _, logits, _ in steps for slot, row in logits.items()}
    group, score = replayed(model, batch, steps)
    clean = done.batch
    if guidance is not None:
        clean = clean.join(ClassifierFree().unconditional(clean))
        group, score = torch.cat([group, group]), torch.cat([score, score])
    masked = chained(clean, layout, group, score)
    assert len(masked.queries) == len(found) == int(start(batch, layout).is_open.sum()) * (1 if guidance is None else 2)
    slots = asked_slots(masked)
    for _, index, expected in full_logits(model, masked.inputs, masked.queries, group=masked.group, t=masked.t):
        for query, row in zip(index.tolist(), expected, strict=True):
            assert close(found[int(slots[query])], row)
    assert done.counters["computed_positions"] == int(masked.inputs.valid.sum())


def asked_slots(masked) -> torch.Tensor:
    """The slot of the clean batch that each query asks for: coordinates and stream name the position."""
    clean, levels = masked.clean, masked.clean.shape[2]
    row = torch.div(masked.queries.slots, masked.inputs.ids[0].numel(), rounding_mode="floor")
    found = []
    for n, (r, head) in enumerate(zip(row.tolist(), masked.queries.heads.tolist(), strict=True)):
        layout = LAYOUTS[levels]
        stream = layout.index(layout.ranges[head].stream)
        here = (clean.stream[r] == stream) & (clean.coordinates[r] == masked.queries.coordinates[n]).all(-1)
        position = int(here.nonzero().squeeze())
        found.append((r * clean.shape[1] + position) * levels + layout.ranges[head].level)
    return torch.tensor(found)


LAYOUTS = {levels: world(levels)[0] for levels in (1, 4)}


@pytest.mark.parametrize("levels", [1, 4])
def test_each_slot_is_computed_once(levels):
    """M2T's groups never shrink inside a level, so its passes hold as many positions as there are slots."""
    layout, batch = world(levels)
    sampler = Sampler(5, schedule=ProcessSchedule(Power(2.2)), order=QLDSScore(), reuse=GroupCausalReuse())
    done, steps = recorded(sampler, model_of(layout, GroupCausal()), batch)
    slots, given = int(start(batch, layout).is_open.sum()), int((batch.valid & ~(batch.role == FILL).any(-1)).sum())
    again = 0  # where a level begins, the last group of the level before is larger than the first of this one
    for index in range(1, levels):
        last, first = steps[5 * index - 1][0].queries.slots, steps[5 * index][0].queries.slots
        size = batch.ids[0].numel()
        again += sum(max(0, int((last // size == row).sum()) - int((first // size == row).sum())) for row in range(3))
    assert sum(computed for _, _, computed in steps) == given + slots + again
    whole = filled(replace(sampler, reuse=NoReuse()), model_of(layout, GroupCausal()), batch)
    assert whole.counters["computed_positions"] == 5 * levels * batch.shape[0] * batch.shape[1]
    if levels == 1:
        assert done.counters["computed_positions"] == given + slots


def test_single_slots_in_raster_order_are_a_causal_language_model():
    layout, batch = world()
    model = model_of(layout, GroupCausal())
    one = batch.rows(torch.tensor([1])).drop(torch.tensor([[True, False]]))  # BOS and 25 frames
    sampler = Sampler(25, schedule=UniformSchedule(), order=RasterScore(), reuse=GroupCausalReuse())
    done, steps = recorded(sampler, model, one)
    masked = chained(done.batch, layout, *replayed(model, one, steps))
    frames = done.batch.ids[done.batch.stream == 1][:, 0]
    shown = torch.cat([torch.tensor([layout.control("BOS"), layout.range("audio").mask_id]), frames[:-1]])
    assert torch.equal(masked.inputs.ids[0, :, 0], shown.int())
    causal = full_logits(model, masked.inputs, masked.queries, pattern=Causal(), t=masked.t)
    grouped = full_logits(model, masked.inputs, masked.queries, group=masked.group, t=masked.t)
    assert len(causal[0].queries) == 25 and close(causal[0].logits, grouped[0].logits)
    assert torch.equal(
        torch.stack([logits[k] for _, logits, _ in steps for k in logits]).argmax(-1), causal[0].logits.argmax(-1)
    )


def test_bits_of_one_pass_are_the_bits_of_all_steps():
    layout, batch = world(4)
    model = model_of(layout, GroupCausal())
    sampler = Sampler(4, order=RandomScore(), reuse=GroupCausalReuse())
    done, steps = recorded(sampler, model, batch)
    stepwise = sum(
        -float(row.log_softmax(-1)[int(done.batch.ids.flatten()[slot]) - layout.offsets()[head]])
        for step, logits, _ in steps
        for slot, head in zip(step.queries.slots.tolist(), step.queries.heads.tolist(), strict=True)
        for row in [logits[slot]]
    )
    group, score = replayed(model, batch, steps)
    masked = chained(done.batch, layout, group, score)
    bits = MaskedCrossEntropy(reduction="bits")(model, masked).total * batch.shape[0]
    assert float(bits.detach()) == pytest.approx(stepwise / torch.tensor(2.0).log().item(), rel=1e-5)


@pytest.mark.parametrize("levels", [1, 4])
def test_code_lengths_of_a_sampler_are_those_of_one_pass(levels):
    layout, batch = world(levels)
    model = model_of(layout, GroupCausal())
    sampler = Sampler(6, schedule=ProcessSchedule(Power(2.2)), order=QLDSScore(), reuse=GroupCausalReuse())
    bits = code_lengths(sampler, {"main": model}, layout, batch)
    chain = GroupChain(share=1.0, orders=(QLDSScore(),), steps=(6, 6))
    one_pass = MaskedCrossEntropy(reduction="bits")(model, chain(batch, layout, seed=0)).total * batch.shape[0]
    assert float(bits.sum()) == pytest.approx(float(one_pass.detach()), rel=1e-5)
    assert torch.equal(bits > 0, start(batch, layout).is_open)
    plain = code_lengths(Sampler(6, order=EntropyScore()), {"main": model}, layout, batch)
    reused = code_lengths(Sampler(6, order=EntropyScore(), reuse=StaleReuse()), {"main": model}, layout, batch)
    assert torch.equal(plain > 0, bits > 0) and not torch.equal(plain, reused)
    with pytest.raises(ValueError, match="an order that a decoder can repeat"):
        code_lengths(Sampler(2), {"main": model}, layout, batch)


def test_an_order_of_ones_own_says_whether_a_decoder_can_repeat_it():
    @dataclass(frozen=True)
    class Flat(EntropyScore):
        """Highest entropy first, and a score that reads predictions but no drawn code."""

        def __call__(self, context):
            return -super().__call__(context)

    class Mixed(Score):
        reads_predictions, reads_drawn_codes = True, False

        def __call__(self, context):
            return context.predictions["margin"] - context.predictions["entropy"]

    layout, batch = world()
    models, plain = {"main": model_of(layout)}, start(batch, layout).is_open
    for order in (Flat(), Mixed(), SumScore((EntropyScore(), QLDSScore()), (1.0, 0.1))):
        bits = code_lengths(Sampler(4, order=order), models, layout, batch)
        assert torch.equal(bits > 0, plain)
    with pytest.raises(ValueError, match="not by drawn codes, got SumScore"):
        code_lengths(Sampler(4, order=SumScore((EntropyScore(), ConfidenceScore()), (1.0, 1.0))), models, layout, batch)


def test_drift_asks_a_policy_that_keeps_nothing_as_one():
    """Guided in half of its steps: a policy that keeps nothing runs each row once in the others, watched or not."""
    seen = []

    class Forgets(NoReuse):
        exact = False

        def score(self, model, step, cache):
            seen.append(step.inputs.shape[0])
            return super().score(model, step, cache)

    class Half(ClassifierFree):
        def scale(self, progress):
            return 3.0 if progress < 0.5 else 1.0

    layout, batch = world()
    sampler = Sampler(4, order=QLDSScore(), guidance=Half(), reuse=Forgets())
    measured = drift(sampler, {"main": model_of(layout)}, layout, start(batch, layout))
    assert seen == [6, 6, 3, 3] and measured == Drift(0.0, 0.0, 0.0, 1.0)


def test_code_lengths_are_those_of_a_decoder():
    """Guidance does not matter, further conditions neither; what a decoder cannot repeat is refused."""
    layout, batch = world()
    models, sampler = {"main": model_of(layout)}, Sampler(4, order=QLDSScore())
    bits = code_lengths(sampler, models, layout, batch)
    guided = replace(sampler, guidance=ClassifierFree(3.0, weights=(1.0,)))
    assert torch.equal(code_lengths(guided, models, layout, batch), bits)
    for changed, sentence in (
        ({"stages": (Stage(4, order=ConfidenceScore()),)}, "an order that a decoder can repeat"),
        ({"order": EntropyScore(), "schedule": ConfidenceAbove(0.3)}, "knows its counts beforehand"),
        ({"stages": (Stage(4, schedule=ConfidenceAbove(0.3)),)}, "knows its counts beforehand"),
        ({"revoke": RevokeDrawn()}, "revokes nothing"),
    ):
        with pytest.raises(ValueError, match=sentence):
            code_lengths(replace(sampler, **changed), models, layout, batch)


def test_drift_and_prefixes_follow_the_level_that_is_filled():
    """One layer has no drift, whatever its pattern; what is given can't be kept where each level sees others of it."""
    layout, batch = world(4)
    model = model_of(layout, Window(1, None, 1), depth=1)
    sampler = Sampler(6, order=ConfidenceScore(1.0), reuse=StaleReuse(pre_full=1, n_local=2, recompute="open"))
    assert drift(sampler, {"main": model}, layout, start(batch, layout)).kl < 1e-6

    class Given(GivenFirst):
        def allows(self, query, key):
            near = (query.position - key.position).abs() < 3
            return super().allows(query, key) & (near | (query.group == 0))

    with pytest.raises(ValueError, match="must not change with the level"):
        filled(Sampler(2, reuse=PrefixReuse()), model_of(layout, Given()), batch)


def test_rows_move_with_their_cache():
    layout, batch = world(4)
    model = model_of(layout, GroupCausal())
    index = torch.tensor([2, 0, 0])
    for policy, order in ((GroupCausalReuse(), RandomScore()), (StaleReuse(n_local=3), ConfidenceScore())):
        for guidance in GUIDANCE:
            sampler = with_guidance(Sampler(4, order=order, reuse=policy, pick=Categorical(0.0)), guidance)
            states = [step.state for step in sampler.iterate({"main": model}, layout, start(batch, layout))]
            if isinstance(policy, StaleReuse):
                model = model_of(layout)
                states = [step.state for step in sampler.iterate({"main": model}, layout, start(batch, layout))]
            kept = states[1].rows(index)
            copies = 1 if guidance is None else 2
            assert kept.cache.num_rows == 3 * copies
            for copy in range(copies):
                for new, old in enumerate(index.tolist()):
                    here, there = kept.cache.kv, states[1].cache.kv
                    a, b = new + 3 * copy, old + 3 * copy
                    assert torch.equal(here.keys[:, a], there.keys[:, b])
                    assert torch.equal(here.meta.position[a], there.meta.position[b])
            assert kept.cache.kv.keys.data_ptr() != states[1].cache.kv.keys.data_ptr()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Sampler(reuse=GroupCausalReuse(), order=ConfidenceScore()), "order like RandomScore"),
        (lambda: Sampler(reuse=GroupCausalReuse(), order=RandomScore(), revoke=RevokeLeastLikely()), "no revocation"),
        (lambda: StaleReuse(n_local=-1), "neither may be negative"),
        (lambda: StaleReuse(where=ConfidenceScore()), "where must not read predictions"),
        (lambda: GroupChain(orders=(ConfidenceScore(),)), "fixed before anything is predicted"),
        (lambda: GroupChain(steps=(4, 2)), "fewest and the most"),
        (lambda: GroupChain(share=0.0), "above 0"),
        (
            lambda: filled(Sampler(2, order=RandomScore(), reuse=GroupCausalReuse()), model_of(world()[0]), world()[1]),
            "GroupCausalReuse needs a model with the pattern GroupCausal",
        ),
        (
            lambda: drift(
                Sampler(2, order=RandomScore(), reuse=GroupCausalReuse()),
                {"main": model_of(world()[0], GroupCausal())},
                world()[0],
                start(world()[1], world()[0]),
            ),
            "drift compares with a full pass",
        ),
    ],
)
def test_wrong_input_gets_one_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
