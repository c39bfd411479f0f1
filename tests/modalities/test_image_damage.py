"""Damage in the data of pictures that Pillow passes over; and that nothing whole is taken for damaged."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as pillow

from tokenmask.modalities.image import Image


def scene(height: int = 120, width: int = 160) -> Any:
    draw = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    waves = [128 + 80 * np.sin(x / 7 + y / 9), 128 + 70 * np.cos(y / 5), 128 + 60 * np.sin((x + y) / 11)]
    pixels = np.stack(waves, -1) + draw.normal(0, 6, (height, width, 3))
    return pillow.fromarray(pixels.clip(0, 255).astype(np.uint8))


def written(kind: str, picture: Any = None, **options: Any) -> bytes:
    file = io.BytesIO()
    (picture or scene()).save(file, kind, **options)
    return file.getvalue()


def outcome(path: Path, data: bytes) -> str:
    """ "read", or what was told or refused."""
    path.write_bytes(data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            Image.load(path)
        except ValueError as error:
            return str(error)
    return "; ".join(str(one.message) for one in caught) or "read"


def with_bytes(note: bytes) -> Any:
    """EXIF whose note of the maker is these."""
    exif = pillow.Exif()
    exif[0x927C] = note
    return exif


def holed(data: bytes, share: float, size: int = 4096) -> bytes:
    at = int(len(data) * share)
    return data[:at] + bytes(size) + data[at + size :]


JPEGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 5},
    "optimised": {"optimize": True},
    "without subsampling": {"subsampling": 0, "quality": 98},
}


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("share", [0.3, 0.5])
def test_a_hole_in_a_jpeg_is_refused_or_told(tmp_path: Path, name: str, share: float) -> None:
    data = written("JPEG", **JPEGS[name])
    said = outcome(tmp_path / "a.jpg", holed(data, share, 2048))
    lost = f"{tmp_path}/a.jpg must be a whole image file, but cannot be read (its data "
    more = f"{tmp_path}/a.jpg may be damaged (its data hold bytes that belong to no pixel"
    assert said.startswith((lost, more))


@pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_that_was_cut_and_closed_again_is_refused(tmp_path: Path, name: str, share: float) -> None:
    data = written("JPEG", **JPEGS[name])
    said = outcome(tmp_path / "a.jpg", data[: int(len(data) * share)] + b"\xff\xd9")
    assert said == (
        f"{tmp_path}/a.jpg must be a whole image file, but cannot be read (its data end before its pixels do); "
        "export it again"
    )


def test_a_progressive_jpeg_closed_between_two_scans_is_told(tmp_path: Path) -> None:
    data = written("JPEG", progressive=True)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    assert len(scans) == 10 and outcome(tmp_path / "a.jpg", data) == "read"
    for last in scans[1:]:
        # tables of Huffman codes stand before a scan
        table = data.rfind(b"\xff\xc4", 0, last)
        end = table if table > scans[0] and not any(table < scan < last for scan in scans) else last
        said = outcome(tmp_path / "a.jpg", data[:end] + b"\xff\xd9")
        assert "may be damaged (its last scans are missing, which make it sharp): look at it" in said


def test_whole_jpegs_of_all_kinds_are_read_without_a_word(tmp_path: Path) -> None:
    picture, blank = scene(), pillow.new("RGB", (700, 500), "white")
    exif = pillow.Exif()
    exif[0x010E] = "x\xff\xda\xff\xd9" * 50
    thumbnail = with_bytes(written("JPEG", picture.resize((40, 30))))
    for shown in (picture, blank, picture.convert("L"), picture.resize((1, 1)), picture.resize((17, 9))):
        for options in (*JPEGS.values(), {"exif": exif}, {"exif": thumbnail}, {"comment": b"\xff\xda\xff\xc0"}):
            assert outcome(tmp_path / "a.jpg", written("JPEG", shown, **options)) == "read"
    for options in JPEGS.values():
        data = written("JPEG", **options)
        for behind in (b"trailing \xff\xda\xff\xc4\0" * 99, b"\0" * 5000, data):
            assert outcome(tmp_path / "a.jpg", data + behind) == "read"
        assert outcome(tmp_path / "a.jpg", data[:-2] + b"\xff\xff\xd9") == "read"  # filled up
        inks = outcome(tmp_path / "a.jpg", written("JPEG", picture.convert("CMYK"), **options))
        assert inks.endswith("its colours are guessed")
    other = picture.rotate(90)
    assert outcome(tmp_path / "a.jpg", written("MPO", save_all=True, append_images=[other])) == "read"


def test_headers_that_libjpeg_warns_of_hide_no_damage(tmp_path: Path) -> None:
    """An unknown revision of JFIF, which it says first."""
    data = written("JPEG")
    data = data[:11] + b"\x07" + data[12:]
    assert outcome(tmp_path / "a.jpg", data) == "read"
    assert "its data end before its pixels do" in outcome(tmp_path / "a.jpg", holed(data, 0.5, 2048))


@pytest.mark.parametrize("compression", ["jpeg", "tiff_adobe_deflate", "tiff_deflate"])
def test_packed_strips_of_tiff_are_whole(tmp_path: Path, compression: str) -> None:
    for shown in (scene(300, 400), scene(50, 33).convert("L"), pillow.new("RGB", (600, 400))):
        data = written("TIFF", shown, compression=compression)
        assert outcome(tmp_path / "a.tif", data) == "read"
    said = outcome(tmp_path / "a.tif", holed(written("TIFF", scene(300, 400), compression=compression), 0.5))
    assert said.startswith(f"{tmp_path}/a.tif must be a whole image file, but ")


@pytest.mark.parametrize(("kind", "options"), [("WEBP", {}), ("WEBP", {"lossless": True}), ("AVIF", {"quality": 95})])
def test_a_lost_block_of_a_format_without_check_sums_is_refused(
    tmp_path: Path, kind: str, options: dict[str, Any]
) -> None:
    path, data = tmp_path / f"a.{kind.lower()}", written(kind, scene(240, 320), **options)
    place = int(len(data) * 0.5)
    assert "must be a whole image file" in outcome(path, holed(data, 0.5))
    if kind == "WEBP":
        said = outcome(path, holed(data, 0.5, 600))
        assert f"a block of its data is lost, at byte {place} there are 512 zeros in a row" in said
    about = with_bytes(bytes(3000))  # zeros of a program, not of a picture
    for shown in (scene(), pillow.new("RGB", (2000, 2000), "white")):
        assert outcome(path, written(kind, shown, exif=about, **options)) == "read"
        assert outcome(path, written(kind, shown, xmp=b"<x>" + bytes(3000) + b"</x>", **options)) == "read"


def test_a_strip_that_unpacks_to_gigabytes_is_looked_at_no_further(tmp_path: Path) -> None:
    import zlib

    data = written("TIFF", pillow.new("L", (8, 8)), compression="tiff_adobe_deflate")
    with pillow.open(io.BytesIO(data)) as picture:
        offsets, sizes = picture.tag_v2[273], picture.tag_v2[279]  # type: ignore[attr-defined]
    packing = zlib.compressobj(9)
    bomb = b"".join(packing.compress(bytes(1 << 20)) for _ in range(256)) + packing.flush()
    grown = data + bomb
    for old, new in ((offsets[0], len(data)), (sizes[0], len(bomb))):
        at = next(
            at
            for at in range(8, len(grown))
            if grown[at : at + 4] in (b"\x11\x01\x04\0", b"\x17\x01\x04\0")
            and struct.unpack_from("<I", grown, at + 8)[0] == old
        )
        grown = grown[: at + 8] + struct.pack("<I", new) + grown[at + 12 :]
    assert outcome(tmp_path / "a.tif", grown) == "read"


def test_what_pillow_warns_of_names_the_file(tmp_path: Path) -> None:
    exif = pillow.Exif()
    exif[274], exif[0x010E] = 6, "words " * 20
    data = written("JPEG", exif=exif)
    at = data.index(b"Exif\0\0")
    tag = data.index(b"\x01\x0e\x00\x02", at) if b"MM\0*" in data else data.index(b"\x0e\x01\x02\x00", at)
    broken = data[: tag + 8] + b"\x7f\xff\xff\x7f" + data[tag + 12 :]  # its words would stand behind the end
    path = tmp_path / "a.jpg"
    assert outcome(path, broken) == f"{path} has damaged EXIF data, so that it may lie on its side: look at it"
    assert outcome(path, data) == "read"


KINDS_OF_2000: list[dict[str, Any]] = [
    {},
    {"irreversible": True, "quality_layers": [20]},
    {"quality_layers": [80, 40, 20, 10, 5, 1]},
    {"tile_size": (64, 64)},
    {"precinct_size": (64, 64), "codeblock_size": (32, 32), "quality_layers": [40, 10, 1], "progression": "RPCL"},
]


@pytest.mark.parametrize("options", KINDS_OF_2000)
def test_a_lost_block_of_jpeg_2000_is_refused_and_blank_parts_are_none(tmp_path: Path, options: dict[str, Any]) -> None:
    """Packets that hold nothing are zeros too, of which a tile has so many and no more."""
    path, picture = tmp_path / "a.jp2", scene(240, 320)
    data = written("JPEG2000", picture, **options)
    most = 4096 if "precinct_size" in options else 1500
    said = outcome(path, holed(data, 0.6, most))
    if "tile_size" in options:  # a hole may begin behind the header of a tile, which is too short then
        assert "must be a whole image file" in said
    else:
        assert "a block of its data is lost, at byte " in said
    dot = pillow.new("RGB", (1500, 1100), "white")
    dot.paste((10, 20, 30), (700, 500, 730, 520))
    for shown in (
        picture,
        dot,
        dot.convert("L"),
        pillow.new("RGB", (900, 700)),
        picture.resize((3, 2)),
        dot.convert("RGBA"),
    ):
        assert outcome(path, written("JPEG2000", shown, **options)) == "read"


def test_runs_of_packbits_are_counted(tmp_path: Path) -> None:
    path, picture = tmp_path / "a.tif", scene(240, 320)
    blank = pillow.new("RGB", (700, 500), "white")
    depth = pillow.fromarray(np.arange(40 * 50, dtype=np.uint16).reshape(40, 50) * 30)
    for shown in (
        picture,
        blank,
        picture.convert("L"),
        picture.convert("1"),
        picture.convert("P"),
        depth,
        blank.convert("CMYK"),
    ):
        said = outcome(path, written("TIFF", shown, compression="packbits"))
        assert said == "read" or "colours are guessed" in said
    data = written("TIFF", picture, compression="packbits")
    for share in (0.2, 0.4, 0.6, 0.8):
        said = outcome(path, holed(data, share, 2048))
        told = f"{path} may be damaged (its data hold bytes that belong to no pixel, as damage leaves them): look at it"
        assert said.startswith(told) or "must be a whole image file" in said
