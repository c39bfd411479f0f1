"""Byte order marks inside of files that were put together, and blanks behind tabs."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import pytest

from tests.cli.laid_out import BOTH, png, put, shard
from tokenmask.cli.sources import items
from tokenmask.modalities.text import Text

MARK = "\ufeff"


def told_by(path: Path) -> tuple[list[str], list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        words = [item.media["text"]().text for item in items([path], {"text": "text"})]
    return words, [str(one.message) for one in caught]


@pytest.mark.parametrize(
    ("name", "held", "words"),
    [
        ("a.txt", f"{MARK}one\n{MARK}two\n{MARK}three\n", ["one", f"{MARK}two", f"{MARK}three"]),
        ("a.csv", f"{MARK}text\n{MARK}two\n3{MARK}\n", [f"{MARK}two", f"3{MARK}"]),
        ("a.tsv", f"{MARK}text\tkey\n{MARK}two\ta\n3\tb\n", [f"{MARK}two", "3"]),
    ],
)
def test_a_mark_inside_is_told_once(tmp_path: Path, name: str, held: str, words: list[str]) -> None:
    path = tmp_path / name
    path.write_text(held)
    assert told_by(path) == (
        words,
        [
            f"line 2 of {path} holds a byte order mark (U+FEFF) at character 1, as files that were put together do; it "
            "is read as a character, take it out if it is none"
        ],
    )


def test_a_mark_inside_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"{MARK}one{MARK}two")
    with pytest.warns(UserWarning, match=r"a\.txt holds a byte order mark \(U\+FEFF\) at character 4") as caught:
        assert Text.load(path).text == f"one{MARK}two"
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("held", "words"),
    [("image\t text\n0.png\t a b\n1.png\tc\n", ["a b", "c"]), ("image\ttext\n0.png\t a b\n1.png\tc\n", [" a b", "c"])],
)
def test_blanks_behind_tabs_belong_to_them_where_all_names_have_some(
    tmp_path: Path, held: str, words: list[str]
) -> None:
    put(tmp_path, {"0.png": png(0), "1.png": png(1), "m.tsv": held})
    assert [item.media["text"].value for item in items([tmp_path / "m.tsv"], BOTH)] == words


def test_packed_archives_alone_in_a_folder_are_said(tmp_path: Path) -> None:
    shard(tmp_path / "plain", {"a.png": png(0)})
    put(tmp_path / "d", {"0.tar": gzip.compress((tmp_path / "plain").read_bytes())})
    said = r"d is not read as 1 tar shards.*0\.tar must be .* but is one of gzip; unpack"
    with pytest.warns(UserWarning, match=said), pytest.raises(ValueError, match="no image was found"):
        items([tmp_path / "d"], BOTH)
