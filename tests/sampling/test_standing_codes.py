"""Requests whose codes stand until they are doubted: editing without a mask, and revision of a draft."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

import tokenmask as tm
from tokenmask.generation import Request, fill
from tokenmask.sampling import Categorical, Pick, Revoke, Sampler, Stage


@pytest.fixture(scope="module")
def run():
    return tm.load()


def filled(run, sampler, *requests):
    return fill(requests, layout=run.layout, models=run.models, sampler=sampler, packing=run.recipe.packing)


@pytest.fixture(scope="module")
def draft(run):
    blank = Request.blank(run.layout, "image", (8, 8), seed=3)
    return filled(run, Sampler(4), blank)[0]


@dataclass(frozen=True)
class Doubts(Revoke):
    """Opens one slot of the row after the first step."""

    position: int = 10

    def __call__(self, context):
        opened = torch.zeros_like(context.inside)
        opened[:, self.position] = context.progress.index == 0
        return opened


def test_what_is_doubted_is_filled_anew_and_all_else_stands(run, draft):
    every = torch.ones(draft.codes.shape, dtype=torch.bool)
    request = Request("image", draft, every, seed=1, opened=~every)
    sampler = Sampler(stages=(Stage(3),), pick=Categorical(0.0), revoke=Doubts())
    edited = filled(run, sampler, request)[0]
    changed = torch.zeros_like(every)
    changed.view(-1)[9] = True  # the tenth position behind the control at the start of the row
    assert torch.equal(edited.codes[~changed], draft.codes[~changed])
    # The best code for that place, with all else there, is what a hole of that one code is filled with.
    alone = Request("image", draft, changed, seed=1)
    assert edited == filled(run, Sampler(1, pick=Categorical(0.0)), alone)[0]


def test_some_slots_may_be_hidden_beside_others_that_stand(run, draft):
    """With nothing doubted, hiding a part of the hole is a hole of that part, in company of one that hides all."""
    every = torch.ones(draft.codes.shape, dtype=torch.bool)
    part = every.clone()
    part[2:] = False
    sampler = Sampler(stages=(Stage(3),), pick=Categorical(0.0))
    both = filled(
        run, sampler, Request("image", draft, every, seed=1, opened=part), Request("image", draft, every, seed=2)
    )
    assert both[0] == filled(run, sampler, Request("image", draft, part, seed=1))[0]
    assert both[1] == filled(run, sampler, Request("image", draft, every, seed=2))[0]
    assert torch.equal(both[0].codes[2:], draft.codes[2:])


@dataclass(frozen=True)
class NextCode(Pick):
    """The code behind the one that stands there."""

    revises: ClassVar[bool] = True

    def __call__(self, logits, uncond, context):
        none = torch.zeros(len(logits))
        return ((context.stands + 1) % logits.shape[1]).int(), none, none, none


def test_a_pick_that_revises_starts_from_the_codes_that_stand(run, draft):
    every = torch.ones(draft.codes.shape, dtype=torch.bool)
    sampler = Sampler(stages=(Stage(3),), pick=NextCode())
    revised = filled(run, sampler, Request("image", draft, every, opened=~every))[0]
    assert torch.equal(revised.codes, (draft.codes + 3) % 1024)


def test_what_is_opened_outside_of_the_hole_is_refused(run, draft):
    every = torch.ones(draft.codes.shape, dtype=torch.bool)
    request = Request("image", draft, ~every, opened=every)
    with pytest.raises(ValueError, match="opened may name slots of the hole only, got others; widen the hole"):
        filled(run, Sampler(1), request)
    with pytest.raises(ValueError, match=r"opened must be bool \[8, 8, 1\], got \[8, 8\]"):
        filled(run, Sampler(1), replace(request, opened=every[..., 0]))
