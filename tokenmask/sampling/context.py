"""What the parts of a step may read, and how parts of earlier versions are told what they knew.

Arrow: SamplerState + plan --> **StepContext** --> Guidance, Constraint, Pick, Revoke. Does not know: logits, codes.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor

from tokenmask.deprecation import warn_deprecated
from tokenmask.layout import Layout
from tokenmask.sampling.predicted import Predicted
from tokenmask.sampling.state import SamplerState
from tokenmask.scores import Answer, Progress


@dataclass(frozen=True, eq=False)
class StepContext:
    """A step that is about to be taken.

    Args:
        layout: of the model.
        state: before the step; ``state.seeds``, and ``state.draws`` for draws that depend on a row alone.
        inside: bool [B, L, K], the slots of the stage.
        progress: of the step in its stage, "before" it; it knows index and number of steps.
    """

    layout: Layout
    state: SamplerState
    inside: Tensor
    progress: Progress

    @property
    def is_open(self) -> Tensor:
        """bool [B, L, K], the slots of the stage that are still to fill."""
        return self.state.is_open & self.inside


@dataclass(frozen=True, eq=False)
class SlotContext(StepContext):
    """The N slots of one head that a step asks.

    Args:
        slots: int64 [N], indices into the flattened [B * L * K] slots of the state.
        head: the range of the codes, as in :class:`Layout`.
    """

    slots: Tensor
    head: int


@dataclass(frozen=True, eq=False)
class RevokeContext(StepContext):
    """A step that was taken: ``state`` is that after it, all else as before.

    Args:
        predictions: what the step predicted of the codes that it drew, and the taps that it saw.
        was_open: bool [B, L, K], the slots of the stage that were to fill before the step; None in a call by hand.
        ask: asks a model of the run about the state after the step, see :class:`tokenmask.sampling.Asking`; None in a
            call by hand.
    """

    predictions: Predicted
    was_open: Tensor | None = None
    ask: Callable[..., Sequence[Answer]] | None = None

    @property
    def committed(self) -> Tensor:
        """bool [B, L, K], the slots of the stage that were to be filled and hold codes: what may be opened again."""
        return self.inside & self.state.batch.to_fill & ~self.state.is_open

    @property
    def taps(self) -> Mapping[str, Tensor]:
        """What the step saw of the model besides logits, by name, [B, ...] each."""
        return self.predictions.taps


def adapt_old(owner: type, name: str, parameters: int, new: str, adapt: Callable[..., Any]) -> None:
    """Lets a subclass whose method has the signature of an earlier version work, with a warning.

    Args:
        owner: the subclass.
        name: of the method.
        parameters: how many the old signature has, ``self`` included.
        new: how the new one is written.
        adapt: (old method, self, arguments of a new call) -> result of the old one.
    """
    method = owner.__dict__.get(name)
    if method is None:
        return
    kinds = [one.kind for one in inspect.signature(method).parameters.values()]
    if len(kinds) != parameters or inspect.Parameter.VAR_POSITIONAL in kinds:
        return
    old = f"{owner.__name__}.{name}{inspect.signature(method)}"
    warn_deprecated(f"the signature {old}", instead=f"{owner.__name__}.{new}", since="0.2", stacklevel=2)

    @functools.wraps(method)
    def adapted(self: Any, *arguments: Any) -> Any:
        return adapt(method, self, *arguments)

    setattr(owner, name, adapted)


def takes_old(method: Callable[[Any, RevokeContext], Any]) -> Callable[..., Any]:
    """Lets a method of a revocation of ours be called as before: with state, stage, progress and predictions."""

    @functools.wraps(method)
    def told(self: Any, context: Any, *old: Any) -> Any:
        if old:
            name = f"{type(self).__name__}.{method.__name__}"
            warn_deprecated(f"{name}(state, stage, progress, ...)", instead=f"{name}(context)", since="0.2")
            stage, progress, predictions = (*old, {})[:3]
            context = RevokeContext(cast(Layout, None), context, stage, progress, predictions)  # ours read no layout
        return method(self, context)

    return told
