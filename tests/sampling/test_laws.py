"""The laws that published loops follow, number by number, and what the parts of a step are told."""

import itertools
import math
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch

from tests.sampling.reuse_worlds import model_of
from tests.sampling.test_values import LAYOUT, SPEC, TABLE, Table, committed, start, step_after, trace
from tokenmask.batch import GIVEN, collate
from tokenmask.generation import drawn_with
from tokenmask.layout import Layout
from tokenmask.masking import Cosine, Linear, Power
from tokenmask.models.attention_pattern import Full, Window
from tokenmask.objectives import MaskedCrossEntropy
from tokenmask.recipes import load_recipe
from tokenmask.sampling import (
    Categorical,
    ClassifierFree,
    ConfidenceAbove,
    GroupCausalReuse,
    Guidance,
    NoGuidance,
    ProcessSchedule,
    Revoke,
    RevokeDrawn,
    Sampler,
    SamplerState,
    Stage,
    StaleReuse,
    UniformSchedule,
)
from tokenmask.scores import ConfidenceScore, MarginScore, Progress, RasterScore, ScoreContext
from tokenmask.streams import StreamSpec, TokenStream


def test_the_three_grids():
    assert [Progress(i, 4).on("before") for i in range(4)] == [0, 0.25, 0.5, 0.75]
    assert [Progress(i, 4).on("after") for i in range(4)] == [0.25, 0.5, 0.75, 1]
    assert [Progress(i, 4).on("ends") for i in range(4)] == [0, 1 / 3, 2 / 3, 1]
    assert Progress(0, 1).on("ends") == 0 and Progress(1, 2).on("ends") == 1


def test_guidance_and_temperature_of_magnet():
    """10 cos(pi i / 2 (S - 1)) + 1 - cos(...), and 3 (S - 1 - i) / S: the numbers of the published loop."""
    guidance, scales, temperatures = ClassifierFree(10.0, 1.0, "cosine", grid="ends"), [], []

    class Watch(Categorical):
        def __call__(self, logits, uncond, context):
            scales.append(context.guidance)
            temperatures.append(self.temperature + (self.temperature_end - self.temperature) * context.progress)
            return super().__call__(logits, uncond, context)

    trace(Sampler(4, schedule=UniformSchedule(), guidance=guidance, pick=Watch(3.0, 0.0, grid="after")))
    law = [math.cos(math.pi * i / 6) for i in range(4)]
    assert scales == pytest.approx([10 * c + 1 - c for c in law]) and scales[-1] == pytest.approx(1.0)
    assert temperatures == pytest.approx([2.25, 1.5, 0.75, 0.0])


def test_counts_of_momask_and_magnet():
    after = [32, *ProcessSchedule(rounding="round", grid="ends").plan(32, 10)]
    assert [a - b for a, b in itertools.pairwise(after)] == [0, 2, 2, 3, 4, 5, 5, 5, 5, 1]
    assert ProcessSchedule(grid="ends").plan(9, 4) == [7, 4, 1, 0]  # 7.8, 4.5, 0
    assert ProcessSchedule(grid="ends").plan(10, 1) == [0] and ProcessSchedule(grid="ends").plan(0, 3) == [0, 0, 0]


def test_revocation_of_remdm():
    """Four codes drawn with p = .5, .25, .125, 1; softmax(-p) times the largest share, on a linear process."""
    state = committed([math.log(p) for p in (0.5, 0.25, 0.125, 1.0)])
    stage = torch.ones_like(state.is_open)
    odds = torch.tensor([math.exp(-p) for p in (0.5, 0.25, 0.125, 1.0)])
    for index, most in ((0, 1.0), (2, 0.5 / 0.75 * 0.0)):  # t = 3/4: (1 - 1/2) / (1/4) is above 1; s = 0: none
        found = RevokeDrawn(process=Linear()).probability(step_after(state, stage, Progress(index, 4)))[0, 1:5, 0]
        assert torch.allclose(found, odds / odds.sum() * most, atol=1e-6)
    fifth = RevokeDrawn(process=Linear()).probability(step_after(state, stage, Progress(2, 5)))[0, 1:5, 0]
    assert torch.allclose(fifth, odds / odds.sum() * ((1 - 0.8) / 0.6), atol=1e-6)
    capped = RevokeDrawn(0.1, Linear()).probability(step_after(state, stage, Progress(0, 4)))[0, 1:5, 0]
    assert torch.allclose(capped, odds / odds.sum() * 0.1, atol=1e-6)


