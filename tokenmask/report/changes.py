"""Sections about changes: media before and after an edit, and samples before and after a swap of a tokenizer.

Arrow: media before and after --**edit_section**, **swap_section**--> HTML. Does not know: how they were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenmask.report.page import Section, figure, grid, heading, note
from tokenmask.report.views import Span, view_of


@dataclass(frozen=True, eq=False)
class Change:
    """A pair of media, one before and one after something was done.

    Args:
        modality: of both.
        before, after: media.
        caption: what was done, plain text.
        spans: what was made anew, see :data:`tokenmask.report.views.Span`; none for a swap.
        group: heading it stands under; "" for none.
    """

    modality: str
    before: Any
    after: Any
    caption: str
    spans: Sequence[Span] = ()
    group: str = ""


def edit_section(changes: Sequence[Change]) -> Section | None:
    """Edits, before and after, with what was filled anew marked; None without any."""
    lead = (
        "What is marked was made anew, from nothing but what stands around it. Whole codes are filled; every code that "
        "the mark does not touch is the one it was."
    )
    return _section("Edits", lead, changes)


def swap_section(changes: Sequence[Change], facts: Sequence[str] = ()) -> Section | None:
    """The same requests before and after a tokenizer was swapped; None without any.

    Args:
        changes: what was generated before and after.
        facts: sentences about what was kept and what was learned anew.
    """
    lead = "The same requests with the same seeds, before and after one tokenizer was exchanged."
    section = _section("Tokenizer swap", lead, changes)
    if section is None:
        return None
    return Section(section.title, section.lead, "".join(map(note, facts)) + section.body)


def _section(title: str, lead: str, changes: Sequence[Change]) -> Section | None:
    if not changes:
        return None
    parts = []
    for group in dict.fromkeys(change.group for change in changes):
        shown = [_shown(change) for change in changes if change.group == group]
        parts.append((heading(group) if group else "") + grid(shown, "pairs"))
    return Section(title, lead, "".join(parts))


def _shown(change: Change) -> str:
    view = view_of(type(change.before))
    if view is None:
        return figure(note(f"This report has no picture of {change.modality}."), change.caption)
    pair = (change.before, change.after)
    return figure(view.pair(pair, ("before", "after"), change.caption, change.spans), change.caption)
