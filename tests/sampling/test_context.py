"""What the parts of a step may read: taps of the model, the state, what is open; on tables that a person can check."""

import copy
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import torch

from tests.sampling.reuse_worlds import filled, model_of, start, world
from tests.sampling.test_values import LAYOUT, MASK, OFFSET, TABLE, Table, row_of, trace
from tests.sampling.test_values import start as four
from tokenmask.batch import GIVEN
from tokenmask.models import AttentionTap, GivenFirst
from tokenmask.ops import Purpose
from tokenmask.sampling import (
    AllOf,
    Categorical,
    ClassifierFree,
    Constraint,
    ForbidCodes,
    Guidance,
    NoReuse,
    PickContext,
    Predicted,
    PrefixReuse,
    Revoke,
    RevokeDrawn,
    RevokeLeastLikely,
    Sampler,
    SamplerState,
    SlotContext,
    Stage,
    StaleReuse,
    StepContext,
    UniformSchedule,
)
from tokenmask.scores import ConfidenceScore, Progress, RasterScore, Score, ScoreContext, SumScore


@dataclass(frozen=True)
class LooksAtCaption(Score):
    """Slots that look at the first half of their caption first, after UNCAGE, arXiv:2508.05399: its maps, no blur."""

    layer: int = 1
    until: int = 2

    @property
    def reads_predictions(self) -> bool:
        return True

    def _words(self, context: ScoreContext) -> torch.Tensor:
        """int64 [B, C], the positions of each row's caption, -1 behind the last."""
        batch = context.batch
        given = (batch.role == GIVEN).any(-1) & batch.valid & (batch.stream == 0)
        places = torch.where(given, torch.arange(given.shape[1]), given.shape[1]).sort(1).values
        places = places[:, : int(given.sum(1).max())]
        return torch.where(places < given.shape[1], places, -1)

    def taps(self, context):
        return [AttentionTap(self.layer, self._words(context))] if context.progress.index < self.until else []

    def __call__(self, context):
        if context.progress.index >= self.until:
            return context.predictions["logprob"]
        maps = context.taps[f"attention.{self.layer}"].mean(1)  # [B, L, C]
        words = (self._words(context) >= 0).sum(1)
        first = torch.arange(maps.shape[2]) < (words[:, None] + 1) // 2
        contrast = (maps * first[:, None]).sum(-1) - (maps * ~first[:, None]).sum(-1)
        return contrast[:, :, None].expand(context.is_open.shape)


@pytest.mark.parametrize("guidance", [None, ClassifierFree(2.0)], ids=["plain", "guided"])
@pytest.mark.parametrize("levels", [1, 4])
def test_an_order_by_attention_fills_a_row_of_a_batch_as_it_does_alone(levels, guidance):
    layout, batch = world(levels)  # captions of 5, 3 and 9 words
    model = model_of(layout)
    sampler = Sampler(4, schedule=UniformSchedule(), order=LooksAtCaption(), pick=Categorical(2.0))
    if guidance is not None:
        sampler = replace(sampler, guidance=guidance)
    together = filled(sampler, model, batch)
    for row in range(batch.shape[0]):
        alone = sampler.run({"main": model}, layout, start(batch, layout).rows(torch.tensor([row])))
        assert torch.equal(alone.batch.ids[0], together.batch.ids[row])
    other = filled(replace(sampler, order=LooksAtCaption(layer=0)), model, batch)
    assert not torch.equal(other.batch.ids, together.batch.ids)


class Seeing(Table):
    """TABLE, and attention of each position to columns 1 and 2 that a person reads off: (position, row + position)."""

    def __call__(self, inputs, queries, t=None, group=None, taps=()):
        rows, length, _ = inputs.shape
        position = torch.arange(float(length)).expand(rows, length)
        value = torch.stack([position, torch.arange(float(rows))[:, None] + position], -1)[:, None]
        groups = tuple(self.logits(inputs, queries, t))
        return type("Seen", (), {"groups": groups, "taps": {getattr(tap, "name", tap): value for tap in taps}})()