def test_revocation_shares_its_odds_among_all_levels_of_a_row():
    spec = StreamSpec("audio", (4, 4), ("time",), rate_hz=1.0)
    layout = Layout({"audio": spec})
    packed = layout.pack({"audio": TokenStream(spec, torch.zeros(2, 2, dtype=torch.int32))})
    state = SamplerState.start(collate([packed], multiple=1), layout, torch.tensor([0]))
    nothing = RevokeDrawn(process=Linear()).probability(step_after(state, state.is_open, Progress(0, 4)))
    assert nothing.tolist() == torch.zeros(1, 3, 2).tolist()  # all is open, so there is nothing to open
    score = torch.tensor([[[0.0, 0.0], [0.5, 0.25], [0.125, 1.0]]]).log().clamp(min=-9)
    state = replace(state, is_open=torch.zeros_like(state.is_open), score=score)
    found = RevokeDrawn(process=Linear()).probability(
        step_after(state, torch.ones(1, 3, 2, dtype=torch.bool), Progress(0, 4))
    )
    odds = torch.tensor([[math.exp(-p) for p in row] for row in ((0.5, 0.25), (0.125, 1.0))])
    assert torch.allclose(found[0, 1:], odds / odds.sum()) and found[0, 0].tolist() == [0, 0]


@pytest.mark.parametrize("cap", [0.0, 1.5])
def test_a_cap_outside_of_0_to_1_is_refused(cap):
    with pytest.raises(ValueError, match=rf"RevokeDrawn\.cap must lie in 0\.\.1 and above 0, got {cap}"):
        RevokeDrawn(cap)


def test_slots_are_opened_as_often_as_the_law_says():
    state = committed([math.log(p) for p in (0.5, 0.25, 0.125, 1.0)]).rows(torch.zeros(4000, dtype=torch.int64))
    state = replace(state, batch=replace(state.batch, sample_ids=torch.arange(4000)))
    stage = torch.ones_like(state.is_open)
    share = RevokeDrawn(process=Linear())(step_after(state, stage, Progress(0, 4)))[:, 1:5, 0].double().mean(0)
    law = RevokeDrawn(process=Linear()).probability(step_after(state, stage, Progress(0, 4)))[0, 1:5, 0].double()
    assert ((share - law).abs() < 4.5 * (law * (1 - law) / 4000).sqrt()).all()


def test_a_threshold_decides_in_the_step():
    # Probabilities of the best codes: .7, .4, .5, .97. At .45 three are revealed at once, then the last one.
    sampler = Sampler(9, schedule=ConfidenceAbove(0.45), pick=Categorical(0.0))
    assert trace(sampler) == [[0, -1, 0, 0], [0, 0, 0, 0]]
    assert trace(replace(sampler, schedule=ConfidenceAbove(0.99))) == [
        [-1, -1, -1, 0],
        [0, -1, -1, 0],
        [0, -1, 0, 0],
        [0, 0, 0, 0],
    ]
    for reuse in (StaleReuse(), GroupCausalReuse()):
        with pytest.raises(ValueError, match="settles slots before their codes are scored"):
            trace(replace(sampler, order=RasterScore(), reuse=reuse))


def test_a_stage_has_parts_of_its_own():
    first = Stage(2, order=RasterScore(), schedule=UniformSchedule(), pick=Categorical(0.0), guidance=NoGuidance())
    sampler = Sampler(stages=(first,), order=MarginScore(), guidance=ClassifierFree(3.0))
    assert trace(sampler) == [[0, 0, -1, -1], [0, 0, 0, 0]]


def test_parts_are_told_the_step_and_what_it_saw():
    told = []

    class Order(ConfidenceScore):
        def __call__(self, context):
            told.append(
                (context.progress.index, context.progress.steps, context.carry.get("best", torch.zeros(1)).tolist())
            )
            told.append(context.predictions["plain_logprob"][0, 1:5, 0].exp().tolist())
            told.append(context.predictions["logit"][0, 1:5, 0].exp().tolist())
            return super().__call__(context)

        def observe(self, context):
            return {"best": context.predictions["plain_logprob"].flatten(1).amin(1)}

    class Watch(Revoke):
        def __call__(self, context):
            told.append((context.progress.index, context.progress.steps, sorted(context.predictions)))

    trace(Sampler(2, schedule=UniformSchedule(), order=Order(), pick=Categorical(0.5, top_k=1), revoke=Watch()))
    best = TABLE[:, 0]
    assert told[0] == (0, 2, [0.0]) and told[4][:2] == (1, 2)
    assert told[1] == pytest.approx(best.tolist()) and told[2] == pytest.approx(best.tolist())
    assert told[3] == (0, 2, ["code", "entropy", "logit", "logprob", "margin", "plain_logprob", "trial_logprob"])
    assert told[4][2] == pytest.approx([math.log(0.4)])  # the least sure of the four, carried on


