"""Constraints: which codes may be drawn, that nothing else is, and what rows are worth.

Does not know: which constraint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tokenmask.layout import Layout
from tokenmask.sampling import Constraint, Sampler, SamplerState, SlotContext, StepContext
from tokenmask.sampling.answers import found
from tokenmask.scores import Progress
from tokenmask.testing.alike import shaped
from tokenmask.testing.anything import in_any_company, value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.world import LAYOUT, World, small_model

STEPS = [Progress(index, steps) for index, steps in ((0, 1), (0, 3), (1, 3), (2, 3))]


@dataclass(frozen=True)
class Subject:
    """What is checked: the constraint and the layout whose codes it knows."""

    component: Constraint
    layout: Layout


def _subject(constraint: Constraint, *, layout: Layout = LAYOUT) -> Subject:
    return Subject(constraint, layout)


def _contexts(subject: Subject) -> list[SlotContext]:
    """Two slots of each range, in some steps of a generation."""
    world, slots = World(), torch.tensor([1, 2])
    contexts = []
    for progress in STEPS:
        state = replace(world.state, step=progress.index)
        inside = torch.ones_like(state.is_open)
        heads = range(len(subject.layout.ranges))
        contexts += [SlotContext(subject.layout, state, inside, progress, slots, head) for head in heads]
    return contexts


def _masks(subject: Subject) -> list[tuple[SlotContext, Tensor | None]]:
    return [(context, subject.component.allowed(context)) for context in _contexts(subject)]


def _use(subject: Subject, world: World) -> list[Any]:
    return [mask for _, mask in _masks(subject)]


def _name(context: SlotContext) -> str:
    place = context.layout.ranges[context.head]
    return f"level {place.level} of {place.stream!r} in step {context.progress.index} of {context.progress.steps}"


def says_it_of_every_code(subject: Subject) -> None:
    """None, bool [size], or bool [N, size] for N slots, for every range and in every step."""
    for context, mask in _masks(subject):
        if mask is not None:
            size, count = context.layout.ranges[context.head].size, len(context.slots)
            must = f"allowed must be bool [{size}] or [{count}, {size}] for {_name(context)}"
            require(shaped(mask, torch.bool, [size], [count, size]), f"{must}, got {found(mask)}")


def leaves_a_code_to_draw(subject: Subject) -> None:
    """At least one code of every range may be drawn, in every step."""
    for context, mask in _masks(subject):
        some = mask is None or bool(mask.any(-1).all())
        require(some, f"must allow a code of {_name(context)} at least, got none")


def says_what_each_row_is_worth(subject: Subject) -> None:
    """None, or numbers float64 [B] that are no nan, in every step; None where ``reweighs`` is False."""
    if subject.layout != LAYOUT:
        return
    for progress in STEPS:
        worth, rows = _worth(subject, World(), progress), len(World().numbers)
        if worth is None:
            continue
        require(subject.component.reweighs, "worth must be None where reweighs is False, got numbers")
        must = f"worth must be float64 [{rows}] without nan in step {progress.index} of {progress.steps}"
        require(shaped(worth, torch.float64, [rows]) and not bool(worth.isnan().any()), f"{must}, got {found(worth)}")


def _worth(subject: Subject, world: World, progress: Progress) -> Tensor | None:
    state = replace(world.state, step=progress.index)
    return subject.component.worth(StepContext(LAYOUT, state, torch.ones_like(state.is_open), progress))


@dataclass(frozen=True)
class _Watched(Constraint):
    """The constraint, and what it was told."""

    inner: Constraint
    told: list[SlotContext]

    def allowed(self, context: SlotContext) -> Tensor | None:
        self.told.append(context)
        return self.inner.allowed(context)


def is_obeyed_by_the_draw(subject: Subject) -> None:
    """Whatever a step of a generation reveals is allowed when the constraint is asked again about that step."""
    if subject.layout != LAYOUT:  # a layout of its own has no rows here
        return
    watched, world = _Watched(subject.component, []), World()
    before = SamplerState.start(world.batch, LAYOUT, world.seeds)
    for step in Sampler(3, constraint=watched).iterate({"main": small_model()}, LAYOUT, before):
        revealed = (before.is_open & ~step.state.is_open).flatten()
        for context in watched.told:
            mask, slots = subject.component.allowed(context), context.slots
            if mask is None:
                continue
            codes = LAYOUT.codes_of(step.state.batch.ids.flatten()[slots]).long()
            codes = codes.clamp(max=mask.shape[-1] - 1)  # MASK, where nothing was revealed
            obeyed = mask[codes] if mask.dim() == 1 else mask.gather(1, codes[:, None])[:, 0]
            kept = bool((obeyed | ~revealed[slots]).all())
            require(kept, f"a generation must hold codes of {_name(context)} that are allowed alone")
        watched.told.clear()
        before = step.state


def rows_do_not_matter_to_one_another(subject: Subject) -> None:
    """What a slot may hold, and what a row is worth, follows from its own row alone, in every step."""
    if subject.layout != LAYOUT:
        return
    most = max(place.size for place in LAYOUT.ranges)

    def answers(world: World) -> list[Tensor]:
        answered = []
        for progress in STEPS:
            state = replace(world.state, step=progress.index)
            every = torch.ones(*state.is_open.shape, most, dtype=torch.bool)
            for head, place in enumerate(LAYOUT.ranges):
                slots = (state.is_open & (LAYOUT.head_of(state.batch.ids) == head)).flatten().nonzero().squeeze(1)
                if not len(slots):
                    continue
                inside = torch.ones_like(state.is_open)
                mask = subject.component.allowed(SlotContext(LAYOUT, state, inside, progress, slots, head))
                if mask is not None:
                    every.view(-1, most)[slots, : place.size] = mask
            answered.append(every)
            worth = _worth(subject, world, progress)
            answered += [] if worth is None else [worth]
        return answered

    in_any_company(answers)


CONSTRAINTS = Contract(
    "constraint",
    Constraint,
    (
        says_it_of_every_code,
        leaves_a_code_to_draw,
        is_obeyed_by_the_draw,
        says_what_each_row_is_worth,
        rows_do_not_matter_to_one_another,
        *value_requirements(_use, given=False),
    ),
    _subject,
)


def check_constraint(constraint: Constraint, *, layout: Layout = LAYOUT) -> list[str]:
    """Runs every check of a constraint; see :meth:`Contract.check` for what it returns and raises.

    Args:
        constraint: any.
        layout: whose codes it knows. The usual one has "text" of 11 codes (10 is the end code), "audio" of three
            levels of 7, 6 and 5, and "image" of 9.
    """
    return CONSTRAINTS.check(constraint, layout=layout)
