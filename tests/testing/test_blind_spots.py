"""What changes with the step is no fault, and what shows only in some steps is one; what hides a part is a guidance."""

from dataclasses import dataclass, replace

import pytest
import torch

from tokenmask.ops import Purpose
from tokenmask.sampling import Categorical, ClassifierFree, Constraint, Guidance, Pick, Revoke
from tokenmask.scores import Score
from tokenmask.testing import check_component


@dataclass(frozen=True)
class EvenThenAll(Constraint):
    """Even codes until half of the stage is done, then every code."""

    def allowed(self, context):
        size = context.layout.ranges[context.head].size
        return torch.arange(size) % 2 == 0 if context.progress.on("after") < 0.5 else None


@dataclass(frozen=True)
class InTurns(Constraint):
    """Even codes in even steps, odd ones in odd steps, for each slot."""

    def allowed(self, context):
        codes = torch.arange(context.layout.ranges[context.head].size)
        return (codes % 2 == context.progress.index % 2).expand(len(context.slots), -1)


@dataclass(frozen=True)
class NotBefore(Constraint):
    """What stands in the same level of the position before is not repeated."""

    def allowed(self, context):
        place = context.layout.ranges[context.head]
        ids = context.state.batch.ids
        before = ids.flatten()[context.slots - ids.shape[2]] - place.offset
        return torch.arange(place.size) != before[:, None]


@dataclass(frozen=True)
class Late(ClassifierFree):
    """Pushes in the second half only, and drops nothing before."""

    def scale(self, progress):
        return super().scale(progress) if progress >= 0.5 else 1.0

    def at(self, strength):
        raise ValueError("Late has its strength; leave guidance out")

    def unconditional(self, batch, context):
        return super().unconditional(batch, context) if context.progress >= 0.5 else batch


@dataclass(frozen=True)
class Corrupts(Guidance):
    """Pushes away from rows half of whose known codes are hidden, after GenMol, arXiv:2501.06158, section 3.3."""

    def scale(self, progress):
        return 2.0

    def unconditional(self, batch, context):
        known = (batch.role != 0) & batch.valid[:, :, None] & ~context.state.is_open & (batch.stream >= 0)[:, :, None]
        hides = known & (context.state.draws(Purpose.dropout) < 0.5)
        return replace(batch, ids=torch.where(hides, context.layout.mask_of(batch.ids), batch.ids))


@dataclass(frozen=True)
class Seldom(Revoke):
    """Opens what was unlikely, in every second step, and says None where there is nothing to open."""

    def __call__(self, context):
        unlikely = context.committed & (context.state.score < -2.5)
        return unlikely if context.progress.index % 2 == 0 and bool(unlikely.any()) else None


@dataclass(frozen=True)
class Cools(Pick):
    """Draws at a temperature that falls by the step, greedy in the last."""

    def __call__(self, logits, uncond, context):
        return Categorical(1 - context.progress.on("ends"))(logits, uncond, context)


@pytest.mark.parametrize(
    "correct", [EvenThenAll(), InTurns(), NotBefore(), Late(), Corrupts(), Seldom(), Cools()], ids=str
)
def test_a_correct_component_that_changes_with_the_step_passes(correct):
    assert len(check_component(correct)) >= 7


@dataclass(frozen=True)
class LooksLate(Score):
    """Reads predictions in the last step, and says that it reads none."""

    def __call__(self, context):
        flat = torch.zeros(context.is_open.shape)
        last = context.progress.index == context.progress.steps - 1 > 0
        return context.predictions["logprob"] if last and context.predictions else flat


@dataclass(frozen=True)
class DrawsLate(Score):
    """Draws in the last step, for all seeds alike."""

    def __call__(self, context):
        flat = context.keys[:, None, None].float().expand(context.is_open.shape).contiguous() % 7
        return flat if context.progress.index == 3 else torch.zeros_like(flat)


@dataclass(frozen=True)
class OthersLate(Constraint):
    """Allows in the last step what no other row holds in its first slot."""

    def allowed(self, context):
        place = context.layout.ranges[context.head]
        if context.progress.index < 2:
            return None
        held = context.state.batch.ids[:, 1, 0] - place.offset
        return ~torch.isin(torch.arange(place.size), held) | (torch.arange(place.size) == 0)


@dataclass(frozen=True)
class OthersPush(ClassifierFree):
    """Drops in the last step what is given where the batch has few rows."""

    def unconditional(self, batch, context):
        bare = super().unconditional(batch, context)
        few = context.progress.index == 2 and len(batch.ids) == 1
        return replace(bare, ids=context.layout.mask_of(batch.ids)) if few else bare


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (LooksLate(), "says_whether_it_reads_predictions: LooksLate: must say reads_predictions"),
        (DrawsLate(), "draws_follow_seed_and_keys: DrawsLate: must draw anew for another seed"),
        (OthersLate(), r"rows_do_not_matter_to_one_another: OthersLate: must give row \d the same answer"),
        (OthersPush(), r"rows_do_not_matter_to_one_another: OthersPush: must give row \d the same answer"),
    ],
    ids=str,
)
def test_a_fault_of_some_steps_is_named(wrong, named):
    with pytest.raises(AssertionError, match=named):
        check_component(wrong)


@pytest.mark.parametrize(
    ("answer", "component", "named"),
    [
        (
            [0, 1],
            EvenThenAll,
            r"says_it_of_every_code: Wrong: allowed must be bool \[11\] or .* got a list of 2",
        ),
        (None, DrawsLate, r"scores_every_open_slot: Wrong: scores must be float32 \[7, .*\], got None"),
        ([1], Cools, "draws_codes_of_the_range: Wrong: must answer codes, .* and margin, got a list of 1"),
        (3, Seldom, r"opens_committed_slots_alone: Wrong: must name slots as bool \[7, .*\], got 3"),
        ("x", Late, "passes_keep_rows_as_they_are: Wrong: a pass must be a Batch, got the word 'x'"),
    ],
)
def test_an_answer_of_another_type_is_said_in_words(answer, component, named):
    method = {EvenThenAll: "allowed", Late: "unconditional"}.get(component, "__call__")
    wrong = type("Wrong", (component,), {method: lambda self, *told: answer})
    with pytest.raises(AssertionError, match=named):
        check_component(wrong())