def test_logits_are_those_after_guidance():
    seen = []

    class Order(ConfidenceScore):
        def __call__(self, context):
            seen.append(context.predictions["logit"][0, 1:3, 0].tolist())
            return super().__call__(context)

    class Two:
        def logits(self, inputs, queries, t=None, group=None):
            row = torch.div(queries.slots, inputs.shape[1], rounding_mode="floor")
            yield 0, torch.arange(len(queries)), torch.tensor([[2.0, 0, 0, 0], [0.5, 0, 0, 0]])[row]

    trace(Sampler(1, order=Order(), guidance=ClassifierFree(3.0), pick=Categorical(0.0)), Two(), slots=2)
    assert seen == [[0.5 + 3 * 1.5] * 2]


def test_the_time_is_that_of_the_share_that_is_open():
    model = Table()
    model.backbone = SimpleNamespace(reads_time=True)
    trace(Sampler(4, schedule=UniformSchedule()), model)
    assert [one for row in model.times for one in row] == pytest.approx([1.0, 0.75, 0.5, 0.25])
    model.times.clear()
    trace(Sampler(4, schedule=ProcessSchedule(Cosine())), model)  # sin(pi t / 2) of the slots is open
    assert [row[0] for row in model.times] == pytest.approx([2 / math.pi * math.asin(s / 4) for s in (4, 3, 2, 1)])
    # An edit: three of four slots are given, so a quarter is open from the start.
    role = torch.tensor([[GIVEN], [GIVEN], [2], [GIVEN]], dtype=torch.int8)
    packed = LAYOUT.pack({"text": TokenStream(SPEC, torch.zeros(4, 1, dtype=torch.int32))}, roles={"text": role})
    state = SamplerState.start(collate([packed], multiple=1), LAYOUT, torch.tensor([0]))
    model.times.clear()
    Sampler(1, schedule=ProcessSchedule(Linear())).run({"main": model}, LAYOUT, state)
    assert model.times[0] == pytest.approx([0.25])


def test_the_time_is_by_the_law_that_the_model_was_trained_with():
    """Whatever the schedule: with s of the slots open, a cosine rate was at t with sin(pi t / 2) = s."""
    model = Table()
    model.backbone = SimpleNamespace(reads_time=True)
    for schedule in (UniformSchedule(), ProcessSchedule(Linear()), ProcessSchedule(Power(1.0)), ConfidenceAbove(1.0)):
        model.times.clear()
        trace(Sampler(4, schedule=schedule, process=Cosine()), model)
        asked = [2 / math.pi * math.asin(s / 4) for s in (4, 3, 2, 1)]
        assert [row[0] for row in model.times] == pytest.approx(asked), schedule
    assert Cosine().time(torch.tensor([0.5, 1.0])).tolist() == pytest.approx([1 / 3, 1.0])
    assert Linear().time(torch.tensor([0.3])).tolist() == pytest.approx([0.3])


def test_a_recipe_says_the_law_of_time_once():
    recipe = load_recipe("maskgit")
    assert recipe.sampler.process is None and recipe.sampler_of("image").process == Cosine()
    assert replace(recipe, objective=MaskedCrossEntropy(weight="elbo")).objective.process is None
    said = r"said twice: masker\.rate hides by Cosine\(\), and {} is Linear\(\); leave it out"
    with pytest.raises(ValueError, match=said.format(r"objective\.process")):
        replace(recipe, objective=MaskedCrossEntropy(weight="elbo", process=Linear()))
    with pytest.raises(ValueError, match=said.format(r"sampler\.process")):
        replace(recipe, sampler=Sampler(process=Linear()))
    with pytest.raises(ValueError, match=said.format(r"samplers\.image\.process")):
        replace(recipe, samplers={"image": Sampler(process=Linear())})
    override = ["objective={class_path: MaskedCrossEntropy, init_args: {weight: elbo, process: {class_path: Linear}}}"]
    with pytest.raises(ValueError, match=said.format(r"objective\.process")):
        load_recipe("maskgit", overrides=override)


