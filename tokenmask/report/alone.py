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
    template = TEMPLATE.read_text(encoding="utf-8")
    style, script = (_inside(template, tag) for tag in ("style", "script"))
    label = repr(media)
    width = "16rem" if view.small else "46rem"
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(label)}</title><style>{style}'
        f"main {{ padding: 0; margin: 0; max-width: {width}; }}</style><body><main>{view.single(media, label)}</main>"
        f"<script>{script}{_FITTED}</script></body></html>"
    )
    size = f"width:100%;height:{_HEIGHT}px;border:0"
    return f'<iframe title="{escape(label, quote=True)}" style="{size}" srcdoc="{escape(page, quote=True)}"></iframe>'


def _inside(template: str, tag: str) -> str:
    found = re.search(rf"<{tag}>\n(.*?)</{tag}>", template, re.S)
    if found is None:
        raise ValueError(f"the template of reports must hold one <{tag}>, got none; install tokenmask again")
    return found[1]
