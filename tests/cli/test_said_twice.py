"""What tables and JSON say twice, too large or with characters of code 0; keys that are one path in two spellings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.laid_out import BOTH, png, put, words_of
from tokenmask.cli import tokens
from tokenmask.cli.manifests import rows
from tokenmask.cli.objects import Watching
from tokenmask.cli.sources import items
from tokenmask.corpus.keys import check_key
from tokenmask.modalities.text import Text

TEXT = {"text": "text"}


def good_and_wrong(path: Path, streams: dict[str, str] = TEXT) -> tuple[dict[str, str], list[str]]:
    """Words by key of the items that can be read, and what is wrong with the others."""
    good, wrong = {}, []
    for item in items([path], streams):
        try:
            good[item.key] = str(item.media["text"]())
        except ValueError as error:
            wrong.append(str(error))
    return good, wrong


def test_what_json_drops_is_remembered() -> None:
    decoder = Watching()
    held = decoder.decode('{"a": 1, "a": 2, "b": [{"c": 1e999, "c": -1e400}], "d": NaN, "e": 1e308}')
    assert held["a"] == 2 and held["b"] == [{"c": float("-inf")}] and held["e"] == 1e308
    assert (decoder.double, decoder.huge) == (["c", "a"], ["1e999", "-1e400"])
    assert decoder.afresh().decode('{"a": {"a": 1}}') == {"a": {"a": 1}} and not decoder.double


@pytest.mark.parametrize("ending", [".json", ".jsonl"])
def test_names_that_an_object_says_twice_fail_alone(tmp_path: Path, ending: str) -> None:
    """In objects inside of it too; the same name in two objects is none."""
    held = [
        '{"key": "a", "text": "one", "text": "other"}',
        '{"key": "b", "text": "two", "about": {"x": 1, "x": 2}}',
        '{"key": "c", "text": "three", "about": {"text": "x"}}',
        '{"key": "d", "text": "four"}',
    ]
    path = tmp_path / f"m{ending}"
    path.write_text("\n".join(held) if ending == ".jsonl" else f"[{', '.join(held)}]")
    good, wrong = good_and_wrong(path)
    assert good == {"c": "three", "d": "four"}
    assert ["'text' twice; keep one" in wrong[0], "'x' twice; keep one" in wrong[1]] == [True, True] and len(wrong) == 2
    unit = "line" if ending == ".jsonl" else "element"
    assert [f"{unit} {number} of {path}" in one for number, one in enumerate(wrong, 1)] == [True, True]


@pytest.mark.parametrize("ending", [".json", ".jsonl"])
def test_numbers_without_room_are_told_once(tmp_path: Path, ending: str) -> None:
    held = ['{"text": "a", "score": NaN}', '{"text": "b", "score": 1e999}', '{"text": "c", "score": [-1e999, 2.5]}']
    path = tmp_path / f"m{ending}"
    path.write_text("\n".join(held) if ending == ".jsonl" else f"[{', '.join(held)}]")
    with pytest.warns(UserWarning) as caught:
        found = list(rows(path, ["text"]))
    assert [row.others["score"] for row in found] == [None, None, [None, 2.5]]
    where = f"{'line' if ending == '.jsonl' else 'element'} 2 of {path}"
    told = f"{where}: 1e999 is more than a number can be and becomes null, here and below"
    assert [str(one.message) for one in caught] == [told]


def test_characters_of_code_0_are_no_words(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"key,text\na,one\nb,t\0wo\nc,three\n")
    good, wrong = good_and_wrong(tmp_path / "m.csv")
    assert good == {"a": "one", "c": "three"}
    sentence = "must give 'text' without characters of code 0, but holds one; mend the row"
    assert wrong == [f"line 3 of {tmp_path / 'm.csv'} {sentence}"]
    (tmp_path / "m.jsonl").write_text('{"text": "a\\u0000"}\n{"key": "b", "text": "b"}\n')
    good, wrong = good_and_wrong(tmp_path / "m.jsonl")
    assert good == {"b": "b"} and wrong == [f"line 1 of {tmp_path / 'm.jsonl'} {sentence}"]
    (tmp_path / "m.txt").write_bytes(b"one\nt\0wo\n")
    good, wrong = good_and_wrong(tmp_path / "m.txt")
    assert good == {"m.txt:1": "one"}
    assert wrong == ["words must be without characters of code 0, but 't\\x00wo' has one; mend it, or take it out"]
    put(tmp_path / "d", {"a.png": png(0), "a.txt": b"w\0", "b.png": png(1), "b.txt": "b"})
    one, two = items([tmp_path / "d"], BOTH)
    assert words_of([two]) == {"b.png": ("b", 1)}
    with pytest.raises(ValueError, match=r"words must be without characters of code 0, but '.*/d/a\.txt' has one"):
        one.media["text"]()
    assert Text("a\0b").text == "a\0b"  # what Python gives is its own


# Keys -----------------------------------------------------------------------------------------------------------------

PLAIN = [
    "a",
    "a/b",
    "a b/c d",
    "v1.0",
    "Mr. X.",
    "a.",
    " a",
    "a ",
    "q:12",
    "a\\b",
    "\u00e9",
    "e\u0301",
    ".hidden",
    "a:b/c",
]
WRONG = {
    "": "the path of a file below a folder, got ''",
    "..": "got '..'; write one without ..",
    "a/../b": "got 'a/../b'; write one without ..",
    "/a": "got '/a'; write one without .., a slash at its beginning",
    "a\0": r"got 'a\x00'; write one without .., a slash at its beginning and characters of code 0",
    "a//b": "got 'a//b', of which '' is none; write it without that part",
    "a/./b": "got 'a/./b', of which '.' is none; write it without that part",
    "./a": "got './a', of which '.' is none",
    "a/": "got 'a/', of which '' is none",
    "a/ ": "got 'a/ ', of which ' ' is none",
    "...": "got '...', of which '...' is none",
    "C:\\x": r"got 'C:\\x'; write one without a drive",
    "c:/x": "got 'c:/x'; write one without a drive",
    "\\\\host\\x": r"got '\\\\host\\x'; write one without a drive",
}


@pytest.mark.parametrize("key", PLAIN)
def test_what_may_be_a_key(key: str) -> None:
    check_key(key)


@pytest.mark.parametrize("key", WRONG)
def test_what_may_be_none(key: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_key(key)
    assert str(caught.value).startswith("a key must be ") and WRONG[key] in str(caught.value)


def test_keys_in_two_spellings_do_not_meet(tmp_path: Path, run, call, capsys) -> None:  # type: ignore[no-untyped-def]
    """From a table to files and back: the one that is a path is written, the others fail alone by their line."""
    held = ["a/b", "a//b", "a/./b", "C:\\x", "a/b.", "a/b "]
    table = tmp_path / "m.jsonl"
    table.write_text("".join(json.dumps({"key": key, "text": f"word {at}"}) + "\n" for at, key in enumerate(held)))
    words = ("--tokenizer", run.folder / "tokenizers/text", "--out")
    assert call("encode", table, *words, tmp_path / "tokens") == 1
    failed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("failed: ")]
    assert [line.partition("got ")[2].partition(";")[0].partition(",")[0] for line in failed] == [
        *("'a//b'", "'a/./b'", r"'C:\\x'")
    ]
    names = sorted(str(path.relative_to(tmp_path / "tokens")) for path in (tmp_path / "tokens").rglob("*.tokens"))
    assert names == ["a/b .tokens", "a/b..tokens", "a/b.tokens"]
    assert call("decode", tmp_path / "tokens", *words, tmp_path / "out") == 0
    assert {path.name: path.read_text() for path in (tmp_path / "out").rglob("*.txt")} == {
        "b.txt": "word 0",
        "b..txt": "word 4",
        "b .txt": "word 5",
    }


def test_a_file_and_a_folder_of_one_name_do_not_stop_the_others(tmp_path: Path, run, call, capsys) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "m.csv").write_text("key,text\na,one\na.tokens/b,two\nc,three\n")
    words = ("encode", tmp_path / "m.csv", "--tokenizer", run.folder / "tokenizers/text", "--out", tmp_path / "out")
    assert call(*words) == 1
    failed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("failed: ")]
    told = f"{tmp_path}/out/a.tokens; one name is that of a file and of a folder, rename one"
    assert failed == [f"failed: two: File exists: {told}"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.tokens", "c.tokens"]


def test_names_that_a_file_system_takes_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["A.png", "b/x.png", "a.png", "B/x.png", "e\u0301.png", "\u00e9.png", "c.png"]
    sources = [f"d/{name}" for name in names]
    plain = tokens._targets(names, sources, tmp_path / "out")
    assert plain == [tmp_path / "out" / Path(name).with_suffix(".tokens") for name in names]
    monkeypatch.setattr(tokens, "folds_case", lambda folder: True)
    found = tokens._targets(names, sources, tmp_path / "out")
    assert [isinstance(one, ValueError) for one in found] == [False, False, True, True, False, True, False]
    assert [one for one in found if isinstance(one, Path)] == [plain[0], plain[1], plain[4], plain[6]]
    assert str(found[2]) == (
        f"it would become {plain[2]}, which this file system takes for {plain[0]}, what d/A.png becomes; rename one of "
        "the two"
    )


def test_a_file_system_is_asked_once_and_nothing_stays(tmp_path: Path) -> None:
    assert tokens.folds_case(tmp_path / "out") == (tmp_path / "OUT").exists()
    assert list((tmp_path / "out").iterdir()) == []
