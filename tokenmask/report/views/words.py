"""Text: quoted, with what was filled in marked."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, ClassVar

from tokenmask.report.page import figure
from tokenmask.report.views.view import MIDDLE, Region, Span, View

_LONGEST = 1200  # characters


class Words(View):
    """Shows a :class:`~tokenmask.modalities.text.Text`; spans and regions are characters."""

    how_many: ClassVar[int] = 0  # every string comes back unchanged
    prompts: ClassVar[int] = 6
    per_prompt: ClassVar[int] = 1

    def single(self, media: Any, label: str, spans: Sequence[Span] = ()) -> str:
        """A quotation; characters start .. end - 1 of each span are marked."""
        text, parts, place = media.text[:_LONGEST], [], 0
        for start, end in sorted((int(one[0]), int(one[1])) for one in spans):
            start, end = max(start, place), max(end, place)
            parts += [escape(text[place:start]), f"<mark>{escape(text[start:end])}</mark>" if end > start else ""]
            place = end
        parts.append(escape(text[place:]))
        if not text:
            return f'<blockquote class="note" aria-label="{escape(label, quote=True)}">(empty)</blockquote>'
        more = "" if len(media.text) <= _LONGEST else " …"
        return f'<blockquote aria-label="{escape(label, quote=True)}">{"".join(parts)}{more}</blockquote>'

    def pair(self, media: Sequence[Any], names: Sequence[str], label: str, spans: Sequence[Span] = ()) -> str:
        """Two quotations side by side, named; spans are of the second, one alone is marked in the first too."""
        first, second = media
        same = len(second.text) - int(spans[0][1]) if len(spans) == 1 else 0  # characters behind what was filled in
        before = [(spans[0][0], float(len(first.text) - same))] if len(spans) == 1 else []
        marked = ((first, names[0], before), (second, names[1], spans))
        shown = [self.single(one, f"{name}: {label}", own) for one, name, own in marked]
        return f'<div class="duo">{"".join(figure(one, name) for one, name in zip(shown, names, strict=True))}</div>'

    def interest(self, media: Any) -> float:
        """A sentence that is quickly read."""
        return -abs(len(media.text) - 80)

    def middle(self, media: Any, rate_hz: float | None) -> Region | None:
        """Whole words (start, end)."""
        (low, high), text = MIDDLE, media.text
        start, end = text.find(" ", int(low * len(text))), text.rfind(" ", 0, int(high * len(text)))
        return (start + 1, end) if 0 <= start < end - 1 else None

    def told(self, region: Region, before: Any, after: Any) -> tuple[str, Sequence[Span]]:
        """What differs."""
        old, new = before.text, after.text
        start = min(int(region[0]), _shared(old, new))  # whole codes are filled, and a code holds its space
        same = min(len(old) - int(region[1]), _shared(old[start:][::-1], new[start:][::-1]))
        return "some words", [(float(start), float(len(new) - same))]

    def filled(self, media: Any) -> Sequence[Span]:
        """Characters."""
        spans = getattr(media, "filled", ())
        return () if spans == ((0, len(media.text)),) else spans

    def added(self, media: Any, given: Any) -> Sequence[Span]:
        """The words that follow those given."""
        return [(float(len(str(given)) if given is not None else 0), float(len(media.text)))]


def _shared(one: str, other: str) -> int:
    """Characters at the start that two texts share."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
