"""Edits to show: one medium of each stream, of which a part in the middle is made anew.

Arrow: Run + media --Run.edit--> Change. Does not know: how slots are filled, how changes are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tokenmask.report.changes import Change
from tokenmask.report.views import VIEWS
from tokenmask.run import Run

_CANDIDATES = 12  # media of which the longest is edited
_SHARE = (0.35, 0.65)  # of what is edited along time, and along both sides of an image


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
        if name not in run.layout.streams or not len(some) or run.layout.streams[name].modality not in VIEWS:
            continue
        modality = run.layout.streams[name].modality
        before = max((some[at] for at in range(min(len(some), _CANDIDATES))), key=_size)
        region = _region(run, name, before)
        if region is None:
            continue
        after = run.edit(before, [region], stream=name, seed=seed)[0]
        caption, spans = _told(modality, region, before, after)
        changes.append(Change(modality, before, after, f"{name}: {caption}", spans))
    return changes


def _size(media: Any) -> float:
    if hasattr(media, "text"):
        return -abs(len(media.text) - 80)  # a sentence that is quickly read
    return float(_seconds(media) or 0)


def _seconds(media: Any) -> float | None:
    """Length of media with a clock."""
    if hasattr(media, "frame_rate_hz"):
        return float(len(media) / media.frame_rate_hz)
    found = getattr(media, "duration_seconds", None)
    return None if found is None else float(found)


def _region(run: Run, name: str, media: Any) -> tuple[float, ...] | None:
    """The middle, as :meth:`Run.edit` takes it; None if there is none."""
    low, high = _SHARE
    if hasattr(media, "pixels"):
        height, width = media.pixels.shape[:2]
        return (round(low * width), round(low * height), round(high * width), round(high * height))
    if hasattr(media, "text"):
        text = media.text
        start, end = text.find(" ", int(low * len(text))), text.rfind(" ", 0, int(high * len(text)))
        return (start + 1, end) if 0 <= start < end - 1 else None
    seconds, rate = _seconds(media), run.layout.streams[name].rate_hz
    if seconds is None or rate is None or seconds * rate < 4:
        return None
    return (low * seconds, high * seconds)


def _told(modality: str, region: tuple[float, ...], before: Any, after: Any) -> tuple[str, list[tuple[float, ...]]]:
    """The region in words, and as the views mark it."""
    if modality == "image":
        left, top, right, bottom = region
        return f"a box of {right - left:g} x {bottom - top:g} pixels", [(top, left, bottom, right)]
    if modality == "text":
        old, new = before.text, after.text
        start = min(int(region[0]), _shared(old, new))  # whole codes are filled, and a code holds its space
        same = min(len(old) - int(region[1]), _shared(old[start:][::-1], new[start:][::-1]))
        return "some words", [(float(start), float(len(new) - same))]
    return f"{region[0]:.2f} to {region[1]:.2f} s", [region]


def _shared(one: str, other: str) -> int:
    """Characters at the start that two texts share."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
