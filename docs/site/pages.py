"""Pages of the site that follow from sources: API by room, systems, performance, and the project's own documents.

Arrow: mkdocs' events --> pages. Does not know: what is in a docstring (roles.py).
mkdocstrings cannot follow the mapped package of an editable install, so it is given a copy of the sources with
modalities inside tokenmask.
"""

from __future__ import annotations

import ast
import html
import importlib.util
import json
import posixpath
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
TREE = ROOT / "build" / "docs"
LEFT_OUT = {"__main__", "_C", "weights"}
PROJECT = {  # file of the repository -> its page
    "README.md": "index.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "benchmarks/README.md": "project/benchmarks.md",
    "benchmarks/studies/README.md": "systems.md",
    "tokenmask/weights/README.md": "project/weights.md",
    "tokenmask/data/README.md": "project/data.md",
}
PICTURES = {f"benchmarks/results/{name}.png": f"project/results/{name}.png" for name in ("swap", "swap-pictures")}
PICTURES |= {
    f"benchmarks/results/studies/{path.name}": f"studies/{path.name}"
    for path in sorted((ROOT / "benchmarks" / "results" / "studies").glob("*.svg"))
}
BENCHMARK = "intel-r-xeon-r-processor-*.json"  # whose newest run the performance page shows
PICTURE = re.compile(r"!\[([^\]\n]*)\]\((?!https?:)([^)\s]+)\)")
LINK = re.compile(r"(?<!!)\[([^\]\n]+)\]\(([^)\s]+)\)")


