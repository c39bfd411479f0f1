"""A decoder that gives the codes of pictures more pixels: how it begins, fitting, figures, folders, films, edits."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tokenmask.modalities.codebook_report import psnr_db
from tokenmask.modalities.image import Image, ImageTokenizer, ImageTokenizerConfig
from tokenmask.modalities.image.finer import FinerConfig, FinerDecoder
from tokenmask.modalities.image.finer_fit import FinerFit, FinerFitting
from tokenmask.modalities.image.judging import enlarged, likeness
from tokenmask.modalities.image.likeness import edge_error, ssim
from tokenmask.modalities.learned import DECODER_FILE, stored
from tokenmask.modalities.video import VideoClip, VideoTokenizer
from tokenmask.nn.init import build
from tokenmask.recipes.learners import fit_options
from tokenmask.testing import check_tokenizer

from .contract import goes_on_bit_for_bit, refused_resume

TINY = ImageTokenizerConfig(size=16, width=64, codes=32, latent=8, blocks=1)
SMALL = FinerFit(steps=40, batch_size=8, peak_lr=3e-3, config=FinerConfig(blocks=1, between=0, width=64, fine=0))


def discs(count: int, size: int = 32) -> list[Image]:
    """Coloured discs with a sharp edge, drawn at their size."""
    draw = torch.Generator().manual_seed(0)
    at = torch.arange(size) - size / 2 + 0.5
    made = []
    for radius, colour in zip(torch.rand(count, generator=draw), torch.rand(count, 3, generator=draw), strict=True):
        inside = at[:, None].square() + at.square() < ((0.2 + 0.25 * radius) * size) ** 2
        made.append(Image((255 * torch.where(inside[..., None], colour, torch.ones(3))).round().to(torch.uint8)))
    return made


@pytest.fixture(scope="module")
def first() -> ImageTokenizer:
    return ImageTokenizer.fit(discs(100), config=TINY, steps=40, batch_size=8, progress=False)


@pytest.fixture(scope="module")
def later(first: ImageTokenizer) -> ImageTokenizer:
    return first.fit_decoder(discs(100), SMALL, progress=False)


# The network ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [2, 4, 8])
@pytest.mark.parametrize("scale", [2, 4])
def test_it_begins_as_the_first_picture_enlarged(stride: int, scale: int) -> None:
    config = ImageTokenizerConfig(size=16, width=8, stride=stride, codes=8, latent=4, blocks=2)
    network = build(lambda: ImageTokenizer.make_network(config), 0)
    decoder = build(lambda: FinerDecoder(config, FinerConfig(scale, blocks=2, between=1, width=8, fine=1)), 1)
    decoder.take_over(network.decoder)
    latents = torch.randn(2, 4, 16 // stride, 16 // stride, generator=torch.Generator().manual_seed(0))
    small = network.pixels(latents)
    wanted = nn.functional.interpolate(small, scale_factor=scale, mode="bicubic")
    assert decoder(latents).shape == (2, 3, 16 * scale, 16 * scale)
    assert torch.allclose(decoder(latents), wanted, atol=1e-6)


def test_a_fit_sharpens_edges_and_leaves_codes(first: ImageTokenizer, later: ImageTokenizer) -> None:
    fresh = discs(120)[100:]
    codes = first.encode_many(fresh)
    assert [one.codes.tolist() for one in later.encode_many(fresh)] == [one.codes.tolist() for one in codes]
    assert later.spec == first.spec and (first.decoded_size, later.decoded_size) == (16, 32)
    wanted = torch.stack([one.pixels for one in fresh])
    made = torch.stack([one.pixels for one in later.decode_many(codes)])
    large = torch.stack([enlarged(one, 32) for one in first.decode_many(codes)])
    before, after = likeness(wanted, large), likeness(wanted, made)
    assert after["edges_l1"] < 0.9 * before["edges_l1"] and after["ssim"] > before["ssim"] + 0.02
    assert later.decode(codes[0]).stream == codes[0]


def test_pictures_are_equal_alone_in_a_batch_and_from_more_threads(later: ImageTokenizer) -> None:
    streams = later.encode_many(discs(70))
    together = later.decode_many(streams)
    assert all(later.decode(stream) == one for stream, one in zip(streams[::9], together[::9], strict=True))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert all(one == two for one, two in zip(later.decode_many(streams), together, strict=True))
    finally:
        torch.set_num_threads(threads)


def test_it_keeps_the_contract_of_tokenizers(later: ImageTokenizer) -> None:
    check_tokenizer(later, discs(4))
    check_tokenizer(later, [one.resize(20, 12) for one in discs(4)])


# Likeness -------------------------------------------------------------------------------------------------------------


def test_likeness_by_hand() -> None:
    """Of flat pictures SSIM is (2 a b + c) / (a a + b b + c); a step beside a flat one differs by its edge alone."""
    flat = torch.full((1, 3, 12, 12), 100.0, dtype=torch.float64)
    c = (0.01 * 255) ** 2
    assert float(ssim(flat, flat / 2, 255)) == pytest.approx((2 * 5000 + c) / (12500 + c), rel=1e-9)
    noise = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 255
    assert torch.allclose(ssim(noise, noise, 255), torch.ones(2, dtype=torch.float64))
    # All of one window: the mean of structure over the Gaussian, written out.
    at = torch.arange(11, dtype=torch.float64) - 5
    shares = (-0.5 * (at / 1.5) ** 2).exp()
    shares = shares[:, None] * shares / shares.sum() ** 2
    a, b = noise[:1, :1, :11, :11], noise[1:, 1:2, :11, :11]
    mean = lambda values: float((shares * values).sum())  # noqa: E731
    spread = mean(a**2) - mean(a) ** 2 + mean(b**2) - mean(b) ** 2
    wanted = (2 * mean(a) * mean(b) + c) * (2 * (mean(a * b) - mean(a) * mean(b)) + 9 * c)
    wanted /= (mean(a) ** 2 + mean(b) ** 2 + c) * (spread + 9 * c)
    assert float(ssim(a, b, 255)) == pytest.approx(wanted, rel=1e-9)
    step = flat.clone()
    step[..., 6:] += 11
    assert float(edge_error(step, flat)) == pytest.approx(11 / 11 / 2)  # one of eleven differences across, none down


def test_figures_are_at_both_sizes(first: ImageTokenizer, later: ImageTokenizer) -> None:
    fresh = discs(40)[24:]
    figures = later.evaluate(fresh, discs(24))
    streams = later.encode_many(fresh)
    small = torch.stack([one.resize(16, 16).pixels for one in fresh])
    made = torch.stack([one.resize(16, 16).pixels for one in later.decode_many(streams)])
    assert figures["psnr_db"] == pytest.approx(psnr_db(small, made))
    wanted, large = torch.stack([one.pixels for one in fresh]), [one.pixels for one in later.decode_many(streams)]
    assert figures["fine_psnr_db"] == pytest.approx(psnr_db(wanted, torch.stack(large)))
    first_made = torch.stack([enlarged(one, 32) for one in first.decode_many(streams)])
    assert figures["enlarged_psnr_db"] == pytest.approx(psnr_db(wanted, first_made)) and figures["pca_fine_psnr_db"] > 5
    assert figures["fine_edges_l1"] < figures["enlarged_edges_l1"] and figures["fine_ssim"] > figures["enlarged_ssim"]
    bare = later.evaluate([one.resize(16, 16) for one in fresh], discs(24))  # nothing to compare the fine ones with
    assert list(bare) == list(first.evaluate(fresh, discs(24))) and bare["psnr_db"] == figures["psnr_db"]


# Fitting --------------------------------------------------------------------------------------------------------------


def test_a_stopped_fit_goes_on_bit_for_bit(
    tmp_path: Path, first: ImageTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SMALL, steps=8)

    def fitted(folder: Path, settings: FinerFit = settings) -> ImageTokenizer:
        return first.fit_decoder(discs(12), settings, folder=folder, checkpoint_every=3, progress=False)

    goes_on_bit_for_bit(fitted, tmp_path, monkeypatch, stop_at=7, fitting=FinerFitting)
    refused_resume(fitted, tmp_path, "resumed with the settings it began with", settings=replace(settings, seed=1))


def test_what_is_learned_from_is_moved_and_mirrored_and_coded_as_it_is(first: ImageTokenizer) -> None:
    marked = torch.full((32, 32, 3), 255, dtype=torch.uint8)
    marked[10:14, 4:8] = 0
    task = FinerFitting([Image(marked)], first._network, SMALL)
    seen = {
        tuple(map(tuple, (task._drawn(torch.Generator().manual_seed(n))[0, 0] < 0).nonzero().tolist()))
        for n in range(400)
    }
    tops = {min(row for row, _ in places) for places in seen}
    lefts = {min(column for _, column in places) for places in seen}
    assert tops == {8, 9, 10, 11, 12} and lefts == {2, 3, 4, 5, 6, 22, 23, 24, 25, 26}
    assert all(len(places) == 16 for places in seen) and len(seen) == 50  # down and across by themselves
    still = FinerFitting([Image(marked)], first._network, replace(SMALL, moves=0))
    wanted = still._drawn(torch.Generator().manual_seed(0))
    mirrored = Image(((wanted[0] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).contiguous())
    vectors = first.vectors(first.encode(mirrored)).permute(2, 0, 1)
    assert float((still._latents(wanted)[0] == vectors).float().mean()) > 0.9  # Pillow rounds what is reduced


def test_fit_brings_both_decoders(tmp_path: Path) -> None:
    options = fit_options(ImageTokenizer, {"finer": {"steps": 2, "config": {"width": 64, "blocks": 0}}})
    assert options == {"finer": FinerFit(steps=2, config=FinerConfig(width=64, blocks=0))}
    fitted: dict[str, Any] = {"config": TINY, "steps": 2, "batch_size": 4, "progress": False}
    made = ImageTokenizer.fit(discs(8), folder=tmp_path, **fitted, **options)
    assert made.decoder_config == FinerConfig(width=64, blocks=0) and made.decoded_size == 32
    plain = ImageTokenizer.fit(discs(8), **fitted)
    assert made.spec == plain.spec and (tmp_path / "decoder" / "checkpoint.safetensors").is_file()
    assert plain.decoded_size == 16 and made.with_first_decoder().decoder_fingerprint is None


def test_less_precision_learns_too(first: ImageTokenizer) -> None:
    exact, reduced = (
        FinerFitting(discs(8), first._network, replace(SMALL, precision=precision)).step(0)["loss"]
        for precision in ("float32", "bfloat16")
    )
    assert reduced != exact and reduced == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"steps": 0}, "steps of a finer fit must be a whole number, at least 1, got 0"),
        ({"batch_size": 2.0}, "batch_size .* at least 1, got 2.0"),
        ({"moves": -1}, "moves .* at least 0, got -1"),
        ({"seed": "x"}, "seed .* at least 0, got 'x'"),
        ({"peak_lr": 0.0}, "peak_lr of a finer fit must be a number, above 0, got 0.0"),
        ({"edges": float("nan")}, "edges of a finer fit must be a number, 0 or more, got nan"),
        ({"structure": -1}, "structure .* 0 or more, got -1"),
        ({"precision": "half"}, "must be float32 or bfloat16, got 'half'"),
        ({"config": 3}, "config must be a FinerConfig, got 3"),
    ],
)
def test_settings_out_of_range_are_one_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        FinerFit(**change)


@pytest.mark.parametrize("change", [{"scale": 1}, {"scale": 3}, {"width": 0}, {"fine": -1}])
def test_decoders_that_cannot_be_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be a power of two|must be positive"):
        FinerConfig(**change)


def test_pictures_that_cannot_teach_are_refused_or_told(first: ImageTokenizer) -> None:
    with pytest.raises(ValueError, match="fitting needs 1 image at least"):
        first.fit_decoder([], SMALL)
    with pytest.raises(TypeError, match="settings must be a FinerFit"):
        first.fit_decoder(discs(2), 3)
    with pytest.warns(UserWarning, match="1 of 3 images have fewer than 32 pixels a side: what they lack"):
        FinerFitting([*discs(2), discs(1, 24)[0]], first._network, SMALL)
    strict = ImageTokenizer(replace(TINY, resize=False), stored(first._network))
    with pytest.raises(ValueError, match=r"images must be 32 x 32 pixels, got Image\(16 x 16 pixels\)"):
        strict.fit_decoder(discs(2, 16), SMALL)
    tiny = ImageTokenizer.fit(discs(4, 4), config=replace(TINY, size=4), steps=1, batch_size=2, progress=False)
    with pytest.raises(ValueError, match="SSIM is of 11 pixels a side at least, got pictures of 8; set structure=0"):
        tiny.fit_decoder(discs(4, 8), SMALL)
    assert tiny.fit_decoder(discs(4, 8), replace(SMALL, steps=1, structure=0), progress=False).decoded_size == 8


# Folders, edits and films ---------------------------------------------------------------------------------------------


def test_folders_keep_the_later_decoder(tmp_path: Path, first: ImageTokenizer, later: ImageTokenizer) -> None:
    stream = first.encode(discs(1)[0])
    later.save(tmp_path / "a")
    read = ImageTokenizer.load(tmp_path / "a")
    assert read.spec == later.spec and read.decoder_config == SMALL.config and read.decoded_size == 32
    assert read.decode(stream) == later.decode(stream)
    first.save(tmp_path / "b")
    assert (tmp_path / "a" / "weights.safetensors").read_bytes() == (tmp_path / "b/weights.safetensors").read_bytes()
    about = [json.loads((tmp_path / name / "tokenizer.json").read_text()) for name in "ab"]
    assert about[0].pop("decoder") == later.decoder_fingerprint and about[0] == about[1]
    shutil.copy(tmp_path / "a" / DECODER_FILE, tmp_path / "b" / DECODER_FILE)
    with pytest.raises(ValueError, match="must have no later decoder, but its files give decoder"):
        ImageTokenizer.load(tmp_path / "b")
    first.save(tmp_path / "a")
    assert ImageTokenizer.load(tmp_path / "a").decode(stream) == first.decode(stream)


@pytest.mark.parametrize("size", [(16, 16), (32, 32), (50, 30)])
def test_what_is_kept_of_a_picture_stays_and_it_keeps_its_size(later: ImageTokenizer, size: tuple[int, int]) -> None:
    given = discs(30)[29].resize(*size)
    stream = later.encode(discs(1)[0])
    places = later.places(
        given, stream, (size[1] / 2, 0, size[1], size[0])
    )  # the right half, in pixels of what is given
    assert places.tolist() == [[False, False, True, True]] * 4
    edited = later.decode(stream, given=given, keep=~places)
    wanted = later.decode(stream).resize(*size)
    half = size[1] // 2
    assert edited.pixels.shape == given.pixels.shape
    assert torch.equal(edited.pixels[:, :half], given.pixels[:, :half])
    assert torch.equal(edited.pixels[:, half:], wanted.pixels[:, half:])


def test_films_take_the_later_decoder_of_their_pictures(tmp_path: Path, later: ImageTokenizer) -> None:
    films = VideoTokenizer.around(later, frame_rate_hz=10.0, step=2)
    plain = VideoTokenizer.around(later.with_first_decoder(), frame_rate_hz=10.0, step=2)
    assert films.spec == plain.spec
    clip = VideoClip(torch.stack([one.pixels for one in discs(4)]), 10.0)
    stream = films.encode(clip)
    assert torch.equal(stream.codes, plain.encode(clip).codes)
    made = films.decode(stream)
    assert made.frames.shape == (4, 32, 32, 3) and plain.decode(stream).frames.shape == (4, 16, 16, 3)
    pictures = later.decode_many([later.encode(Image(frame)) for frame in clip.frames[::2]])
    assert all(torch.equal(made.frames[2 * n], one.pixels) for n, one in enumerate(pictures))
    films.save(tmp_path / "films")
    assert torch.equal(VideoTokenizer.load(tmp_path / "films").decode(stream).frames, made.frames)
    figures = films.evaluate([clip])
    small = Tensor.float(torch.stack([Image(frame).resize(16, 16).pixels for frame in clip.frames]))
    copies = torch.stack([Image(frame).resize(16, 16).pixels for frame in made.frames])
    assert figures["all_frames_psnr_db"] == pytest.approx(psnr_db(small, copies))
    keep = torch.zeros(stream.grid, dtype=torch.bool)
    keep[:, :, :2] = True
    joined = films.decode(stream, given=clip, keep=keep)
    assert torch.equal(joined.frames[:, :, :16], clip.frames[:, :, :16])
    assert torch.equal(joined.frames[:, :, 16:], made.frames[:, :, 16:])
