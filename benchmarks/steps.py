"""Steps that a user takes for each job, here and in five other projects, counted from their public documents.

``python benchmarks/steps.py`` prints the table of docs/compare.md. ``python benchmarks/steps.py FOLDER``, with
checkouts in FOLDER/OWNER+NAME (git, with the commits that steps.yaml names), first looks up that all words that were
counted stand in these files at these commits, and counts lines.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
KINDS = ("guide", "command", "file", "code")
LINES = ROOT / "benchmarks" / "results" / "steps.yaml"
"""Lines as they were counted: {project: {job, or "system": lines}}; blank ones do not count."""


def text_of(project: dict[str, Any], name: str, checkouts: Path | None) -> str:
    """A document of a project; of another one out of its checkout."""
    if "repository" not in project:
        return (ROOT / name).read_text(encoding="utf-8")
    assert checkouts is not None
    folder = checkouts / project["repository"].replace("/", "+")
    place = next(one for one in (folder / "repo", folder) if one.is_dir())
    command = ["git", "-C", str(place), "show", f"{project['commit']}:{name}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def lines_of(text: str, words: str) -> int:
    """Lines of the block of code that holds some words; blank ones and comments do not count."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.M | re.S)
    block = next(one for one in blocks if words in re.sub(r"^ *(>>>|\.\.\.) ?", "", one, flags=re.M))
    bare = [re.sub(r"^ *(>>>|\.\.\.) ?", "", line).strip() for line in block.splitlines()]
    return sum(1 for line in bare if line and not line.startswith("#"))


def counted(steps: dict[str, Any], checkouts: Path | None) -> dict[str, dict[str, int]]:
    """Lines of the scripts of each project and job.

    Raises:
        SystemExit: words that do not stand where they were counted.
    """
    found: dict[str, dict[str, int]] = {}
    for name, project in steps["projects"].items():
        for job, wanted in project["steps"].items():
            for kind, file, words in wanted:
                text = text_of(project, file, checkouts)
                if words not in text:
                    raise SystemExit(f"{name}, {job}: {words!r} does not stand in {file}")
                if kind == "code":
                    found.setdefault(name, {})[job] = lines_of(text, words)
        files = [text_of(project, file, checkouts) for file in project.get("system", [])[1:]]
        if files:
            found.setdefault(name, {})["system"] = sum(bool(line.strip()) for one in files for line in one.splitlines())
    return found


def table(steps: dict[str, Any], lines: dict[str, dict[str, int]]) -> str:
    """Markdown: a row a job, a column a project."""
    projects = steps["projects"]
    rows = ["| | " + " | ".join(projects) + " |", "|---" * (len(projects) + 1) + "|"]
    rows.append("| kinds of media in one model | " + " | ".join(one["media"] for one in projects.values()) + " |")
    for job, title in steps["jobs"].items():
        cells = [
            cell(project["steps"].get(job, []), lines.get(name, {}).get(job)) for name, project in projects.items()
        ]
        rows.append(f"| {title} | " + " | ".join(cells) + " |")
    systems = [system(one.get("system", []), lines.get(name, {}).get("system")) for name, one in projects.items()]
    return "\n".join([*rows, "| files of its own that a system has | " + " | ".join(systems) + " |"])


def system(named: list[str], lines: int | None) -> str:
    """A system, its files and their lines."""
    if not named:
        return "all of it"
    return f"{named[0]}: {len(named) - 1} file{'s' * (len(named) > 2)}, {lines} lines"


def cell(steps: list[list[str]], lines: int | None) -> str:
    """How much of each kind, in words."""
    kinds, parts = Counter(kind for kind, _, _ in steps), []
    for kind in KINDS:
        if kind == "code" and lines:
            parts.append(f"{lines} lines")
        elif kinds[kind] and kind != "code":
            parts.append(f"{kinds[kind]} {kind}" + "s" * (kinds[kind] > 1))
    return ", ".join(parts) or "-"


def main(folders: list[str]) -> None:
    """Checks where checkouts are given, and prints the table."""
    steps = yaml.safe_load((ROOT / "benchmarks" / "steps.yaml").read_text(encoding="utf-8"))
    if folders:
        LINES.write_text(yaml.safe_dump(counted(steps, Path(folders[0]))), encoding="utf-8")
    print(table(steps, yaml.safe_load(LINES.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main(sys.argv[1:])
