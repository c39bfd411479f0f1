"""How each modality is shown: one file each, with the functions of :class:`View`.

Arrow: media --**View**--> HTML. Does not know: runs, codes, models.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, Protocol

from tokenmask.report.views import pictures, recordings, skeletons, sounds, words

Span = tuple[float, ...]
"""What is marked: (start, end) in seconds for media with a clock, (start, end) in characters for text, (top, left,
bottom, right) in pixels for images; ends are not included."""


class View(Protocol):
    """Shows media of one modality."""

    HOW_MANY: int
    """Items that are shown beside their reconstruction."""

    PROMPTS: int
    """Prompts that samples are drawn for, where none are asked for."""

    PER_PROMPT: int
    """Samples of each."""

    def single(self, media: Any, label: str, spans: Sequence[Span] = ()) -> str:
        """HTML of one medium; ``label`` tells it to readers who do not see or hear it."""
        ...

    def brief(self, media: Any, label: str) -> str:
        """HTML of one medium that stands beside something else, smaller."""
        ...

    def pair(self, media: Sequence[Any], names: Sequence[str], label: str, spans: Sequence[Span] = ()) -> str:
        """HTML of two media that belong together, each under its name."""
        ...


VIEWS: MappingProxyType[str, View] = MappingProxyType(
    {"text": words, "image": pictures, "audio": sounds, "motion": skeletons, "eeg": recordings}
)
"""By modality; media of others are said to have no picture."""

__all__ = ["VIEWS", "Span", "View"]
