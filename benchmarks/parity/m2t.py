"""M2T, by the unofficial wsxtyrdd/Masked-Transformer-For-Image-Compression: the low-discrepancy ranking of cells.

``python benchmarks/parity/m2t.py FOLDER`` with a folder that holds that checkout; no official code was published.
Equal: the rank of every cell of square and oblong grids. Theirs alone: a group takes the ranks up to a floor, so that
the first one has a cell more than the law says.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import torch
from common import Trace, compare

from tokenmask.scores import qlds_ranks

CASES: dict[str, dict[str, Any]] = {"8 x 8": {"size": (8, 8)}, "24 x 24": {"size": (24, 24)}, "5 x 9": {"size": (5, 9)}}


def ours(size: tuple[int, int]) -> Trace:
    return {"inputs": [], "codes": qlds_ranks(*size).tolist()}


def theirs(checkout: Path, size: tuple[int, int]) -> Trace:
    path = checkout / "net" / "mit.py"
    if not path.is_file():
        raise SystemExit(f"skipped: {path} is not there; give the folder of the checkout")
    inner = [
        n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef) and n.name == "get_qlds"
    ]
    if len(inner) != 1:
        raise SystemExit(f"skipped: {path.name} has no get_qlds; it is another version")
    space: dict[str, Any] = {"torch": torch, "device": "cpu"}
    exec(compile(ast.Module(inner, []), str(path), "exec"), space)
    return {"inputs": [], "codes": space["get_qlds"](*size).flatten().long().tolist()}


if __name__ == "__main__":
    compare("m2t", CASES, ours, theirs)
