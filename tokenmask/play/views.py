"""Views: the stage, which shows a medium as a report does and is painted on; and media beside each other.

Arrow: Piece --**stage**--> HTML of a frame. Does not know: pages, models.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from tokenmask.medium import Timed
from tokenmask.play.piece import Piece
from tokenmask.play.regions import Surface
from tokenmask.report.alone import frame
from tokenmask.report.embed import LONGEST_SECONDS
from tokenmask.report.page import figure
from tokenmask.report.views import Span, View, view_of

STYLE = Path(__file__).with_name("stage.css")
SCRIPT = Path(__file__).with_name("stage.js")
_WIDTH = "none"
_LAYER = '<div class="paint"></div>'
_HINTS = {
    "picture": "Drag over what is to be made anew.",
    "time": "Drag along the time that is to be made anew.",
    "words": "Drag over the words that are to be made anew.",
}


def stage(piece: Piece) -> str:
    """The piece, with a surface to paint on where its medium has one."""
    view, label = view_of(type(piece.media)), f"{piece.stream} on the stage"
    if view is None:
        return f"<p>There is no view of {escape(piece.codes.spec.modality)}; its codes stand below.</p>"
    surface = Surface.of(piece.media, piece.codes)
    style, script = STYLE.read_text(encoding="utf-8"), SCRIPT.read_text(encoding="utf-8")
    if surface is None:
        return frame(view.single(piece.media, label, piece.spans), label, _WIDTH, style=style)
    about = json.dumps({"kind": surface.kind, "rows": surface.rows, "columns": surface.columns})
    body = (
        f"{_painted(view, piece, surface, label)}"
        f'<div class="under"><span>{_HINTS[surface.kind]}</span>'
        '<button type="button" class="clear">Clear</button></div>'
        f'<script type="application/json" id="surface">{about}</script>'
    )
    return frame(body, label, _WIDTH, style=style, script=script)


def pair(first: Any, second: Any, names: tuple[str, str], label: str, spans: tuple[Span, ...] = ()) -> str:
    """Two media of one kind in a frame."""
    view, media = view_of(type(first)), (first, second)
    if view is None:
        body = ""
    elif view.small:  # a report names them only where something is marked
        marked = ((), spans)
        both = [
            figure(view.single(one, f"{name}: {label}", own), name)
            for one, name, own in zip(media, names, marked, strict=True)
        ]
        body = f'<div class="row">{"".join(both)}</div>'
    else:
        body = view.pair(media, names, label, spans)
    page = f'<div class="beside">{body}</div>'
    return frame(page, label, _WIDTH, style=STYLE.read_text(encoding="utf-8"))


def _painted(view: View, piece: Piece, surface: Surface, label: str) -> str:
    """HTML of the medium with the layer that is painted on: over it, or under it as a line of time."""
    media = piece.media
    if surface.kind == "words":
        return _words(str(media), surface, piece.spans)
    shown = view.single(media, label, piece.spans)
    if surface.kind == "picture":
        return f'<div class="picture">{shown}{_LAYER}</div>'
    seconds = media.duration_seconds if isinstance(media, Timed) else 0.0
    over = '<div class="heard">'
    if over in shown and seconds <= LONGEST_SECONDS:  # a spectrogram, or frames: all of the time lies across
        share = 100 * surface.edges[-1] / seconds  # codes may end a little after the medium
        return shown.replace(over, f'{over}<div class="paint" style="right:auto;width:{share:.3f}%"></div>', 1)
    ends = f'<div class="ends"><span>0 s</span><span>{surface.edges[-1]:.2f} s</span></div>'
    return f'{shown}<div class="track">{_LAYER}</div>{ends}'


def _words(text: str, surface: Surface, spans: Any) -> str:
    """A quotation, each word of which can be painted; what was made anew is marked."""
    new, parts, place = [(int(start), int(end)) for start, end, *_ in spans], list[str](), 0
    for cell in range(surface.columns):
        start, end = int(surface.edges[2 * cell]), int(surface.edges[2 * cell + 1])
        fresh = " new" if any(start < stop and begin < end for begin, stop in new) else ""
        parts.append(f'{escape(text[place:start])}<span class="word{fresh}">{escape(text[start:end])}</span>')
        place = end
    return f'<blockquote class="spoken">{"".join(parts)}</blockquote>'
