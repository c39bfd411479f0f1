"""Pictures and their codes: files, sizes, kept pixels, bit-equal latents, resumed training, and quality."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as pillow

from tokenmask.modalities.codebook_report import psnr_db
from tokenmask.modalities.image import Image, ImageTokenizer, ImageTokenizerConfig, judging
from tokenmask.modalities.image import media as picture_module
from tokenmask.modalities.image import tokenizer as image
from tokenmask.modalities.image.network import to_network
from tokenmask.modalities.learned import doubled, stored
from tokenmask.modalities.principal import axes_of
from tokenmask.tensor_files import load_tensors
from tokenmask.tokenizer import stream_of

from .contract import goes_on_bit_for_bit, refused_resume

TINY = ImageTokenizerConfig(size=16, codes=16, width=16, latent=4, blocks=1)


# The picture ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg", ".PNG", ".bmp"])
def test_files(tmp_path: Path, held_out_emoji: list[Image], suffix: str) -> None:
    path, picture = tmp_path / f"a{suffix}", held_out_emoji[3]
    picture.save(path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    error = (Image.load(path).pixels.float() - picture.pixels.float()).square().mean().sqrt()
    assert error < (16 if suffix in (".jpg", ".webp") else 1e-9)


def test_all_kinds_of_pixels_become_rgb(tmp_path: Path) -> None:
    clear = np.array([[[255, 0, 0, 255], [255, 0, 0, 0]], [[255, 0, 0, 128], [0, 0, 0, 255]]], dtype=np.uint8)
    pillow.fromarray(clear, "RGBA").save(tmp_path / "a.png")
    wanted = [[[255, 0, 0], [255, 255, 255]], [[255, 127, 127], [0, 0, 0]]]
    assert Image.load(tmp_path / "a.png").pixels.tolist() == wanted
    pillow.fromarray(np.array([[0, 257], [32896, 65535]], dtype=np.uint16)).save(tmp_path / "b.png")
    assert Image.load(tmp_path / "b.png").pixels[:, :, 1].tolist() == [[0, 1], [128, 255]]
    pillow.fromarray(np.array([[0, 90]], dtype=np.uint8)).save(tmp_path / "c.png")
    assert Image.load(tmp_path / "c.png").pixels.tolist() == [[[0] * 3, [90] * 3]]
    palette = pillow.fromarray(clear, "RGBA").quantize(4)
    palette.save(tmp_path / "d.png")
    assert Image.load(tmp_path / "d.png").pixels[0, 1].tolist() == [255, 255, 255]
    turned = pillow.fromarray(clear[:1, :, :3])
    exif = pillow.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to see it upright
    turned.save(tmp_path / "e.png", exif=exif)
    assert Image.load(tmp_path / "e.png").pixels.shape == (2, 1, 3)


def test_unreadable_files_are_one_sentence(
    tmp_path: Path, held_out_emoji: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(ValueError, match="is none; check the path"):
        Image.load(path)
    held_out_emoji[0].resize(64, 64).save(path)
    whole = path.read_bytes()
    for size in (0, 10, 40, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"must be a whole image file|it has no bytes") as caught:
            Image.load(path)
        assert "\n" not in str(caught.value)
    path.write_text("no picture")
    with pytest.raises(ValueError, match="must be a whole image file"):
        Image.load(path)
    path.write_bytes(whole)
    monkeypatch.setattr(picture_module, "MAX_PIXELS", 4095)
    with pytest.raises(ValueError, match=r"up to 4095 pixels, but .* is 64 x 64"):
        Image.load(path)
    with pytest.raises(ValueError, match=r"must end in \.png"):
        held_out_emoji[0].save(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"must end in \.png"):
        held_out_emoji[0].save(tmp_path / "a")
    with pytest.raises(ValueError, match=r"uint8 \[height, width, 3\], got float32 \[2, 2, 3\]"):
        Image(torch.zeros(2, 2, 3))
    with pytest.raises(ValueError, match=r"got uint8 \[0, 2, 3\]"):
        Image(torch.zeros(0, 2, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match="height of an image must be at least 1, got 0"):
        held_out_emoji[0].resize(0, 3)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    pillow.new("1", (20_000, 20_000)).save(path)
    with pytest.raises(ValueError, match=r"bomb\.png"):
        Image.load(path)


def test_a_broken_chunk_is_one_sentence(tmp_path: Path, held_out_emoji: list[Image]) -> None:
    path = tmp_path / "a.png"
    held_out_emoji[0].save(path)
    whole = path.read_bytes()
    for place in range(8, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            Image.load(path)
        except ValueError as error:
            message = str(error)
            assert message.startswith(str(path)) or "pixels, but" in message


# Codes ----------------------------------------------------------------------------------------------------------------


def test_spec(image_tokenizer: ImageTokenizer, held_out_emoji: list[Image]) -> None:
    spec = image_tokenizer.spec
    assert (spec.modality, spec.codebook_sizes, spec.axes, spec.grid) == ("image", (128,), ("row", "column"), (8, 8))
    assert image_tokenizer.encode(held_out_emoji[0]).codes.shape == (8, 8, 1)


def test_other_sizes_are_resized_or_refused(image_tokenizer: ImageTokenizer, held_out_emoji: list[Image]) -> None:
    large = held_out_emoji[0].resize(40, 100)
    assert image_tokenizer.encode(large) == image_tokenizer.encode(large.resize(32, 32))
    strict = ImageTokenizer(replace(image_tokenizer.config, resize=False), stored(image_tokenizer._network))
    assert strict.spec.fingerprint != image_tokenizer.spec.fingerprint
    with pytest.raises(
        ValueError, match=r"must be 32 x 32 pixels, got Image\(100 x 40 pixels\); use image\.resize\(32, 32\)"
    ):
        strict.encode(large)


def test_latents_are_bit_equal_alone_in_batches_and_with_threads(
    image_tokenizer: ImageTokenizer, held_out_emoji: list[Image]
) -> None:
    """On latents, not only on codes: a change of the last bit almost never flips a code."""
    network = image_tokenizer._network
    pixels = to_network(torch.stack([image.pixels for image in held_out_emoji[:18]]))
    before, seen = torch.get_num_threads(), []
    try:
        with torch.no_grad():
            for threads in (1, 2):
                torch.set_num_threads(threads)
                for size in (1, 2, 3, 7, 16, 18):
                    parts = [(network.latents(doubled(part)), len(part)) for part in pixels.split(size)]
                    latents = torch.cat([part[:count] for part, count in parts])
                    made = [network.pixels(doubled(part))[: len(part)] for part in latents.split(size)]
                    seen.append((latents, torch.cat(made)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(latents, seen[0][0]) and torch.equal(made, seen[0][1]) for latents, made in seen)


def test_long_lists_go_through_in_parts(
    image_tokenizer: ImageTokenizer, held_out_emoji: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = image_tokenizer.encode_many(held_out_emoji[:9])
    images = image_tokenizer.decode_many(streams)
    monkeypatch.setattr(image, "_TOGETHER", 4 * 32 * 32)
    assert image_tokenizer.encode_many(held_out_emoji[:9]) == streams  # 4, 4 and a lone one
    assert image_tokenizer.decode_many(streams) == images == [image_tokenizer.decode(stream) for stream in streams]


def test_kept_pixels_are_those_of_the_given_image(image_tokenizer: ImageTokenizer, held_out_emoji: list[Image]) -> None:
    given, stream = held_out_emoji[5], image_tokenizer.encode(held_out_emoji[9])
    plain = image_tokenizer.decode(stream)
    keep = torch.zeros(32, 32, dtype=torch.bool)
    keep[:, 10:] = True
    mixed = image_tokenizer.decode(stream, given=given, keep=keep)
    assert torch.equal(mixed.pixels[:, 10:], given.pixels[:, 10:])
    assert torch.equal(mixed.pixels[:, :10], plain.pixels[:, :10])
    assert mixed.stream == stream
    places = torch.zeros(8, 8, dtype=torch.bool)
    places[2, 3] = True
    mixed = image_tokenizer.decode(stream, given=given, keep=places)
    assert torch.equal(mixed.pixels[8:12, 12:16], given.pixels[8:12, 12:16])
    assert torch.equal(mixed.pixels[:8], plain.pixels[:8])
    with pytest.raises(ValueError, match="given and keep belong together"):
        image_tokenizer.decode(stream, given=given)
    with pytest.raises(ValueError, match=r"keep must be bool \[32, 32\] or \[8, 8\], got bool \[16, 16\]"):
        image_tokenizer.decode(stream, given=given, keep=keep[:16, :16])
    with pytest.raises(ValueError, match="got int64"):
        image_tokenizer.decode(stream, given=given, keep=keep.long())
    with pytest.raises(TypeError, match="encodes Image, got Tensor"):
        image_tokenizer.decode(stream, given=given.pixels, keep=keep)  # type: ignore[arg-type]


def test_generated_images_are_not_encoded_again_unless_changed(
    image_tokenizer: ImageTokenizer, held_out_emoji: list[Image]
) -> None:
    made = image_tokenizer.decode(image_tokenizer.encode(held_out_emoji[4]))
    assert stream_of(image_tokenizer, made) is made.stream
    painted = replace(made, pixels=made.pixels.flip(0))  # carries the stream it no longer shows
    assert stream_of(image_tokenizer, painted) == image_tokenizer.encode(painted) != made.stream
    assert stream_of(image_tokenizer, held_out_emoji[4]) == made.stream


# Fitting and storing --------------------------------------------------------------------------------------------------


def test_equal_seeds_give_equal_tokenizers(emoji: list[Image]) -> None:
    def fitted(seed: int) -> str:
        return ImageTokenizer.fit(emoji[:20], config=TINY, steps=4, seed=seed, progress=False).spec.fingerprint

    assert fitted(0) == fitted(0)
    assert fitted(0) != fitted(1)


def test_a_stopped_fit_goes_on_bit_for_bit(tmp_path: Path, emoji: list[Image], monkeypatch: pytest.MonkeyPatch) -> None:
    def fitted(folder: Path, **changes: Any) -> ImageTokenizer:
        settings = {"config": TINY, "steps": 12, "batch_size": 8, "checkpoint_every": 5, **changes}
        return ImageTokenizer.fit(emoji[:30], folder=folder, progress=False, **settings)

    goes_on_bit_for_bit(fitted, tmp_path, monkeypatch, stop_at=8)
    refused_resume(fitted, tmp_path, "resumed with the settings it began with", steps=14)
    refused_resume(fitted, tmp_path, "resumed with the config it began with", config=replace(TINY, flip=False))


def test_loss_falls_and_codes_are_in_use(tmp_path: Path, emoji: list[Image]) -> None:
    ImageTokenizer.fit(emoji, config=TINY, steps=60, batch_size=32, folder=tmp_path, progress=False)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["error_of_variance"] < 0.5 * lines[0]["error_of_variance"]
    assert lines[-1]["codes_used_share"] > 0.5


def test_stored_files_hold_no_moving_averages(tmp_path: Path, image_tokenizer: ImageTokenizer) -> None:
    image_tokenizer.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tokenizer.json", "weights.safetensors"]
    weights = load_tensors(tmp_path / "weights.safetensors")[0]
    assert "quantizer.levels.0.codebook" in weights
    assert not [name for name in weights if "ema" in name]
    values = json.loads((tmp_path / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps(values | {"config": values["config"] | {"sharpen": 1}}))
    with pytest.raises(ValueError, match="a configuration this tokenmask does not know"):
        ImageTokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps(values | {"config": values["config"] | {"blocks": 2}}))
    with pytest.raises(ValueError, match="must fit the configuration in names and shapes"):
        ImageTokenizer.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stride": 3}, "power of two"),
        ({"stride": 1}, "power of two"),
        ({"size": 30}, "divides size"),
        ({"size": 2}, "divides size"),
        ({"width": 0}, "width must be positive"),
        ({"codes": 1}, "a codebook needs"),
    ],
)
def test_settings_out_of_range_are_one_sentence(change: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageTokenizerConfig(**change)


def test_wrong_items_are_one_sentence(emoji: list[Image]) -> None:
    with pytest.raises(ValueError, match="fitting needs 2 images"):
        ImageTokenizer.fit(emoji[:1])
    with pytest.raises(TypeError, match="ImageTokenizer encodes Image, got str"):
        ImageTokenizer.fit([emoji[0], "b"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="evaluate needs at least one image"):
        ImageTokenizer.fit(emoji[:2], config=TINY, steps=1, progress=False).evaluate([])


def test_figures(image_tokenizer: ImageTokenizer, held_out_emoji: list[Image], emoji: list[Image]) -> None:
    figures = image_tokenizer.evaluate(held_out_emoji, emoji[:300])
    assert figures["bits_per_image"] == 64 * 7
    assert 16 < figures["psnr_db"] < 26
    assert 18 < figures["pca_psnr_db"] < 26
    assert 0.15 < figures["codes_used_share"] <= 1
    assert 8 < figures["perplexity"] < 128


@pytest.mark.parametrize("stride", [2, 8])
def test_other_strides(emoji: list[Image], stride: int) -> None:
    config = ImageTokenizerConfig(size=16, stride=stride, codes=16, width=16, latent=4, blocks=0)
    tokenizer = ImageTokenizer.fit(emoji[:4], config=config, steps=1, progress=False)
    stream = tokenizer.encode(emoji[0])
    assert stream.grid == (16 // stride, 16 // stride)
    assert tokenizer.decode(stream).pixels.shape == (16, 16, 3)
    assert tokenizer.evaluate(emoji[:3], emoji[3:60])["pca_psnr_db"] > 0


@pytest.mark.slow
def test_a_minute_of_training_beats_principal_components(held_out_emoji: list[Image], emoji: list[Image]) -> None:
    figures = ImageTokenizer.fit(emoji, steps=1000, progress=False).evaluate(held_out_emoji, emoji)
    assert figures["psnr_db"] > 23.5
    assert figures["psnr_db"] > figures["pca_psnr_db"]
    assert figures["codes_used_share"] > 0.85
    assert figures["perplexity"] > 200


def test_the_package_says_how_it_must_be_imported() -> None:
    root = Path(picture_module.__file__).resolve().parents[2]
    code = f"import sys; sys.path.insert(0, {str(root)!r}); import modalities"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "must be imported as tokenmask.modalities, got modalities" in result.stderr


def test_the_baseline_learns_from_all_images_however_many(
    monkeypatch: pytest.MonkeyPatch, held_out_emoji: list[Image]
) -> None:
    """Of five kinds of pictures, all of one kind stand at places that every second one of them would leave out."""
    draw = torch.Generator().manual_seed(0)
    kinds = torch.randint(0, 256, (5, 16, 16, 3), generator=draw).double()
    shares = torch.rand(400, 5, generator=draw, dtype=torch.float64)
    shares[::2, 0] = 0
    pixels = torch.einsum("nk,khwc->nhwc", shares / 2.5, kinds).round().clamp(0, 255).to(torch.uint8)
    images = [Image(one) for one in pixels]

    def coded(train: list[Image], bound: int) -> list[float]:
        monkeypatch.setattr(judging, "_BASELINE_NUMBERS", bound)
        coders = judging.pca_coders(train, 16, 4, bits=64, resize=False)
        return [psnr_db(pixels, one(pixels).round().clamp(0, 255)) for one in coders]

    exact, parts, half = coded(images, 1 << 30), coded(images, 1 << 10), coded(images[::2], 1 << 30)
    assert len(exact) == 2 and [parts[0], parts[-1]] == pytest.approx(exact, abs=0.02)
    assert exact[-1] > half[-1] + 3


@pytest.mark.parametrize("width", [40, 1500])
def test_axes_of_many_vectors_are_those_of_all(width: int) -> None:
    """Both ways: all of the covariance, and a random start."""
    draw = torch.Generator().manual_seed(1)
    spread = 0.7 ** torch.arange(12, dtype=torch.float64) * 50
    basis = torch.linalg.qr(torch.randn(width, 12, generator=draw, dtype=torch.float64))[0]
    vectors = (torch.randn(300, 12, generator=draw, dtype=torch.float64) * spread) @ basis.T + 9
    mean, axes, count = axes_of(lambda: iter(vectors.split(70)), 8)
    centred = vectors - vectors.mean(0)
    wanted = torch.linalg.svd(centred, full_matrices=False)[2][:8].T
    assert count == 300 and torch.allclose(mean, vectors.mean(0)) and axes.shape == (width, 8)
    assert torch.allclose((axes.T @ wanted).abs(), torch.eye(8, dtype=torch.float64), atol=1e-4)
    assert axes_of(lambda: iter(vectors.split(70)), 100)[1].shape[1] == 12  # and no more than they span
    assert axes_of(lambda: iter(torch.full((5, width), 3.0).split(2)), 4)[1].shape == (width, 0)