def on_startup(command: str, dirty: bool) -> None:
    """Makes the tree that docstrings are read from, before mkdocstrings looks for it."""
    shutil.rmtree(TREE, ignore_errors=True)
    for source, place in (("tokenmask", "tokenmask"), ("modalities", "tokenmask/modalities")):
        for path in (ROOT / source).rglob("*.py"):
            copy = TREE / place / path.relative_to(ROOT / source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def on_config(config: Any) -> Any:
    """Makes the places of API pages in the navigation."""
    for entry in config.nav:
        if "API" in entry:
            modalities = [{name.rpartition(".")[2]: f"api/{name}.md"} for name in rooms() if name.count(".") == 2]
            entry["API"] = ["api/index.md"]
            entry["API"] += [{name.partition(".")[2]: f"api/{name}.md"} for name in rooms() if name.count(".") == 1]
            entry["API"].append({"modalities": modalities})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that are made here."""
    made = {
        "api/index.md": api_index(),
        "performance.md": performance(),
        "limits.md": limits(),
        "options.md": options(),
    }
    made |= {f"api/{name}.md": room(name) for name in rooms()}
    made |= beside("notebooks").pages()
    for source, page in PROJECT.items():
        if source != "README.md":
            made[page] = moved((ROOT / source).read_text(encoding="utf-8"), source, page)
    made["systems.md"] = systems()
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    for source, place in PICTURES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


# Rooms ------------------------------------------------------------------------------------------------------------


def rooms() -> list[str]:
    """Dotted names of the rooms of the house, those of modalities and their shared files last."""
    own = (ROOT / "tokenmask").iterdir()
    names = [f"tokenmask.{path.stem}" for path in own if _holds_code(path)]
    inside = [f"tokenmask.modalities.{path.stem}" for path in (ROOT / "modalities").iterdir() if _holds_code(path)]
    return sorted(set(names) - {"tokenmask.modalities"}) + sorted(inside)


def room(name: str) -> str:
    """The page of a room: what it says of itself, then each of its files."""
    folder = TREE / Path(*name.split("."))
    if not folder.is_dir():
        return f"::: {name}\n    options: {{heading_level: 1}}\n"
    lines = [f"::: {name}", f"    options: {{heading_level: 1, members: {_own(folder)}}}", ""]
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(TREE).with_suffix("").parts
        if any(part.startswith("_") and part != "__init__" for part in parts):
            continue
        if path.name != "__init__.py":
            lines += [f"::: {'.'.join(parts)}", ""]
        elif path.parent != folder:
            lines += [
                f"::: {'.'.join(parts[:-1])}",
                f"    options: {{members: {_own(path.parent)}}}",
                "",
            ]
    return "\n".join(lines)


def _own(folder: Path) -> str:
    """The names that a package defines itself, and does not hand on from its files."""
    body = ast.parse((folder / "__init__.py").read_text(encoding="utf-8")).body
    found = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    for node, following in pairwise(body):  # what is assigned, with a docstring
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(following, ast.Expr):
            found.append(node.targets[0].id)
    return json.dumps([one for one in found if not one.startswith("_")])


def api_index() -> str:
    """Every room with the first sentence of its docstring."""
    lines = [
        "# API by room",
        "",
        "A folder or file answers one question, and says first what it does not know.",
        "",
    ]
    lines += ["| room | what it is |", "|---|---|"]
    return (
        "\n".join(
            [
                *lines,
                *(f"| [{name.removeprefix('tokenmask.')}]({name}.md) | {_first_sentence(name)} |" for name in rooms()),
            ]
        )
        + "\n"
    )


def _first_sentence(name: str) -> str:
    path = TREE / Path(*name.split("."))
    text = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")
    found = re.match(r'"""(.*?)(?:"""|\n\n)', text, re.S)
    sentence = " ".join(found[1].split()) if found else ""
    return html.escape(sentence.replace("``", "`").replace("|", "\\|"), quote=False)


def _holds_code(path: Path) -> bool:
    if path.name.startswith(("_", ".")) or path.stem in LEFT_OUT:
        return False
    return path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").is_file())


# Tables -----------------------------------------------------------------------------------------------------------


def systems() -> str:
    """What studies showed of each system, and the recipes that ship, from their files."""
    source = "benchmarks/studies/README.md"
    lines = [moved((ROOT / source).read_text(encoding="utf-8"), source, "systems.md").rstrip(), "", "# Recipes", ""]
    lines.append("Every recipe is a YAML file of shared parts; `tokenmask recipes NAME` prints one in full.")
    for path in sorted((ROOT / "tokenmask" / "recipes").glob("*.yaml")):
        lines += ["", f"## {path.stem}", "", "```yaml", path.read_text(encoding="utf-8").rstrip(), "```"]
    return "\n".join(lines) + "\n"


def performance() -> str:
    """The newest run of the benchmarks on the machine that the README names, case by case."""
    path = max((ROOT / "benchmarks" / "results").glob(BENCHMARK))
    run = json.loads(path.read_text(encoding="utf-8"))
    text = (ROOT / "docs" / "site" / "performance.txt").read_text(encoding="utf-8")
    about = f"{run['device']}, torch {run['torch']}, {run['threads']} thread, {run['date']}"
    medians = f"medians of {run['rounds']} rounds (`{run['command']}`)."
    lines = [text.rstrip(), "", "## Figures", "", f"{about}, {medians}", ""]
    lines += ["| case | what | ms | times ours |", "|---|---|---:|---:|"]
    for row in run["rows"]:
        if row.get("milliseconds") is not None:
            ratio = row.get("times_ours")
            cells = (
                row["case"],
                row["name"],
                f"{row['milliseconds']:.3f}",
                "" if ratio is None else f"{ratio:.2f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def limits() -> str:
    """The README's limits."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("\n## What it cannot\n")[2].partition("\n`make docs`")[0].strip()
    assert section, "README.md must have a section '## What it cannot' before the line on `make docs`"
    return moved(f"# What it cannot\n\n{section}\n", "README.md", "limits.md")


def options() -> str:
    """Options of each tokenizer's fit, from its sources."""
    return str(beside("options").page(ROOT / "modalities"))


def beside(name: str) -> Any:
    """The module of a file beside this one."""
    place = importlib.util.spec_from_file_location(f"site_{name}", Path(__file__).with_name(f"{name}.py"))
    assert place is not None and place.loader is not None
    made = importlib.util.module_from_spec(place)
    place.loader.exec_module(made)
    return made


# Documents --------------------------------------------------------------------------------------------------------


def moved(text: str, source: str, page: str) -> str:
    """A document of the repository as a page: links to other pages lead there, those to other files become code.

    Raises:
        ValueError: a link to a file that the repository does not hold.
    """

    def replaced(link: re.Match[str]) -> str:
        words, target = link[1], link[2]
        if target.startswith(("http://", "https://", "mailto:", "#")):
            return link[0]
        path, _, anchor = target.partition("#")
        full = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if not (ROOT / full).exists():
            raise ValueError(
                f"a link must lead to a file of the repository, but {target} in {source} does not; mend it"
            )
        known = PROJECT.get(full, PROJECT.get(f"{full}/README.md"))
        if known is None and full.startswith("docs/") and full.endswith(".md"):
            known = full.removeprefix("docs/")
        if known is None:
            return words if words.startswith("`") or words == full else f"{words} (`{full}`)"
        there = posixpath.relpath(known, posixpath.dirname(page) or ".")
        return f"[{words}]({there}{'#' + anchor if anchor else ''})"

    def shown(picture: re.Match[str]) -> str:
        full = posixpath.normpath(posixpath.join(posixpath.dirname(source), picture[2]))
        place = PICTURES.get(full, full.removeprefix("docs/"))
        return f"![{picture[1]}]({posixpath.relpath(place, posixpath.dirname(page) or '.')})"

    return LINK.sub(replaced, PICTURE.sub(shown, text))
