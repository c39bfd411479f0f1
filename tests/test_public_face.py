"""What a user touches first: the names of ``tokenmask`` are there, once, and have types."""

from __future__ import annotations

import ast
from pathlib import Path

import tokenmask as tm

FACE = Path(tm.__file__).read_text(encoding="utf-8")


def test_every_name_has_a_type_for_editors() -> None:
    """The names that type checkers see are those that a running program gets, from the same places."""
    block = next(node for node in ast.parse(FACE).body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname: node.module for node in imports for alias in node.names}
    assert seen == {name: f"tokenmask.{home}" for name, home in tm._HOMES.items()}


def test_every_name_is_there() -> None:
    assert all(getattr(tm, name).__name__ == name for name in tm._HOMES)
    assert set(tm._HOMES) <= set(dir(tm))