def test_every_part_may_ask_for_taps_and_finds_those_of_the_conditional_pass():
    found = {}

    class Order(RasterScore):
        def taps(self, context):
            return ["layer.0"] if context.progress.index == 1 else []

        def __call__(self, context):
            found.setdefault("order", []).append(sorted(context.taps))
            return super().__call__(context)

    class Pick(Categorical):
        def taps(self, context):
            return [AttentionTap(0, (1, 2))] if context.progress.index == 1 else []

        def __call__(self, logits, uncond, context):
            found.setdefault("pick", []).append({name: value.shape for name, value in context.taps.items()})
            return super().__call__(logits, uncond, context)

    class Opens(Revoke):
        def taps(self, context):
            return [AttentionTap(0, (1, 2))]  # equal to what the pick asks for: one tap

        def __call__(self, context):
            found.setdefault("revoke", []).append(context.taps["attention.0"][0, 0, :3].tolist())

    class Guides(ClassifierFree):
        def taps(self, context):
            return ["layer.1"]

        def observe(self, context, seen):
            return {"guide": seen["layer.1"][:, 0, 3, 1] + context.progress.index}

        def unconditional(self, batch, context):
            found.setdefault("guidance", []).append(context.state.carry.get("guide", torch.zeros(1)).tolist())
            return super().unconditional(batch, context)

    parts = {"order": Order(), "pick": Pick(), "revoke": Opens(), "guidance": Guides(2.0)}
    trace(Sampler(3, schedule=UniformSchedule(), **parts), Seeing())
    always = ["attention.0", "layer.1"]
    assert found["order"] == [always, ["attention.0", "layer.0", "layer.1"], always]
    assert found["pick"][1]["attention.0"] == (1, 1, 5, 2)  # one row of the two that ran
    assert found["revoke"] == [[[0, 0], [1, 1], [2, 2]]] * 2
    assert found["guidance"] == [[0.0], [3.0], [4.0]]


def test_two_taps_of_one_name_and_a_reuse_without_taps_are_refused():
    @dataclass(frozen=True)
    class Wants(ConfidenceScore):
        tap: AttentionTap | None = None

        def taps(self, context):
            return [self.tap]

    one, other = AttentionTap(0, (1,)), AttentionTap(0, (2,))
    order = SumScore((Wants(tap=one), Wants(tap=other)), (1.0, 1.0))
    with pytest.raises(ValueError, match=r"names of their own.*two different ones are 'attention\.0'; label one"):
        trace(Sampler(1, order=order), Seeing())
    trace(Sampler(1, order=SumScore((Wants(tap=one), Wants(tap=replace(other, label="b"))), (1.0, 1.0))), Seeing())
    layout, batch = world()
    for reuse, model in ((StaleReuse(), model_of(layout)), (PrefixReuse(), model_of(layout, GivenFirst()))):
        with pytest.raises(ValueError, match=r"Reuse runs a few positions of a step.* for 'attention\.1'; use NoReuse"):
            filled(Sampler(2, order=LooksAtCaption(), reuse=reuse), model, batch)
    assert NoReuse.gives_taps


def test_columns_of_rows_are_those_of_each_row_alone():
    layout, batch = world()
    model = model_of(layout)
    queries = model_queries(batch)
    columns = torch.tensor([[0, 4], [2, -1], [5, 1]])
    found = model(batch, queries, taps=[AttentionTap(1, columns)]).taps["attention.1"]
    every = model(batch, queries, taps=[AttentionTap(1, tuple(range(batch.shape[1])), "all")]).taps["all"]
    for row, own in enumerate(columns.tolist()):
        for place, column in enumerate(own):
            expected = every[row, ..., column] if column >= 0 else torch.zeros_like(every[row, ..., 0])
            assert torch.equal(found[row, ..., place], expected)
    with pytest.raises(ValueError, match=r"a line for each row, int64 \[R, C\], got \[2, 2\] for 3 rows"):
        model(batch, queries, taps=[AttentionTap(1, columns[:2])])


def model_queries(batch):
    from tokenmask.masking import Queries

    return Queries(torch.tensor([batch.ids[0].numel() - 1]), torch.tensor([0]))


