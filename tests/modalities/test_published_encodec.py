"""EnCodec in chunks, with a loudness and two channels, as at 48 kHz: codes and sound are those of transformers.

A small network with random weights; 2048 samples are a chunk of 64 frames, of which 128 are those of the next too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import tokenmask as tm
from tokenmask.modalities.audio.media import AudioClip
from tokenmask.modalities.published.chunks import LOUDNESS, Chunks, scale_of
from tokenmask.modalities.published.encodec import EncodecTokenizer
from tokenmask.streams import TokenStream
from tokenmask.testing import tokenizer_checks

from .contract import each_check, run_check
from .small_published import needs_transformers, saved, untouched

pytestmark = [needs_transformers, pytest.mark.filterwarnings("ignore:.*for this .*Tokenizer")]
RATE, LENGTH, STRIDE, HOP, FRAMES = 8000, 2048, 1920, 32, 64
CHUNKED = {"chunk_length_s": LENGTH / RATE, "overlap": 1 - STRIDE / LENGTH}
LIKE_48_KHZ = {
    "audio_channels": 2, "normalize": True, "use_causal_conv": False, "norm_type": "time_group_norm", **CHUNKED
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved("encodec", tmp_path_factory.mktemp("chunked"), **LIKE_48_KHZ)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> EncodecTokenizer:
    return untouched(lambda: tm.tokenizer("encodec", folder))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def library(folder: Path) -> Any:
    import transformers

    return untouched(lambda: transformers.EncodecModel.from_pretrained(folder)).eval()


def sound(samples: int, loud: float = 0.3) -> AudioClip:
    """Two channels of noise and a tone, louder towards the end."""
    time = torch.arange(samples) / RATE
    noise = torch.randn(2, samples, generator=torch.Generator().manual_seed(samples))
    tone = torch.stack([(time * 1400).sin(), (time * 900).cos()])
    return AudioClip(loud * (0.3 + time) * (tone + 0.5 * noise), RATE)


@torch.no_grad()
@pytest.mark.parametrize("samples", [5, 1500, LENGTH, LENGTH + 1, 5000, 2 * STRIDE + LENGTH])
def test_codes_and_sound_are_those_of_the_library(samples: int, tokenizer: EncodecTokenizer, library: Any) -> None:
    clip = sound(samples)
    stream, chunks = tokenizer.encode(clip), tokenizer.chunks.of(samples)
    if samples in (LENGTH, LENGTH + 1, 2 * STRIDE + LENGTH):  # the library codes the end of the last but one again
        assert -(-samples // STRIDE) >= len(chunks)
    codes, scales = [], []
    for start, stop in chunks:
        found, scale = library._encode_frame(clip.samples[None, :, start:stop], 6.0)
        codes.append(found[0])
        scales.append(scale)
    assert torch.equal(stream.codes[:, 1:].T.long(), torch.cat(codes, 1))
    said = tokens_of(stream.codes[:, 0], codes)
    for one, scale in zip(said, scales, strict=True):
        assert abs(20 * float((scale_of(one) / scale).log10())) <= 0.2501
    short = codes[0].shape[1] - codes[-1].shape[1]
    codes[-1] = torch.nn.functional.pad(codes[-1], (0, short))
    made = library.decode(
        torch.stack(codes)[:, None], [scale_of(one) for one in said], last_frame_pad_length=short
    ).audio_values[0]
    decoded = tokenizer.decode(stream).samples
    assert torch.equal(decoded, made)
    assert 0 <= decoded.shape[1] - samples < HOP and decoded.std(1).min() > 0


@torch.no_grad()
def test_all_at_once_the_library_has_the_same_codes(tokenizer: EncodecTokenizer, library: Any) -> None:
    clip = sound(STRIDE * 2 + 700)
    found = library.encode(clip.samples[None], bandwidth=6.0)
    assert found.audio_codes.shape == (3, 1, 4, FRAMES)
    theirs = found.audio_codes[:, 0].movedim(1, 2).reshape(-1, 4)[: 3 * FRAMES - found.last_frame_pad_length]
    stream = tokenizer.encode(clip)
    assert torch.equal(stream.codes[:, 1:].long(), theirs)
    assert len(set(theirs[:, 0].tolist())) > 10
    assert len(set(stream.codes[:, 0].tolist())) == 3  # each chunk is as loud as it is


def tokens_of(codes: Tensor, chunks: list[Tensor]) -> list[Tensor]:
    """The loudness of the frames of each chunk, which is one."""
    parts = list(codes.split([one.shape[1] for one in chunks]))
    assert all(len(part.unique()) == 1 for part in parts)
    return parts


def test_what_the_codes_mean(tokenizer: EncodecTokenizer, folder: Path, tmp_path: Path) -> None:
    spec = tokenizer.spec
    assert spec.codebook_sizes == (LOUDNESS, 64, 64, 64, 64)
    assert spec.level_groups == ((0,), (1, 2, 3, 4))
    assert spec.rate_hz == FRAMES * RATE / STRIDE
    coarse = untouched(lambda: tm.tokenizer("encodec", folder, levels=2))
    assert coarse.spec.codebook_sizes == (LOUDNESS, 64, 64)
    clip = sound(5000)
    assert torch.equal(coarse.encode(clip).codes, tokenizer.encode(clip).codes[:, :3])
    alone = untouched(lambda: tm.tokenizer("encodec", saved("encodec", tmp_path / "whole", normalize=True)))
    assert (alone.spec.codebook_sizes[0], alone.spec.rate_hz, alone.channels) == (LOUDNESS, RATE / HOP, 1)
    flat = untouched(lambda: tm.tokenizer("encodec", saved("encodec", tmp_path / "flat", **CHUNKED)))
    assert (flat.spec.codebook_sizes, flat.spec.rate_hz) == ((64,) * 4, FRAMES * RATE / STRIDE)
    assert flat.decode(flat.encode(clip)).samples.shape == (1, 3840 + 37 * HOP)


def test_loudness_is_beside_the_codes(tokenizer: EncodecTokenizer) -> None:
    loud, quiet = tokenizer.encode(sound(5000, 0.5)), tokenizer.encode(sound(5000, 0.125))
    assert torch.equal(loud.codes[:, 1:], quiet.codes[:, 1:])
    assert set((loud.codes[:, 0] - quiet.codes[:, 0]).tolist()) <= {24, 25}  # 12.04 decibels
    lower = TokenStream(loud.spec, loud.codes - torch.tensor([24, 0, 0, 0, 0], dtype=torch.int32))
    made = tokenizer.decode(loud).samples.std() / tokenizer.decode(lower).samples.std()
    assert float(made) == pytest.approx(10 ** (12 / 20), rel=1e-5)
    odd = loud.codes.clone()
    odd[3:5, 0] = 7  # the median of a chunk counts
    assert torch.equal(tokenizer.decode(TokenStream(loud.spec, odd)).samples, tokenizer.decode(loud).samples)
    silent = tokenizer.encode(AudioClip(torch.zeros(2, 900), RATE))
    assert set(silent.codes[:, 0].tolist()) == {0}
    assert tokenizer.decode(silent).samples.abs().max() < 1e-4


def test_streams_of_any_length_are_decoded(tokenizer: EncodecTokenizer) -> None:
    """Also where the last chunk is within the one before, which an encoder does not give."""
    whole = tokenizer.encode(sound(3 * STRIDE))
    lengths = {
        count: tokenizer.decode(TokenStream(whole.spec, whole.codes[:count])).samples.shape[1]
        for count in (1, 63, 64, 65, 68, 70, 129)
    }
    assert lengths == {1: 32, 63: 2016, 64: 2048, 65: 2048, 68: 2048, 70: 1920 + 192, 129: 1920 + 2048}
    for samples in range(1, 6000, 7):
        spans = Chunks(LENGTH, STRIDE, HOP).of(samples)
        assert spans[-1][1] == samples and all(stop - start == LENGTH for start, stop in spans[:-1])
        assert len(spans) == 1 or spans[-2][1] < samples


@pytest.mark.parametrize("places", [1, 10, 64, 65, 68, 129, 180])
def test_pieces_joined_are_the_whole(places: int, tokenizer: EncodecTokenizer) -> None:
    codes = tokenizer.encode(sound(3 * STRIDE)).codes[:places]
    pieces = list(tokenizer.decode_pieces((TokenStream(tokenizer.spec, one) for one in codes.split(7)), places))
    whole = tokenizer.decode(TokenStream(tokenizer.spec, codes)).samples
    assert torch.equal(torch.cat([piece.samples for piece in pieces], 1), whole)
    assert len(pieces) == -(-places // FRAMES)


def test_pieces_come_early_and_not_of_what_has_no_chunks(tokenizer: EncodecTokenizer, tmp_path: Path) -> None:
    taken, stream = [], tokenizer.encode(sound(3 * STRIDE))
    cut = (taken.append(at) or TokenStream(tokenizer.spec, stream.codes[at : at + 8]) for at in range(0, 192, 8))
    assert next(iter(tokenizer.decode_pieces(cut, 192))).samples.shape == (2, STRIDE)
    assert len(taken) == 8  # of 24: a chunk
    keep = torch.zeros(192, dtype=torch.bool)
    with pytest.raises(ValueError, match="joins what is given as a whole, not in pieces"):
        tokenizer.decode_pieces(cut, 192, given=sound(600), keep=keep)
    bare = untouched(lambda: tm.tokenizer("encodec", saved("encodec", tmp_path)))
    with pytest.raises(ValueError, match="decodes whole streams only, not pieces, as it has no chunks; use"):
        bare.decode_pieces(iter(()), 4)


def test_channels_stay(tokenizer: EncodecTokenizer) -> None:
    clip = sound(3000)
    one = AudioClip(clip.samples[:1], RATE)
    both = AudioClip(clip.samples[:1].expand(2, -1), RATE)
    assert tokenizer.encode(one) == tokenizer.encode(both)
    stream = tokenizer.encode(clip)
    keep = torch.zeros(len(stream.codes), dtype=torch.bool)
    keep[:40] = True
    mixed, plain = tokenizer.decode(stream, given=clip, keep=keep), tokenizer.decode(stream)
    assert mixed.samples.shape == clip.samples.shape
    kept = int(40 / tokenizer.spec.rate_hz * RATE)
    assert torch.equal(mixed.samples[:, :kept], clip.samples[:, :kept])
    assert torch.equal(mixed.samples[:, kept + 81 :], plain.samples[:, kept + 81 : 3000])
    mean = tokenizer.decode(stream, given=one, keep=keep).samples
    assert torch.allclose(mean[0, kept + 81 :], plain.samples.mean(0)[kept + 81 : 3000])
    with pytest.warns(UserWarning, match="has 3 channels, which become one"):
        tokenizer.encode(AudioClip(torch.ones(3, 300) / 4, RATE))


@each_check
def test_contract(name: str, tokenizer: EncodecTokenizer) -> None:
    items = [sound(4100), AudioClip(torch.full((1, 1), 0.5), 8000), AudioClip(torch.zeros(3, 900), 22050)]
    run_check(name, list(tokenizer_checks(tokenizer, items, suffix=".wav")))


def test_it_takes_the_place_of_another(tokenizer: EncodecTokenizer, tmp_path: Path) -> None:
    clips = [sound(4100), sound(3000)]
    run = untouched(lambda: tm.load().swap_tokenizer("audio", tokenizer, media=clips).save(tmp_path / "run"))
    made = run.generate("audio", duration_seconds=0.6, steps=2, seed=0)[0]
    assert made.samples.shape[0] == 2 and made.stream.codes.shape == (round(0.6 * tokenizer.spec.rate_hz), 5)
    pieces = list(run.stream("audio", duration_seconds=0.6, steps=2, seed=0))
    assert torch.equal(torch.cat([piece.samples for piece in pieces], 1), made.samples) and len(pieces) == 3
    changed = run.edit(clips[1], [(0.1, 0.2)], steps=2, seed=0)[0]
    assert changed.samples.shape == clips[1].samples.shape
    assert torch.equal(changed.samples[:, :700], clips[1].samples[:, :700])
    assert not torch.equal(changed.samples[:, 800:1600], clips[1].samples[:, 800:1600])
