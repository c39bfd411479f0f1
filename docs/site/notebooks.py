"""Notebooks as pages: their words and lines as they stand, and what they showed when they were last run.

Arrow: .ipynb --**page**--> Markdown. Does not know: kernels; docs/notebooks/execute.py runs them.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "notebooks"
_SHOWN = ("text/html", "image/png", "text/plain")  # of what an output offers, the first that is there


def pages() -> dict[str, str]:
    """Path in the site -> Markdown, for each notebook."""
    return {f"notebooks/{path.stem}.md": page(path) for path in sorted(FOLDER.glob("*.ipynb"))}


def page(path: Path) -> str:
    """The page of a notebook; below its title stands a link to the file."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    title, _, rest = "".join(cells[0]["source"]).partition("\n")
    parts = [title, f"[Download this notebook]({path.name}){{ download }}", rest.strip()]
    for cell in cells[1:]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        parts += [shown(output) for output in cell.get("outputs", ())]
    return "\n\n".join(part for part in parts if part) + "\n"


def shown(output: dict[str, Any]) -> str:
    """What a cell showed, as one block of HTML that Markdown leaves alone."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    kind = next(kind for kind in _SHOWN if kind in data)
    text = "".join(data[kind])
    if kind == "text/plain":
        text = f"<pre>{html.escape(text.rstrip(), quote=False)}</pre>"
    elif kind == "image/png":
        text = f'<img alt="drawn by the lines above" src="data:image/png;base64,{text.strip()}">'
    else:  # tables of pandas get the site's own style
        text = re.sub(r"<style scoped>.*?</style>", "", text, flags=re.S)
        text = text.replace(' border="1" class="dataframe"', "").replace(' style="text-align: right;"', "")
    return f'<div class="output">{text.strip()}</div>'.replace(
        "\n", "&#10;" if "<pre>" in text or "srcdoc" in text else ""
    )
