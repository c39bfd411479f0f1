"""Each part imports only itself and what stands to its left in the order that CONTRIBUTING.md states."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def stated(text: str) -> tuple[list[str], set[str], dict[tuple[str, str], set[str]]]:
    """The order of the parts, what modalities import, and which methods import what is right of them, as
    CONTRIBUTING.md says."""
    chain = re.search(r"\n\n((?: {4}.*<.*\n)+)\n", text)
    may = re.search(r"^`modalities` imports ([\w,\s]+?)\s+only\.", text, re.MULTILINE)
    assert chain and may, "CONTRIBUTING.md must state the order as `a < b`, and what `modalities` imports"
    late = {
        (part, other): set(places.split(", "))
        for part, other, places in re.findall(r"^ {4}(\w+) > (\w+) +(\S.*)$", text, re.MULTILINE)
    }
    return [part.strip() for part in chain[1].split("<")], set(re.split(r",\s+|\s+and\s+", may[1])), late


ORDER, SHARED, LATE = stated((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
EXCEPTED = {"__init__", "__main__", "testing", "data"}  # the lazy face, the command, the public checks, what ships
MODALITIES_MAY = {*SHARED, "modalities"}
MAY_MODALITIES = {"recipes", "run", "evaluation", "report", "demo", "cli"}


def imported(source: str, package: str) -> Iterator[tuple[int, str, str]]:
    """(line, part, function) for every import of a part of tokenmask, at any depth of the source; "" is the module."""
    tree = ast.parse(source)
    words = {  # constants of the module, by which `import_module` may name one
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def inside(node: ast.AST, place: str) -> Iterator[tuple[int, str, str]]:
        for below in ast.iter_child_nodes(node):
            names: list[str] = []
            if isinstance(below, ast.Import):
                names = [alias.name for alias in below.names]
            elif isinstance(below, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) - below.level + 1] if below.level else []
                base = ".".join([*above, *([below.module] if below.module else [])])
                names = [f"{base}.{alias.name}" for alias in below.names] if base == "tokenmask" else [base]
            elif isinstance(below, ast.Call) and ast.unparse(below.func).split(".")[-1] == "import_module":
                asked = below.args[0]
                named = words.get(asked.id) if isinstance(asked, ast.Name) else getattr(asked, "value", None)
                names = [named] if isinstance(named, str) else []
            for name in names:
                if name.startswith("tokenmask."):
                    yield below.lineno, name.split(".")[1], place
            scope = isinstance(below, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            yield from inside(below, f"{place}.{below.name}".lstrip(".") if scope else place)

    return inside(tree, "")


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
    """What breaks the order, and which of the late imports that CONTRIBUTING.md lists the files do not have."""
    found, unused = [], {(*pair, place) for pair, places in LATE.items() for place in places}
    for folder, package in ((root / "tokenmask", "tokenmask"), (root / "modalities", "tokenmask.modalities")):
        for path in sorted(folder.rglob("*.py")):
            inside = path.relative_to(folder)
            part = "modalities" if folder.name == "modalities" else inside.parts[0].removesuffix(".py")
            home = ".".join([package, *inside.parts[:-1]])
            for line, other, place in imported(path.read_text(encoding="utf-8"), home):
                if place in LATE.get((part, other), ()):
                    unused.discard((part, other, place))
                elif reason := offence(part, other):
                    found.append(f"{path.relative_to(root)}:{line}: {reason}")
    return found + [
        f"CONTRIBUTING.md: {part} > {other} in {place} is not there" for part, other, place in sorted(unused)
    ]


def test_the_order_is_read_as_it_is_written() -> None:
    order, shared, late = stated(
        "Some\n\n    a < b\n        < c_d\n\n    a > b    A.f, A.g\n\n`modalities` imports a,\nb and c_d\nonly.\n"
    )
    assert order == ["a", "b", "c_d"] and shared == {"a", "b", "c_d"} and late == {("a", "b"): {"A.f", "A.g"}}
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
        "tokenmask/run/run.py": (
            "class Run:\n    def save(self):\n        from tokenmask.sharing import write_card\n"
            "    def tune(self):\n        from tokenmask.sharing import push\n"
            "from tokenmask.tuning import tune"
        ),
        "tokenmask/run/hidden.py": (
            'import importlib\nHOME = "tokenmask.report"\ndef f():\n    importlib.import_module(HOME)\n'
            '    importlib.import_module("tokenmask.tuning")\n    importlib.import_module("tokenmask.models")'
        ),
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
        "tokenmask/run/hidden.py:4",
        "tokenmask/run/hidden.py:5",
        "tokenmask/run/run.py:5",
        "tokenmask/run/run.py:6",
        "tokenmask/strange.py:1",
        "modalities/text/tokenizer.py:2",
        *["CONTRIBUTING.md"] * 3,
    ]
    assert offences(tmp_path)[-3:] == [
        "CONTRIBUTING.md: medium > report in Medium._repr_html_ is not there",
        "CONTRIBUTING.md: run > sharing in Run.push is not there",
        "CONTRIBUTING.md: run > tuning in Run.tune is not there",
    ]
