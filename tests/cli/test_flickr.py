"""Pictures with five captions each, in the forms in which Flickr8k and Flickr30k are handed on."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.cli.laid_out import BOTH, png, put, read
from tokenmask.cli.sources import items, unseen

NAMES = [f"{number}_ab.jpg" for number in range(4)]
FORMS = {  # folder of the pictures, the table, its lines
    "captions.txt": (
        "Images",
        "captions.txt",
        "image,caption",
        '{name},"{words}"',
        ["image is image, caption is text"],
    ),
    "results.csv": (
        *("flickr30k_images", "results.csv", "image_name| comment_number| comment", "{name}| {number}| {words}"),
        ["image_name is image, comment is text"],
    ),
    "captions.txt of 30k": (
        *("Images", "captions.txt", "image_name,comment_number,comment", '{name},{number},"{words}"'),
        ["image_name is image, comment is text"],
    ),
    "token": ("Flicker8k_Dataset", "Flickr8k_text/Flickr8k.token.txt", "", "{name}#{number}\t{words}", ["Flickr8k"]),
}


def folder_of(home: Path, form: str) -> Path:
    place, table, head, line, _ = FORMS[form]
    told = [head] if head else []
    told += [
        line.format(name=name, number=number, words=f"A dog , {words} ,  runs {number} .")
        for words, name in enumerate(NAMES)
        for number in range(5)
    ]
    put(home / "d", {table: "\n".join(told) + "\n"} | {f"{place}/{name}": png(at) for at, name in enumerate(NAMES)})
    return home / "d"


@pytest.mark.parametrize("form", FORMS)
def test_each_caption_is_a_record(tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path, form)
    found = items([folder], BOTH)
    told = read(found)
    wanted = {}
    for at, name in enumerate(NAMES):
        for number in range(5):
            key = f"{FORMS[form][0]}/{name}" + (f"#{number + 1}" if number else "")
            wanted[key] = (f"A dog , {at} , runs {number} .", at)
    assert {key: (" ".join(words.split()), at) for key, (words, at, _) in told.items()} == wanted
    for name in NAMES:  # the captions of a picture are on one side
        assert len({split for key, (_, _, split) in told.items() if name in key}) == 1
    said = capsys.readouterr().out
    assert "20 items" in said and all(words in said for words in FORMS[form][4])
    assert unseen([folder], found) == ""


def test_lists_of_names_say_the_splits_of_flickr8k(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path, "token")
    put(
        folder / "Flickr8k_text",
        {
            "Flickr_8k.trainImages.txt": f"{NAMES[0]}\n{NAMES[2]}\n",
            "Flickr_8k.testImages.txt": f"{NAMES[1]}\n",
            "Flickr_8k.devImages.txt": f"{NAMES[3]}\n",
            "Flickr8k.lemma.token.txt": f"{NAMES[0]}#0\ta dog run\n",
        },
    )
    put(folder / "Flicker8k_Dataset", {"5_lone.jpg": png(0)})
    tokens = folder / "Flickr8k_text/Flickr8k.token.txt"
    tokens.write_text(tokens.read_text() + "9_absent.jpg.1#0\tnothing\nno line of it\n")
    found = items([folder], BOTH)
    splits = {key.partition("/")[2]: item.split for key, item in ((one.key, one) for one in found)}
    held = ["train", "held-out", "train", "held-out"]
    assert [splits[f"Flicker8k_Dataset/{name}"] for name in NAMES] == held
    assert len(found) == 21  # and no record of the words in their basic form
    with pytest.raises(ValueError, match=r"line 22 of .*token\.txt must be NAME\.jpg#NUMBER, .*got 'no line of it'"):
        next(iter(found[20].media.values()))()
    said = capsys.readouterr().out
    assert "left out: captions of 1 pictures that are not there (9_absent.jpg.1)" in said
    assert "left out: 1 picture without a caption" in said


def test_texts_that_are_no_tables_stay_what_they_are(tmp_path: Path) -> None:
    put(tmp_path / "d", {"a.png": png(0), "notes.txt": "text, and more of it\nin a.png there is a cat\n"})
    assert [set(item.media) for item in items([tmp_path / "d"], BOTH)] == [{"image"}]


def test_of_very_many_texts_none_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are one a picture, which lies elsewhere; a hundred thousand take long to look into."""
    put(tmp_path / "d", {"a.png": png(0)} | {f"t/{number}.txt": "image,caption\na.png,b\n" for number in range(65)})
    opened: list[Path] = []
    home = importlib.import_module("tokenmask.cli.layouts.tables")
    monkeypatch.setattr(home, "_heads", lambda path: bool(opened.append(path)))
    assert len(items([tmp_path / "d"], BOTH)) == 1 and opened == []
    (tmp_path / "d/t/64.txt").unlink()
    assert len(items([tmp_path / "d"], BOTH)) == 1 and len(opened) == 64
