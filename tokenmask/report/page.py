"""The page: sections in, one self-contained HTML file out.

Arrow: Section --**page**--> HTML text. Does not know: runs, media, what sections show.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

TEMPLATE = Path(__file__).with_name("template.html")
LARGEST_BYTES = 8_000_000
_NUMBERS = re.compile(r"[-+\u00b1\d.,e ]*")
_LONG = 40  # characters of a cell


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading of its own.

    Args:
        title: heading, plain text; also its entry in the table of contents.
        lead: a sentence or two of plain text below it, or "".
        body: HTML.
    """

    title: str
    lead: str
    body: str

    @property
    def anchor(self) -> str:
        """Its id in the page."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def make_page(title: str, lead: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section], footer: str) -> str:
    """The whole file.

    Args:
        title, lead, footer: plain text.
        facts: (name, value), plain text.
        sections: in order; their titles are different.

    Raises:
        ValueError: two sections have one title, or the page is larger than 8 MB.
    """
    anchors = [section.anchor for section in sections]
    if len(set(anchors)) != len(anchors):
        raise ValueError(
            f"sections of a report need different titles, got {[one.title for one in sections]}; rename one"
        )
    links = "".join(f'<a href="#{one.anchor}">{escape(capital(one.title))}</a>' for one in sections)
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    parts = {
        "title": escape(title),
        "lead": escape(lead),
        "facts": listed,
        "links": links,
        "sections": "\n".join(map(_section, sections)),
        "footer": escape(footer),
    }
    template = TEMPLATE.read_text(encoding="utf-8")
    text = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)
    size = len(text.encode())
    if size > LARGEST_BYTES:
        raise ValueError(f"a report may take {LARGEST_BYTES:,} bytes, got {size:,}; show fewer or shorter items")
    return text


def _section(section: Section) -> str:
    lead = f'<p class="lead">{escape(section.lead)}</p>' if section.lead else ""
    heading = f'<h2 id="{section.anchor}-title">{escape(capital(section.title))}</h2>'
    name = section.anchor
    return f'<section id="{name}" aria-labelledby="{name}-title">{heading}{lead}{section.body}</section>'


# Pieces that sections are made of -------------------------------------------------------------------------------------


def capital(text: str) -> str:
    """With a capital first letter; three letters, as in EEG, are taken for an abbreviation."""
    return text.upper() if len(text) == 3 else text[:1].upper() + text[1:]


def heading(text: str) -> str:
    """A heading inside a section."""
    return f"<h3>{escape(capital(text))}</h3>"


def note(text: str) -> str:
    """A quiet sentence."""
    return f'<p class="note">{escape(text)}</p>'


def figure(body: str, caption: str) -> str:
    """HTML with a caption in plain text below it, if it is not empty."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{body}{below}</figure>"


def grid(items: Iterable[str], kind: str) -> str:
    """Figures beside each other, as many in a row as fit; ``kind`` is "tiles", "pairs" or "charts"."""
    return f'<div class="grid {kind}">{"".join(items)}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """A table of plain text; columns of numbers stand to the right, long cells are wrapped."""
    numeric = [bool(rows) and all(_NUMBERS.fullmatch(row[at]) is not None for row in rows) for at in range(len(head))]

    def cells(row: Sequence[str], kind: str, scope: str = "") -> str:
        return "".join(
            f"<{kind}{scope}{_class(cell, right)}>{escape(cell)}</{kind}>"
            for cell, right in zip(row, numeric, strict=True)
        )

    top = f"<thead><tr>{cells(head, 'th', ' scope=col')}</tr></thead>"
    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    whole = f"<table><caption>{escape(caption)}</caption>{top}<tbody>{body}</tbody></table>"
    label = escape(caption, quote=True)
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">{whole}</div>'


def _class(cell: str, right: bool) -> str:
    return " class=number" if right else " class=text" if len(cell) > _LONG else ""
