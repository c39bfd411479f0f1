"""What a step asks, by hand: four slots, a policy whose answers stand in a table."""

from dataclasses import replace

import pytest
import torch

from tests.sampling.test_values import LAYOUT, start
from tokenmask.sampling import Categorical, NoReuse, Stage
from tokenmask.sampling.asked import RANKS, asked_of
from tokenmask.sampling.plan import RunStep
from tokenmask.scores import Progress, RasterScore


def slots(*values) -> torch.Tensor:
    """Of the four slots of a row, behind its first position, which is nobody's."""
    kind = torch.tensor(values).dtype
    nobody = torch.tensor([False]) if kind == torch.bool else torch.tensor([0.0])
    return torch.cat([nobody, torch.tensor(values)]).view(1, 5, 1)


def listed(mask: torch.Tensor | None) -> list[int] | None:
    return None if mask is None else (mask.flatten().nonzero().flatten() - 1).tolist()


class Table(NoReuse):
    """Settles and follows by the tables that it was made with; runs every slot that it chose anew, and what is open."""

    def __init__(self, settles=None, follows=None, order_first=False):
        self.table, self.followed, self.first, self.told = settles, follows, order_first, []

    @property
    def order_first(self):
        return self.first

    def settles(self, context):
        self.told.append((listed(context.is_open), context.progress))
        return self.table

    def follows(self, ranks):
        return ranks if self.followed is None else self.followed

    def fresh(self, chosen, is_open, inputs):
        return (chosen | is_open)[..., 0] & inputs.valid


def step(index=1, inner=0, cheap_follow=False, open_after=2, open_at_end=1, inside=(True,) * 4, **stage) -> RunStep:
    return RunStep(
        stage=Stage(4, order=RasterScore(), pick=Categorical(0.0), **stage),
        inside=slots(*inside),
        around=slots(*inside),
        open_after=torch.tensor([open_after]),
        open_at_end=torch.tensor([open_at_end]),
        inner=inner,
        cheap_follow=cheap_follow,
        progress=Progress(index, 4),
        group=None,
        whole=torch.tensor([4]),
    )


def state(*is_open: bool, **carry):
    return replace(start(), is_open=slots(*is_open), carry=carry)


def test_a_plain_step_asks_what_is_open_in_its_stage():
    asked = asked_of(state(True, False, True, True), step(inside=(True, True, True, False), open_after=1), NoReuse())
    assert listed(asked.slots) == listed(asked.context.is_open) == [0, 2]
    assert (asked.open.tolist(), asked.count.tolist()) == ([2], [1])  # two are open, one stays so
    assert asked.ranks is None and asked.fresh is None and asked.carry == {}
    assert asked.context.progress == 0.5  # the second of four, once it is done


def test_nothing_open_asks_nothing():
    assert asked_of(state(False, False, False, True), step(inside=(True, True, True, False)), NoReuse()) is None
    assert asked_of(state(*[False] * 4), step(cheap_follow=True), Table()) is None


def test_an_order_that_is_known_before_asks_only_what_is_revealed():
    asked = asked_of(state(False, True, True, True), step(open_after=1), Table(order_first=True))
    assert listed(asked.slots) == [1, 2] and listed(asked.context.is_open) == [1, 2, 3]
    assert asked.ranks.flatten().tolist() == [0, -1, -2, -3, -4] and asked.count.tolist() == [2]


def test_a_pick_that_revises_asks_what_was_to_be_filled():
    class Revises(Categorical):
        revises = True

    stage = Stage(4, order=RasterScore(), pick=Revises())
    for inside, wanted in (((True,) * 4, [0, 1, 2, 3]), ((True, True, True, False), [0, 1, 2])):
        asked = asked_of(state(False, False, True, True), replace(step(inside=inside), stage=stage), NoReuse())
        assert listed(asked.slots) == wanted and asked.count.tolist() == asked.open.tolist() == [len(wanted)]


