"""A part that answers what it must not is named in one sentence: what it must answer, what it did, what to do."""

from dataclasses import replace

import pytest
import torch

from tests.sampling.reuse_worlds import filled, model_of, world
from tests.sampling.test_values import LAYOUT, Table, start, trace
from tokenmask.sampling import (
    Categorical,
    ClassifierFree,
    ConfidenceAbove,
    Constraint,
    NoReuse,
    Pick,
    Revoke,
    Sampler,
    Schedule,
    StaleReuse,
    UniformSchedule,
)
from tokenmask.scores import ConfidenceScore, RandomScore, RasterScore

OURS = "(if it is ours, logits of the model are NaN)"
COUNTS = "3 ints in 0..4, of which the last is 0, for plan(4, 3), "
EVEN, STILL = UniformSchedule(), torch.zeros(1, 5, 1)


def mine(base, **answers):
    """A part as ``base``, of a class Mine, whose methods answer these, or what these functions make of its answers."""

    def answering(name, answer):
        good = getattr(type(base), name)
        return lambda self, *told: answer(good(base, *told)) if callable(answer) else answer

    methods = {name: answering(name, answer) for name, answer in answers.items()}
    made = object.__new__(type("Mine", (type(base),), methods))
    made.__dict__.update(base.__dict__)
    return made


class Bare(Constraint):
    def allowed(self, context):
        return None


class Still(Revoke):
    def __call__(self, context):
        return None


