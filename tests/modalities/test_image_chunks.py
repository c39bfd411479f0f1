"""What files say of their pixels beside a profile: chunks of PNG, tags of TIFF, transparency of deep greys."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pillow

from tokenmask.modalities.image import Image

from .test_image_kinds import icc

LINEAR = icc({b"kTRC": b"curv\0\0\0\0" + struct.pack(">I", 0)}, b"GRAY")
GREYS = np.array([[0, 60, 200, 255]], dtype=np.uint8)
LIGHT = [0, 133, 229, 255]  # of linear light in sRGB, by hand


def read(path: Path) -> tuple[list[list[int]], list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pixels = Image.load(path).pixels
    return pixels[0].tolist(), [str(one.message) for one in caught]


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_chunks(path: Path, *chunks: bytes) -> Path:
    pillow.fromarray(GREYS).save(path)
    raw = path.read_bytes()
    path.write_bytes(raw[:33] + b"".join(chunks) + raw[33:])
    return path


def tiff(path: Path, tags: dict[int, tuple[int, int]], pixels: bytes) -> Path:
    """Tags (type, value) of one strip of little-endian pixels, 4 x 1."""
    tags = {256: (3, 4), 257: (3, 1), 259: (3, 1), 273: (4, 8), 278: (3, 1), 279: (4, len(pixels)), **tags}
    body = pixels + bytes(len(pixels) % 2)
    table = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHI", tag, kind, 1) + struct.pack("<H2x" if kind == 3 else "<I", value)
        for tag, (kind, value) in sorted(tags.items())
    )
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(body)) + body + table + bytes(4))
    return path


POINTS = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)


@pytest.mark.parametrize(
    ("chunks", "told"),
    [
        ([(b"gAMA", struct.pack(">I", 100_000))], "gAMA of 1"),
        ([(b"cHRM", struct.pack(">8I", *POINTS))], "cHRM of other primaries"),
        ([(b"cICP", bytes([9, 16, 0, 1]))], "cICP of primaries 9 and transfer 16"),
        ([(b"gAMA", struct.pack(">I", 45455))], ""),
        ([(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))], ""),
        ([(b"cICP", bytes([1, 13, 0, 1])), (b"gAMA", struct.pack(">I", 100_000))], ""),
    ],
)
def test_colours_that_chunks_change_are_said(tmp_path: Path, chunks: list[tuple[bytes, bytes]], told: str) -> None:
    path = with_chunks(tmp_path / "a.png", *(chunk(name, data) for name, data in chunks))
    pixels, said = read(path)
    assert [one[0] for one in pixels] == [0, 60, 200, 255]
    wanted = f"{path} says that its colours are no sRGB ({told}), but is taken as sRGB: convert it"
    assert said == ([wanted] if told else [])


@pytest.mark.parametrize("mode", ["LA", "P", "RGBA", "L"])
def test_linear_grey_becomes_srgb_in_any_mode(tmp_path: Path, mode: str) -> None:
    picture = pillow.fromarray(GREYS).convert("L" if mode == "P" else mode)
    if mode == "P":
        picture = picture.convert("RGB").quantize(4)
    picture.save(tmp_path / "a.png", icc_profile=LINEAR)
    pixels, said = read(tmp_path / "a.png")
    assert np.abs(np.array(pixels) - np.array(LIGHT)[:, None]).max() <= 1 and said == []


def test_deep_grey_with_white_at_zero_and_signed_bytes(tmp_path: Path) -> None:
    deep = (GREYS[0].astype(np.uint16) * 257).tobytes()
    for photometric, wanted in ((0, [255, 195, 55, 0]), (1, [0, 60, 200, 255])):
        path = tiff(tmp_path / "a.tif", {258: (3, 16), 262: (3, photometric), 277: (3, 1)}, deep)
        assert read(path) == ([[value] * 3 for value in wanted], [])
    path = tiff(tmp_path / "b.tif", {258: (3, 8), 262: (3, 1), 277: (3, 1), 339: (3, 2)}, bytes([0, 60, 200, 255]))
    with pytest.raises(ValueError, match=r"b\.tif must be .*integers of 8 bits with a sign"):
        Image.load(path)


def test_a_transparent_grey_of_sixteen_bits_is_white(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pillow.fromarray(GREYS.astype(np.uint16) * 257).save(path)
    raw = path.read_bytes()
    path.write_bytes(raw[:33] + chunk(b"tRNS", struct.pack(">H", 60 * 257)) + raw[33:])
    assert read(path) == ([[0] * 3, [255] * 3, [200] * 3, [255] * 3], [])


def test_a_picture_of_nothing_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pillow.new("RGBA", (2, 1), (200, 60, 60, 0)).save(path)
    assert read(path) == ([[255] * 3] * 2, [f"{path} is transparent throughout and becomes white"])


def test_bands_beside_the_colours_are_said(tmp_path: Path) -> None:
    pixels = bytes(range(10, 170, 10))
    path = tiff(tmp_path / "a.tif", {258: (3, 8), 262: (3, 2), 277: (3, 4), 338: (3, 0)}, pixels)
    wanted = [list(pixels[start : start + 3]) for start in range(0, 16, 4)]
    assert read(path) == (wanted, [f"{path} has 1 band(s) beside its colours, which are left out"])
