"""Cells that say that nothing is there, nan and NULL, are no captions, unless they are quoted; both are told."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from tests.cli.laid_out import BOTH, png, put
from tokenmask.cli.missing import SPELLINGS
from tokenmask.cli.sources import items

ROWS = ["image,text,who", "0.png,nan,NA", '1.png,"None",x', "2.png,none of it,x", "3.png,#N/A,x"]


def read(path: Path) -> tuple[dict[str, str | None], list[str]]:
    """Words by file, and what is told."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = {
            item.media["image"].value.name: item.media["text"].value if "text" in item.media else None
            for item in items([path], BOTH)
        }
    return found, [str(one.message) for one in caught]


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("name", ["pairs", "metadata"])  # a manifest, a layout
def test_spellings_of_what_is_missing(tmp_path: Path, separator: str, name: str) -> None:
    path = tmp_path / f"{name}.{'csv' if separator == ',' else 'tsv'}"
    put(tmp_path, {f"{number}.png": png(number) for number in range(4)})
    put(tmp_path, {path.name: "\n".join(ROWS).replace(",", separator).replace("image", "file_name") + "\n"})
    if name == "pairs":
        path.write_text(path.read_text().replace("file_name", "image"))
    words, told = read(path if name == "pairs" else tmp_path)
    assert words == {"0.png": None, "1.png": "None", "2.png": "none of it", "3.png": None}
    assert told == [
        f"{path}: 2 captions are #N/A, nan, taken as missing; a word that is spelled so stands in quotes (the first is "
        "in line 2)",
        f"{path}: 1 caption is None, in quotes, and so taken as words; leave the cell empty where there are none (the "
        "first is in line 3)",
    ]


def test_other_columns_stay_as_they_are(tmp_path: Path) -> None:
    put(tmp_path, {"0.png": png(0), "m.csv": "image,text,who\n0.png,a,NA\n"})
    (item,) = items([tmp_path / "m.csv"], BOTH)
    assert item.metadata == {"who": "NA"} and type(item.metadata["who"]) is str


def test_a_row_of_nothing_else_fails_alone(tmp_path: Path) -> None:
    put(tmp_path, {"m.csv": "text\nNULL\ntwo\n"})
    with pytest.warns(UserWarning, match=r"1 caption is NULL, taken as missing.*line 2"):
        none, two = items([tmp_path / "m.csv"], {"text": "text"})
    assert two.media["text"].value == "two"
    with pytest.raises(
        ValueError, match=r"line 2 of .*m\.csv must have words, got NULL, which is taken as missing; write"
    ):
        none.media["text"]()


def test_spellings_are_those_of_pandas() -> None:
    parsers = pytest.importorskip("pandas._libs.parsers")
    assert parsers.STR_NA_VALUES - {""} == SPELLINGS
