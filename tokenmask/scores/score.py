"""Score: which slots. One kind of object for training and for sampling.

Arrow: inside Masker (the best n slots are hidden) and Sampler (the best n slots are revealed); ``ops.choose`` picks
them under a total order. Does not know: how many slots, ids, models.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.deprecation import warn_deprecated
from tokenmask.ops import choose
from tokenmask.scores.progress import Progress


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model says of some slots of one range, asked beside the step itself.

    Args:
        head: the range of the codes, as in :class:`Layout`.
        slots: int64 [N], indices into the flattened [B * L * K] slots.
        logits: float32 [N, V].
    """

    head: int
    slots: Tensor
    logits: Tensor


@dataclass(frozen=True, eq=False)
class ScoreContext:
    """What a score may read.

    Args:
        batch: coordinates, streams and roles of the slots.
        is_open: bool [B, L, K], the slots that can be chosen.
        seeds: int64 [B], seed of each row.
        keys: int64 [B], tells rows (and steps) of one seed apart; below 2^39.
        progress: of the step in its stage, "after" it: (i + 1) / S, so 1 / S in the first step and 1 in the last; 0 in
            training.
        predictions: of the drawn codes, float32 [B, L, K] each; empty in training: "logprob", "entropy" and "margin"
            as :func:`tokenmask.ops.sample_codes` says them, after temperature and before any filter (at T = 0, of
            T = 1); "plain_logprob" and "logit" before temperature, and "code", the drawn code (0 where not asked);
            "trial_logprob", before temperature, of a code that was drawn beside it.
        carry: what parts of the sampler carry from step to step.
        taps: what the step saw of the model besides logits, by name, [B, ...] each; what :meth:`Score.taps` asked for.
        ask: asks a model of the run anew, see :class:`tokenmask.sampling.Asking`; None in training.
    """

    batch: Batch
    is_open: Tensor
    seeds: Tensor
    keys: Tensor
    progress: Progress = Progress(0, 1)
    predictions: Mapping[str, Tensor] = field(default_factory=dict)
    carry: Mapping[str, Tensor] = field(default_factory=dict)
    taps: Mapping[str, Tensor] = field(default_factory=dict)
    ask: Callable[..., Sequence[Answer]] | None = None

    @property
    def index(self) -> int:
        """That of the progress, which says it."""
        warn_deprecated("ScoreContext.index", instead="progress.index", since="0.2")
        return self.progress.index

    @property
    def steps(self) -> int:
        """Those of the progress, which says them."""
        warn_deprecated("ScoreContext.steps", instead="progress.steps", since="0.2")
        return self.progress.steps


class Score(ABC):
    """Base of all scores."""

    @property
    def reads_predictions(self) -> bool:
        """Whether it needs ``context.predictions``; if not, slots can be chosen before their codes are scored."""
        return False

    @property
    def reads_drawn_codes(self) -> bool:
        """Whether it needs to know which codes were drawn, beyond the distributions that they were drawn from.

        If not, a decoder can repeat the order, see :func:`tokenmask.sampling.code_lengths`.
        """
        return self.reads_predictions

    @abstractmethod
    def __call__(self, context: ScoreContext) -> Tensor:
        """Returns float32 [B, L, K]; the highest are chosen first. Closed slots may hold anything but NaN."""

    def taps(self, context: ScoreContext) -> Sequence[Hashable]:
        """What it wants of the model besides logits: names such as "layer.0", or :class:`models.AttentionTap`.

        As an order it is asked once in each step, before the model, and finds them in ``context.taps``, as the
        conditional pass gave them. A score that asks for some must say that it reads predictions.

        Args:
            context: of the step, without predictions and taps.
        """
        return ()

    def observe(self, context: ScoreContext) -> Mapping[str, Tensor]:
        """What it wants to find in ``context.carry`` from the next step on, tensors [B, ...] by name.

        An order is asked once in each step, after it ranked the slots.
        """
        return {}

    def spread(self, context: ScoreContext, share: Tensor) -> Tensor | None:
        """How many slots a masker hides in each row where slots move together; None: as many as its rate says.

        Args:
            context: of training.
            share: float32 [B], of the slots that may be hidden, as the rate means it.

        Returns:
            int64 [B], at most the slots that may be hidden, or None.
        """
        return None


def best(scores: Tensor, is_open: Tensor, count: Tensor) -> Tensor:
    """The ``count`` open slots of each row with the highest scores, see :func:`tokenmask.ops.choose`.

    Args:
        scores: float32 [B, L, K].
        is_open: bool [B, L, K].
        count: int64 [B].
    """
    rows = is_open.shape[0]
    return choose(scores.reshape(rows, -1), is_open.reshape(rows, -1), count).view_as(is_open)
