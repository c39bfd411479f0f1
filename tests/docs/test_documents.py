"""Every command and every line of Python in the README and in docs/ is run, in order, in one folder a document."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from PIL import Image as Picture

from tests.worlds import emoji
from tokenmask.cli import main
from tokenmask.cli.about import recipe_headers
from tokenmask.tokenizer import installed

ROOT = Path(__file__).parents[2]
TUTORIALS = ("train", "edit", "swap", "share", "check", "worlds", "devices")
PAINTED = ("red-heart", "sun", "grinning-face", "pizza", "full-moon", "broken-heart")
OUTSIDE = {("make", "demo"), ("make", "test"), ("pip", "install")}  # set-up, which the tests themselves stand on
FENCE = re.compile(r"^```(python|sh)\n(.*?)^```$", re.M | re.S)


def blocks(path: Path) -> list[tuple[str, str]]:
    return FENCE.findall(path.read_text(encoding="utf-8"))


def commands(text: str) -> list[list[str]]:
    """Words of each command, without comments; a line that ends in a backslash goes on."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


PUBLISHED = "bring-your-own-tokenizer"


@pytest.mark.skipif(find_spec("transformers") is None, reason="needs transformers: pip install 'tokenmask[hub]'")
@pytest.mark.filterwarnings("ignore:.*for this .*Tokenizer")
@pytest.mark.parametrize("page", [PUBLISHED, "bring-your-own-model"])
def test_a_page_of_published_tokenizers_and_models_runs_as_written(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(installed, "_REGISTERED", {})
    path, spoken = ROOT / "docs" / f"{page}.md", {"__name__": "page"}
    with torch.random.fork_rng(devices=[]):  # the library draws weights from the global generator
        for kind, text in blocks(path):
            if kind == "python":
                exec(compile(text, str(path), "exec"), spoken)
                continue
            for program, *words in commands(text):
                assert (program, words[0]) in OUTSIDE or (program == "tokenmask" and main(words) == 0)
    left = "decoded/made.wav" if page == PUBLISHED else "for-others/model.safetensors"
    assert (tmp_path / left).stat().st_size > 1000


def test_a_tokenizer_from_nothing_needs_no_library(monkeypatch):
    monkeypatch.setattr(installed, "_REGISTERED", {})
    path = ROOT / "docs" / f"{PUBLISHED}.md"
    exec(compile(blocks(path)[-1][1], str(path), "exec"), {"__name__": "page"})
    assert list(installed._REGISTERED) == ["loudness"]


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_runs_as_written(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = ROOT / "docs" / f"{name}.md"
    found, spoken = blocks(path), {"__name__": name}
    assert {kind for kind, _ in found} == ({"python"} if name in ("check", "worlds") else {"python", "sh"})
    for kind, text in found:
        if kind == "python":
            exec(compile(text, str(path), "exec"), spoken)
        else:
            for program, *words in commands(text):
                assert program == "tokenmask" and main(words) == 0


def test_the_readme_runs_as_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    for number, entry in enumerate(emoji()[:40]):
        Picture.fromarray(entry.pixels).save(tmp_path / "pictures" / f"{number}.png")
        (tmp_path / "pictures" / f"{number}.txt").write_text(entry.name)
    spoken: dict[str, object] = {"__name__": "readme"}
    for kind, text in blocks(ROOT / "README.md"):
        if kind == "python":
            exec(compile(text, "README.md", "exec"), spoken)
            continue
        for program, *words in commands(text):
            assert program == "tokenmask" or (program, words[0]) in OUTSIDE
            assert program != "tokenmask" or main(words) == 0
    assert (tmp_path / "mine.html").stat().st_size > 10_000


def test_the_home_of_the_site_runs_as_written(tmp_path, monkeypatch):
    """Its Python does; its commands are the README's, which the test above runs."""
    monkeypatch.chdir(tmp_path)
    readme = [words for kind, text in blocks(ROOT / "README.md") if kind == "sh" for words in commands(text)]
    spoken: dict[str, object] = {"__name__": "home"}
    for kind, text in blocks(ROOT / "docs" / "index.md"):
        if kind == "python":
            exec(compile(text, "index.md", "exec"), spoken)
        else:
            assert all(words in readme for words in commands(text))


def test_the_gallery_can_be_made_again(tmp_path, monkeypatch):
    """The lines of its page as they stand, but for fewer seeds, words and steps."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    text = "".join(text for kind, text in blocks(ROOT / "docs" / "gallery.md") if kind == "python")
    for long, short in (
        ("in (0, 1)", "in (0,)"),
        ('("zero", "three", "seven")', '("seven",)'),
        ('"seed": seed}', '"seed": seed} | {"steps": 2}'),
        ("steps=12", "steps=3"),
        ("[160] * 11", "[160] * 2"),
        ("range(12)", "range(3)"),
    ):
        assert long in text
        text = text.replace(long, short)
    exec(compile(text, "gallery.md", "exec"), {"__name__": "gallery"})
    made, kept = ({path.name for path in (root / "gallery").iterdir()} for root in (tmp_path, ROOT / "docs"))
    assert len(made) == 19 and kept - made == {"zero.wav", "three.wav", *(f"{one}-1.png" for one in PAINTED)}
    assert made < kept and all(f"gallery/{name}" in page for name in kept)
    assert len({path.read_bytes() for path in (tmp_path / "gallery").iterdir()}) == 19


def test_the_table_of_systems_holds_every_recipe():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Which recipe")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{name}` | {one['about']} | {one['paper']} |" for name, one in recipe_headers().items()]


def test_every_document_is_known():
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} >= set(TUTORIALS)


ORDER = ("See", "Install", "Three jobs", "Which tokenizer", "Which recipe", "How fast", "What it cannot")


@pytest.mark.parametrize("name", ["README.md", "docs/index.md"])
def test_the_first_page_answers_in_the_order_in_which_it_is_asked(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, re.M)
    assert [one for one in headings if one.startswith(ORDER)] == headings and len(headings) == len(ORDER)
    assert all(heading.startswith(wanted) for heading, wanted in zip(headings, ORDER, strict=True))
    jobs = text.partition("## Three jobs\n")[2].partition("\n## ")[0]
    assert all(len(block.strip().splitlines()) <= 10 for _, block in FENCE.findall(jobs))
