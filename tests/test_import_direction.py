"""Each part imports only itself and what stands to its left in the order that CONTRIBUTING.md states."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def stated(text: str) -> tuple[list[str], set[str]]:
    """The order of the parts of tokenmask, and what modalities import, as the text of CONTRIBUTING.md says them."""
    chain = re.search(r"\n\n((?: {4}.*<.*\n)+)\n", text)
    may = re.search(r"^`modalities` imports ([\w,\s]+?)\s+only\.", text, re.MULTILINE)
    assert chain and may, "CONTRIBUTING.md must state the order as `a < b`, and what `modalities` imports"
    return [part.strip() for part in chain[1].split("<")], set(re.split(r",\s+|\s+and\s+", may[1]))


ORDER, SHARED = stated((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
EXCEPTED = {"__init__", "__main__", "testing", "data"}  # the lazy face, the command, the public checks, what ships
MODALITIES_MAY = {*SHARED, "modalities"}
MAY_MODALITIES = {"recipes", "run", "evaluation", "report", "demo", "cli"}


def imported(source: str, package: str) -> Iterator[tuple[int, str]]:
    """(line, part) for every import of a part of tokenmask, at any depth of the source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "tokenmask" else [base]
        else:
            continue
        for name in names:
            if name.startswith("tokenmask."):
                yield node.lineno, name.split(".")[1]


def offence(part: str, other: str) -> str | None:
    """Why ``part`` may not import ``other``, or None."""
    if part in EXCEPTED or part == other:
        return None
    if part == "modalities":
        return None if other in MODALITIES_MAY else f"modalities may import {sorted(MODALITIES_MAY)} only, not {other}"
    if other == "modalities":
        return None if part in MAY_MODALITIES else f"only {sorted(MAY_MODALITIES)} import modalities, not {part}"
    if part not in ORDER:
        return f"{part} has no place in the order; give it one in CONTRIBUTING.md"
    if other in EXCEPTED or other.startswith("_"):
        return None
    if other not in ORDER or ORDER.index(other) > ORDER.index(part):
        return f"{part} may import {', '.join(ORDER[: ORDER.index(part)]) or 'nothing'}, not {other}"
    return None


def offences(root: Path) -> list[str]:
    found = []
    for folder, package in ((root / "tokenmask", "tokenmask"), (root / "modalities", "tokenmask.modalities")):
        for path in sorted(folder.rglob("*.py")):
            inside = path.relative_to(folder)
            part = "modalities" if folder.name == "modalities" else inside.parts[0].removesuffix(".py")
            home = ".".join([package, *inside.parts[:-1]])
            for line, other in imported(path.read_text(encoding="utf-8"), home):
                if reason := offence(part, other):
                    found.append(f"{path.relative_to(root)}:{line}: {reason}")
    return found


def test_the_order_is_read_as_it_is_written() -> None:
    order, shared = stated("Some\n\n    a < b\n        < c_d\n\n`modalities` imports a,\nb and c_d\nonly.\n")
    assert order == ["a", "b", "c_d"] and shared == {"a", "b", "c_d"}
    parts = {
        path.stem for path in (ROOT / "tokenmask").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert set(ORDER) == parts - EXCEPTED and len(ORDER) == len(set(ORDER)) and set(ORDER) > SHARED


def test_imports_go_left() -> None:
    assert not offences(ROOT), "\n".join(offences(ROOT))


def test_a_planted_offender_is_found(tmp_path: Path) -> None:
    planted = {
        "tokenmask/nn/bad.py": "from tokenmask.layout import Layout",
        "tokenmask/nn/good.py": "from tokenmask.ops import uniform\nimport torch",
        "tokenmask/models/late.py": "def f():\n    from ..training import Trainer",
        "tokenmask/layout.py": "import tokenmask.modalities.text",
        "tokenmask/strange.py": "from tokenmask import streams",
        "tokenmask/cli.py": "from tokenmask.modalities.text import TextTokenizer\nfrom tokenmask import __version__",
        "tokenmask/testing.py": "from tokenmask.run import load",
        "modalities/text/tokenizer.py": "from tokenmask.nn import build\nfrom tokenmask.layout import Layout",
        "modalities/image/fit.py": "from tokenmask.modalities.quantizers import vq\nfrom .text import TextTokenizer",
    }
    for name, source in planted.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    places = [line.split(": ")[0] for line in offences(tmp_path)]
    assert places == [
        "tokenmask/layout.py:1",
        "tokenmask/models/late.py:2",
        "tokenmask/nn/bad.py:1",
        "tokenmask/strange.py:1",
        "modalities/text/tokenizer.py:2",
    ]
