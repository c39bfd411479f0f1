"""Every command and every line of Python in the README and in docs/ is run, in order, in one folder a document."""

import re
import shlex
from pathlib import Path

import pytest

from tokenmask.cli import main

ROOT = Path(__file__).parents[2]
TUTORIALS = ("train", "edit", "swap")
FENCE = re.compile(r"^```(python|sh)\n(.*?)^```$", re.M | re.S)


def blocks(path: Path) -> list[tuple[str, str]]:
    return FENCE.findall(path.read_text(encoding="utf-8"))


def commands(text: str) -> list[list[str]]:
    """Words of each command, without comments; a line that ends in a backslash goes on."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_runs_as_written(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = ROOT / "docs" / f"{name}.md"
    found, spoken = blocks(path), {"__name__": name}
    assert {kind for kind, _ in found} == {"python", "sh"}
    for kind, text in found:
        if kind == "python":
            exec(compile(text, str(path), "exec"), spoken)
        else:
            for program, *words in commands(text):
                assert program == "tokenmask" and main(words) == 0


def test_every_document_is_known():
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} >= set(TUTORIALS)
