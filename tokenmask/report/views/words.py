"""Text: quoted, with what was filled in marked."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from tokenmask.report.page import figure

HOW_MANY = 0  # every string comes back unchanged
PROMPTS, PER_PROMPT = 6, 1
_LONGEST = 1200  # characters


def single(media: Any, label: str, spans: Sequence[tuple[float, ...]] = ()) -> str:
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


def brief(media: Any, label: str) -> str:
    """The same."""
    return single(media, label)


def pair(media: Sequence[Any], names: Sequence[str], label: str, spans: Sequence[tuple[float, ...]] = ()) -> str:
    """Two quotations side by side, named; spans are of the second, one alone is marked in the first too."""
    first, second = media
    same = len(second.text) - int(spans[0][1]) if len(spans) == 1 else 0  # characters behind what was filled in
    before = [(spans[0][0], float(len(first.text) - same))] if len(spans) == 1 else []
    marked = ((first, names[0], before), (second, names[1], spans))
    shown = [single(one, f"{name}: {label}", own) for one, name, own in marked]
    return f'<div class="duo">{"".join(figure(one, name) for one, name in zip(shown, names, strict=True))}</div>'
