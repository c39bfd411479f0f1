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
        ([(b"cICP", bytes([9, 16, 0, 1]))], "cICP of primaries 9 and transfer 16"),
        (
            [(b"cICP", bytes([1, 13, 0, 0]))],
            "cICP of primaries 1 and transfer 13, with matrix 0 and narrow range",
        ),
        ([(b"gAMA", struct.pack(">I", 100_000_000))], "gAMA of 1000"),
        ([(b"cHRM", struct.pack(">8I", *POINTS[:2], *[20000] * 6))], "cHRM of other primaries"),
        ([(b"gAMA", struct.pack(">I", 0))], ""),
        ([(b"gAMA", struct.pack(">I", 45455))], ""),
        ([(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))], ""),
        ([(b"cICP", bytes([1, 13, 0, 1])), (b"gAMA", struct.pack(">I", 100_000))], ""),
    ],
)
def test_colours_that_chunks_mean_and_that_are_not_applied_are_said(
    tmp_path: Path, chunks: list[tuple[bytes, bytes]], told: str
) -> None:
    path = with_chunks(tmp_path / "a.png", *(chunk(name, data) for name, data in chunks))
    pixels, said = read(path)
    assert [one[0] for one in pixels] == [0, 60, 200, 255]
    wanted = f"{path} says that its colours are no sRGB ({told}), but is taken as sRGB: convert it"
    assert said == ([wanted] if told else [])


