"""Makes the files of the gallery page: python benchmarks/gallery.py runs the page's own Python, in order, in docs/."""

from __future__ import annotations

import os
import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "gallery.md"


def main() -> None:
    os.chdir(PAGE.parent)
    spoken: dict[str, object] = {"__name__": "gallery"}
    for text in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S):
        exec(compile(text, str(PAGE), "exec"), spoken)


if __name__ == "__main__":
    main()
