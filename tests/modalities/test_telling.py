"""What is told of media that are changed on their way to a tokenizer, once a file, and of nothing else."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

import tokenmask
from tokenmask.demo import items
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.image import Image, ImageTokenizer, ImageTokenizerConfig
from tokenmask.modalities.motion import MotionClip, save_bvh
from tokenmask.modalities.telling import stretched
from tokenmask.modalities.video import VideoClip, VideoTokenizer
from tokenmask.tokenizer import Tokenizer, load_tokenizer

SMALL = ImageTokenizerConfig(size=16, codes=16, width=16, latent=4, blocks=0)


@pytest.fixture(scope="module")
def images() -> ImageTokenizer:
    return ImageTokenizer.fit(
        [Image(torch.full((16, 16, 3), 50 * number, dtype=torch.uint8)) for number in range(4)],
        config=SMALL,
        steps=1,
        batch_size=2,
        progress=False,
    )


def said(tokenizer: Tokenizer, media: object) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tokenizer.encode(media)
    assert {one.filename for one in caught} <= {__file__}
    return [str(one.message) for one in caught]


def test_pictures_that_change_their_shape(tmp_path: Path, images: ImageTokenizer) -> None:
    path = tmp_path / "a.png"
    for height, width, told in ((32, 32, False), (33, 32, False), (32, 64, True), (16, 9, True)):
        made = Image(torch.zeros(height, width, 3, dtype=torch.uint8))
        made.save(path)
        wanted = [f"{path} is stretched from {width} x {height} to 16 x 16 pixels for this ImageTokenizer"] * told
        assert said(images, Image.load(path)) == wanted and said(images, made) == []
        assert Image.load(path) == made


def test_films_that_change_their_shape_and_rate(tmp_path: Path, images: ImageTokenizer) -> None:
    path, tokenizer = tmp_path / "a.webp", VideoTokenizer.around(images, frame_rate_hz=10.0, step=2)
    VideoClip(torch.arange(8, dtype=torch.uint8).view(8, 1, 1, 1).expand(8, 16, 20, 3) * 30, 25.0).save(path)
    assert said(tokenizer, VideoClip.load(path)) == [
        f"{path} is stretched from 20 x 16 to 16 x 16 pixels and is played at 10 instead of 25 frames a second for "
        "this VideoTokenizer"
    ]


def test_motions_of_other_bodies_and_rates(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(Path(tokenmask.__file__).parent / "weights/tokenizers/motion")
    clip = items.motions()[0].held_out.resample(30.0)
    clip.save(tmp_path / "a.safetensors")
    assert said(tokenizer, MotionClip.load(tmp_path / "a.safetensors")) == []
    save_bvh(clip.resample(60.0), tmp_path / "a.bvh")
    told = f"{tmp_path / 'a.bvh'} is resampled from 60 to 30 Hz for this MotionTokenizer"
    assert said(tokenizer, MotionClip.load(tmp_path / "a.bvh"))[-1:] == [told]
    assert said(tokenizer, clip.resample(60.0)) == []


def test_the_line_of_the_caller_is_blamed_however_deep_the_reader_is(tmp_path: Path) -> None:
    """Pictures are read by a method of a method, sound by a function, codes of EEG inside of torch.no_grad."""
    pillow = pytest.importorskip("PIL.Image")
    pillow.new("CMYK", (4, 4)).save(tmp_path / "a.jpg")
    AudioClip(torch.zeros(1, 400), 8000).save(tmp_path / "a.wav")
    weights = Path(tokenmask.__file__).parent / "weights/tokenizers"
    eeg = load_tokenizer(weights / "eeg")
    recording = items.recordings()[0][0].resample(90.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Image.load(tmp_path / "a.jpg")
        AudioClip.load(tmp_path / "a.wav")
        eeg.encode(recording)
    assert [one.filename for one in caught] == [__file__] * 3, caught
    said = [str(one.message) for one in caught]
    assert "a.jpg is of inks (CMYK)" in said[0] and "a.wav: " in said[1] and "is resampled to the" in said[2]
    assert len({one.lineno for one in caught}) == 3


def test_a_pixel_more_is_no_stretch() -> None:
    assert stretched((100, 103), 32) == [] and len(stretched((100, 104), 32)) == 1