@dataclass(frozen=True)
class Corrupts(Guidance):
    """GenMol's context-corrupted guidance, arXiv:2501.06158, section 3.3: u has a share of what is known hidden."""

    share: float = 0.5

    def scale(self, progress):
        return 2.0

    def unconditional(self, batch, context: StepContext):
        known = (batch.role != 0) & batch.valid[:, :, None] & ~context.state.is_open & context.inside
        hides = known & (context.state.draws(Purpose.dropout) < self.share)
        return replace(batch, ids=torch.where(hides, context.layout.mask_of(batch.ids), batch.ids))


class Counts:
    """A model whose logits of code 0 are the number of visible slots of the row; it keeps what it saw."""

    def __init__(self):
        self.seen = []

    def logits(self, inputs, queries, t=None, **more):
        visible = (inputs.ids[:, 1:, 0] != MASK).sum(1)
        self.seen.append([[0 if one == MASK else 1 for one in row] for row in inputs.ids[:, 1:, 0].tolist()])
        row = torch.div(queries.slots, inputs.shape[1], rounding_mode="floor")
        logits = torch.zeros(len(queries), 4)
        logits[:, 0] = visible[row].float()
        yield 0, torch.arange(len(queries)), logits


def test_guidance_hides_what_is_known_by_draws_of_the_row_and_the_step():
    model, seen = Counts(), []

    class Watch(Categorical):
        def __call__(self, logits, uncond, context):
            seen.append((float(logits[0, 0]), float(uncond[0, 0]), context.guidance))
            return super().__call__(logits, uncond, context)

    sampler = Sampler(4, schedule=UniformSchedule(), order=RasterScore(), pick=Watch(0.0), guidance=Corrupts())
    trace(sampler, model, seed=5)
    for step, (c, u, scale) in enumerate(seen):
        conditional, corrupted = model.seen[step]
        assert conditional == [1] * step + [0] * (4 - step) and c == step and scale == 2.0
        state = replace(four(seed=5), step=step)
        kept = (state.draws(Purpose.dropout)[0, 1:5, 0] >= 0.5).long().tolist()
        assert corrupted == [a * b for a, b in zip(conditional, kept, strict=True)] and u == sum(corrupted)
    assert len({tuple(model.seen[step][1]) for step in range(4)}) > 1  # something was hidden, and something was not


def test_a_row_is_corrupted_alone_as_in_a_batch():
    layout, batch = world()
    model, sampler = model_of(layout), Sampler(4, guidance=Corrupts(), pick=Categorical(1.5))
    together = filled(sampler, model, batch)
    for row in range(batch.shape[0]):
        alone = sampler.run({"main": model}, layout, start(batch, layout).rows(torch.tensor([row])))
        assert torch.equal(alone.batch.ids[0], together.batch.ids[row])


def test_a_generation_may_start_from_codes_and_open_what_it_doubts():
    """Mask-free editing, as in Muse: nothing is open at first; what is revoked is filled in the next step."""

    class Second(Revoke):
        def __call__(self, context):
            opened = torch.zeros_like(context.inside)
            opened[:, 2] = context.progress.index == 0
            return opened

    batch = row_of()
    batch = replace(batch, ids=torch.where(batch.role == 2, OFFSET + 3, batch.ids))
    nothing = torch.zeros(batch.shape, dtype=torch.bool)
    state = SamplerState.start(batch, LAYOUT, torch.tensor([0]), nothing)
    assert torch.equal(state.batch.ids, batch.ids) and not state.is_open.any()
    sampler = Sampler(stages=(Stage(3),), pick=Categorical(0.0), revoke=Second())
    steps = [step.state.batch.ids[0, 1:, 0].tolist() for step in sampler.iterate({"main": Table()}, LAYOUT, state)]
    kept = OFFSET + 3
    assert steps == [[kept, MASK, kept, kept], [kept, OFFSET, kept, kept], [kept, OFFSET, kept, kept]]
    half = nothing.clone()
    half[0, 3:] = True
    state = SamplerState.start(batch, LAYOUT, torch.tensor([0]), half)
    assert state.batch.ids[0, 1:, 0].tolist() == [kept, kept, MASK, MASK]
    with pytest.raises(ValueError, match="is_open may name FILL slots at valid positions only"):
        SamplerState.start(batch, LAYOUT, torch.tensor([0]), ~nothing)


