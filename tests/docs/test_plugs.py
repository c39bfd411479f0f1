"""Every example of docs/plugs is run and passes the checks of its kind; every page says the same facts in one form."""

import inspect
import re
from pathlib import Path

import pytest
import yaml

import tokenmask.testing
from tests.docs.test_documents import ROOT, blocks
from tokenmask.evaluation import Metric
from tokenmask.recipes import load_recipe
from tokenmask.testing import check_component
from tokenmask.testing.component import CONTRACTS
from tokenmask.testing.medium import MEDIA
from tokenmask.testing.tokenizer import TOKENIZERS

FOLDER = ROOT / "docs" / "plugs"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.stem != "index")
BASES = tuple(contract.base for contract in CONTRACTS if contract not in (TOKENIZERS, MEDIA))
NOT_IN_RECIPES = {"metric", "medium", "view"}
RECIPE = re.compile(r"^A recipe names it so:\n\n```yaml\n(.*?)^```$", re.M | re.S)
CHECK = re.compile(r"^- \*\*Checked by\*\*: `tokenmask\.testing\.(\w+)`", re.M)


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


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_says_what_is_given_answered_named_and_checked(path: Path, tmp_path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n- **Given**: ") == text.count("\n- **Answers**: ") == 1
    (check,) = CHECK.findall(text)
    assert callable(getattr(tokenmask.testing, check))
    found = RECIPE.findall(text)
    assert bool(found) != (path.stem in NOT_IN_RECIPES)
    for own in found:
        said = yaml.safe_load(own)
        (tmp_path / "own.yaml").write_text(f"base: captions\n{own}", encoding="utf-8")
        changed, plain = load_recipe(tmp_path / "own.yaml"), load_recipe("captions")
        differs = {name for name in vars(plain) if getattr(changed, name) != getattr(plain, name)}
        assert differs <= set(said) and (differs or path.stem in {"masker", "process", "procedure"})


def test_there_is_a_page_for_every_kind_and_a_row_for_every_page():
    table = (FOLDER / "index.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| \[[^\]]+\]\((\w+)\.md\) .*\| `(\w+)` \|$", table, re.M))
    assert rows == {path.stem: CHECK.findall(path.read_text(encoding="utf-8"))[0] for path in PAGES}
    assert {f"check_{contract.kind}" for contract in CONTRACTS} == set(rows.values())
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert all(f"plugs/{path.name}" in nav for path in PAGES)
    assert Metric in [contract.base for contract in CONTRACTS]
