"""Pixels of 12, 16, 32 and 64 bits: each as the nearest of eight bits, whatever the format and the colours."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tokenmask.modalities.image import Image

VALUES = np.array([0, 0x00FF, 0x7FFF, 0x8000, 0x80FF, 0x8100, 0xFE80, 0xFFFF], np.uint16)
NEAREST = [0, 1, 127, 128, 128, 128, 254, 255]  # 255 v / 65535, by hand
GREY = VALUES[None].repeat(2, 0)
RGB = np.stack([GREY, GREY[:, ::-1], GREY], -1)


def with_alpha(pixels: Any, alpha: int) -> Any:
    return np.concatenate([pixels, np.full_like(pixels[..., :1], alpha)], -1)


def png(path: Path, pixels: Any, colour: int, clear: bytes = b"") -> Path:
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0))
    clear = chunk(b"tRNS", clear) if clear else b""
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + clear + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    return path


def tiff(path: Path, pixels: Any, order: str = "<", planes: bool = False, **tags: int) -> Path:
    """A TIFF file of one strip, or of one a band, packed if ``compression`` is 8."""
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    raw = pixels.astype(pixels.dtype.newbyteorder(order))
    parts = [raw[..., at].tobytes() for at in range(samples)] if planes else [raw.tobytes()]
    packed = tags.pop("compression", 1)
    parts = [zlib.compress(part) if packed == 8 else part for part in parts]
    places = np.cumsum([8, *map(len, parts)])[:-1].tolist()
    white = tags.pop("photometric", 2 if samples >= 3 else 1)
    form, bits = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind], tags.pop("bits", 8 * pixels.dtype.itemsize)
    fields = [(256, "I", [pixels.shape[1]]), (257, "I", [pixels.shape[0]]), (258, "H", [bits] * samples)]
    fields += [(259, "H", [packed]), (262, "H", [white]), (273, "I", places), (277, "H", [samples])]
    fields += [(278, "I", [pixels.shape[0]]), (279, "I", [*map(len, parts)]), (284, "H", [2 if planes else 1])]
    fields += [(338, "H", [tags.pop("extra")])] if "extra" in tags else []
    fields += [(339, "H", [form] * samples)]
    assert not tags
    start = 8 + sum(map(len, parts))
    table, more = struct.pack(f"{order}H", len(fields)), b""
    behind = start + 2 + 12 * len(fields) + 4
    for tag, kind, values in fields:
        data = struct.pack(f"{order}{len(values)}{kind}", *values)
        table += struct.pack(f"{order}HHI", tag, 3 if kind == "H" else 4, len(values))
        table += struct.pack(f"{order}I", behind + len(more)) if len(data) > 4 else data.ljust(4, b"\0")
        more += data if len(data) > 4 else b""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    path.write_bytes(head + b"".join(parts) + table + bytes(4) + more)
    return path


def read(path: Path) -> list[list[int]]:
    """Its first row, a list a colour; nothing is told."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Image.load(path).pixels[0].T.tolist()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [1, 8])
def test_sixteen_bits_of_tiff_are_rounded_alike(tmp_path: Path, order: str, compression: int) -> None:
    path, turned = tmp_path / "a.tif", NEAREST[::-1]
    assert read(tiff(path, GREY, order, compression=compression)) == [NEAREST] * 3
    assert read(tiff(path, RGB, order, compression=compression)) == [NEAREST, turned, NEAREST]
    assert read(tiff(path, with_alpha(RGB, 65535), order, compression=compression, extra=2)) == [
        NEAREST,
        turned,
        NEAREST,
    ]


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bits_in_planes_are_rounded_alike(tmp_path: Path, order: str) -> None:
    assert read(tiff(tmp_path / "a.tif", RGB, order, planes=True)) == [NEAREST, NEAREST[::-1], NEAREST]


