"""Every example of docs/plugs is run and passes the checks of its kind; every page has one that ends in a value."""

import inspect
from pathlib import Path

import pytest

from tests.docs.test_documents import ROOT, blocks
from tokenmask.testing import check_component
from tokenmask.testing.component import CONTRACTS
from tokenmask.testing.tokenizer import TOKENIZERS

PAGES = sorted(path for path in (ROOT / "docs" / "plugs").glob("*.md") if path.stem != "index")

BASES = tuple(contract.base for contract in CONTRACTS if contract is not TOKENIZERS)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_an_example_runs_as_written(path: Path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (text,) = [text for kind, text in blocks(path) if kind == "python"]
    assert "\nassert " in text and not any(len(line) > 112 for line in text.splitlines())
    spoken: dict[str, object] = {"__name__": path.stem}
    exec(compile(text, str(path), "exec"), spoken)
    for kind in [one for one in spoken.values() if isinstance(one, type) and one.__module__ == path.stem]:
        if issubclass(kind, BASES) and not required(kind):
            check_component(kind())


def required(kind: type) -> list[str]:
    """Arguments without a default."""
    return [one.name for one in inspect.signature(kind).parameters.values() if one.default is one.empty]


def test_the_table_of_plugs_names_every_page():
    table = (ROOT / "docs" / "plugs" / "index.md").read_text(encoding="utf-8")
    assert all(f"]({path.name})" in table for path in PAGES) and len(PAGES) == 18