@dataclass(frozen=True)
class NoRepeat(Constraint):
    """A code may not follow itself: what each slot may hold depends on what stands before it."""

    def allowed(self, context: SlotContext):
        ids = context.state.batch.ids.flatten()
        before = ids[context.slots - 1].long() - OFFSET
        allowed = torch.ones(len(context.slots), context.layout.ranges[context.head].size, dtype=torch.bool)
        known = (before >= 0) & (before < 4)
        allowed[known, before[known]] = False
        return allowed


def test_a_constraint_may_depend_on_the_slot_and_on_what_stands_there():
    sampler = Sampler(4, schedule=UniformSchedule(), order=RasterScore(), pick=Categorical(0.0))
    assert trace(sampler)[-1] == [0, 0, 0, 0]
    # .7 first; then the best of the others, .35; then .5, which is code 0; then any but 0, the lowest of three ties.
    assert trace(replace(sampler, constraint=NoRepeat()))[-1] == [0, 1, 0, 1]
    both = AllOf((NoRepeat(), ForbidCodes({"text": (1,)})))  # one for each slot, one for all
    assert trace(replace(sampler, constraint=both))[-1] == [0, 2, 0, 2]


def test_parts_with_the_signatures_of_the_last_version_work_and_say_so():
    with pytest.warns(
        FutureWarning, match=r"OldConstraint.allowed\(self, layout, head\).*write.*allowed\(self, context\)"
    ):

        class OldConstraint(Constraint):
            def allowed(self, layout, head):
                return torch.arange(layout.ranges[head].size) != 0

    with pytest.warns(FutureWarning, match=r"unconditional\(self, batch, context\) instead"):

        class OldGuidance(Guidance):
            def scale(self, progress):
                return 3.0

            def unconditional(self, batch):
                return batch

    sampler = Sampler(1, pick=Categorical(0.0), constraint=OldConstraint(), guidance=OldGuidance())
    assert trace(sampler)[-1] == [1, 1, 1, 1]


def test_revocations_with_the_signatures_of_earlier_versions_work_and_say_so():
    """Told state, stage and progress, later predictions too; and they may call ours as they did."""
    told = []
    with pytest.warns(
        FutureWarning, match=r"OldRevoke.__call__\(self, state, stage, progress\).*\(self, context\) inst"
    ):

        class OldRevoke(Revoke):
            def __call__(self, state, stage, progress):
                told.append((progress, stage[0, 1:].all().item(), (~state.is_open)[0, 1:, 0].tolist()))
                return stage & (progress < 0.5)

    with pytest.warns(FutureWarning, match=r"LaterRevoke.__call__\(self, state, stage, progress, predictions\)"):

        class LaterRevoke(RevokeLeastLikely):
            def __call__(self, state, stage, progress, predictions):
                told.append((progress.index, progress.steps, float(predictions["logprob"][0, 1, 0].exp())))
                with pytest.warns(FutureWarning, match=r"__call__\(state, stage, progress, ...\).*__call__\(context\)"):
                    return super().__call__(state, stage, progress, predictions)

    parts = {"schedule": UniformSchedule(), "order": RasterScore(), "pick": Categorical(0.0)}
    assert trace(Sampler(2, revoke=OldRevoke(), **parts)) == [[0, 0, -1, -1], [0, 0, 0, 0]]
    assert told == [(0.5, True, [True, True, False, False])]
    told.clear()
    assert trace(Sampler(4, revoke=LaterRevoke(1.0), **parts)) == trace(
        Sampler(4, revoke=RevokeLeastLikely(1.0), **parts)
    )
    assert [one[:2] for one in told] == [(0, 4), (1, 4), (2, 4)] and told[0][2] == pytest.approx(0.7, abs=1e-5)


def test_an_overridden_probability_with_the_old_signature_works_and_says_so():
    with pytest.warns(
        FutureWarning, match=r"Old.probability\(self, state, stage, progress\).*probability\(self, context\)"
    ):

        class Old(RevokeDrawn):
            def probability(self, state, stage, progress):
                return torch.full(stage.shape, float(progress.index == 0))

    sampler = Sampler(2, schedule=UniformSchedule(), order=RasterScore(), pick=Categorical(0.0), revoke=Old())
    assert trace(sampler) == [[-1, -1, -1, -1], [0, 0, 0, 0]]


