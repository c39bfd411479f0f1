"""Folders of others with a fault in them: nothing is lost in silence, and one fault does not end the work."""

import os

from tests.cli.test_layouts import BOTH, png, put, words_of
from tests.worlds import tokenizers
from tokenmask.cli.corpora import build
from tokenmask.cli.show import failures
from tokenmask.cli.sources import items, unseen
from tokenmask.corpus import Corpus


def test_a_name_that_is_not_utf8_fails_alone(tmp_path, capsys):
    folder = tmp_path / "d"
    put(folder, {"a.png": png(0), "b.png": png(1)})
    (folder / "b.png").rename(folder / os.fsdecode(b"b\xff.png"))
    (folder / os.fsdecode(b"notes.\xff")).write_text("x")
    found = items([folder], BOTH)
    assert build(found, tokenizers(), tmp_path / "corpus", 1, [str(folder)]) == 1
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == (
        r"failed: d/b\udcff.png: must be a name in UTF-8 to be the key of a record, but is not; rename the file"
    )
    assert r"1 records written, 0 there before, 1 failed, 1 file not looked at (.\udcff): " in said.out
    assert [record.key for record in Corpus(tmp_path / "corpus")] == ["d/a.png"]


def test_endings_in_capitals_are_captions_and_sources(tmp_path):
    put(tmp_path / "d", {"A.PNG": png(0), "A.TXT": "a red one\n", "b.png": png(1), "b.txt": "this", "b.TXT": "that"})
    assert words_of(items([tmp_path / "d"], BOTH)) == {"A.PNG": ("a red one", 0), "b.png": ("this", 1)}
    put(tmp_path, {"LINES.TXT": "one\n\ntwo\n"})
    found = items([tmp_path / "LINES.TXT"], BOTH)
    assert [(item.key, item.media["text"]().text) for item in found] == [("LINES.TXT:1", "one"), ("LINES.TXT:3", "two")]


def test_a_blank_caption_is_said(tmp_path, capsys):
    put(tmp_path / "d", {"a.png": png(0), "a.txt": " \n", "b.png": png(1), "b.txt": "two", "c.txt": "of nothing"})
    found = items([tmp_path / "d"], BOTH)
    assert words_of(found) == {"a.png": (None, 0), "b.png": ("two", 1)}
    assert capsys.readouterr().out == f"{tmp_path / 'd'}: 1 caption holds nothing but blanks\n"
    assert unseen([tmp_path / "d"], found) == ", 1 file not looked at (.txt)"  # c.txt


def test_a_failure_names_its_path_once(capsys):
    failed = [
        ("/d/x.png", "/d/x.png must be whole"),
        ("d/y.png", "/here/d/y.png must be whole"),
        ("z.png", "no memory"),
    ]
    failed.append(("a.png", "/d/a.png.b must be whole"))
    assert failures(failed, 9) == 1
    assert capsys.readouterr().err.splitlines() == [
        *("failed: /d/x.png: must be whole", "failed: d/y.png: must be whole", "failed: z.png: no memory"),
        "failed: a.png: /d/a.png.b must be whole",
    ]
