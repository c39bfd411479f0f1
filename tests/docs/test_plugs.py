"""Every example of docs/plugs is run, and every page of plugs has one that ends in a value."""

from pathlib import Path

import pytest

from tests.docs.test_documents import ROOT, blocks

PAGES = sorted(path for path in (ROOT / "docs" / "plugs").glob("*.md") if path.stem != "index")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_an_example_runs_as_written(path: Path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (text,) = [text for kind, text in blocks(path) if kind == "python"]
    assert "\nassert " in text and not any(len(line) > 112 for line in text.splitlines())
    exec(compile(text, str(path), "exec"), {"__name__": path.stem})


def test_the_table_of_plugs_names_every_page():
    table = (ROOT / "docs" / "plugs" / "index.md").read_text(encoding="utf-8")
    assert all(f"]({path.name})" in table for path in PAGES) and len(PAGES) == 18
