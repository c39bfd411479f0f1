"""StaleReuse: cheap steps run a few positions over what a full step kept. See policy.py for the contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.models import MaskedModel
from tokenmask.sampling.reuse.key_values import KeyValues, empty_cache, queries_among
from tokenmask.sampling.reuse.policy import Reuse, ReuseStep, Scored
from tokenmask.scores import Progress, Score, ScoreContext
from tokenmask.scores.arguments import is_a, one_of, whole


@dataclass(frozen=True)
class StaleReuse(Reuse):
    """Full steps keep all keys and values; cheap steps between them run a few positions anew over the stale rest.

    A full step settles the slots U that it and its cheap steps reveal, as the order ranks them; a cheap step draws the
    next of them from logits that know the codes drawn since. Approximate: everything outside U is as the last full
    step saw it. ``sampling.drift`` measures what that costs. Source: ReCAP, arXiv:2505.19089, section 4; with
    ``where`` a raster of blocks, ``reorder`` and ``recompute`` "chosen" it is the dual cache of Fast-dLLM,
    arXiv:2505.22618, section 3.2, with "open" its prefix cache. In a stage of blocks (``Stage.block``) with ``n_local``
    None and ``reorder`` they go with a schedule that decides in each step, as its threshold does.

    Args:
        pre_full: the first steps of a stage are full ones without cheap ones.
        n_local: cheap steps after each later full step; None for all that follow in the stage, or in its block.
        where: the score that settles U, where it is not the order's own ranking.
        reorder: cheap steps rank what is left of U by their own predictions.
        recompute: "chosen" runs the positions of U and the controls, "open" also every position that is still open.
        by_group: the order's noise fades with the full steps, as in ReCAP's published code, not with all steps.
    """

    pre_full: int = 0
    n_local: int | None = 1
    where: Score | None = None
    reorder: bool = False
    recompute: Literal["chosen", "open"] = "chosen"
    by_group: bool = False
    exact: ClassVar[bool] = False
    forgets: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole("StaleReuse.pre_full", self.pre_full, 0)
        if self.n_local is not None:
            whole("StaleReuse.n_local", self.n_local, 0)
        if self.where is not None:
            is_a("StaleReuse.where", self.where, Score)
        for name in ("reorder", "by_group"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(
                    f"StaleReuse.{name} must be True or False, got {getattr(self, name)!r}; write one of these"
                )
        one_of("StaleReuse.recompute", self.recompute, ("chosen", "open"))
        if self.where is not None and self.where.reads_predictions:
            raise ValueError(f"StaleReuse.where must not read predictions, like RasterScore, got {self.where}")

    def inner(self, steps: int) -> list[int]:
        """As many single steps as ``pre_full``, then runs of 1 + ``n_local``."""
        last: list[int] = []
        while len(last) < steps:
            left = steps - len(last)
            run = 1 if len(last) < self.pre_full else left if self.n_local is None else min(1 + self.n_local, left)
            last += [len(last) + run - 1] * run
        return last

    def pace(self, progress: Progress) -> Progress:
        """With ``by_group`` the number of the full step among full steps."""
        if not self.by_group:
            return progress
        ends = self.inner(progress.steps)
        group = sorted(set(ends))
        return Progress(group.index(ends[progress.index]), len(group), progress.grid)

    @property
    def reorders(self) -> bool:
        return self.reorder

    def settles(self, context: ScoreContext) -> Tensor | None:
        return None if self.where is None else self.where(context)

    def follows(self, ranks: Tensor) -> Tensor | None:
        return None if self.reorder else ranks

    def fresh(self, chosen: Tensor, is_open: Tensor, inputs: Batch) -> Tensor:
        return super().fresh(chosen | is_open if self.recompute == "open" else chosen, is_open, inputs)

    def score(self, model: MaskedModel, step: ReuseStep, cache: KeyValues | None) -> Scored:
        inputs = step.inputs
        if step.fresh is None or cache is None:
            everything = inputs.shape[0] * inputs.shape[1]
            if not step.keep:
                return Scored(tuple(model.logits(inputs, step.queries, t=step.t, group=step.group)), None, everything)
            kv = empty_cache(model, inputs, inputs.shape[1])
            kv = kv.admit(step.packed(inputs.valid, inputs.valid.cumsum(1) - 1))
            return Scored(
                model.logits(inputs, step.queries, cache=kv, t=step.t, group=step.group), KeyValues(kv), everything
            )
        new = step.packed(step.fresh, inputs.valid.cumsum(1) - 1)
        groups = model.extend(new, queries_among(step, step.fresh), cache.kv, t=step.t)
        return Scored(groups, cache, len(new))
