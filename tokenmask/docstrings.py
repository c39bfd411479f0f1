"""Docstrings: what a section says of each name, so that options are described once, where they are.

Arrow: docstring --**args_of**--> name -> words. Does not know: what the names are of.
"""

from __future__ import annotations

import inspect
import re


def args_of(docstring: str | None, section: str = "Args") -> dict[str, str]:
    """Name -> words, of a section of a docstring; several names may share their words."""
    _, _, text = inspect.cleandoc(docstring or "").partition(f"{section}:\n")
    text = re.split(r"\n\S", text)[0]  # the next section
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=    \S)", text):
        names, colon, words = entry.strip().partition(":")
        if colon:
            plain = re.sub(r":\w+:`~?([^`]+)`", r"\1", " ".join(words.split())).replace("``", "`")
            found |= {name.strip(): plain for name in names.split(",")}
    return found
