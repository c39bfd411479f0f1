"""Files of many records: each is an item with a name, a split and a token file of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from tokenmask.cli import media as files_of
from tokenmask.cli.media import Loader, is_held_out, is_words, readable
from tokenmask.cli.sources import items, media
from tokenmask.corpus import HELD_OUT, TRAIN
from tokenmask.medium import Medium
from tokenmask.tokenizer import installed as home


@dataclass(frozen=True)
class Lines(Medium):
    """A line; "name: words" in a file of many."""

    suffixes: ClassVar[tuple[str, ...]] = (".lines",)
    reads: ClassVar[list[str]] = []

    line: str

    @classmethod
    def load(cls, path: str | Path) -> Lines:
        found = cls.records(path)
        if len(found) > 1:
            raise ValueError(f"{path} must hold one line, got {len(found)}")
        return found[""]()

    @classmethod
    def records(cls, path: str | Path) -> dict[str, Callable[[], Lines]]:
        cls.reads.append(Path(path).name)
        text = Path(path).read_text()
        if "broken" in text:
            raise ValueError(f"{path} must be whole, but is broken")
        lines = [line.partition(": ") for line in text.splitlines()]
        return {name if len(lines) > 1 else "": partial(cls, words) for name, _, words in lines}

    def save(self, path: str | Path) -> None:
        Path(path).write_text(f"x: {self.line}\n")


class LinesTokenizer:
    media = Lines


class NoteTokenizer:
    """Of media that are words, under another name than text."""

    media = SimpleNamespace(words=True, suffixes=(".note",), __name__="Note")


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    points = [
        SimpleNamespace(name="lines", value=f"{__name__}:LinesTokenizer"),
        SimpleNamespace(name="note", value=f"{__name__}:NoteTokenizer"),
    ]
    monkeypatch.setattr(home, "entry_points", lambda group: points)
    cached = (files_of.medium, files_of._endings, files_of.is_words, files_of._records)
    for one in cached:
        one.cache_clear()
    yield
    for one in cached:
        one.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "place"
    place.mkdir()
    (place / "many.lines").write_text("".join(f"n{number}: words {number}\n" for number in range(30)))
    (place / "one.lines").write_text("x: alone\n")
    (place / "bad.lines").write_text("broken")
    (place / "many.txt").write_text("a caption of all")
    return place


def test_each_record_is_an_item(folder: Path) -> None:
    found = {item.name: item for item in media([folder], "lines")}
    assert len(found) == 32 and {"bad.lines", "one.lines", "many/n0.lines", "many/n29.lines"} <= found.keys()
    assert found["many/n7.lines"].loader() == Lines("words 7") and found["one.lines"].loader() == Lines("alone")
    assert found["many/n7.lines"].loader.source == f"{folder / 'many.lines'}#n7"
    held = {name for name, item in found.items() if item.held_out}
    assert held == {name for name in found if is_held_out(name.removesuffix(".lines"))} and 0 < len(held) < 12


def test_a_file_is_parsed_once_for_records_that_follow_each_other(folder: Path) -> None:
    loaders = [item.loader for item in media([folder / "many.lines"], "lines")]
    Lines.reads.clear()
    assert [loader().line for loader in loaders] == [f"words {number}" for number in range(30)]
    assert Lines.reads == ["many.lines"]
    (folder / "many.lines").write_text("n0: changed\nn1: changed too\n")
    assert loaders[0]().line == "changed" and len(Lines.reads) == 2  # a file that changed is parsed anew


def test_a_file_that_cannot_be_parsed_fails_by_its_name(folder: Path) -> None:
    found = media([folder], "lines")
    good, failed = readable(((one.name, one.loader) for one in found), len(found), "reading")
    bad = [number for number, one in enumerate(found) if one.name == "bad.lines"]
    assert list(good) == [number for number in range(32) if number not in bad] and len(bad) == 1
    assert failed == [("bad.lines", f"{folder / 'bad.lines'} must be whole, but is broken")]


def test_records_of_a_folder_share_a_caption_and_no_split(folder: Path) -> None:
    (folder / "bad.lines").unlink()
    found = {item.key: item for item in items([folder], {"lines": "lines", "text": "text"})}
    assert len(found) == 31 and set(found["place/many/n3.lines"].media) == {"lines", "text"}
    assert found["place/many/n3.lines"].media["text"]().text == "a caption of all"
    assert set(found["place/one.lines"].media) == {"lines"}
    assert {item.split for item in found.values()} == {TRAIN, HELD_OUT}
    assert found["place/many/n3.lines"].split == (HELD_OUT if is_held_out("many/n3") else TRAIN)


def test_a_manifest_names_a_record(folder: Path) -> None:
    (folder / "list.jsonl").write_text('{"lines": "many.lines#n4"}\n{"lines": "many.lines#absent"}\n')
    first, second = (item.media["lines"] for item in items([folder / "list.jsonl"], {"lines": "lines"}))
    assert first() == Lines("words 4")
    with pytest.raises(ValueError, match=r"a record of .*many\.lines must be one of n0, n1, .*, got 'absent'"):
        second()


def test_words_are_words_by_their_medium(tmp_path: Path) -> None:
    assert is_words("text") and is_words("note") and not is_words("lines") and not is_words("nothing")
    path = tmp_path / "list.jsonl"
    path.write_text('{"note": "said as it is"}\n')
    (item,) = items([path], {"note": "note"})
    assert item.media["note"].value == "said as it is"


def test_loaders_of_records_differ(folder: Path) -> None:
    path = folder / "many.lines"
    assert len({Loader(Lines, path, record=name) for name in ("n1", "n2", "n1")}) == 2
