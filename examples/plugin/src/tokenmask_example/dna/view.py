"""How a report shows DNA: its bases, with what was made anew marked."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tokenmask.report.views import MIDDLE, Region, Span, View
from tokenmask_example.dna.media import Dna

_LONGEST = 600  # bases


class DnaView(View):
    """Spans and regions are (start, end) in bases."""

    def single(self, media: Dna, label: str, spans: Sequence[Span] = ()) -> str:
        text, end, parts = media.bases[:_LONGEST], 0, []
        for start, stop in ((int(one[0]), int(one[1])) for one in spans):
            parts += [text[end:start], f"<mark>{text[start:stop]}</mark>"]
            end = stop
        shown = "".join([*parts, text[end:], "" if len(media.bases) <= _LONGEST else " …"])
        return f'<blockquote aria-label="{escape(label, quote=True)}"><code>{shown}</code></blockquote>'

    def interest(self, media: Dna) -> float:
        return -abs(len(media.bases) - 200)

    def middle(self, media: Dna, rate_hz: float | None) -> Region:
        return tuple(round(share * len(media.bases)) for share in MIDDLE)

    def told(self, region: Region, before: Dna, after: Dna) -> tuple[str, Sequence[Span]]:
        return f"bases {region[0]:g} to {region[1]:g}", [region]

    def added(self, media: Dna, given: Dna | None) -> Sequence[Span]:
        return [(0 if given is None else len(given.bases), len(media.bases))]