class Own(Pick):
    def __call__(self, logits, uncond, context):
        return Categorical(0.0)(logits, uncond, context)


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (
            {"order": mine(RasterScore(), __call__=lambda s: s.double())},
            "scores float32 [1, 5, 1], got float64 [1, 5, 1]; mend its __call__",
        ),
        (
            {"order": mine(RasterScore(), __call__=lambda s: s[:, :, 0])},
            "scores float32 [1, 5, 1], got float32 [1, 5]; mend its __call__",
        ),
        ({"order": mine(RasterScore(), __call__=None)}, "scores float32 [1, 5, 1], got None; mend its __call__"),
        (
            {"order": mine(RasterScore(), __call__=lambda s: s.to("meta"))},
            "scores float32 [1, 5, 1] on cpu, got float32 [1, 5, 1] on meta; mend its __call__",
        ),
        (
            {"order": mine(RasterScore(), __call__=lambda s: s / 0 * 0)},
            "scores other than NaN, got NaN in row 0 {ours}; mend its __call__",
        ),
        (
            {"order": mine(RasterScore(), taps="layer.0")},
            "a sequence of names or taps, got the word 'layer.0'; mend its taps",
        ),
        ({"order": mine(RasterScore(), taps=None)}, "a sequence of names or taps, got None; mend its taps"),
        ({"order": mine(RasterScore(), observe=None)}, "tensors by name, {} for none, got None; mend its observe"),
        (
            {"order": mine(RasterScore(), observe={"sure": 0.5})},
            "tensors [1, ...] by name, got 0.5 for 'sure'; mend its observe",
        ),
        (
            {"order": mine(RasterScore(), observe={"sure": torch.zeros(3)})},
            "tensors [1, ...] by name, got float32 [3] for 'sure'; mend its observe",
        ),
        ({"schedule": mine(EVEN, plan=lambda plan: plan[1:])}, COUNTS + "got [1, 0]; mend its plan"),
        ({"schedule": mine(EVEN, plan=lambda plan: [9, *plan[1:]])}, COUNTS + "got [9, 1, 0]; mend its plan"),
        ({"schedule": mine(EVEN, plan=lambda plan: [2.5, 1, 0])}, COUNTS + "got [2.5, 1, 0]; mend its plan"),
        ({"schedule": mine(EVEN, plan=lambda plan: [2, 2, 1])}, COUNTS + "got [2, 2, 1]; mend its plan"),
        (
            {"schedule": mine(EVEN, plan=lambda plan: torch.tensor(plan))},
            "a list of ints, got int64 [3]; mend its plan",
        ),
        ({"schedule": mine(EVEN, steps=2.0)}, "a whole number of steps, at least 0, got 2.0; mend its steps"),
        ({"schedule": mine(EVEN, steps=True)}, "a whole number of steps, at least 0, got True; mend its steps"),
        (
            {"schedule": mine(ConfidenceAbove(), reveal=lambda n: n.float())},
            "counts int64 [1], got float32 [1]; mend its reveal",
        ),
        ({"schedule": mine(ConfidenceAbove(), reveal=2)}, "counts int64 [1], got 2; mend its reveal"),
        ({"guidance": mine(ClassifierFree(), scale=float("nan"))}, "a finite number, got nan; mend its scale"),
        (
            {"guidance": mine(ClassifierFree(), scale=torch.tensor(2.0))},
            "a finite number, got float32 []; mend its scale",
        ),
        ({"guidance": mine(ClassifierFree(), unconditional=None)}, "a Batch, got None; mend its unconditional"),
        (
            {"guidance": mine(ClassifierFree(), unconditional=lambda b: b.rows(torch.tensor([0, 0])))},
            "rows with ids int32 [1, 5, 1], got int32 [2, 5, 1]; mend its unconditional",
        ),
        (
            {"guidance": mine(ClassifierFree(), unconditional=lambda b: replace(b, ids=b.ids.long()))},
            "rows with ids int32 [1, 5, 1], got int64 [1, 5, 1]; mend its unconditional",
        ),
        (
            {"guidance": mine(ClassifierFree(), unconditional=lambda b: replace(b, valid=b.valid.int()))},
            "rows with valid bool [1, 5], got int32 [1, 5]; mend its unconditional",
        ),
        (
            {"guidance": mine(ClassifierFree(), further=lambda _: [start().batch])},
            "a sequence of pairs (Batch, weight), got a list of 1; mend its further",
        ),
        (
            {"guidance": mine(ClassifierFree(), further=lambda _: [(start().batch, float("inf"))])},
            "finite weights, got inf; mend its further",
        ),
        (
            {"guidance": mine(ClassifierFree(), observe=[1])},
            "tensors by name, {} for none, got a list of 1; mend its observe",
        ),
        (
            {"constraint": mine(Bare(), allowed=torch.ones(4))},
            "None, bool [4] or bool [4, 4], got float32 [4]; mend its allowed",
        ),
        (
            {"constraint": mine(Bare(), allowed=torch.ones(5).bool())},
            "None, bool [4] or bool [4, 4], got bool [5]; mend its allowed",
        ),
        (
            {"constraint": mine(Bare(), allowed=[0, 1])},
            "None, bool [4] or bool [4, 4], got a list of 2; mend its allowed",
        ),
        (
            {"constraint": mine(Bare(), allowed=torch.zeros(4).bool())},
            "at least one code for each slot, got none for some; mend its allowed",
        ),
        (
            {"pick": mine(Own(), __call__=lambda a: a[0])},
            "codes, log-probability, entropy and margin, got int32 [4]; mend its __call__",
        ),
        (
            {"pick": mine(Own(), __call__=lambda a: a[:2])},
            "codes, log-probability, entropy and margin, got a tuple of 2; mend its __call__",
        ),
        (
            {"pick": mine(Own(), __call__=lambda a: (a[0].long(), *a[1:]))},
            "codes int32 [4], got int64 [4]; mend its __call__",
        ),
        ({"pick": mine(Own(), __call__=lambda a: (a[0] + 4, *a[1:]))}, "codes in 0..3, got 4..4; mend its __call__"),
        (
            {"pick": mine(Own(), __call__=lambda a: (*a[:2], a[2].double(), a[3]))},
            "entropy float32 [4], got float64 [4]; mend its __call__",
        ),
        (
            {"pick": mine(Own(), __call__=lambda a: (a[0], a[1] / 0 * 0, *a[2:]))},
            "log-probability other than NaN, got NaN in row 0 {ours}; mend its __call__",
        ),
        (
            {"revoke": mine(Still(), __call__=torch.zeros(1, 5))},
            "slots bool [1, 5, 1], got float32 [1, 5]; mend its __call__",
        ),
        ({"revoke": mine(Still(), __call__=STILL)}, "slots bool [1, 5, 1], got float32 [1, 5, 1]; mend its __call__"),
        (
            {"revoke": mine(Still(), __call__={1: True})},
            "slots bool [1, 5, 1], got a value of the type dict; mend its __call__",
        ),
        (
            {"reuse": mine(NoReuse(), inner=[0])},
            "the last step of an inner run for each of 3 steps, got a list of 1; mend its inner",
        ),
    ],
)
def test_the_part_is_named(part, sentence):
    with pytest.raises(ValueError) as told:
        trace(Sampler(3, **{"schedule": EVEN, "pick": Categorical(0.0), **part}))
    assert str(told.value) == "Mine must answer " + sentence.replace("{ours}", OURS)


