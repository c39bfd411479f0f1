"""BuildSummary: what became of items. Does not know: how they were encoded or written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BuildSummary:
    """What :func:`build_corpus` or :func:`write_tables` did.

    Args:
        written: records added.
        failed: (key, reason) of the items that could not be read or encoded.
        skipped: items whose keys were in the corpus before.
    """

    written: int
    failed: list[tuple[str, str]]
    skipped: int