def test_progress_is_one_number_that_knows_its_step():
    """Told of step 1 of 4: an order 1/2, a pick that says "ends" 1/3, a guidance "before" 1/4, a constraint 1/4."""
    told = {}

    def note(name, progress):
        told.setdefault(name, []).append((progress.index, progress.steps, round(progress, 4)))

    class Order(RasterScore):
        def __call__(self, context):
            note("order", context.progress)
            return super().__call__(context)

    class Pick(Categorical):
        def __call__(self, logits, uncond, context):
            note("pick", context.progress)
            return super().__call__(logits, uncond, context)

    class Guides(ClassifierFree):
        def scale(self, progress):
            note("guidance", progress)
            return 2.0

    class Allows(Constraint):
        def allowed(self, context):
            note("constraint", context.progress)

    class Opens(Revoke):
        def __call__(self, context):
            note("revoke", context.progress)

    parts = {
        "order": Order(),
        "pick": Pick(grid="ends"),
        "guidance": Guides(),
        "constraint": Allows(),
        "revoke": Opens(),
    }
    trace(Sampler(4, schedule=UniformSchedule(), **parts))
    told["guidance"] = told["guidance"][-4:]  # it is asked beforehand too, whether it ever guides
    assert {name: each[1] for name, each in told.items()} == {
        "order": (1, 4, 0.5),
        "pick": (1, 4, 0.3333),
        "guidance": (1, 4, 0.25),
        "constraint": (1, 4, 0.25),
        "revoke": (1, 4, 0.25),
    }
    one = Progress(1, 4, "after")
    assert (copy.deepcopy(one), pickle.loads(pickle.dumps(one)).index, repr(one)) == (0.5, 1, "Progress(1, 4, 'after')")
    assert one.on("ends").on("before").on("after") == one and one.on("ends").grid == "ends"
    assert ScoreContext(row_of(), nothing(), nothing(), nothing()).progress == 0.0  # training


def nothing():
    return torch.zeros(0)


def test_the_names_that_progress_had_work_and_say_so():
    score = ScoreContext(row_of(), nothing(), nothing(), nothing(), Progress(2, 5, "after"))
    with pytest.warns(FutureWarning, match=r"ScoreContext.index.*write progress.index instead"):
        assert score.index == 2
    with pytest.warns(FutureWarning, match=r"ScoreContext.steps.*write progress.steps instead"):
        assert score.steps == 5
    pick = PickContext(nothing(), nothing(), 1.0, Progress(2, 5), None, nothing(), four(), 0)
    with pytest.warns(FutureWarning, match=r"PickContext.step.*write progress instead"):
        assert pick.step is pick.progress


def test_the_context_of_a_step_says_what_is_open_and_where_it_stands():
    seen = []

    class Watch(ClassifierFree):
        def unconditional(self, batch, context):
            seen.append((context.progress.index, context.progress.steps, context.is_open[0, 1:, 0].tolist()))
            assert context.layout is LAYOUT and context.state.batch is batch
            return super().unconditional(batch, context)

    trace(Sampler(2, schedule=UniformSchedule(), order=RasterScore(), guidance=Watch(2.0)))
    assert seen == [(0, 2, [True] * 4), (1, 2, [False, False, True, True])]


def test_what_a_step_predicted_is_a_mapping_of_seven_values_and_taps():
    class Reads(Revoke):
        def __call__(self, context):
            predictions = context.predictions
            assert isinstance(predictions, Mapping) and len(predictions) == 7 and predictions.taps == {}
            assert torch.allclose(predictions["logprob"][0, 1:5, 0], TABLE[:, 0].log(), atol=1e-5)

    known = Predicted.of({"logprob": torch.tensor([[[-1.0]]]), "logit": torch.tensor([[[2.0]]])}, {"layer.0": TABLE})
    assert known["logit"].item() == 2.0 and known["margin"].item() == 0.0 and known.taps["layer.0"] is TABLE
    assert row_of().shape == (1, 5, 1)
    trace(Sampler(2, schedule=UniformSchedule(), pick=Categorical(0.0), revoke=Reads()))