def test_sixteen_bits_of_png_and_portable_maps_are_rounded_alike(tmp_path: Path) -> None:
    path, turned = tmp_path / "a.png", NEAREST[::-1]
    assert read(png(path, GREY, 0)) == [NEAREST] * 3
    assert read(png(path, RGB, 2)) == [NEAREST, turned, NEAREST]
    assert read(png(path, with_alpha(GREY[..., None], 65535), 4)) == [NEAREST] * 3
    assert read(png(path, with_alpha(RGB, 65535), 6)) == [NEAREST, turned, NEAREST]
    for kind, pixels in ((b"P5", GREY), (b"P6", RGB)):
        (tmp_path / "a.pnm").write_bytes(kind + b" 8 2 65535\n" + pixels.astype(">u2").tobytes())
        assert read(tmp_path / "a.pnm") == ([NEAREST] * 3 if kind == b"P5" else [NEAREST, turned, NEAREST])


def test_a_clear_colour_of_sixteen_bits_is_that_one_alone(tmp_path: Path) -> None:
    pixels = np.array([[[0x8000, 5, 0], [0x8001, 5, 0], [0x8000, 5, 255]]], np.uint16)
    found = read(png(tmp_path / "a.png", pixels, 2, struct.pack(">3H", 0x8000, 5, 0)))
    assert found == [[255, 128, 128], [255, 0, 0], [255, 0, 1]]


def test_twelve_bits_reach_white(tmp_path: Path) -> None:
    values = [0, 2048, 4095, 1000]
    packed = bytes([0x00, 0x08, 0x00, 0xFF, 0xF3, 0xE8])
    path = tiff(tmp_path / "a.tif", np.frombuffer(packed, np.uint8)[None], bits=12)
    data = bytearray(path.read_bytes())
    at = data.index(struct.pack("<HHII", 256, 4, 1, 6))
    struct.pack_into("<I", data, at + 8, 4)  # pixels, not bytes
    path.write_bytes(data)
    assert read(path) == [[round(255 * value / 4095) for value in values]] * 3


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [1, 8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_of_both_sizes_are_read(tmp_path: Path, dtype: Any, compression: int, order: str) -> None:
    light = np.linspace(0, 1, 8, dtype=dtype)[None].repeat(2, 0)
    wanted = np.rint(np.linspace(0, 1, 8) * 255).astype(int).tolist()
    assert read(tiff(tmp_path / "a.tif", light, order, compression=compression)) == [wanted] * 3
    turned = tiff(tmp_path / "a.tif", light, order, compression=compression, photometric=0)  # 0 is white
    assert read(turned) == [wanted[::-1]] * 3


@pytest.mark.parametrize(
    ("pixels", "kind"),
    [
        (np.zeros((2, 8), np.float16), "1 band(s) of 16 bits that are floats"),
        (np.zeros((2, 8, 3), np.float32), "3 band(s) of 32 bits that are floats"),
        (np.zeros((2, 8), np.uint64), "1 band(s) of 64 bits that are integers"),
    ],
)
def test_kinds_of_pixels_that_are_not_read_are_named(tmp_path: Path, pixels: Any, kind: str) -> None:
    path = tiff(tmp_path / "a.tif", pixels)
    with pytest.raises(ValueError) as caught:
        Image.load(path)
    assert str(caught.value) == (
        f"{path} must be a whole image file, but cannot be read (its pixels, {kind}, are of no kind that is known "
        "here, as integers of 8 or 16 bits are, and grey of floats of 32 or 64 bits); export it again"
    )
    path.write_bytes(path.read_bytes()[:8] + b"\0")
    with pytest.raises(ValueError, match="cut short: its tags would stand behind its end"):
        Image.load(path)


def test_the_table_of_pillow_is_as_it_was(tmp_path: Path) -> None:
    from PIL import TiffImagePlugin

    before = dict(TiffImagePlugin.OPEN_INFO)
    read(tiff(tmp_path / "a.tif", np.zeros((2, 8))))
    assert before == TiffImagePlugin.OPEN_INFO
