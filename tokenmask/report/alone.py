"""Media on a page of their own, for notebooks: as a report shows them, with the report's style and script.

Arrow: media --View--> HTML of a frame. Does not know: notebooks, runs, sections.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any

from tokenmask.report.page import TEMPLATE, figure
from tokenmask.report.views import view_of

_HEIGHT = 260  # pixels, until the frame has measured itself
_FITTED = """
const fit = () => { if (frameElement) frameElement.style.height = `${document.body.scrollHeight + 2}px`; };
new ResizeObserver(fit).observe(document.body); addEventListener("load", fit);
"""


def framed(media: Any) -> str | None:
    """An ``iframe`` that needs nothing from outside of it, as high as what it shows; None for media without a view.

    What a model filled in is marked. In a frame, styles and scripts of a report and of the page around it do not meet.
    """
    view = view_of(type(media))
    if view is None:
        return None
    label = repr(media)
    return frame(view.single(media, label, view.filled(media)), label, "16rem" if view.small else "46rem")


class Shown:
    """Media beside each other, for the last line of a cell of a notebook."""

    def __init__(self, media: Sequence[Any], names: Sequence[str]) -> None:
        self.media, self.names = media, names

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {one!r}" if name else repr(one) for name, one in self._pairs())

    def _pairs(self) -> list[tuple[str, Any]]:
        return list(zip(self.names or [""] * len(self.media), self.media, strict=True))

    def _repr_html_(self) -> str:
        label = ", ".join(self.names) or repr(self.media[0])
        view = view_of(type(self.media[0]))
        if len(self.media) == 2 and self.names and view and type(self.media[0]) is type(self.media[1]):
            return frame(view.pair(self.media, self.names, label, view.filled(self.media[1])), label, "46rem")
        shown, all_small = [], True
        for name, one in self._pairs():
            view = view_of(type(one))
            all_small &= view is not None and view.small
            body = f"<pre>{escape(repr(one))}</pre>" if view is None else view.single(one, repr(one), view.filled(one))
            shown.append(figure(body, name) if name else body)
        return frame(f'<div class="{"row" if all_small else "tiles wide"}">{"".join(shown)}</div>', label, "46rem")


def show(*media: Any, names: Sequence[str] = ()) -> Shown:
    """Media beside each other in a notebook, as in reports, with what a model filled in marked.

    Two of one kind with names belong together: recordings are drawn over each other, skeletons move on one clock, and
    what was filled in of the second is marked.

    Args:
        media: one or more, or lists of them, such as what ``Run.generate`` gives.
        names: of each; () for none.

    Raises:
        ValueError: no media, or another number of names.
    """
    flat = [one for some in media for one in (some if isinstance(some, list | tuple) else [some])]
    if not flat or (names and len(names) != len(flat)):
        raise ValueError(f"show needs media and a name for each or none, got {len(flat)} and {len(names)}; pass both")
    return Shown(flat, tuple(names))


def frame(body: str, label: str, width: str, *, height: int = _HEIGHT, style: str = "", script: str = "") -> str:
    """HTML in an ``iframe`` with the style and the script of a report.

    Args:
        body: HTML.
        label: names the frame.
        width: of the body, the most, in CSS.
        height: of the frame until it has measured itself, in pixels.
        style, script: added to those of a report.
    """
    template = TEMPLATE.read_text(encoding="utf-8")
    own_style, own_script = (_inside(template, tag) for tag in ("style", "script"))
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(label)}</title><style>{own_style}'
        f"main {{ padding: 0; margin: 0; max-width: {width}; }}{style}</style><body><main>{body}</main>"
        f"<script>{own_script}{script}{_FITTED}</script></body></html>"
    )
    size = f"width:100%;height:{height}px;border:0"
    return f'<iframe title="{escape(label, quote=True)}" style="{size}" srcdoc="{escape(page, quote=True)}"></iframe>'


def _inside(template: str, tag: str) -> str:
    found = re.search(rf"<{tag}>\n(.*?)</{tag}>", template, re.S)
    if found is None:
        raise ValueError(f"the template of reports must hold one <{tag}>, got none; install tokenmask again")
    return found[1]
