"""What a user touches first: the names of ``tokenmask`` are there, once, and have types."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tokenmask as tm

FACE = Path(tm.__file__).read_text(encoding="utf-8")


def test_every_name_has_a_type_for_editors() -> None:
    """The names that type checkers see are those that a running program gets, from the same places."""
    block = next(node for node in ast.parse(FACE).body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname: node.module for node in imports for alias in node.names}
    homes = {**tm._HOMES, "tokenizer": "tokenizer"}
    assert seen == {name: f"tokenmask.{home}" for name, home in homes.items()}


def test_every_name_is_there() -> None:
    assert all(getattr(tm, name).__name__ == name for name in tm._HOMES)
    assert {*tm._HOMES, "tokenizer"} <= set(dir(tm))


def test_the_module_of_tokenizers_opens_one_when_it_is_called() -> None:
    assert tm.tokenizer.__name__ == "tokenmask.tokenizer"  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"a tokenizer must be one of .*, got 'smell'"):
        tm.tokenizer("smell", "somewhere")


def test_libraries_of_others_are_imported_when_they_are_needed() -> None:
    code = """
import sys
import tokenmask as tm
for name in tm.tokenizer.TOKENIZERS:
    tm.tokenizer.load_tokenizer_class(name)
tm.wrap, tm.load()
print([name for name in ("transformers", "diffusers", "tokenizers", "tiktoken") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
