"""What the site's own code does: documents of the repository become pages, roles of docstrings become links."""

import importlib.util
import re
from pathlib import Path

import griffe
import pytest

from tokenmask.cli import main
from tokenmask.cli.options import options_of
from tokenmask.recipes.learners import learner
from tokenmask.tokenizer import TOKENIZERS, Learns, Opens, load_tokenizer_class

ROOT = Path(__file__).parents[2]


def module(name: str):
    place = importlib.util.spec_from_file_location(name, ROOT / "docs" / "site" / f"{name}.py")
    made = importlib.util.module_from_spec(place)
    place.loader.exec_module(made)
    return made


def test_links_of_a_document_lead_to_pages_or_become_code():
    moved = module("pages").moved
    assert moved("[a](docs/train.md#b) [c](tokenmask/data/README.md)", "README.md", "limits.md") == (
        "[a](train.md#b) [c](project/data.md)"
    )
    assert moved("[up](../README.md)", "benchmarks/README.md", "project/benchmarks.md") == "[up](../index.md)"
    assert moved("[`x`](setup.py) [y](setup.py)", "README.md", "limits.md") == "`x` y (`setup.py`)"
    assert moved("[z](https://example.org)", "README.md", "limits.md") == "[z](https://example.org)"
    with pytest.raises(ValueError, match=r"but docs/absent\.md in README\.md does not"):
        moved("[a](docs/absent.md)", "README.md", "limits.md")


def test_every_room_has_a_page_and_every_package_is_a_room():
    rooms = module("pages").rooms()
    packages = {path.parent.name for path in (ROOT / "tokenmask").glob("*/__init__.py")}
    assert {f"tokenmask.{name}" for name in packages - {"weights"}} <= set(rooms)
    modalities = {path.parent.name for path in (ROOT / "modalities").glob("*/__init__.py")}
    assert {f"tokenmask.modalities.{name}" for name in modalities} <= set(rooms)


def test_limits_and_figures_are_those_of_their_sources():
    pages = module("pages")
    assert "119 planned systems" in pages.limits() and "make docs" not in pages.limits()
    assert re.search(r"\| sample 2048 x 8192 \| tokenmask\.ops \| \d+\.\d{3} \| 1\.00 \|", pages.performance())
    assert all(f"## {path.stem}\n" in pages.systems() for path in (ROOT / "tokenmask" / "recipes").glob("*.yaml"))


PACKAGE = {
    "__init__.py": (
        '"""See :class:`Base`, :meth:`Child.grow` and :func:`gone`."""\nfrom tokenmask.inner import Base, Child\n'
    ),
    "inner.py": (
        'class Base:\n    """A base; :meth:`grow` it, <name>, ``<kept>``::"""\n\n'
        '    def grow(self):\n        """Grows."""\n\n\nclass Child(Base):\n    """As :meth:`grow` says."""\n'
    ),
}


def test_roles_become_links_to_where_things_are_defined(tmp_path):
    (tmp_path / "tokenmask").mkdir()
    for name, text in PACKAGE.items():
        (tmp_path / "tokenmask" / name).write_text(text)
    extensions = griffe.load_extensions(str(ROOT / "docs" / "site" / "roles.py"))
    loaded = griffe.load("tokenmask", search_paths=[tmp_path], extensions=extensions, try_relative_path=False)
    base, grow = "[`Base`][tokenmask.inner.Base]", "[tokenmask.inner.Base.grow]"
    # What is not found keeps its name, and a strict build fails on it.
    assert loaded.docstring.value == f"See {base}, [`Child.grow`]{grow} and [`gone`][gone]."
    assert loaded["inner.Base"].docstring.value == f"A base; [`grow`]{grow} it, &lt;name>, ``<kept>``:"
    assert loaded["inner.Child"].docstring.value == f"As [`grow`]{grow} says."


def learns_here(name: str) -> bool:
    """Whether a tokenizer learns from data; published ones are opened, which their own page tells."""
    kind = load_tokenizer_class(name)
    return isinstance(kind, Learns) and not isinstance(kind, Opens)


def test_options_of_tokenizers_are_those_that_the_command_prints():
    """Two readers, one of sources and one of classes, and one answer."""
    read = module("options").options_of_all(ROOT / "modalities")
    learned = {name for name in TOKENIZERS if learns_here(name)}
    assert set(read) == learned == {"text", "image", "audio", "motion", "eeg", "video", "symbols"}
    for name, options in read.items():
        assert [tuple(one) for one in options_of(learner(name))] == options
        assert all(words and not words.startswith("see ") for _, _, words in options)
    assert ("config.codes", "512", "size of the codebook.") in read["image"]
    assert "| `vocab_size` | `1024` | number of codes, the 256 byte codes" in module("pages").options()


def test_the_help_of_fit_lists_them_once_a_modality_is_named(capsys):
    for words, listed in ((["fit", "image", "--help"], True), (["fit", "--help"], False)):
        with pytest.raises(SystemExit) as left:
            main(words)
        printed = capsys.readouterr().out
        assert (
            left.value.code == 0
            and ("  config.codes\n        size of the codebook. (default: 512)" in printed) == listed
        )
        assert "`tokenmask fit MODALITY --help` lists the options" in " ".join(printed.split())