def test_what_is_carried_keeps_its_shape():
    class Grows(RasterScore):
        def observe(self, context):
            return {"seen": torch.zeros(1, 1 + context.progress.index)}

    said = r"Grows must answer for 'seen' a tensor \[1, 1\] on cpu, as in the step before, got float32 \[1, 2\] on cpu"
    with pytest.raises(ValueError, match=said):
        trace(Sampler(3, schedule=EVEN, order=Grows()))


def test_the_time_of_a_schedule_is_looked_at_where_a_model_is_told_it():
    class Told(Table):
        backbone = type("Backbone", (), {"reads_time": True})

    with pytest.raises(ValueError, match=r"Mine must answer times float32 \[1\], got float64 \[1\]; mend its time"):
        trace(Sampler(3, schedule=mine(EVEN, time=lambda t: t.double())), Told())


def test_scores_that_choose_before_the_model_is_asked_are_looked_at():
    layout, batch = world()
    order = mine(RandomScore(), __call__=lambda scores: scores.half())
    settles = mine(StaleReuse(n_local=1), settles=lambda scores: torch.zeros(2))
    with pytest.raises(
        ValueError, match=r"Mine must answer scores float32 \[.*\], got float32 \[2\]; mend its settles"
    ):
        filled(Sampler(4, order=RandomScore(), reuse=settles), model_of(layout), batch)
    with pytest.raises(
        ValueError, match=r"Mine must answer scores float32 \[.*\], got float16 \[.*\]; mend its __call__"
    ):
        filled(Sampler(4, order=order, reuse=StaleReuse(n_local=1)), model_of(layout), batch)


def test_good_answers_of_other_types_are_taken():
    """Whole numbers of numpy in a plan, a list of taps, one mask for all slots or one for each."""
    import numpy

    class Counts(Schedule):
        def plan(self, initial, steps):
            return [numpy.int64(count) for count in EVEN.plan(initial, steps)]

    plain = trace(Sampler(3, schedule=EVEN, pick=Categorical(0.0), order=RasterScore()))
    parts = {"constraint": mine(Bare(), allowed=torch.ones(4).bool()), "order": mine(RasterScore(), taps=[])}
    assert trace(Sampler(3, schedule=Counts(), pick=Categorical(0.0), **parts)) == plain


def test_what_a_generation_leaves_may_be_learned_from():
    """Ordinary tensors: their floats take part in a loss, and what is carried too; the steps are not part of it."""

    class Notes(ConfidenceScore):
        def observe(self, context):
            return {"sure": self(context)}

    weight = torch.nn.Parameter(torch.ones(1, 5, 1))
    for state in (
        Sampler(2, order=Notes()).run({"main": Table()}, LAYOUT, start()),
        *(step.state for step in Sampler(2, order=Notes()).iterate({"main": Table()}, LAYOUT, start())),
    ):
        values = (state.batch.ids, state.is_open, state.score, state.carry["sure"])
        assert not any(value.is_inference() or value.requires_grad for value in values)
        weight.grad = None
        (weight * state.score + weight * state.carry["sure"]).sum().backward()
        assert torch.equal(weight.grad, state.score + state.carry["sure"]) and state.score.abs().sum() > 0
        state.batch.ids.add_(1)  # and written


def test_a_state_is_copied_once_and_only_where_it_must_be():
    (step,) = Sampler(1).iterate({"main": Table()}, LAYOUT, start())
    assert step.state is step.state and step.state.ordinary() is step.state
    with torch.inference_mode():
        (within,) = Sampler(1).iterate({"main": Table()}, LAYOUT, start())
        assert within.state.score.is_inference()
