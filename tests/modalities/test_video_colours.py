"""What films say of their colours and their decoder leaves away is told, once, with the file."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest

from tokenmask.modalities.video import VideoClip
from tokenmask.modalities.video.colours import colours_told, is_transparent

from .mkv import element, number, write_mkv
from .mov import write_mov

FRAMES = np.full((3, 32, 32, 3), 90, np.uint8)
SAID = "says that its colours are no sRGB ({}), but is taken as sRGB: convert it"
HLG, PQ = "primaries of BT.2020, the curve HLG of HDR", "primaries of BT.2020, the curve PQ of HDR"


@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
@pytest.mark.parametrize(
    ("primaries", "curve", "told"),
    [(9, 18, HLG), (9, 16, PQ), (12, 1, "primaries of Display P3"), (1, 1, ""), (6, 6, ""), (2, 2, "")],
)
def test_colours_that_are_no_srgb_are_told(tmp_path: Path, suffix: str, primaries: int, curve: int, told: str) -> None:
    pytest.importorskip("decord", reason="decord, which decodes films, is not installed")
    path = tmp_path / f"a{suffix}"
    if suffix == ".mov":
        write_mov(path, FRAMES, [1] * 3, 10, colours=b"nclc" + struct.pack(">HHH", primaries, curve, 9))
    else:
        about = element("55B0", number("55B1", 9), number("55BA", curve), number("55BB", primaries))
        write_mkv(path, FRAMES, [0, 100, 200], 300, about)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clip = VideoClip.load(path)
    assert [str(one.message) for one in caught] == ([f"{path} {SAID.format(told)}"] if told else [])
    assert np.abs(clip.frames.numpy().astype(int) - FRAMES).max() <= 2


def test_transparency_of_a_film_is_told(tmp_path: Path) -> None:
    pytest.importorskip("decord", reason="decord, which decodes films, is not installed")
    write_mkv(tmp_path / "a.webm", FRAMES, [0, 100, 200], 300, number("53C0", 1))
    with pytest.warns(UserWarning, match=r"a\.webm has transparency, which is left out, .*: lay it on white first"):
        VideoClip.load(tmp_path / "a.webm")
    write_mkv(tmp_path / "b.webm", FRAMES, [0, 100, 200], 300, number("53C0", 0))
    assert not is_transparent(tmp_path / "b.webm")


def test_damaged_headers_say_nothing_of_colours(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_mkv(path, FRAMES, [0, 100, 200], 300, element("55B0", number("55BA", 18), number("55BB", 9)))
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        assert colours_told(path) in ([], ["the curve HLG of HDR"], HLG.split(", ")) and not is_transparent(path)
    write_mov(path, FRAMES, [1] * 3, 10, colours=b"nclx" + struct.pack(">HHH", 9, 18, 9))
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        assert colours_told(path) in ([], HLG.split(", "))