def in_srgb(pixels: np.ndarray, exponent: float, points: tuple[int, ...]) -> np.ndarray:
    """The same by chromaticities alone: light, from the file's primaries over XYZ (Bradford) to those of sRGB."""

    def space(held: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        white, *columns = (np.array([x / y, 1, (1e5 - x - y) / y]) for x, y in zip(held[::2], held[1::2], strict=True))
        matrix = np.stack(columns, 1)
        return matrix * np.linalg.solve(matrix, white), white

    (own, white), (srgb, d65) = space(points), space((31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
    cones = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    moved = np.linalg.inv(cones) @ np.diag((cones @ d65) / (cones @ white)) @ cones
    light = ((pixels / 255) ** exponent @ (np.linalg.inv(srgb) @ moved @ own).T).clip(0, 1)
    return np.round(255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


COLOURS = np.array(
    [[[60, 180, 75], [200, 60, 60], [60, 80, 200], [128, 128, 128], [0, 0, 0], [255, 255, 255]]], np.uint8
)
SRGB = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3 = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
D50 = (34570, 35850, *SRGB[2:])


@pytest.mark.parametrize(
    ("name", "data", "exponent", "points"),
    [
        ("gAMA", [100_000], 1.0, SRGB),
        ("gAMA", [55_556], 1.8, SRGB),
        ("gAMA cHRM", [45_455, *POINTS], 2.2, POINTS),
        ("gAMA cHRM", [45_455, *P3], 2.2, P3),
        ("gAMA cHRM", [100_000, *D50], 1.0, D50),
        ("cICP", [12, 4, 0, 1], 2.2, P3),
        ("cICP", [1, 8, 0, 1], 1.0, SRGB),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_that_chunks_mean_become_srgb(
    tmp_path: Path, name: str, data: list[int], exponent: float, points: tuple[int, ...], mode: str
) -> None:
    """A cICP chunk goes before the profile beside it, here one of linear light."""
    path, parts = tmp_path / "a.png", []
    for one in name.split():
        if one == "cICP":
            parts.append(chunk(b"cICP", bytes(data)))
        else:
            numbers = data[:1] if one == "gAMA" else data[1:]
            parts.append(chunk(one.encode(), struct.pack(f">{len(numbers)}I", *numbers)))
    picture = pillow.fromarray(COLOURS)
    picture = picture.quantize(6, dither=pillow.Dither.NONE) if mode == "P" else picture.convert(mode)
    picture.save(path, **({"icc_profile": LINEAR} if name == "cICP" else {}))
    raw = path.read_bytes()
    path.write_bytes(raw[:33] + b"".join(parts) + raw[33:])
    pixels, said = read(path)
    assert np.abs(np.array(pixels) - in_srgb(COLOURS, exponent, points)[0]).max() <= 2 and said == []


def test_deep_pixels_of_a_few_bits_and_inks_without_a_profile_are_said(tmp_path: Path) -> None:
    pillow.fromarray(GREYS.astype(np.uint16) * 16).save(tmp_path / "a.tif")
    pixels, said = read(tmp_path / "a.tif")
    assert [one[0] for one in pixels] == [0, 4, 12, 16]  # 16 v / 257
    assert said == [
        f"the brightest pixel of {tmp_path / 'a.tif'} is 4080 of 65535, so that it is dark; if its pixels have fewer "
        "bits (12), scale them"
    ]
    pillow.new("CMYK", (1, 1), (0, 255, 255, 0)).save(tmp_path / "b.tif")
    pixels, said = read(tmp_path / "b.tif")
    assert pixels == [[255, 0, 0]]
    assert said == [f"{tmp_path / 'b.tif'} is of inks (CMYK) without a colour profile; its colours are guessed"]


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


def test_fourth_bytes_of_a_bmp_file_that_differ_are_said(tmp_path: Path) -> None:
    path, colours = tmp_path / "a.bmp", [[10, 20, 30], [40, 50, 60]]
    for fourth, told in (((0, 0), []), ((255, 255), []), ((0, 255), [f"{path} has 1 band(s) beside its colours"])):
        pixels = bytes(byte for (r, g, b), more in zip(colours, fourth, strict=True) for byte in (b, g, r, more))
        head = b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54)
        path.write_bytes(head + struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 32, 0, len(pixels), 0, 0, 0, 0) + pixels)
        pixels_read, said = read(path)
        assert pixels_read == colours and [one.partition(",")[0] for one in said] == told


def test_bands_beside_the_colours_are_said(tmp_path: Path) -> None:
    pixels = bytes(range(10, 170, 10))
    path = tiff(tmp_path / "a.tif", {258: (3, 8), 262: (3, 2), 277: (3, 4), 338: (3, 0)}, pixels)
    wanted = [list(pixels[start : start + 3]) for start in range(0, 16, 4)]
    assert read(path) == (wanted, [f"{path} has 1 band(s) beside its colours, which are left out"])


@pytest.mark.parametrize("order", ["<", ">"])
def test_bands_of_sixteen_bits_that_stand_one_after_the_other(tmp_path: Path, order: str) -> None:
    """PlanarConfiguration 2 without compression, of which Pillow takes bytes for samples."""
    samples = np.random.default_rng(0).integers(0, 1 << 16, (3, 4, 5), dtype=np.uint16)
    data, count = samples.astype(f"{order}u2").tobytes(), 10
    behind = 8 + 2 + 12 * count + 4
    place = behind + 6 + 12 + 12
    entries = [
        *((256, 3, 1, 5), (257, 3, 1, 4), (258, 3, 3, behind), (259, 3, 1, 1), (262, 3, 1, 2)),
        *((273, 4, 3, behind + 6), (277, 3, 1, 3), (278, 3, 1, 4), (279, 4, 3, behind + 18), (284, 3, 1, 2)),
    ]
    raw = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, count)
    for tag, kind, many, value in entries:
        raw += struct.pack(f"{order}HHI", tag, kind, many)
        raw += struct.pack(f"{order}HH", value, 0) if kind == 3 and many == 1 else struct.pack(f"{order}I", value)
    raw += struct.pack(f"{order}I", 0) + struct.pack(f"{order}3H", 16, 16, 16)
    raw += struct.pack(f"{order}3I", *(place + 40 * band for band in range(3))) + struct.pack(f"{order}3I", 40, 40, 40)
    (tmp_path / "a.tif").write_bytes(raw + data)
    assert np.array_equal(
        Image.load(tmp_path / "a.tif").pixels.numpy(), ((samples.astype(int) + 128) // 257).transpose(1, 2, 0)
    )
