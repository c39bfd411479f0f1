"""What a decoder can repeat, in bits; how far reuse drifts from the whole model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from tests.sampling.reuse_worlds import filled, model_of, start, world
from tokenmask.masking import GroupChain, Power
from tokenmask.models import GivenFirst, GroupCausal, Window
from tokenmask.objectives import MaskedCrossEntropy
from tokenmask.sampling import (
    ClassifierFree,
    ConfidenceAbove,
    GroupCausalReuse,
    NoReuse,
    PrefixReuse,
    ProcessSchedule,
    RevokeDrawn,
    Sampler,
    Stage,
    StaleReuse,
    code_lengths,
    drift,
)
from tokenmask.sampling.drift import Drift
from tokenmask.scores import ConfidenceScore, EntropyScore, QLDSScore, Score, SumScore


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
