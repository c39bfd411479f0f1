"""What the parts of a step may read before the model is asked.

Arrow: SamplerState + plan --> **StepContext** --> Guidance, Constraint, Pick, Revoke. Does not know: logits, codes.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tokenmask.deprecation import warn_deprecated
from tokenmask.layout import Layout
from tokenmask.sampling.progress import Progress
from tokenmask.sampling.state import SamplerState


@dataclass(frozen=True, eq=False)
class StepContext:
    """A step that is about to be taken.

    Args:
        layout: of the model.
        state: before the step; ``state.seeds``, and ``state.draws`` for draws that depend on a row alone.
        inside: bool [B, L, K], the slots of the stage.
        progress: index and number of steps of the stage.
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


def adapt_old(owner: type, name: str, parameters: int, new: str, adapt: Callable[..., Any]) -> None:
    """Lets a subclass whose method has the signature of tokenmask 0.1 work, with a warning.

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
