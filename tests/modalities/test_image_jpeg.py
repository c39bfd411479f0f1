"""JPEG files are decoded once, to the pixels of Pillow."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as pillow
from PIL import ImageCms

from tests.modalities.test_image_damage import JPEGS, outcome, scene, written
from tokenmask.modalities.image import Image

SAMPLED = ("4:4:4", "4:2:2", "4:2:0", "4:1:1")
SIZES = ((1, 1), (1, 9), (9, 1), (8, 8), (17, 33), (31, 16), (65, 127))


def loaded(path: Path, data: bytes) -> Any:
    path.write_bytes(data)
    return Image.load(path).pixels


@pytest.mark.parametrize("sampled", SAMPLED)
@pytest.mark.parametrize("progressive", [False, True])
def test_pixels_are_those_of_pillow_whatever_the_size_and_the_samples(
    tmp_path: Path, sampled: str, progressive: bool
) -> None:
    for width, height in SIZES:
        for quality in (20, 75, 100):
            picture = scene(height, width)
            data = written("JPEG", picture, subsampling=sampled, progressive=progressive, quality=quality)
            for held in (data, written("JPEG", picture.convert("L"), progressive=progressive, quality=quality)):
                wanted = Image.from_pillow(pillow.open(io.BytesIO(held))).pixels
                assert torch.equal(loaded(tmp_path / "a.jpg", held), wanted)


def test_stored_colours_turns_profiles_and_inks_are_those_of_pillow(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    upright = scene(40, 60)
    for number in range(1, 9):
        exif = pillow.Exif()
        exif[274] = number
        data = written("JPEG", upright, exif=exif, icc_profile=profile)
        wanted = Image.from_pillow(pillow.open(io.BytesIO(data))).pixels
        assert torch.equal(loaded(tmp_path / "a.jpg", data), wanted)
        assert wanted.shape == ((60, 40, 3) if number > 4 else (40, 60, 3))
    kept = written("JPEG", upright, keep_rgb=True)
    assert torch.equal(loaded(tmp_path / "a.jpg", kept), Image.from_pillow(pillow.open(io.BytesIO(kept))).pixels)
    inks = written("JPEG", upright.convert("CMYK"), quality=95)
    with pytest.warns(UserWarning, match="of inks"):
        assert torch.equal(loaded(tmp_path / "a.jpg", inks), Image.from_pillow(pillow.open(io.BytesIO(inks))).pixels)


@pytest.mark.parametrize("name", JPEGS)
def test_pillow_decodes_none_that_is_whole(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its decoder is not asked, but for what libjpeg warns of."""
    asked: list[str] = []
    decoder = pillow._getdecoder

    def getdecoder(mode: str, name: str, *args: Any) -> Any:
        asked.extend([name] if name != "raw" else [])
        return decoder(mode, name, *args)

    monkeypatch.setattr(pillow, "_getdecoder", getdecoder)
    data = written("JPEG", **JPEGS[name])
    assert outcome(tmp_path / "a.jpg", data) == "read" and asked == []
    assert "its data" in outcome(tmp_path / "a.jpg", data[: len(data) // 2] + b"\xff\xd9") and asked == ["jpeg"]


def test_a_file_whose_first_scan_lacks_a_colour_is_not_taken_for_whole(tmp_path: Path) -> None:
    """Scans of one colour each: what came first is told from what never came."""
    data = written("JPEG", progressive=True)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    assert outcome(tmp_path / "a.jpg", data) == "read"
    assert "its last scans are missing" in outcome(tmp_path / "a.jpg", data[: scans[2]] + b"\xff\xd9")
