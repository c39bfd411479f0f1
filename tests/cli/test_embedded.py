"""Manifests whose cells hold the files themselves, arrays of JSON, captions in lists and objects."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tokenmask.cli.embedded import Embedded, embedded
from tokenmask.cli.manifests import rows
from tokenmask.cli.rows_again import cell_at
from tokenmask.cli.sources import items, media

BOTH = {"image": "image", "text": "text"}


def png(number: int) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (8, 8), (40 * number, 30, 200)).save(held, "PNG")
    return held.getvalue()


def b64(number: int) -> str:
    return base64.b64encode(png(number)).decode()


CELLS: dict[str, Any] = {
    "base64": b64,
    "lines of base64": lambda number: base64.encodebytes(png(number)).decode(),
    "base64 for addresses": lambda number: base64.urlsafe_b64encode(png(number)).decode().rstrip("="),
    "address of data": lambda number: f"data:image/png;base64,{b64(number)}",
    "as of datasets": lambda number: {"bytes": b64(number), "path": f"{number}.png"},
    "numbers": lambda number: list(png(number)),
    "a path in an object": lambda number: {"bytes": None, "path": f"{number}.png"},
    "a path in a list": lambda number: [f"{number}.png"],
}


def check(path: Path, count: int = 3) -> None:
    """The first pixel and the words of each record."""
    found = list(items([path], BOTH))
    assert len(found) == count
    for number, item in enumerate(found):
        assert item.media["image"]().pixels[0, 0].tolist() == [40 * number, 30, 200]
        assert item.media["text"]().text == f"é {number}"


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("form", ["jsonl", "jsonl with a mark", "json", "array in jsonl", "array in UTF-16"])
def test_files_in_cells_of_json(tmp_path: Path, kind: str, form: str) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(png(number))
    held = [{"text": f"é {number}", "image": CELLS[kind](number)} for number in range(3)]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in held)
    array = json.dumps(held, ensure_ascii=False, indent=1)
    path = tmp_path / ("m.json" if form == "json" else "m.jsonl")
    path.write_bytes(
        lines.encode("utf-8-sig" if "mark" in form else "utf-8")
        if form.startswith("jsonl")
        else array.encode("utf-16" if "16" in form else "utf-8")
    )
    if "16" not in form or kind.startswith("a path"):
        check(path)
    else:
        with pytest.raises(ValueError, match=r"element 1 of .* holds the file of 'image' itself, which can be"):
            items([path], BOTH)


@pytest.mark.parametrize("kind", ["struct", "bytes", "large bytes"])
@pytest.mark.parametrize("place", ["manifest", "folder"])
def test_files_in_cells_of_parquet(tmp_path: Path, kind: str, place: str) -> None:
    cells: list[Any] = [png(number) for number in range(3)]
    types: dict[str, Any] = {"bytes": pa.binary(), "large bytes": pa.large_binary()}
    if kind == "struct":
        cells = [{"bytes": cell, "path": None} for cell in cells]
        types["struct"] = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    words = pa.array([f"é {number}".encode() for number in range(3)], pa.binary())  # words as some programs write them
    other = pa.array([b"abc", None, b""], pa.binary())
    path = tmp_path / "d" / "train-0.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"image": pa.array(cells, types[kind]), "text": words, "x": other}), path, row_group_size=2)
    check(path if place == "manifest" else path.parent)
    kept = [item.metadata for item in items([path if place == "manifest" else path.parent], BOTH)]
    assert kept[0] == {"x": "3 bytes" if place == "manifest" else "a file"}  # named among columns that no stream takes
    assert len(media([path], "image")) == 3


def test_a_file_in_a_cell_of_a_table(tmp_path: Path) -> None:
    table = "text\timage\n" + "".join(f"é {number}\t{b64(number)}\n" for number in range(3))
    (tmp_path / "m.tsv").write_text(table)
    check(tmp_path / "m.tsv")
    (tmp_path / "m.csv").write_text(table.replace("\t", ","))
    with pytest.raises(ValueError, match=r"line 2 of .*m\.csv holds the file of 'image' itself, which can be"):
        items([tmp_path / "m.csv"], BOTH)


def test_one_file_is_on_one_side_of_the_split(tmp_path: Path) -> None:
    held = [{"image": b64(number % 40), "text": f"{number}"} for number in range(80)]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, held)))
    splits = [item.split for item in items([tmp_path / "m.jsonl"], BOTH)]
    assert splits[:40] == splits[40:] and set(splits) == {"train", "held-out"}


@pytest.mark.parametrize(
    "cell", ["picture", "a/b-c_d/" * 4 + "0.png", "x" * 31, [300, 1], [True], 5, None, {"url": "x"}]
)
def test_what_holds_no_file(cell: Any) -> None:
    assert embedded(cell) is None


def test_names_and_damage_of_files_in_cells() -> None:
    assert embedded({"bytes": b"abc", "path": "a/b.png"}) == Embedded(b"abc", "b.png")
    with pytest.raises(ValueError, match=r"data:image/png;base64, must be followed by base64, got '!!'"):
        embedded("data:image/png;base64,!!")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"text": "a"}', r"it begins with '\{\"text\": \"a\"'"),
        ('[{"text": "a"}', "it does not end"),
        ('[{"text": "a"}, ', r"element 2, which begins at character 17, is none"),
        ('[{"text": "a"} {"text": "b"}]', r"element 1 is followed by '\{'"),
        ('[{"text": "a"}] x', "'x' stands behind its end"),
        ("", "it begins with ''"),
    ],
)
def test_wrong_arrays_are_one_sentence(tmp_path: Path, text: str, reason: str) -> None:
    """One that breaks off keeps what is before."""
    (tmp_path / "m.json").write_text(text)
    if text.startswith("["):
        first, last = rows(tmp_path / "m.json", ["text"])
        assert first.values == {"text": "a"} and not first.problem
        wanted = rf"what stands behind element 1 of .*m\.json is not read, .* \({reason}.*\); mend it there"
        assert re.fullmatch(wanted, last.problem)
        return
    with pytest.raises(
        ValueError, match=rf"m\.json must be a JSON array of objects, .* but is not \({reason}.*\); write"
    ):
        list(rows(tmp_path / "m.json", ["text"]))


def test_arrays_of_any_length_are_read_in_pieces(tmp_path: Path) -> None:
    held = [{"text": f"é {number} " + "x" * (number % 3000)} for number in range(400)]  # longer than a piece, in all
    (tmp_path / "m.json").write_text(json.dumps(held, ensure_ascii=False))
    found = list(rows(tmp_path / "m.json", ["text"]))
    assert [row.values for row in found] == held
    assert [cell_at(tmp_path / "m.json", "text", row.place) for row in found[::40]] == [
        row["text"] for row in held[::40]
    ]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ({"raw": "one", "tokens": ["one"]}, ["one"]),
        ([{"raw": "one"}, {"raw": "two"}], ["one", "two"]),
        ({"raw": ["one", "two"]}, ["one", "two"]),
        (["one", None, " ", 2], ["one", "2"]),
    ],
)
def test_captions_in_lists_and_objects(tmp_path: Path, cell: Any, words: list[str]) -> None:
    (tmp_path / "m.jsonl").write_text(json.dumps({"image": "0.png", "text": cell}) + "\n")
    assert [item.media["text"]().text for item in items([tmp_path / "m.jsonl"], BOTH)] == words


@pytest.mark.parametrize("cell", [[["a", "man"]], {"tokens": ["a"]}, [{"x": 1}]])
def test_captions_that_are_none_are_one_sentence(tmp_path: Path, cell: Any) -> None:
    rows = [{"image": "0.png", "text": cell}, {"image": "0.png", "text": "good"}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    first, second = items([tmp_path / "m.jsonl"], BOTH)
    assert second.media["text"]().text == "good"
    with pytest.raises(ValueError, match=r"line 1 of .*m\.jsonl, 'text': words must be a string or a list of"):
        first.media["image"]()


def test_words_of_a_table_that_are_no_utf8_cost_their_row(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    words = pa.array([b"good", b"\xff", b"well"]).view(pa.string())
    pq.write_table(
        pa.table({"jpg": pa.array([png(n) for n in range(3)]), "text": words}), tmp_path / "d/train-0.parquet"
    )
    first, second, third = items([tmp_path / "d"], BOTH)
    assert (first.media["text"]().text, third.media["text"]().text) == ("good", "well")
    with pytest.raises(ValueError, match=r"row 1 of .*train-0\.parquet must hold words in UTF-8, but does not"):
        next(iter(second.media.values()))()


def test_a_column_whose_name_is_no_utf8_costs_its_table(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    path = tmp_path / "d/train-0.parquet"
    pq.write_table(pa.table({"jpgs": pa.array([png(0)]), "text": ["a"]}), path)
    path.write_bytes(path.read_bytes().replace(b"jpgs", b"\xffpgs"))
    for source in (path.parent, path):
        with pytest.raises(ValueError, match=r"train-0\.parquet must be a whole Parquet table, .*\(.*utf-8"):
            items([source], BOTH)


def test_a_part_of_a_column_whose_name_is_no_utf8_costs_its_table(tmp_path: Path) -> None:
    """As damage makes them; the library decodes such a name when it is asked for, long after it has read the table."""
    kind = pa.struct([("bytes", pa.binary()), ("pathe", pa.string())])
    table = pa.table({"image": pa.array([{"bytes": png(0), "pathe": "0.png"}], kind), "text": ["a"]})
    (tmp_path / "d").mkdir()
    path = tmp_path / "d/data-0.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    path.write_bytes(path.read_bytes().replace(b"pathe", b"path\xff"))
    (tmp_path / "d/state.json").write_text(json.dumps({"_data_files": [{"filename": "data-0.arrow"}]}))
    with pytest.raises(ValueError, match=r"data-0\.arrow must be a whole table, but cannot be read \(.*utf-8"):
        items([tmp_path / "d"], BOTH)
