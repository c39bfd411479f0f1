"""Clips and their codes: films that decord decodes, files that come back, the contract, rates, kept parts, figures."""

from __future__ import annotations

import io
import struct
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tokenmask.modalities.image import Image, ImageTokenizer, ImageTokenizerConfig
from tokenmask.modalities.learned import stored
from tokenmask.modalities.video import VideoClip, VideoTokenizer, VideoTokenizerConfig
from tokenmask.modalities.video import media as video_clip
from tokenmask.modalities.video import tokenizer as video
from tokenmask.streams import TokenStream
from tokenmask.testing import tokenizer_checks
from tokenmask.tokenizer import load_tokenizer

from .contract import each_check, run_check

SMALL = ImageTokenizerConfig(size=16, codes=32, width=64, latent=4, blocks=1)
CONFIG = VideoTokenizerConfig(SMALL, frame_rate_hz=12.0, step=2)


def clip(images: list[Image], frames: int, rate: float = 12.0, size: int = 16, first: int = 0) -> VideoClip:
    """An emoji that moves to the right, another one every three frames."""
    pictures = [images[first + number // 3].resize(size, size).pixels.roll(number, 1) for number in range(frames)]
    return VideoClip(torch.stack(pictures), rate)


@pytest.fixture(scope="module")
def tokenizer(emoji: list[Image]) -> VideoTokenizer:
    clips = [clip(emoji, 12, first=5 * number) for number in range(40)]
    return VideoTokenizer.fit(clips, config=CONFIG, steps=60, seed=1, progress=False)


def items(images: list[Image]) -> list[VideoClip]:
    return [
        clip(images, 1),
        clip(images, 7, first=3),
        clip(images, 5, rate=30000 / 1001, size=23, first=6),
        clip(images, 4, rate=7.5, first=9),
    ]


@each_check
def test_contract(name: str, tokenizer: VideoTokenizer, held_out_emoji: list[Image]) -> None:
    run_check(name, list(tokenizer_checks(tokenizer, items(held_out_emoji), suffix=".png")))


# Files ----------------------------------------------------------------------------------------------------------------


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def listed(name: bytes, *parts: bytes) -> bytes:
    return chunk(b"LIST", name + b"".join(parts))


def write_avi(path: Path, frames: Tensor, scale: int, rate: int) -> None:
    """A film of JPEG pictures in a RIFF file, as cameras write it: rate / scale frames a second."""
    count, height, width, _ = frames.shape
    pictures = []
    for frame in frames:
        held = io.BytesIO()
        Image(frame).to_pillow().save(held, "JPEG", quality=95, subsampling=0)
        pictures.append(held.getvalue())
    largest = max(map(len, pictures))
    header = struct.pack(
        "<14I",
        1_000_000 * scale // rate,
        largest * rate // scale,
        0,
        0x10,
        count,
        0,
        1,
        largest,
        width,
        height,
        *[0] * 4,
    )
    stream = b"vidsMJPG" + struct.pack(
        "<IHHIIIIIIIIHHHH", 0, 0, 0, 0, scale, rate, 0, count, largest, 0xFFFFFFFF, 0, 0, 0, width, height
    )
    bitmap = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", 3 * width * height, 0, 0, 0, 0)
    about = listed(b"hdrl", chunk(b"avih", header), listed(b"strl", chunk(b"strh", stream), chunk(b"strf", bitmap)))
    chunks = [chunk(b"00dc", picture) for picture in pictures]
    index, place = b"", 4
    for picture, one in zip(pictures, chunks, strict=True):
        index += b"00dc" + struct.pack("<III", 0x10, place, len(picture))
        place += len(one)
    path.write_bytes(chunk(b"RIFF", b"AVI " + about + listed(b"movi", *chunks) + chunk(b"idx1", index)))


@pytest.mark.parametrize(("scale", "rate", "size"), [(1, 25, 64), (1001, 30000, 50), (1, 10, 48), (1, 10, 16)])
def test_films_are_decoded(tmp_path: Path, held_out_emoji: list[Image], scale: int, rate: int, size: int) -> None:
    pytest.importorskip("decord", reason="decord, which decodes films, is not installed")
    shown = clip(held_out_emoji, 11, size=size)
    write_avi(tmp_path / "a.avi", shown.frames, scale, rate)
    film = VideoClip.load(tmp_path / "a.avi")
    assert film.frames.shape == shown.frames.shape
    assert film.frame_rate_hz == pytest.approx(rate / scale, rel=1e-4)
    errors = (film.frames.float() - shown.frames.float()).flatten(1).square().mean(1).sqrt()
    assert float(errors.max()) < 12  # JPEG; frames that differ do so by 40 and more
    other = (film.frames.float() - shown.frames.roll(1, 0).float()).flatten(1).square().mean(1).sqrt()
    assert float(other.min()) > 2 * float(errors.max())
    whole = (tmp_path / "a.avi").read_bytes()
    many = whole.index(b"vidsMJPG") + 32  # a number of frames for which a decoder would look for memory in vain
    lying = whole[:many] + b"\x00\x00\x00\x80" + whole[many + 4 :]
    damages = {"empty": b"", "head": whole[:100], "noise": b"no film" * 50, "lying": lying}
    for name, damaged in damages.items():
        (tmp_path / f"{name}.avi").write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"{name}\.avi must be (a whole video file|.* no bytes)") as caught:
            VideoClip.load(tmp_path / f"{name}.avi")
        assert "\n" not in str(caught.value)


def test_without_decord_one_sentence_says_so(
    tmp_path: Path, held_out_emoji: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_avi(tmp_path / "a.avi", clip(held_out_emoji, 3).frames, 1, 10)
    monkeypatch.setitem(sys.modules, "decord", None)
    with pytest.raises(ImportError, match=r"decord, which is not installed; run `pip install decord`"):
        VideoClip.load(tmp_path / "a.avi")
    clip(held_out_emoji, 3).save(tmp_path / "a.gif")
    assert len(VideoClip.load(tmp_path / "a.gif").frames) == 3


def test_animations_keep_frames_that_stand_still(tmp_path: Path, held_out_emoji: list[Image]) -> None:
    moving = clip(held_out_emoji, 6, rate=20.0)
    still = VideoClip(moving.frames[[0, 0, 0, 1, 2, 2, 3]], 20.0)
    for suffix in (".webp", ".gif"):
        still.save(tmp_path / f"a{suffix}")
        back = VideoClip.load(tmp_path / f"a{suffix}")
        assert (len(back.frames), back.frame_rate_hz) == (7, 20.0)
        error = (back.frames.float() - still.frames.float()).square().mean().sqrt()
        assert float(error) <= (0 if suffix == ".webp" else 8)
    assert {file.name for file in tmp_path.iterdir()} == {"a.webp", "a.gif"}


def test_strips_are_pictures_of_all_frames(tmp_path: Path, held_out_emoji: list[Image]) -> None:
    shown = clip(held_out_emoji, 5, rate=30000 / 1001)
    shown.save(tmp_path / "a.png")
    assert torch.equal(Image.load(tmp_path / "a.png").pixels, shown.frames.flatten(0, 1))
    assert VideoClip.load(tmp_path / "a.png") == shown
    held_out_emoji[0].save(tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"b\.png is a picture, not a strip"):
        VideoClip.load(tmp_path / "b.png")


@pytest.mark.parametrize("suffix", [".png", ".webp", ".gif"])
def test_cut_files_are_one_sentence(tmp_path: Path, held_out_emoji: list[Image], suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    clip(held_out_emoji, 6).save(path)
    whole = path.read_bytes()
    for size in (0, 20, 100, len(whole) // 2):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"must be (a whole (video|image) file|.* no bytes)") as caught:
            VideoClip.load(path)
        assert "\n" not in str(caught.value)


def test_wrong_clips_are_one_sentence(
    tmp_path: Path, held_out_emoji: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = clip(held_out_emoji, 2)
    with pytest.raises(ValueError, match="is none; check the path"):
        VideoClip.load(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match=r"must end in \.png, \.webp or \.gif, got 'a\.mp4'"):
        small.save(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match=r"uint8 \[time, height, width, 3\], got uint8 \[0, 2, 2, 3\]"):
        VideoClip(torch.zeros(0, 2, 2, 3, dtype=torch.uint8), 5.0)
    for rate in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="frame_rate_hz must be positive"):
            replace(small, frame_rate_hz=rate)
    small.save(tmp_path / "a.gif")
    write_avi(tmp_path / "a.avi", small.frames, 1, 10)
    monkeypatch.setattr(video_clip, "MAX_PIXELS", 2 * 16 * 16 - 1)
    monkeypatch.setattr(video_clip, "MAX_FRAME_PIXELS", 2 * 16 * 16 - 1)
    for name in ("a.gif", "a.avi"):
        with pytest.raises(ValueError, match=r"up to 511 pixels in all frames, but .* has 2 x 16 x 16"):
            VideoClip.load(tmp_path / name)
    with pytest.raises(ValueError, match="a strip may have up to 511 pixels"):
        small.save(tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()


# Codes ----------------------------------------------------------------------------------------------------------------


def test_spec_and_the_image_tokenizer_inside(tmp_path: Path, emoji: list[Image], held_out_emoji: list[Image]) -> None:
    images = ImageTokenizer.fit(emoji[:30], config=SMALL, steps=2, progress=False)
    wrapped = VideoTokenizer.around(images, frame_rate_hz=30.0, step=3)
    spec = wrapped.spec
    assert (spec.modality, spec.codebook_sizes, spec.axes) == ("video", (32,), ("time", "row", "column"))
    assert (spec.grid, spec.rate_hz) == ((None, 4, 4), 10.0)
    assert spec.fingerprint != images.spec.fingerprint
    assert spec.fingerprint != VideoTokenizer.around(images, frame_rate_hz=30.0, step=2).spec.fingerprint
    shown = clip(held_out_emoji, 7, rate=30.0)
    codes = wrapped.encode(shown).codes
    assert codes.shape == (3, 4, 4, 1)
    for time in range(3):
        assert torch.equal(codes[time], images.encode(Image(shown.frames[3 * time])).codes)
    decoded = wrapped.decode(wrapped.encode(shown))
    assert (len(decoded.frames), decoded.frame_rate_hz, decoded.duration_seconds) == (9, 30.0, 0.3)
    assert torch.equal(decoded.frames[4], images.decode(images.encode(Image(shown.frames[3]))).pixels)
    wrapped.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tokenizer.json", "weights.safetensors"]
    loaded = load_tokenizer(tmp_path)
    assert isinstance(loaded, VideoTokenizer)
    assert loaded.config == wrapped.config


def test_parts_that_begin_at_a_coded_frame_have_the_codes_of_the_whole(
    tokenizer: VideoTokenizer, held_out_emoji: list[Image]
) -> None:
    whole = clip(held_out_emoji, 11)
    parts = [tokenizer.encode(replace(whole, frames=part)).codes for part in whole.frames.split([4, 6, 1])]
    assert torch.equal(torch.cat(parts), tokenizer.encode(whole).codes)


@pytest.mark.parametrize(
    ("rate", "frames", "shown"),
    [
        (24.0, 6, [0, 2, 4]),
        (6.0, 2, [0, 0, 1, 1]),
        (18.0, 4, [0, 1, 3]),
        (0.5, 1, [0] * 24),
        (1200.0, 1, [0]),
        (12 * 1001 / 1000, 5, [0, 1, 2, 3, 4]),
    ],
)
def test_other_rates_take_the_frame_that_is_on(rate: float, frames: int, shown: list[int]) -> None:
    numbered = torch.arange(frames, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 2, 2, 3)
    made = video._resampled(VideoClip(numbered, rate), 12.0, True)
    assert made.frames[:, 0, 0, 0].tolist() == shown
    assert made.frame_rate_hz == 12.0


def test_what_the_configuration_refuses(tokenizer: VideoTokenizer, held_out_emoji: list[Image]) -> None:
    strict = VideoTokenizer(
        VideoTokenizerConfig(replace(SMALL, resize=False), 12.0, 2, resample=False), stored(tokenizer._network)
    )
    assert strict.encode(clip(held_out_emoji, 3)).grid == (2, 4, 4)
    with pytest.raises(ValueError, match=r"must have 12 frames a second, got .*24 a second"):
        strict.encode(clip(held_out_emoji, 3, rate=24.0))
    with pytest.raises(ValueError, match="images must be 16 x 16 pixels"):
        strict.encode(clip(held_out_emoji, 3, size=20))
    for change in ({"frame_rate_hz": 0.0}, {"step": 0}):
        with pytest.raises(ValueError, match="needs frame_rate_hz above 0 and step >= 1"):
            replace(CONFIG, **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="evaluate needs at least one clip"):
        tokenizer.evaluate([])
    empty = TokenStream(tokenizer.spec, torch.zeros(0, 4, 4, 1, dtype=torch.int32))
    with pytest.raises(ValueError, match="at least one time"):
        tokenizer.decode(empty)


def test_kept_parts_are_those_of_the_given_clip(tokenizer: VideoTokenizer, held_out_emoji: list[Image]) -> None:
    given = clip(held_out_emoji, 5)
    stream = tokenizer.encode(clip(held_out_emoji, 6, first=20))
    plain = tokenizer.decode(stream)
    times = torch.tensor([False, True, False])
    mixed = tokenizer.decode(stream, given=given, keep=times)
    assert mixed.stream == stream
    assert len(mixed.frames) == 5
    assert torch.equal(mixed.frames[2:4], given.frames[2:4])
    assert torch.equal(mixed.frames[[0, 1, 4]], plain.frames[[0, 1, 4]])
    places = torch.zeros(3, 4, 4, dtype=torch.bool)
    places[0, 1, 2] = True
    mixed = tokenizer.decode(stream, given=given, keep=places)
    assert torch.equal(mixed.frames[:2, 4:8, 8:12], given.frames[:2, 4:8, 8:12])
    mixed.frames[:2, 4:8, 8:12] = plain.frames[:2, 4:8, 8:12]
    assert torch.equal(mixed.frames, plain.frames[:5])
    longer = tokenizer.decode(stream, given=clip(held_out_emoji, 3), keep=~times)  # goes on where it is over
    assert torch.equal(longer.frames[:2], given.frames[:2]) and torch.equal(longer.frames[2:], plain.frames[2:])
    refused: list[tuple[dict[str, Any], str]] = [
        ({"given": given}, "given and keep belong together"),
        ({"given": given, "keep": places[:2]}, r"keep must be bool \[3\] or \[3, 4, 4\], got bool \[2, 4, 4\]"),
        ({"given": given, "keep": times.long()}, "got int64"),
        ({"given": clip(held_out_emoji, 7), "keep": times}, "no more times than the stream, got 4 and 3"),
    ]
    for options, message in refused:
        with pytest.raises(ValueError, match=message):
            tokenizer.decode(stream, **options)


def test_figures(tokenizer: VideoTokenizer, held_out_emoji: list[Image]) -> None:
    figures = tokenizer.evaluate([clip(held_out_emoji, 8, first=first) for first in (0, 4, 8)])
    assert figures["bits_per_second"] == 16 * 5 * 6
    assert 12 < figures["all_frames_psnr_db"] < figures["psnr_db"] < 30
    assert figures["codes_used_share"] > 0.3
    still = VideoClip(held_out_emoji[0].resize(16, 16).pixels.expand(6, -1, -1, -1), 12.0)
    figures = tokenizer.evaluate([still])
    assert figures["all_frames_psnr_db"] == pytest.approx(figures["psnr_db"])


@pytest.mark.parametrize("name", ["h264.mp4", "mpeg4.m4v", "vp9.webm", "mpeg1.mpg"])
def test_films_of_other_programs_have_the_frames_that_were_given_to_them(name):
    clip = VideoClip.load(Path(__file__).parents[1] / "faults/films" / name)
    across, down = torch.arange(48).expand(32, 48), torch.arange(32)[:, None].expand(32, 48)
    wanted = [torch.stack([(5 * across + 20 * i) % 256, 7 * down, torch.full_like(down, 40 * i)], -1) for i in range(6)]
    assert clip.frames.shape == (6, 32, 48, 3) and clip.frame_rate_hz == (24 if name.endswith("mpg") else 12)
    for made, frame in zip(clip.frames, wanted, strict=True):
        inner = (made.float() - frame).abs()
        assert float(inner[..., 1:].mean()) < 20 and float(inner.median()) < 12  # the red edge is blurred
