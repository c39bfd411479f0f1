"""A path that is not found names the file that is nearly called so, and does not take it."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tests.cli.laid_out import BOTH, png, put
from tokenmask.cli.nearly import nearly
from tokenmask.cli.sources import items

COMPOSED = "Bild \xe9.png"


@pytest.mark.parametrize(
    ("asked", "there", "how"),
    [
        ("a/cat.png", "a/Cat.PNG", "other capital letters"),
        ("A/cat.png", "a/cat.png", "other capital letters"),
        ("a%20b.png", "a b.png", "codes like %20 or none"),
        ("a b.png", "a%20b.png", "codes like %20 or none"),
        (COMPOSED, unicodedata.normalize("NFD", COMPOSED), "accents of other characters"),
        ("bild%20%C3%A9.png", COMPOSED, "codes like %20 or none and other capital letters"),
    ],
)
def test_names_that_are_nearly_so(tmp_path: Path, asked: str, there: str, how: str) -> None:
    put(tmp_path, {there: png(0), "b.png": png(1), "m.csv": f"image,text\n{asked},one\nb.png,two\n"})
    odd, good = items([tmp_path / "m.csv"], BOTH)
    assert good.media["image"]().pixels.shape == (64, 64, 3)
    with pytest.raises(ValueError) as caught:
        odd.media["image"]()
    said = f"{tmp_path / asked} is not there, but {tmp_path / there} is, which is written with {how}"
    assert str(caught.value) == f"{said}; write one as the other"


def test_none_or_several_that_are_nearly_so(tmp_path: Path) -> None:
    put(tmp_path, {"A.png": "", "a.PNG": "", "b.png": ""})
    assert [nearly(tmp_path / name) for name in ("a.png", "c.png", "b.png", "b.png/c")] == [""] * 4


def test_a_table_that_is_not_read_names_it_too(tmp_path: Path) -> None:
    put(tmp_path, {"Images/A.png": png(0), "table.csv": "file_name,text\nimages/a.png,one\n"})
    said = (
        r"table\.csv is not read.*images/a\.png is not there, but .*Images/A\.png is, which is written with other cap"
    )
    with pytest.warns(UserWarning, match=said):
        items([tmp_path], BOTH)
