"""The notebooks run from first cell to last, show what they showed, and are pages of the site."""

import json
import re
from importlib.util import find_spec

import pytest

from tests.docs.test_documents import ROOT
from tests.docs.test_site import module

FOLDER = ROOT / "docs" / "notebooks"
NAMES = ("edit", "swap", "train")  # a job each


def cells(name: str) -> list[dict]:
    return json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]


def kinds(found: list[dict]) -> list[list[list[str]]]:
    """What each output of each cell is: its media types, or printed words; warnings are left out, they come and go."""
    return [
        [sorted(one["data"]) if "data" in one else [one["name"]] for one in outputs if one.get("name") != "stderr"]
        for outputs in (cell.get("outputs", ()) for cell in found)
    ]


@pytest.mark.skipif(find_spec("nbclient") is None, reason="needs nbclient and ipykernel: make test installs them")
@pytest.mark.parametrize("name", ["edit", *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[1:])])
def test_a_notebook_runs_and_shows_what_it_showed(name, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from execute import execute

    made = execute(FOLDER / f"{name}.ipynb")
    assert kinds(made.cells) == kinds(cells(name))
    assert titles(made.cells) == titles(cells(name)) and len(titles(made.cells)) >= 3
    assert all(output["output_type"] != "error" for cell in made.cells for output in cell.get("outputs", ()))


def titles(found: list[dict]) -> list[str]:
    """What the frames with media say that they show, in order."""
    shown = [output.get("data", {}).get("text/html", "") for cell in found for output in cell.get("outputs", ())]
    return [title for html in shown for title in re.findall(r'<iframe title="([^"]*)"', "".join(html))]


def test_there_is_one_for_each_job():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_kept_as_it_was_run(name):
    """Every cell in order, without errors, without paths of the machine, without anything from outside."""
    code = [cell for cell in cells(name) if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    text = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    assert str(ROOT) not in text and "/tmp/" not in text and '"output_type": "error"' not in text
    shown = json.dumps([cell.get("outputs", []) for cell in code])
    assert not re.search(r"https?://|@import|src=\\?\"(?!data:)", shown.replace("&quot;", '"'))
    assert len(text) < 500_000


def test_a_notebook_is_a_page_of_the_site():
    pages = module("notebooks").pages()
    assert set(pages) == {f"notebooks/{name}.md" for name in NAMES}
    text = pages["notebooks/edit.md"]
    lines = text.splitlines()
    assert lines[0].startswith("# Generate and edit") and lines[2] == "[Download this notebook](edit.ipynb){ download }"
    assert text.count("<iframe") == sum("<iframe" in line for line in lines) >= 9  # one line each: Markdown ends none
    assert re.search(r"<td>\d+</td>", text)
    assert 'class="dataframe"' not in text and "<style scoped>" not in text


def test_outputs_become_html_that_markdown_leaves_alone():
    shown = module("notebooks").shown
    assert (
        shown({"output_type": "stream", "text": ["a <b>\n", "c\n"]})
        == '<div class="output"><pre>a &lt;b&gt;&#10;c</pre></div>'
    )
    both = {"data": {"text/plain": ["x"], "text/html": ['<table border="1" class="dataframe">\n', "</table>"]}}
    assert shown(both) == '<div class="output"><table></table></div>'
    drawn = shown({"data": {"image/png": "QUJD\n", "text/plain": "<Figure>"}})
    assert drawn == '<div class="output"><img alt="drawn by the lines above" src="data:image/png;base64,QUJD"></div>'
