"""View: how a report shows a kind of media. Its medium names it, see :attr:`tokenmask.medium.Medium.view`.

Arrow: media --**View**--> HTML. Does not know: runs, codes, models, which kinds there are.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from html import escape
from typing import Any, ClassVar

import torch
from torch import Tensor

from tokenmask.medium import Timed, said

Span = tuple[float, ...]
"""What is marked: (start, end) in seconds for media with a clock, (start, end) in characters for text, (top, left,
bottom, right) in pixels for images; ends are not included. A view decides for media of its own."""

Region = tuple[float, ...]
"""A part of media as ``Run.edit`` takes it."""

MIDDLE = (0.35, 0.65)  # of what is edited to show what editing does
_LEAST_STEPS = 4  # of a stream along time; less has no middle


class View(ABC):
    """Shows media of one kind, as HTML that needs nothing from outside of the page.

    All that comes from media or labels is escaped, and equal media give equal HTML. A view needs :meth:`single` alone;
    media with a clock get the rest from here, others say how their middle is named in :meth:`middle` and :meth:`told`.
    """

    how_many: ClassVar[int] = 3
    """Items that are shown beside their reconstruction."""

    prompts: ClassVar[int] = 6
    """Prompts that samples are drawn for, where none are asked for."""

    per_prompt: ClassVar[int] = 1
    """Samples of each."""

    small: ClassVar[bool] = False
    """Whether many fit beside each other, like small pictures."""

    @abstractmethod
    def single(self, media: Any, label: str, spans: Sequence[Span] = ()) -> str:
        """HTML of one medium; ``label`` tells it to readers who do not see or hear it, and ``spans`` are marked."""

    def brief(self, media: Any, label: str) -> str:
        """HTML of one medium that stands beside something else, smaller."""
        return self.single(media, label)

    def pair(self, media: Sequence[Any], names: Sequence[str], label: str, spans: Sequence[Span] = ()) -> str:
        """HTML of two media that belong together, each under its name."""
        return "".join(
            f'<p class="named">{escape(name)}</p>{self.single(one, f"{name}: {label}", spans)}'
            for one, name in zip(media, names, strict=True)
        )

    def interest(self, media: Any) -> float:
        """Of several media that with the largest is edited: the longest, where there is a clock."""
        return float(media.duration_seconds) if isinstance(media, Timed) else 0.0

    def middle(self, media: Any, rate_hz: float | None) -> Region | None:
        """The middle of a medium, to be made anew; None where it is too short to have one.

        Args:
            media: one medium.
            rate_hz: of its stream, if that has a clock.
        """
        if not isinstance(media, Timed) or rate_hz is None or media.duration_seconds * rate_hz < _LEAST_STEPS:
            return None
        low, high = MIDDLE
        return (low * media.duration_seconds, high * media.duration_seconds)

    def told(self, region: Region, before: Any, after: Any) -> tuple[str, Sequence[Span]]:
        """A region that was made anew, in words, and as :meth:`pair` marks it."""
        return f"{region[0]:.2f} to {region[1]:.2f} s", [region]

    def filled(self, media: Any) -> Sequence[Span]:
        """What a model filled in of a medium that knows it from its stream; nothing where that is all of it."""
        stream = getattr(media, "stream", None)
        if not isinstance(media, Timed) or stream is None or stream.filled is None or stream.spec.rate_hz is None:
            return ()
        steps = stream.filled.movedim(stream.spec.axes.index("time"), 0).flatten(1).any(1)
        return [] if bool(steps.all()) else [(a / stream.spec.rate_hz, b / stream.spec.rate_hz) for a, b in runs(steps)]

    def added(self, media: Any, given: Any) -> Sequence[Span]:
        """What was drawn of a sample: all of it, or what came beside the part that was given (None for none)."""
        return ()


def runs(marks: Tensor) -> list[tuple[int, int]]:
    """(start, end) of each run of True in bool [T]."""
    edges = torch.nn.functional.pad(marks.int(), (1, 1)).diff().nonzero().squeeze(1).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def view_of(kind: type) -> View | None:
    """The view of a media class; None if it names none.

    Raises:
        ValueError: what it names cannot be imported, or is no view.
    """
    path = said(kind, "view")
    return _view(path, kind.__name__) if path else None


@cache
def _view(path: str, kind: str) -> View:
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f'the view of {kind} must be a "module:class" that can be imported, got {path!r} ({error}); '
            "mend or install its package"
        ) from error
    if not (isinstance(found, type) and issubclass(found, View)):
        raise ValueError(f"the view of {kind} must be a View, but {path} is not; subclass View")
    return found()
