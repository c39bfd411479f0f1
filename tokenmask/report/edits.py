"""Edits to show: one medium of each stream, of which a part in the middle is made anew.

Arrow: Run + media --Run.edit--> Change. Does not know: how slots are filled, how changes are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tokenmask.report.changes import Change
from tokenmask.report.views import view_of
from tokenmask.run import Run

_CANDIDATES = 12  # media of which the longest is edited


def edits_of(run: Run, media: Mapping[str, Sequence[Any]], seed: int = 0) -> list[Change]:
    """An edit of each stream of which there are media: the middle of a sound, a box of a picture, words of a text.

    Args:
        run: fills the holes.
        media: stream name -> media, for example held-out ones.
        seed: of the edits.

    Returns:
        a change each; none for media too short to have a middle.
    """
    changes = []
    for name, some in media.items():
        view = view_of(run.tokenizers[name].media) if name in run.tokenizers else None
        if view is None or not len(some):
            continue
        spec = run.layout.streams[name]
        before = max((some[at] for at in range(min(len(some), _CANDIDATES))), key=view.interest)
        region = view.middle(before, spec.rate_hz)
        if region is None:
            continue
        after = run.edit(before, [region], stream=name, seed=seed)[0]
        caption, spans = view.told(region, before, after)
        changes.append(Change(spec.modality, before, after, f"{name}: {caption}", spans))
    return changes
