"""Items of long tables: the same values in the same order, of which few are in memory."""

from __future__ import annotations

import csv
import datetime
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tokenmask.cli import spool
from tokenmask.cli.asked import ask_items
from tokenmask.cli.found import Items
from tokenmask.cli.layouts.entry import Entry
from tokenmask.cli.sources import digest, items
from tokenmask.cli.spool import Spool
from tokenmask.corpus import HELD_OUT, TRAIN, Item

BOTH = {"image": "image", "text": "text"}
COUNT = 3000


def row(number: int) -> dict[str, str]:
    return {"image": f"pictures/{number:07d}.png", "text": f"a cat, {number} times", "year": str(1900 + number % 7)}


def table(path: Path, count: int, broken: int | None = None) -> Path:
    """Rows of pictures with words and a year, of which one names an address on the web."""
    rows = [row(number) for number in range(count)]
    if broken is not None:
        rows[broken]["image"] = "https://x.org/1.png"
    if path.suffix == ".parquet":
        columns = {name: [one[name] for one in rows] for name in rows[0]}
        pq.write_table(pa.table(columns), path, row_group_size=700)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["image", "text", "year"], delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_long_tables_give_their_rows_in_order(tmp_path: Path, suffix: str) -> None:
    path = table(tmp_path / f"m{suffix}", COUNT, broken=1234)
    found = items([path], BOTH)
    first = 2 if suffix in (".csv", ".tsv") else 1  # the number of the first row
    assert len(found) == COUNT and len(found) > 2 * spool.AT_ONCE
    for number, item in enumerate(found):
        assert item.key == f"m{suffix}:{number + first}" and item.metadata.get("year", "") in ("", row(number)["year"])
        if number != 1234:
            assert item.media["image"].value == tmp_path / row(number)["image"]
            assert item.media["text"].value == row(number)["text"]
    for place in (0, 1500, COUNT - 1, -1):
        assert found[place].media["text"].value == row(place % COUNT)["text"]
    assert [one.key for one in found[10:12]] == [f"m{suffix}:{10 + first}", f"m{suffix}:{11 + first}"]
    assert {item.split for item in found} == {TRAIN, HELD_OUT}
    what = "row" if suffix == ".parquet" else "line"
    with pytest.raises(ValueError, match=f"^{what} {1234 + first} of .*must give the path of a file for 'image'"):
        found[1234].media["image"]()
    assert found.streams == {"image": COUNT - 1, "text": COUNT - 1} and found.columns == {"year": COUNT - 1}
    assert digest(found) == digest(list(found))


def test_tables_of_many_rows_need_little_memory(tmp_path: Path) -> None:
    path = table(tmp_path / "m.csv", 5000)
    items([table(tmp_path / "first.csv", 10)], BOTH)  # what is imported once
    tracemalloc.start()
    found = items([path], BOTH)
    assert sum(1 for _ in found) == 5000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5e6  # two parts of 512 rows; as a list these rows take 7 MB


def test_layouts_with_long_tables_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d/pictures").mkdir(parents=True)
    for number in range(40):
        (tmp_path / "d" / row(number)["image"]).touch()
    table(tmp_path / "d/metadata.csv", 40)
    with (tmp_path / "d/metadata.csv").open("a") as file:
        file.write("pictures/0000003.png,again,1999\n")
    whole = list(items([tmp_path / "d"], BOTH))
    monkeypatch.setattr(spool, "AT_ONCE", 7)
    found = items([tmp_path / "d"], BOTH)
    assert list(found) == whole and len(found) == 41
    assert found[40].key == "d/pictures/0000003.png#2" and found[40].media["text"].value == "again"


def test_options_of_reading_reach_every_item(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("motion,text\na.bvh,one\nb.bvh,two\n")
    found = items([tmp_path / "m.csv"], {"motion": "motion", "text": "text"})
    ask_items(found, {"up": "z"})
    assert [item.media["motion"].options for item in found] == [(("up", "z"),)] * 2
    assert found[1].media["motion"].options == (("up", "z"),) and found[1].media["text"].options == ()


def test_a_spool_is_a_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "AT_ONCE", 4)
    for count in (0, 3, 4, 5, 17):
        values = [f"value {number}" for number in range(count)]
        held = Spool(values)
        assert list(held) == values and len(held) == count
        assert [held[place] for place in range(-count, count)] == values + values
        assert held[1:3] == values[1:3]
        with pytest.raises(IndexError, match=f"there are {count} values, got number {count}"):
            held[count]
        held.append("last")
        assert held[-1] == "last" and list(held)[:-1] == values
    both = Items([Item("a", {"text": "x"})])
    both += Items([Item("b", {"image": "y"}, HELD_OUT, {"year": 3})])
    both.append(Item("c", {"text": "z"}))
    assert [item.key for item in both] == ["a", "b", "c"] and both[-1].key == "c"
    assert both.streams == {"text": 2, "image": 1} and both.learned == {"text": 2} and both.columns == {"year": 1}


def test_a_spool_gives_back_values_of_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "AT_ONCE", 2)
    entry = Entry(
        "a\ud800", {"text": "x", "image": Path("b/c.png")}, None, {"n": 1, "of": [1.5, None, True, (2,)], "": {}}
    )
    when = datetime.date(2026, 1, 2)
    values: list[Any] = [
        entry,
        Item("b", {"text": entry}, HELD_OUT, {"when": when}),
        (1, "m.csv:2", ValueError("no")),
        {3: b"x"},
    ]
    held = Spool(values)
    assert held._file is not None and list(held) == values
    assert [type(one) for one in held] == [Entry, Item, tuple, dict] and type(held[0].metadata["of"][3]) is tuple
    assert str(held[2][2]) == "no" and held[1].metadata["when"] is when


def test_a_folder_of_many_files_needs_little_memory(tmp_path: Path) -> None:
    """What stays of a file are some bytes; what is held while the folder is looked through, its names."""
    many = 1500
    for number in range(many):
        (tmp_path / f"picture-number-{number:05d}.png").touch()
    (tmp_path / "picture-number-00007.txt").write_text("a caption")
    (tmp_path / "picture-number-00009.TXT").write_text(" \n")
    items([tmp_path / "picture-number-00007.txt"], {"text": "text"})  # what is imported once
    tracemalloc.start()
    found = items([tmp_path], {"image": "image", "text": "text"})
    stays, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == many and stays < 1.2e6 and most < 2.5e6  # as lists of paths and loaders 3.1 MB
    assert found[7].media["text"]().text == "a caption" and "text" not in found[9].media
    assert found.tables == [tmp_path / "picture-number-00009.TXT"]
    assert [item.key for item in found][::500] == [
        f"{tmp_path.name}/picture-number-{at:05d}.png" for at in range(0, many, 500)
    ]
