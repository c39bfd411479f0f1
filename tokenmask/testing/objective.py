"""Objectives: a finite loss of the rows alone, whose parts add up over shares, with a gradient for the model.

Does not know: which objective.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from tokenmask.batch import ABSENT, PAD
from tokenmask.layout import Layout
from tokenmask.masking import MaskedBatch
from tokenmask.models import MaskedModel
from tokenmask.objectives import Loss, Objective
from tokenmask.testing.alike import finite
from tokenmask.testing.anything import value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.world import LAYOUT, World, small_model

Extra = Callable[[Layout], Mapping[str, Any]]
NEAR = 1e-4  # relative, of sums in float32


@dataclass(frozen=True)
class Subject:
    """What is checked.

    Args:
        component: the objective.
        extra: what a procedure would add, from the layout of the model; nothing if None.
    """

    component: Objective
    extra: Extra | None = None

    @cached_property
    def model(self) -> MaskedModel:
        """Small, with weights of its own."""
        return small_model()

    def loss(self, masked: MaskedBatch) -> Loss:
        """Of the small model."""
        return self.component(self.model, masked, None if self.extra is None else self.extra(LAYOUT))

    def gradients(self, loss: Loss) -> list[Tensor]:
        """Of every weight; zero where a weight takes no part."""
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        return list(torch.autograd.grad(loss.sum, weights, allow_unused=True, materialize_grads=True))


def _use(subject: Subject, world: World) -> list[Any]:
    masked = world.masked()
    ids, codes = world.lend("inputs", masked.inputs.ids), world.lend("targets", masked.targets.codes)
    masked = replace(masked, inputs=replace(masked.inputs, ids=ids), targets=replace(masked.targets, codes=codes))
    loss = subject.loss(masked)
    return [loss.sum.detach(), loss.weight, loss.parts]


def is_finite(subject: Subject) -> None:
    """Sum and weight are float32 scalars, finite, the weight not negative; parts are scalars without a gradient."""
    for seed in range(3):
        loss = subject.loss(World().masked(seed))
        for name, value in (("sum", loss.sum), ("weight", loss.weight)):
            right = value.dtype == torch.float32 and value.dim() == 0
            require(right, f"{name} must be a float32 scalar, got {value.dtype} {list(value.shape)}")
            require(finite(value), f"{name} must be finite, got {float(value.detach())}")
        require(float(loss.weight) >= 0, f"weight must not be negative, got {float(loss.weight):g}")
        for name, value in loss.parts.items():
            right = value.dim() == 0 and not value.requires_grad and finite(value)
            require(right, f"parts must be finite scalars without a gradient, got another {name!r}")


def teaches_the_model(subject: Subject) -> None:
    """The gradient is finite and reaches the model."""
    gradients = subject.gradients(subject.loss(World().masked()))
    require(all(map(finite, gradients)), "the gradient must be finite, got an infinity or NaN")
    require(any(bool(each.any()) for each in gradients), "must have a gradient for the model, got none")


def asks_codes_of_their_own_range(subject: Subject) -> None:
    """Every query is a slot that holds a code, asked over that code's range; nothing is asked of padding."""
    asked = []

    def note(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        inputs, queries = (*args, kwargs.get("inputs"), kwargs.get("queries"))[:2]
        asked.append((inputs, queries if queries is not None else kwargs["queries"]))

    hook = subject.model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        subject.loss(World().masked())
    finally:
        hook.remove()
    for inputs, queries in asked:
        heads = LAYOUT.head_of(inputs.ids).flatten()[queries.slots]
        require(bool((heads >= 0).all()), "must ask slots that hold codes alone, but asked padding or a control")
        own = torch.equal(heads, queries.heads)
        require(own or queries.coordinates is not None, "must ask each slot for codes of its own range, got another")


def nothing_to_ask_is_no_loss(subject: Subject) -> None:
    """Where no row holds a code the loss is 0, and so is the gradient."""
    masked = World((0, 1)).masked()
    clean, seen = masked.clean, masked.inputs
    empty = (clean.stream >= 0)[:, :, None]
    role = torch.where(empty, ABSENT, clean.role).to(torch.int8)
    clean, seen = (replace(each, ids=torch.where(empty, PAD, each.ids), role=role) for each in (clean, seen))
    none = torch.zeros(0, dtype=torch.int64)
    masked = replace(
        masked,
        clean=clean,
        inputs=seen,
        queries=replace(masked.queries, slots=none, heads=none),
        targets=replace(masked.targets, queries=none, codes=none, weights=torch.zeros(0)),
        hidden=torch.zeros_like(masked.hidden),
    )
    loss = subject.loss(masked)
    total = float(loss.total.detach())
    require(total == 0, f"the loss without anything to ask must be 0, got {total:g}")
    if loss.sum.requires_grad:
        still = not any(bool(each.any()) for each in subject.gradients(loss))
        require(still, "must have no gradient where nothing is asked, got one")


def adds_up_over_shares(subject: Subject) -> None:
    """Sums, weights and parts of the shares of a batch are those of the whole, in whatever shares."""
    masked = World().masked()
    rows = len(masked.t)
    whole = subject.loss(masked)
    for cuts in ([0, 1, rows], [0, 3, 4, rows], list(range(rows + 1))):
        shares = [subject.loss(masked.rows(start, stop)) for start, stop in itertools.pairwise(cuts)]
        _require_sums(whole, shares, f"over the shares of rows that begin at {cuts[:-1]}")


def rows_do_not_matter_to_one_another(subject: Subject) -> None:
    """Rows packed alone, without the padding that they have among others, add up to the batch."""
    world = World()
    alone = [subject.loss(replace(world, numbers=(number,), num_levels=3).masked()) for number in world.numbers]
    _require_sums(subject.loss(world.masked()), alone, "over rows alone")


def _require_sums(whole: Loss, shares: list[Loss], where: str) -> None:
    for name in ("sum", "weight"):
        total = sum(float(getattr(share, name).detach()) for share in shares)
        expected = float(getattr(whole, name).detach())
        near = abs(total - expected) <= NEAR * (1 + abs(expected))
        require(near, f"{name} must add up {where}, to {expected:g}, got {total:g}")
    for name, value in whole.parts.items():
        count = f"{name.partition('/')[0]}/count"
        having = [share.parts for share in shares if name in share.parts]
        if name == count:
            found = sum(float(parts[name]) for parts in having)
        elif count in whole.parts:
            found = sum(float(parts[name]) * float(parts[count]) for parts in having) / float(whole.parts[count])
        else:
            continue
        near = abs(found - float(value)) <= NEAR * (1 + abs(float(value)))
        require(near, f"{name!r} must add up {where}, to {float(value):g}, got {found:g}")


OBJECTIVES = Contract(
    "objective",
    Objective,
    (
        is_finite,
        teaches_the_model,
        asks_codes_of_their_own_range,
        nothing_to_ask_is_no_loss,
        adds_up_over_shares,
        rows_do_not_matter_to_one_another,
        *value_requirements(_use),
    ),
    Subject,
)


def check_objective(objective: Objective, *, extra: Extra | None = None) -> list[str]:
    """Runs every check of an objective; see :meth:`Contract.check` for what it returns and raises.

    Args:
        objective: any.
        extra: what its procedure adds, made from the layout of the model.
    """
    return OBJECTIVES.check(objective, extra=extra)