def test_a_revocation_takes_its_law_from_the_schedule():
    cosine = ProcessSchedule(Cosine())
    assert RevokeDrawn().beside(cosine).process == Cosine()
    assert RevokeDrawn().beside(UniformSchedule()).process == Linear()
    assert RevokeDrawn(0.5, Linear()).beside(ConfidenceAbove()) == RevokeDrawn(0.5, Linear())
    with pytest.raises(ValueError, match=r"must be that of the schedule, Cosine\(\), got Linear\(\); leave it out"):
        Sampler(schedule=cosine, revoke=RevokeDrawn(process=Linear()))
    with pytest.raises(ValueError, match=r"needs a masking process, and ConfidenceAbove\(threshold=0.9\) follows none"):
        Sampler(stages=(Stage(2), Stage(2, schedule=ConfidenceAbove())), revoke=RevokeDrawn())
    told = []

    class Watch(RevokeDrawn):
        def probability(self, context):
            told.append(self.process)
            return super().probability(context)

    trace(Sampler(stages=(Stage(2), Stage(2, schedule=UniformSchedule())), revoke=Watch()))
    assert told == [Cosine(), Linear()]


@pytest.mark.parametrize("reuse", [None, StaleReuse(n_local=1)])
def test_a_window_of_later_levels_applies_in_training_and_sampling(reuse):
    """MAGNeT's restricted context: the model with the window fills level 1 as a whole window from group 0 would."""
    spec = StreamSpec("audio", (4, 4), ("time",), rate_hz=10.0)
    layout = Layout({"audio": spec})
    packed = layout.pack({"audio": TokenStream(spec, torch.zeros(12, 2, dtype=torch.int32))})
    state = SamplerState.start(collate([packed], multiple=8), layout, torch.tensor([1]))
    patterns = {"full": Full(), "later": Window(1, from_group=1), "all": Window(1)}
    models = {name: model_of(layout, pattern) for name, pattern in patterns.items()}
    keys = {} if reuse is None else {"reuse": reuse}
    # Level 0 with the full model, level 1 with each: "later" must be "all" there and not "full".
    done = {}
    for name in models:
        sampler = Sampler(stages=(Stage(4, (0,), "full"), Stage(4, (1,), name)), pick=Categorical(1.0), **keys)
        done[name] = sampler.run(models, layout, state)
    assert torch.equal(done["later"].score, done["all"].score)
    assert not torch.equal(done["later"].score, done["full"].score)


def test_what_a_person_asks_for_scales_what_the_recipe_says():
    sampler = Sampler(
        stages=(Stage(10, (0,)), Stage(1, (1,)), Stage(5, (2,), guidance=ClassifierFree(3.0), pick=Categorical(0.5))),
        guidance=ClassifierFree(10.0, 1.0, "cosine"),
        pick=Categorical(3.0, 0.6, top_p=0.9),
    )
    asked = sampler.adapted(steps=4, guidance=5.5, temperature=1.0)
    assert [stage.steps for stage in asked.stages] == [4, 1, 2]
    assert asked.guidance == ClassifierFree(5.5, 1.0, "cosine") and asked.stages[2].guidance == ClassifierFree(5.5)
    assert (
        asked.pick.temperature == 1.0 and asked.pick.temperature_end == pytest.approx(0.2) and asked.pick.top_p == 0.9
    )
    assert asked.stages[2].pick == Categorical(1.0) and asked.stages[0].pick is None
    assert ClassifierFree(1.0, 3.0).at(2.0) == ClassifierFree(1.0, 2.0)
    assert ClassifierFree(1.0, 1.0).at(3.0) == ClassifierFree(3.0) and ClassifierFree().scale(0.0) == 2.0
    assert Sampler(12).adapted(steps=3).steps == 3 and Sampler().adapted(guidance=2.0).guidance == ClassifierFree(2.0)
    assert sampler.adapted() == sampler
    assert start().step == 0


def test_which_positions_each_pass_of_guidance_sees():
    words, other = (StreamSpec(name, (4,), ("index",)) for name in ("text", "label"))
    layout = Layout({"text": words, "label": other})
    two = {name: TokenStream(spec, torch.zeros(2, 1, dtype=torch.int32)) for name, spec in layout.streams.items()}
    batch = collate([layout.pack(two, roles={"text": GIVEN}), layout.pack(two)], multiple=1)
    guidance = ClassifierFree(2.0, weights=(0.5, 0.25))
    # A control, two words that are given in the first row and filled in the second, two labels to fill.
    assert guidance.unconditional(batch).valid.long().tolist() == [[1, 0, 0, 1, 1], [1, 1, 1, 1, 1]]
    # The first word stands for a negative condition, the second for the second of two further ones.
    companion = torch.tensor([[0, 1, 3, 0, 0]] * 2, dtype=torch.int8)
    hidden = replace(batch, valid=batch.valid & (companion == 0), features={**batch.features, "companion": companion})
    assert guidance.unconditional(hidden).valid[0].long().tolist() == [1, 1, 0, 1, 1]
    passes = guidance.further(hidden)
    assert [(one.valid[0].long().tolist(), weight) for one, weight in passes] == [
        ([1, 0, 0, 1, 1], 0.5),
        ([1, 0, 1, 1, 1], 0.25),
    ]


