"""Procedures: what a training step computes, and what it keeps from step to step.

Does not know: which procedure.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tokenmask.models import MaskedModel
from tokenmask.objectives import Loss, MaskedCrossEntropy, Objective
from tokenmask.procedures import Procedure
from tokenmask.testing.alike import alike, copied
from tokenmask.testing.anything import made_again, value_requirements
from tokenmask.testing.contract import Contract, Requirement, require
from tokenmask.testing.objective import Subject as ObjectiveSubject
from tokenmask.testing.objective import adds_up_over_shares as _adds_up_over_shares
from tokenmask.testing.objective import is_finite as _is_finite
from tokenmask.testing.objective import teaches_the_model as _teaches_the_model
from tokenmask.testing.world import World, small_model


class _Steps:
    """A procedure as an objective: losses of a model after one step that was taken before."""

    def __init__(self, procedure: Procedure, objective: Objective) -> None:
        self.component, self.objective = procedure, objective

    def begun(self) -> tuple[MaskedModel, dict[str, Tensor]]:
        """A model, and what is kept, after the weights have moved once."""
        model = small_model()
        kept = dict(self.component.state(model))
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.01)
        self.component.after(model, kept)
        return model, kept

    def loss(self, model: MaskedModel, kept: dict[str, Tensor], world: World) -> Loss:
        """Of the rows of a world."""
        return self.component.loss(model, world.masked(), self.objective, kept)


class _AsObjective(Objective):
    def __init__(self, steps: _Steps, kept: dict[str, Tensor]) -> None:
        self.steps, self.kept = steps, kept

    def __call__(self, model: MaskedModel, masked: Any, extra: Any = None) -> Loss:
        return self.steps.component.loss(model, masked, self.steps.objective, self.kept)


def _subject(procedure: Procedure, *, objective: Objective | None = None) -> _Steps:
    return _Steps(procedure, objective or MaskedCrossEntropy())


def _use(subject: _Steps, world: World) -> list[Any]:
    model, kept = subject.begun()
    loss = subject.loss(model, kept, world)
    return [loss.sum.detach(), loss.weight, loss.parts, kept]


def _as_of_objectives(requirement: Requirement) -> Requirement:
    """What is asked of an objective, asked of what a procedure makes of one."""

    def asked(subject: _Steps) -> None:
        model, kept = subject.begun()
        as_objective = ObjectiveSubject(_AsObjective(subject, kept))
        vars(as_objective)["model"] = model
        requirement(as_objective)

    asked.__name__, asked.__doc__ = requirement.__name__, requirement.__doc__
    return asked


def keeps_tensors_by_name(subject: _Steps) -> None:
    """The kept state is tensors by name, of the same names, dtypes and shapes after a step: a checkpoint holds them."""
    model = small_model()
    before = subject.component.state(model)
    right = all(isinstance(name, str) and isinstance(value, Tensor) for name, value in before.items())
    require(right, "state must be tensors by name")
    kept = dict(before)
    subject.component.after(model, kept)
    require(kept.keys() == before.keys(), f"after must keep the names {sorted(before)}, got {sorted(kept)}")
    for name, value in kept.items():
        require(value is before[name], f"after must change the kept tensors in place, but put another {name!r}")


def loss_leaves_all_as_it_was(subject: _Steps) -> None:
    """Computing a loss changes neither the weights nor what is kept."""
    model, kept = subject.begun()
    weights, held = copied(model), copied(kept)
    subject.loss(model, kept, World())
    require(alike(weights, copied(model)), "loss must not change the weights of the model")
    require(alike(held, copied(kept)), "loss must read what is kept, but changed it")


def goes_on_from_what_is_kept(subject: _Steps) -> None:
    """A resumed step is bit for bit the step that was stopped: nothing else is remembered."""
    model, kept = subject.begun()
    held = {name: value.clone() for name, value in kept.items()}
    expected = subject.loss(model, kept, World())
    again = _Steps(made_again(subject.component), subject.objective).loss(model, held, World())
    require(
        alike(expected.sum.detach(), again.sum.detach()) and alike(expected.parts, again.parts),
        "must give a resumed step the loss of one that was not stopped, from its kept tensors alone, got another",
    )


PROCEDURES = Contract(
    "procedure",
    Procedure,
    (
        *map(_as_of_objectives, (_is_finite, _teaches_the_model, _adds_up_over_shares)),
        keeps_tensors_by_name,
        loss_leaves_all_as_it_was,
        goes_on_from_what_is_kept,
        *value_requirements(_use),
    ),
    _subject,
)


def check_procedure(procedure: Procedure, *, objective: Objective | None = None) -> list[str]:
    """Runs every check of a procedure; see :meth:`Contract.check` for what it returns and raises.

    Args:
        procedure: any.
        objective: that it is checked around; plain cross-entropy if None.
    """
    return PROCEDURES.check(procedure, objective=objective)
