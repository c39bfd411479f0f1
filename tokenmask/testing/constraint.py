"""Constraints: which codes may be drawn, and that nothing else is.

Does not know: which constraint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tokenmask.layout import Layout
from tokenmask.sampling import Constraint, Sampler, SamplerState, SlotContext
from tokenmask.scores import Progress
from tokenmask.testing.anything import value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.world import LAYOUT, World, filled, small_model


@dataclass(frozen=True)
class Subject:
    """What is checked: the constraint and the layout whose codes it knows."""

    component: Constraint
    layout: Layout


def _subject(constraint: Constraint, *, layout: Layout = LAYOUT) -> Subject:
    return Subject(constraint, layout)


def _masks(subject: Subject) -> list[Tensor | None]:
    """What is allowed in the first step of a generation at two slots of each range."""
    state, slots = World().state, torch.tensor([1, 2])
    inside, progress, layout = torch.ones_like(state.is_open), Progress(0, 3), subject.layout
    contexts = [SlotContext(layout, state, inside, progress, slots, head) for head in range(len(layout.ranges))]
    return [subject.component.allowed(context) for context in contexts]


def _use(subject: Subject, world: World) -> list[Any]:
    return list(_masks(subject))


def says_it_of_every_code(subject: Subject) -> None:
    """None, bool [size], or bool [N, size] for N slots, for every range."""
    for place, mask in zip(subject.layout.ranges, _masks(subject), strict=True):
        name = f"level {place.level} of {place.stream!r}"
        if mask is not None:
            right = mask.dtype == torch.bool and list(mask.shape) in ([place.size], [2, place.size])
            require(right, f"allowed must be bool [{place.size}] for {name}, got {mask.dtype} {list(mask.shape)}")


def leaves_a_code_to_draw(subject: Subject) -> None:
    """At least one code of every range may be drawn."""
    for place, mask in zip(subject.layout.ranges, _masks(subject), strict=True):
        name = f"level {place.level} of {place.stream!r}"
        require(mask is None or bool(mask.any(-1).all()), f"must allow a code of {name} at least, got none")


def is_obeyed_by_the_draw(subject: Subject) -> None:
    """A generation under it holds allowed codes alone."""
    if subject.layout != LAYOUT:  # a layout of its own has no rows here
        return
    world, masks = World(), _masks(subject)
    done: SamplerState = filled(Sampler(2, constraint=subject.component), world, small_model())
    heads = LAYOUT.head_of(done.batch.ids)
    for head, mask in enumerate(masks):
        here = world.maskable & (heads == head)
        codes = (done.batch.ids - LAYOUT.ranges[head].offset)[here].long()
        obeyed = mask is None or mask.dim() == 2 or bool(mask[codes].all())  # what a slot may hold changes in the steps
        require(obeyed, f"a generation must hold codes of {LAYOUT.ranges[head].stream!r} that are allowed alone")


CONSTRAINTS = Contract(
    "constraint",
    Constraint,
    (says_it_of_every_code, leaves_a_code_to_draw, is_obeyed_by_the_draw, *value_requirements(_use, given=False)),
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