def test_further_conditions_reach_every_stage_and_are_not_put_in_the_place_of_a_guidance():
    @dataclass(frozen=True)
    class Own(ClassifierFree):
        low: float = 0.5

    stages = (Stage(2), Stage(2, guidance=Own(3.0, low=0.7)), Stage(1, guidance=NoGuidance()))
    asked = Sampler(stages=stages).adapted(also=(0.5, 1.0))
    assert [guidance.weights for guidance in asked.guidances] == [(0.5, 1.0)] * 3
    assert asked.guidances[1] == Own(3.0, low=0.7, weights=(0.5, 1.0))  # its kind and its own fields stay
    assert [guidance.scale(0.5) for guidance in asked.guidances] == [1.0, 3.0, 1.0]
    assert ClassifierFree(2.0, weights=(9.0,)).beside([0.25]) == ClassifierFree(2.0, weights=(0.25,))
    assert NoGuidance().beside([0.25]) == ClassifierFree(1.0, weights=(0.25,))
    assert Sampler(2).adapted(also=(2.0,)).guidances == (ClassifierFree(1.0, weights=(2.0,)),)


class Still(Guidance):
    """A guidance of one's own: three times the difference from nothing changed."""

    def scale(self, progress):
        return 3.0

    def unconditional(self, batch, context):
        return batch


def test_a_guidance_that_takes_no_further_conditions_says_so():
    options = {"also": [({"text": "moon"}, 0.5)]}
    with pytest.raises(ValueError, match=r"go with ClassifierFree and NoGuidance, got .*Still.*; leave them out, or"):
        drawn_with(Sampler(2, guidance=Still()), options)
    everywhere = Sampler(stages=(Stage(2, guidance=ClassifierFree(2.0)),), guidance=Still())  # which guides nothing
    assert drawn_with(everywhere, options).guidances == (ClassifierFree(2.0, weights=(0.5,)),)


def test_a_negative_condition_needs_one_stage_that_pushes_away():
    class Away(Still):
        @property
        def pushes_away(self):
            return True

    options = {"negative": {"text": "moon"}}
    for guidance in (Away(), ClassifierFree(2.0), ClassifierFree(1.0, 3.0), ClassifierFree(1.0, weights=(0.5,))):
        for sampler in (Sampler(2, guidance=guidance), Sampler(stages=(Stage(2, guidance=guidance), Stage(2)))):
            assert drawn_with(sampler, options) == sampler
    refused = (NoGuidance(), Still(), ClassifierFree(1.0), ClassifierFree(1.0, 1.0))
    for guidance in refused:
        for sampler in (Sampler(2, guidance=guidance), Sampler(stages=(Stage(2, guidance=guidance),))):
            with pytest.raises(ValueError, match="needs guidance to push away from it"):
                drawn_with(sampler, options)


def test_confidence_is_ranked_and_cut_off_by_plain_probabilities_where_papers_do():
    """At T = 2 the code of probability 0.97 has 0.76 in the draw: Fast-dLLM's 0.9 holds of the former."""
    sure = torch.tensor([[0.97, 0.01, 0.01, 0.01]] * 4)
    pick = Coldest(2.0)
    sampler = Sampler(4, schedule=ConfidenceAbove(0.9), order=ConfidenceScore(plain=True), pick=pick)
    assert trace(sampler, Table(sure)) == [[0, 0, 0, 0]]
    told = ScoreContext(
        start().batch, start().is_open, torch.zeros(1), torch.zeros(1),
        predictions={"logprob": torch.tensor([-1.0]), "plain_logprob": torch.tensor([-2.0])},
    )  # fmt: skip
    assert ConfidenceScore()(told).tolist() == [-1.0] and ConfidenceScore(plain=True)(told).tolist() == [-2.0]


@dataclass(frozen=True)
class Coldest(Categorical):
    """Takes the best code, and says what a draw at its temperature would have said of it."""

    def __call__(self, logits, uncond, context):
        codes, *_ = Categorical(0.0)(logits, uncond, context)
        logprob = (logits / self.temperature).log_softmax(1)
        return codes, logprob.gather(1, codes[:, None].long()).squeeze(1), -logprob[:, 0], logprob[:, 0]
