"""Pictures as programs write them: colour profiles, floats, deep integers."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pillow
from PIL import ImageCms, PngImagePlugin

from tokenmask.modalities.image import Image
from tokenmask.modalities.image.media import moves

D65 = (0.3127, 0.3290)
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
PRIMARIES = {"adobe": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), "p3": ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))}
PCS = {  # the same primaries, adapted to D50 (Bradford), as ICC profiles hold them: published values
    "adobe": ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
    "p3": ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
}
COLOURS = np.array([[(200, 60, 60), (60, 180, 75)], [(60, 80, 200), (128, 128, 128)]], dtype=np.uint8)


def fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def icc(tags: dict[bytes, bytes], space: bytes = b"RGB ", name: bytes = b"test") -> bytes:
    """A version 2 profile of a screen with these tags."""
    text = b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + b"\0" + bytes(78)
    tags = {b"desc": text, b"cprt": b"text\0\0\0\0none\0", b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249), **tags}
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = bytes(4) + struct.pack(">I", 0x02100000) + b"mntr" + space + b"XYZ "
    head = bytes(4) + bytes(4) + head[4:8] + head[8:20] + bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1, 0.8249)
    head = head.ljust(128, b"\0")
    whole = head + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def screen(name: str) -> bytes:
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    points = {b"rgb"[i : i + 1] + b"XYZ": b"XYZ \0\0\0\0" + fixed(*PCS[name][i]) for i in range(3)}
    return icc(points | {letter + b"TRC": curve for letter in (b"r", b"g", b"b")})


def to_xyz(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    white = np.array([D65[0] / D65[1], 1, (1 - sum(D65)) / D65[1]])
    return columns * np.linalg.solve(columns, white)


def srgb(colours: np.ndarray, name: str) -> np.ndarray:
    """By hand, without a profile: both kinds of colours have the white of D65."""
    light = (colours / 255) ** (round(2.2 * 256) / 256) @ (np.linalg.inv(to_xyz(SRGB)) @ to_xyz(PRIMARIES[name])).T
    light = light.clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("name", ["adobe", "p3"])
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".jpg"])
def test_profiles_become_srgb(tmp_path: Path, suffix: str, name: str) -> None:
    path = tmp_path / f"a{suffix}"
    options = {".webp": {"lossless": True}, ".jpg": {"quality": 100, "subsampling": 0}}.get(suffix, {})
    whole = COLOURS.repeat(16, 0).repeat(16, 1)  # one colour a block of JPEG
    pillow.fromarray(whole).save(path, icc_profile=screen(name), **options)
    error = np.abs(Image.load(path).pixels.numpy()[8::16, 8::16] - srgb(COLOURS, name))
    assert error.max() < (5 if suffix == ".jpg" else 2)
    assert np.abs(COLOURS - srgb(COLOURS, name)).max() > 12  # what was lost without it


def test_profiles_under_transparency_palettes_and_grey(tmp_path: Path) -> None:
    clear = np.concatenate([COLOURS, np.full((2, 2, 1), 255, np.uint8)], 2)
    clear[1, 1, 3] = 0
    wanted = srgb(COLOURS, "adobe")
    wanted[1, 1] = 255
    for picture in (pillow.fromarray(clear, "RGBA"), pillow.fromarray(clear, "RGBA").quantize(4)):
        picture.save(tmp_path / "a.png", icc_profile=screen("adobe"))
        assert np.abs(Image.load(tmp_path / "a.png").pixels.numpy() - wanted).max() < 3
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 256) + b"\0\0"  # linear: a value is a share of the light
    grey = np.array([[0, 55, 128, 255]], dtype=np.uint8)
    pillow.fromarray(grey).save(tmp_path / "g.png", icc_profile=icc({b"kTRC": curve}, b"GRAY"))
    light = grey[0] / 255
    shown = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(Image.load(tmp_path / "g.png").pixels.numpy()[0] - shown[:, None]).max() < 2


BRADFORD_SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))


def named_srgb(gamma: float, points: tuple[tuple[float, ...], ...], name: bytes) -> bytes:
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = {b"rgb"[i : i + 1] + b"XYZ": b"XYZ \0\0\0\0" + fixed(*points[i]) for i in range(3)}
    return icc(tags | {letter + b"TRC": curve for letter in (b"r", b"g", b"b")}, name=name)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_profile_is_known_by_what_it_does_not_by_its_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    linear = named_srgb(1, BRADFORD_SRGB, b"sRGB linear")
    pillow.fromarray(COLOURS).save(path, icc_profile=linear)
    light = COLOURS / 255
    wanted = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(Image.load(path).pixels.numpy() - wanted).max() < 2 and np.abs(COLOURS - wanted).max() > 50
    wide = named_srgb(2.2, PCS["p3"], b"sRGB IEC61966-2.1 wide")
    pillow.fromarray(COLOURS).save(path, icc_profile=wide)
    assert np.abs(Image.load(path).pixels.numpy() - srgb(COLOURS, "p3")).max() < 2
    grey = COLOURS[:, :, 0].copy()
    pillow.fromarray(grey).save(path, icc_profile=linear)  # a grey with a profile of colours
    assert np.abs(Image.load(path).pixels.numpy() - wanted[:, :, :1]).max() < 2
    values = np.arange(4096) / 4095
    decoded = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    curve = b"curv\0\0\0\0" + struct.pack(">I", 4096) + np.rint(decoded * 65535).astype(">u2").tobytes()
    tags = {b"rgb"[i : i + 1] + b"XYZ": b"XYZ \0\0\0\0" + fixed(*BRADFORD_SRGB[i]) for i in range(3)}
    tags |= {letter + b"TRC": curve for letter in (b"r", b"g", b"b")}
    every = np.arange(768, dtype=np.uint8).reshape(16, 16, 3)
    pillow.fromarray(every).save(path, icc_profile=icc(tags, name=b"some screen"))
    assert np.array_equal(Image.load(path).pixels.numpy(), every)  # sRGB by another name: not even rounded


def test_an_srgb_profile_changes_nothing_and_a_broken_one_is_said(tmp_path: Path) -> None:
    whole = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pillow.fromarray(COLOURS).save(tmp_path / "a.png", icc_profile=whole)
    assert np.array_equal(Image.load(tmp_path / "a.png").pixels.numpy(), COLOURS)
    for broken in (b"no profile", screen("adobe")[:150], icc({}, b"GRAY")):
        pillow.fromarray(COLOURS).save(tmp_path / "b.png", icc_profile=broken)
        with pytest.warns(UserWarning, match=r"colour profile of .*b\.png .* cannot be used .*taken as sRGB"):
            assert np.array_equal(Image.load(tmp_path / "b.png").pixels.numpy(), COLOURS)


def test_floats_and_deep_integers_have_their_values_or_are_refused_by_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    values = np.array([[0, 0.25, 0.98, 1]], dtype=np.float32)
    pillow.fromarray(values).save(path)
    assert Image.load(path).pixels[0, :, 1].tolist() == np.rint(values[0].astype(np.float64) * 255).tolist()
    for wrong in (values * 256, values * 15.9, values - 0.5, values * np.nan):
        pillow.fromarray(wrong.astype(np.float32)).save(path)
        with pytest.raises(
            ValueError, match=r"a\.tif .*pixels are floats from .* floats from 0 to 1 or to 255 are known"
        ):
            Image.load(path)
    pillow.fromarray(np.array([[0, 257, 32896, 65535]], dtype=np.uint16)).save(path)
    assert Image.load(path).pixels[0, :, 1].tolist() == [0, 1, 128, 255]
    pillow.fromarray(np.array([[0, 257, 200_000]], dtype=np.int32)).save(path)
    with pytest.raises(ValueError, match="integers with a sign or 32 bits from 0 to 200000"):
        Image.load(path)
    pillow.fromarray(np.array([[0, 100]], dtype=np.int32)).save(path)  # would all be black as 16 bits
    with pytest.raises(ValueError, match="integers with a sign or 32 bits from 0 to 100"):
        Image.load(path)


@pytest.mark.parametrize("suffix", [".tif", ".gif", ".webp", ".png"])
def test_frames_and_pages_after_the_first_are_said(tmp_path: Path, suffix: str) -> None:
    path, colours = tmp_path / f"a{suffix}", [(200, 30, 40), (20, 200, 60), (10, 10, 250)]
    first, *others = (pillow.new("RGB", (8, 8), colour) for colour in colours)
    options = {"lossless": True} if suffix == ".webp" else {}
    first.save(path, save_all=True, append_images=others, **options)
    with pytest.warns(UserWarning, match=rf"a\{suffix} has 3 frames or pages; the first is taken"):
        pixels = Image.load(path).pixels
    assert pixels[0, 0].tolist() == [200, 30, 40]
    first.save(path, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Image.load(path).pixels[0, 0].tolist() == [200, 30, 40]


@pytest.mark.parametrize("values", [[0, 0.25, 100.5, 254.9], [0, 1, 2, 3], [16, 17.2, 30.6, 40]])
def test_floats_up_to_255_are_grey_of_eight_bits_with_a_word(tmp_path: Path, values: list[float]) -> None:
    path = tmp_path / "a.tif"
    pillow.fromarray(np.array([values], dtype=np.float32)).save(path)
    with pytest.warns(UserWarning) as caught:
        pixels = Image.load(path).pixels
    assert pixels[0, :, 1].tolist() == [round(value) for value in values]
    assert [str(one.message) for one in caught] == [
        f"the pixels of {path} are floats from {min(values):g} to {max(values):g} and are taken as 0 (black) to "
        "255 (white)"
    ]


def test_a_page_behind_the_first_that_has_no_width_is_nothing(tmp_path: Path) -> None:
    """Pillow raises a TypeError when it counts the pages."""
    pages = [pillow.fromarray(np.full((8, 9), value, np.uint8)) for value in (10, 200)]
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    data = bytearray((tmp_path / "a.tiff").read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (fields,) = struct.unpack_from("<H", data, first)
    (second,) = struct.unpack_from("<I", data, first + 2 + 12 * fields)
    assert struct.unpack_from("<H", data, second + 2) == (256,)  # the width
    struct.pack_into("<H", data, second + 2, 255)
    (tmp_path / "a.tiff").write_bytes(data)
    assert Image.load(tmp_path / "a.tiff").pixels[..., 0].unique().tolist() == [10] and not moves(tmp_path / "a.tiff")


def test_a_long_text_within_a_file_costs_no_picture(tmp_path: Path) -> None:
    about = PngImagePlugin.PngInfo()
    about.add_text("workflow", "x" * 3_000_000, zip=True)
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    pillow.fromarray(pixels).save(tmp_path / "a.png", pnginfo=about)
    before = PngImagePlugin.MAX_TEXT_CHUNK
    assert np.array_equal(Image.load(tmp_path / "a.png").pixels.numpy(), pixels)
    assert before == PngImagePlugin.MAX_TEXT_CHUNK < 3_000_000


def test_a_decoder_that_asks_for_too_much_memory_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As OpenJPEG's does where damage announces samples that are not there."""
    pillow.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.png")

    def greedy(self: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", greedy)
    with pytest.raises(ValueError, match=r"a\.png must be a whole image file, .*\(it asks for more memory than"):
        Image.load(tmp_path / "a.png")