def test_a_full_step_settles_what_its_cheap_ones_reveal():
    """Four are open, one will be at the end: the three that the policy likes best."""
    policy = Table(settles=slots(1.0, 4.0, 3.0, 2.0))
    asked = asked_of(state(*[True] * 4, **{"reuse.settled": slots(9.0, 9, 9, 9)}), step(0, cheap_follow=True), policy)
    assert listed(asked.slots) == listed(asked.context.is_open) == [1, 2, 3]
    assert (asked.open.tolist(), asked.count.tolist()) == ([4], [2])
    assert listed(asked.carry["reuse.open"]) == [0, 1, 2, 3]
    assert torch.equal(asked.carry["reuse.settled"], policy.table)
    assert policy.told == [([0, 1, 2, 3], 0.25)]


def test_a_full_step_without_ranks_of_its_own_forgets_the_last_ones():
    carry = {"reuse.settled": slots(9.0, 9, 9, 9), "other": torch.ones(1)}
    asked = asked_of(state(True, True, False, True, **carry), step(cheap_follow=True), Table())
    assert listed(asked.slots) == [0, 1, 3] and set(asked.carry) == {"other", "reuse.open"}
    assert listed(asked.carry["reuse.open"]) == [0, 1, 3]


def test_a_step_that_no_cheap_one_follows_settles_nothing():
    policy = Table(settles=slots(1.0, 4.0, 3.0, 2.0))
    asked = asked_of(state(*[True] * 4), step(), policy)
    assert listed(asked.slots) == [0, 1, 2, 3] and policy.told == [] and asked.carry == {}


CARRY = {"reuse.open": slots(True, True, True, True), RANKS: slots(4.0, 3.0, 2.0, 1.0)}


def test_the_first_cheap_step_settles_by_the_ranks_of_the_full_one():
    """Three of four are settled; the full step revealed the first, so two are left, and one of them is asked now."""
    asked = asked_of(state(False, True, True, True, **CARRY), step(2, inner=1, open_after=2, open_at_end=1), Table())
    assert listed(asked.carry["reuse.chosen"]) == [0, 1, 2] and listed(asked.slots) == [1]
    assert listed(asked.fresh) == [0, 1, 2, 3] and torch.equal(asked.ranks, CARRY[RANKS])
    assert (asked.open.tolist(), asked.count.tolist()) == ([3], [1])
    assert (asked.context.progress, listed(asked.context.is_open)) == (0.75, [1, 2])


def test_the_first_cheap_step_prefers_what_the_policy_settled():
    settled = {**CARRY, "reuse.settled": slots(1.0, 2.0, 3.0, 4.0)}
    one = step(2, inner=1, open_after=1, open_at_end=1)
    asked = asked_of(state(True, True, True, False, **settled), one, Table(follows=slots(0.0, 1, 2, 0)))
    assert listed(asked.carry["reuse.chosen"]) == [1, 2, 3]
    assert listed(asked.slots) == [1, 2] and asked.ranks.flatten().tolist() == [0, 0, 1, 2, 0]


def test_later_cheap_steps_keep_what_is_settled():
    kept = {**CARRY, "reuse.chosen": slots(False, True, False, True), "reuse.fresh": torch.ones(1, 5, dtype=torch.bool)}
    asked = asked_of(state(False, True, True, True, **kept), step(3, inner=2, open_after=2), Table())
    assert listed(asked.slots) == [1] and asked.fresh.all()  # of 1 and 3, the better one
    assert listed(asked.carry["reuse.chosen"]) == [1, 3]
    by_itself = asked_of(state(False, True, True, True, **kept), step(3, inner=2), _Unfollowed())
    assert listed(by_itself.slots) == [1, 3] and by_itself.ranks is None


class _Unfollowed(Table):
    def follows(self, ranks):
        return None


@pytest.mark.parametrize("carry", [{}, {RANKS: slots(1.0, 2, 3, 4)}])
def test_a_cheap_step_after_nothing_asks_nothing(carry):
    assert asked_of(state(*[True] * 4, **carry), step(inner=1), Table()) is None
    assert LAYOUT.names == ("text",)
