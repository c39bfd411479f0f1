"""One medium on a page of its own, for notebooks: as a report shows it, with the report's style and script.

Arrow: media --View--> HTML of a frame. Does not know: notebooks, runs, sections.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

from tokenmask.report.page import TEMPLATE
from tokenmask.report.views import view_of

_HEIGHT = 260  # pixels, until the frame has measured itself
_FITTED = """
const fit = () => { if (frameElement) frameElement.style.height = `${document.body.scrollHeight + 2}px`; };
new ResizeObserver(fit).observe(document.body); addEventListener("load", fit);
"""


def framed(media: Any) -> str | None:
    """An ``iframe`` that needs nothing from outside of it, as high as what it shows; None for media without a view.

    In a frame, styles and scripts of a report and of the page around it do not meet.
    """
    view = view_of(type(media))
    if view is None:
        return None
    label = repr(media)
    return frame(view.single(media, label), label, "16rem" if view.small else "46rem", _HEIGHT)


def frame(body: str, label: str, width: str, height: int, *, style: str = "", script: str = "") -> str:
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
