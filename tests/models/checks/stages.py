"""Stages: an object is one if it passes :func:`check_stages`.

Does not know: any stages.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from tests.models.checks import rows
from tokenmask.batch import FILL
from tokenmask.masking import Stages
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.draws import global_random_state_untouched

COUNT = 16  # rows


class Subject:
    """What is checked, and rows of two streams, one of three levels."""

    def __init__(self, stages: Stages) -> None:
        self.stages, self.layout = stages, rows.layout("sum")
        batch = rows.batch_of(self.layout, rows.LENGTHS * (COUNT // 2))
        self.ids, self.maskable = batch.ids, (batch.role == FILL) & batch.valid[..., None]

    def stage(self, some: Tensor) -> Tensor:
        """Of some of the rows."""
        return self.stages.stage(self.ids[some], self.maskable[some], self.layout, seed=3, sample_ids=some)

    def split(self, some: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of some of the rows."""
        return self.stages.split(self.ids[some], self.maskable[some], self.layout, self.stage(some))

    @cached_property
    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of all rows."""
        return self.split(torch.arange(COUNT))


def _check_is_a_value(subject: Subject) -> None:
    rows.check_value(subject.stages)


def _check_stages_are_numbers(subject: Subject) -> None:
    with global_random_state_untouched():
        drawn = subject.stage(torch.arange(COUNT))
    right = drawn.dtype == torch.int64 and tuple(drawn.shape) == (COUNT,) and bool((drawn >= 0).all())
    require(right, f"stage must be int64 [B] and not negative, got {drawn.dtype} {drawn.tolist()}")
    require(torch.equal(subject.stage(torch.arange(COUNT)), drawn), "the same rows must draw the same stages")


def _check_slots_are_learned_or_hidden(subject: Subject) -> None:
    learned, later, whole = subject.parts
    for name, mask in (("learned", learned), ("later", later)):
        require(mask.dtype == torch.bool and mask.shape == subject.ids.shape, f"{name} slots must be bool [B, L, K]")
        require(not bool((mask & ~subject.maskable).any()), f"{name} slots must be among those that may be hidden")
    require(not bool((learned & later).any()), "a slot must be learned or of a later stage, but some are both")
    require(bool(learned.flatten(1).any(1).all()), "every row with slots that may be hidden must learn one")
    require(whole.dtype == torch.bool and tuple(whole.shape) == (COUNT,), "whole must be bool [B]")


def _check_other_rows_change_nothing(subject: Subject) -> None:
    some = torch.tensor([9, 2, 5])
    same = torch.equal(subject.stage(some), subject.stage(torch.arange(COUNT))[some])
    same = same and all(
        torch.equal(one, all_[some]) for one, all_ in zip(subject.split(some), subject.parts, strict=True)
    )
    require(same, "the stage of a row must follow from that row alone, but other rows change it")


STAGES = Contract(
    kind="stages",
    base=Stages,
    requirements=(
        _check_is_a_value,
        _check_stages_are_numbers,
        _check_slots_are_learned_or_hidden,
        _check_other_rows_change_nothing,
    ),
    subject=Subject,
    plural="stages",
)


def check_stages(stages: Stages) -> list[str]:
    """Runs every check of stages; AssertionError names each that failed, and why."""
    return STAGES.check(stages)
