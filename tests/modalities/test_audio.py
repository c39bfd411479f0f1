"""Clips and their codes: files, rates, windows and blocks, kept samples, bit-equal latents, fitting, and quality."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tokenmask.modalities.audio import AudioClip, AudioTokenizer, AudioTokenizerConfig, mel
from tokenmask.modalities.audio import vocoder as module
from tokenmask.modalities.audio.fit import start
from tokenmask.modalities.audio.network import CONTEXT_SECONDS, VOCODERS, AudioNetwork
from tokenmask.modalities.learned import stored
from tokenmask.nn import build
from tokenmask.testing import Check, tokenizer_checks
from tokenmask.tokenizer import stream_of

from .conftest import DATA
from .contract import each_check, goes_on_bit_for_bit, refused_resume, run_check

TINY = AudioTokenizerConfig(
    bands=40, width=64, encoder_blocks=1, decoder_blocks=1, latent=16, codes=16, levels=3, head_width=64, head_blocks=1,
    rounds=2,
)  # fmt: skip
SPEECH = DATA / "audio" / "speech"


def noise(samples: int, seed: int = 0, channels: int = 1) -> Tensor:
    return 0.1 * torch.randn(channels, samples, generator=torch.Generator().manual_seed(seed))


def load_group(group: str) -> list[AudioClip]:
    entries = json.loads((SPEECH / "manifest.json").read_text(encoding="utf-8"))
    return [AudioClip.load(SPEECH / entry["file"]) for entry in entries if entry["group"] == group]


@pytest.fixture(scope="session")
def prompts() -> list[AudioClip]:
    return load_group("prompts")


@pytest.fixture(scope="session")
def held_out_speech(prompts: list[AudioClip]) -> list[AudioClip]:
    return prompts[7::8]


@pytest.fixture(scope="session")
def speech(prompts: list[AudioClip]) -> list[AudioClip]:
    return [clip for number, clip in enumerate(prompts) if number % 8 != 7] + load_group("digits")


@pytest.fixture(scope="session")
def audio_tokenizer(speech: list[AudioClip]) -> AudioTokenizer:
    """Trained for a few seconds only: codes are real, the sound is coarse."""
    return AudioTokenizer.fit(speech, config=TINY, steps=30, batch_size=16, peak_lr=4e-3, seed=1, progress=False)


def test_a_fit_begins_at_the_principal_components(speech: list[AudioClip]) -> None:
    sound = torch.cat([clip.samples[0] for clip in speech[:20]])
    network = build(lambda: AudioNetwork(TINY), 3)
    start(network, sound, TINY)
    frames = network.features(sound)[None]
    assert frames.mean((0, 1)).abs().max() < 1e-2
    rebuilt = network.decoder(network.encoder(frames))[0]
    _, _, axes = torch.linalg.svd(frames[0] - frames[0].mean(0), full_matrices=False)
    wanted = frames[0] @ axes[: TINY.latent].T @ axes[: TINY.latent]
    assert (rebuilt - wanted).abs().max() < 0.02
    assert (wanted - frames[0]).square().mean() < 0.2 * frames.square().mean()


# Contract -------------------------------------------------------------------------------------------------------------


def audio_checks(request: pytest.FixtureRequest) -> list[Check]:
    tokenizer, held_out = request.getfixturevalue("audio_tokenizer"), request.getfixturevalue("held_out_speech")
    other = [
        AudioClip(torch.zeros(1, 1), 16000),
        AudioClip(noise(9000, channels=2), 22050),
        AudioClip(noise(960), 8000),
    ]
    return list(tokenizer_checks(tokenizer, [held_out[0], *other, held_out[1]], suffix=".wav"))


@each_check
def test_contract(name: str, request: pytest.FixtureRequest) -> None:
    run_check(name, audio_checks(request))


# The clip -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "error"), [(".wav", 0.0), (".WAV", 0.0), (".flac", 1e-6), (".ogg", 0.1)])
def test_files(tmp_path: Path, prompts: list[AudioClip], suffix: str, error: float) -> None:
    path, clip = tmp_path / f"a{suffix}", prompts[0]
    clip.save(path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    loaded = AudioClip.load(path)
    assert loaded.sample_rate_hz == 16000
    assert loaded.samples.shape == clip.samples.shape
    assert float((loaded.samples - clip.samples).abs().max()) <= error


def test_wav_keeps_channels_and_what_is_over_full_scale(tmp_path: Path) -> None:
    clip = AudioClip(torch.tensor([[1.5, -2.0, 1e-9], [0.25, 0.0, 3.0]]), 44100)
    clip.save(tmp_path / "a.wav")
    assert AudioClip.load(tmp_path / "a.wav") == clip


def test_files_that_cannot_be_read_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is none; check the path"):
        AudioClip.load(tmp_path / "a.wav")
    for content in (b"", b"no sound", b"RIFF\0\0\0\0WAVEfmt "):
        (tmp_path / "a.wav").write_bytes(content)
        with pytest.raises(ValueError, match=r"must be a whole audio file|it has no bytes") as caught:
            AudioClip.load(tmp_path / "a.wav")
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"must end in \.wav, \.flac or \.ogg, got 'a\.txt'"):
        AudioClip(torch.zeros(1, 4), 8000).save(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (torch.zeros(4), 8000, r"float32 \[channels, time\], one at least, got float32 \[4\]"),
        (torch.zeros(1, 0), 8000, r"got float32 \[1, 0\]"),
        (torch.zeros(1, 4).double(), 8000, "got float64"),
        (torch.zeros(1, 4), 0, "must be positive, got 0"),
        (torch.tensor([[0.0, float("nan")]]), 8000, "must be finite"),
    ],
)
def test_broken_clips_are_refused(samples: Tensor, rate: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AudioClip(samples, rate)


def test_resampling_keeps_a_tone() -> None:
    def tone(rate: int) -> Tensor:
        return torch.sin(2 * torch.pi * 440 * torch.arange(rate) / rate)[None]

    changed = AudioClip(tone(44100), 44100).resample(16000)
    assert changed.samples.shape == (1, 16000)
    assert float((changed.samples - tone(16000))[:, 500:-500].abs().max()) < 1e-3
    assert AudioClip(torch.ones(1, 1), 48000).resample(8000).samples.shape == (1, 1)
    with pytest.raises(ValueError, match="a sample rate must be positive"):
        changed.resample(0)


def test_channels_are_averaged(audio_tokenizer: AudioTokenizer, held_out_speech: list[AudioClip]) -> None:
    one = held_out_speech[0].samples
    both = AudioClip(torch.cat([one * 2, torch.zeros_like(one)]), 16000)
    assert both.mono() == held_out_speech[0]
    assert audio_tokenizer.encode(both) == audio_tokenizer.encode(held_out_speech[0])


# Spectra --------------------------------------------------------------------------------------------------------------


def test_spectra_turn_back_into_their_signal() -> None:
    samples = noise(320 * 20 + 960)
    edge = mel.margin(1280, 320)
    again = mel.waveform(mel.spectrum(samples, 1280, 320), 320)
    assert torch.allclose(again[:, edge:-edge], samples[:, edge:-edge], atol=1e-6)


def test_griffin_lim_comes_nearer_with_every_round(prompts: list[AudioClip]) -> None:
    wanted = mel.spectrum(prompts[1].samples, 1280, 320).abs()
    start = torch.polar(torch.ones_like(wanted), noise(wanted.numel(), seed=3).view(wanted.shape) * 60)
    errors = []
    for rounds in (0, 4, 32):
        made = mel.spectrum(mel.griffin_lim(wanted, start, 320, rounds), 1280, 320).abs()
        errors.append(float((made - wanted).norm() / wanted.norm()))
    assert errors[0] > 1.5 * errors[1] > 1.5 * errors[2]
    assert errors[2] < 0.25


def test_log_mel_places_a_tone_in_its_band() -> None:
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(8000) / 16000)
    bands = mel.log_mel(mel.spectrum(tone, 1280, 320), 80, 16000)
    assert set(bands.argmax(-1).tolist()) == {28}  # 1000 Hz is 1000 mel; the edges are 2840 / 81 mel apart
    assert torch.equal(mel.log_mel(torch.zeros(3, 641), 80, 16000), torch.full((3, 80), 0.01).log())
    smooth = torch.linspace(1, 2, 641)[None]
    assert torch.allclose(
        mel.magnitudes_of(mel.log_mel(smooth, 80, 16000), 1280, 16000).mean(), smooth.mean(), rtol=0.1
    )


# Codes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 319, 320, 321, 64 * 320, 64 * 320 + 1])
def test_frames_and_samples(audio_tokenizer: AudioTokenizer, samples: int) -> None:
    stream = audio_tokenizer.encode(AudioClip(noise(samples), 16000))
    frames = -(-samples // 320)
    assert stream.codes.shape == (frames, 3)
    assert stream.duration_seconds == frames / 50
    assert audio_tokenizer.decode(stream).samples.shape == (1, frames * 320)


@pytest.mark.parametrize("sizes", [(1, 500, 70_000), (64 * 320,), (30_000,), (320, 7)])
def test_blocks_have_the_codes_of_the_whole(audio_tokenizer: AudioTokenizer, sizes: tuple[int, ...]) -> None:
    samples = noise(150_007)

    def blocks() -> Iterator[AudioClip]:
        place = turn = 0
        while place < samples.shape[1]:
            size = max(sizes[turn % len(sizes)], 3000 if place else 1)
            yield AudioClip(samples[:, place : place + size], 16000)
            place, turn = place + size, turn + 1

    parts = list(audio_tokenizer.encode_blocks(blocks()))
    assert torch.equal(
        torch.cat([part.codes for part in parts]), audio_tokenizer.encode(AudioClip(samples, 16000)).codes
    )
    starts = [sum(len(part.codes) for part in parts[:number]) / 50 for number in range(len(parts))]
    assert [part.start_seconds for part in parts] == starts
    assert all(len(part.codes) % 64 == 0 for part in parts[:-1])


def test_blocks_of_nothing_and_of_another_rate(audio_tokenizer: AudioTokenizer) -> None:
    assert list(audio_tokenizer.encode_blocks([])) == []
    with pytest.raises(ValueError, match="blocks must have 16000 samples a second, got 8000"):
        list(audio_tokenizer.encode_blocks([AudioClip(noise(100), 8000)]))
    with pytest.raises(TypeError, match="encodes AudioClip, got str"):
        list(audio_tokenizer.encode_blocks(["a"]))  # type: ignore[list-item]


def test_codes_depend_on_the_halo_only(audio_tokenizer: AudioTokenizer) -> None:
    samples, reach = noise(64 * 320 * 3), audio_tokenizer.config.encoder_reach
    changed = samples.clone()
    changed[:, : 64 * 320] = noise(64 * 320, seed=5)
    first, second = (audio_tokenizer.encode(AudioClip(one, 16000)).codes for one in (samples, changed))
    assert not torch.equal(first[:64], second[:64])
    after = 64 + reach + 2
    assert torch.equal(first[after:], second[after:])
    assert after - 64 <= CONTEXT_SECONDS * 50


def test_latents_are_bit_equal_in_every_place_and_with_threads(audio_tokenizer: AudioTokenizer) -> None:
    """On latents, not only on codes: a change of the last bit almost never flips a code."""
    network = audio_tokenizer._network
    windows = torch.stack([noise(audio_tokenizer._frames.size, seed)[0] for seed in range(module.TOGETHER)])
    before, seen = torch.get_num_threads(), []
    try:
        with torch.no_grad():
            for threads in (1, 2):
                torch.set_num_threads(threads)
                for shift in range(module.TOGETHER):
                    latents = network.encoder(network.features(windows.roll(shift, 0)))
                    seen.append(latents.roll(-shift, 0))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(latents, seen[0]) for latents in seen)


@pytest.mark.parametrize("vocoder", VOCODERS)
def test_long_streams_are_decoded_in_segments(
    audio_tokenizer: AudioTokenizer, monkeypatch: pytest.MonkeyPatch, vocoder: str
) -> None:
    tokenizer = AudioTokenizer(replace(TINY, vocoder=vocoder), stored(audio_tokenizer._network))
    codes = audio_tokenizer.encode(AudioClip(noise(150 * 320), 16000)).codes
    whole = tokenizer.sound_of(codes)
    monkeypatch.setattr(module, "_SEGMENT", 60)
    parts = tokenizer.sound_of(codes)
    assert parts.shape == whole.shape
    assert torch.allclose(parts[: 40 * 320], whole[: 40 * 320], atol=1e-5)
    if vocoder == "head":
        assert torch.allclose(parts, whole, atol=1e-5)
    else:
        jumps = [float((one[1:] - one[:-1]).abs().max()) for one in (parts, whole)]
        assert jumps[0] < 1.5 * jumps[1]


def test_kept_samples_are_those_of_the_given_clip(
    audio_tokenizer: AudioTokenizer, held_out_speech: list[AudioClip]
) -> None:
    stream = audio_tokenizer.encode(held_out_speech[3])
    plain, frames = audio_tokenizer.decode(stream), len(stream.codes)
    given = AudioClip(held_out_speech[2].samples[:, : frames * 320], 16000)
    keep = torch.zeros(frames * 320, dtype=torch.bool)
    keep[100:900] = True
    mixed = audio_tokenizer.decode(stream, given=given, keep=keep)
    assert torch.equal(mixed.samples[:, 100:900], given.samples[:, 100:900])
    assert torch.equal(mixed.samples[:, 1060:], plain.samples[:, 1060:])  # after a fade of 10 ms
    assert mixed.stream == stream
    places = torch.zeros(frames, dtype=torch.bool)
    places[1] = True
    mixed = audio_tokenizer.decode(stream, given=given, keep=places)
    assert torch.equal(mixed.samples[:, 320:640], given.samples[:, 320:640])
    short = audio_tokenizer.decode(stream, given=AudioClip(torch.ones(1, 10), 16000), keep=torch.ones_like(keep))
    assert short.samples[0, :20].tolist() == [1.0] * 10 + short.samples[0, 10:20].tolist()  # no more is there to keep
    assert torch.equal(short.samples[:, 180:], plain.samples[:, 180:])
    with pytest.raises(ValueError, match=r"given must be no longer than the stream, got 2 s for 1\.38 s; cut it"):
        audio_tokenizer.decode(stream, given=AudioClip(torch.ones(1, 32000), 16000), keep=keep)
    with pytest.raises(ValueError, match="given and keep belong together"):
        audio_tokenizer.decode(stream, given=given)
    with pytest.raises(ValueError, match=rf"keep must be bool \[{frames}\] or \[{frames * 320}\], got bool \[5\]"):
        audio_tokenizer.decode(stream, given=given, keep=keep[:5])
    with pytest.raises(TypeError, match="encodes AudioClip, got Tensor"):
        audio_tokenizer.decode(stream, given=given.samples, keep=keep)  # type: ignore[arg-type]


def test_generated_clips_are_not_encoded_again_unless_changed(
    audio_tokenizer: AudioTokenizer, held_out_speech: list[AudioClip]
) -> None:
    made = audio_tokenizer.decode(audio_tokenizer.encode(held_out_speech[4]))
    assert stream_of(audio_tokenizer, made) is made.stream
    louder = replace(made, samples=made.samples * 4)
    assert stream_of(audio_tokenizer, louder) == audio_tokenizer.encode(louder)


# Fitting --------------------------------------------------------------------------------------------------------------


def test_a_stopped_fit_goes_on_bit_for_bit(
    tmp_path: Path, speech: list[AudioClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fitted(folder: Path | None, **changes: Any) -> AudioTokenizer:
        config = replace(TINY, head_width=64, head_blocks=0)
        settings = {"config": config, "steps": 8, "batch_size": 16, "checkpoint_every": 4, **changes}
        return AudioTokenizer.fit(speech[:6], folder=folder, progress=False, **settings)

    whole = goes_on_bit_for_bit(fitted, tmp_path, monkeypatch, stop_at=6)
    assert fitted(None, seed=1).spec != whole.spec
    refused_resume(fitted, tmp_path, "resumed with the config it began with", config=replace(TINY, rounds=3))


def test_without_a_head(speech: list[AudioClip]) -> None:
    config = replace(TINY, head_width=0, vocoder="griffin_lim")
    tokenizer = AudioTokenizer.fit(speech[:3], config=config, steps=2, batch_size=16, progress=False)
    assert tokenizer.decode(tokenizer.encode(speech[0])).samples.isfinite().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hop": 321}, "hop must be even"),
        ({"n_fft": 1000}, "n_fft an even multiple"),
        ({"sample_rate_hz": 500}, "2 hops at least"),
        ({"bands": 0}, "bands within"),
        ({"width": 0}, "width and expansion must be positive"),
        ({"latent": 81}, "latent must lie within 1..bands, 80, got 81"),
        ({"kernel": 6}, "kernel must be odd"),
        ({"vocoder": "wavenet"}, "vocoder must be one of head, mixed, griffin_lim"),
        ({"head_width": 0}, "without a head the vocoder must be griffin_lim"),
        ({"encoder_blocks": 20}, r"must see 0\.5 s to either side at most"),
        ({"codes": 1}, "a codebook needs"),
        ({"levels": 0}, "levels >= 1"),
    ],
)
def test_settings_out_of_range_are_one_sentence(change: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AudioTokenizerConfig(**change)


def test_wrong_items_are_one_sentence(audio_tokenizer: AudioTokenizer) -> None:
    with pytest.raises(ValueError, match="fitting needs 1 clip at least"):
        AudioTokenizer.fit([])
    with pytest.raises(TypeError, match="AudioTokenizer encodes AudioClip, got str"):
        AudioTokenizer.fit(["a"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="evaluate needs at least one clip"):
        audio_tokenizer.evaluate([])


def test_figures(audio_tokenizer: AudioTokenizer, held_out_speech: list[AudioClip], speech: list[AudioClip]) -> None:
    config = replace(TINY, vocoder="mixed", rounds=8)  # mel bands are learned sooner than the head
    tokenizer = AudioTokenizer(config, stored(audio_tokenizer._network))
    figures = tokenizer.evaluate(held_out_speech[:6], speech[:40])
    assert figures["bits_per_second"] == 50 * 3 * 4
    assert figures["mel_l1"] == figures["mel_l1_levels_3"] < figures["mel_l1_levels_1"]
    assert figures["mel_l1"] < figures["mean_mel_l1"]
    assert 0 < figures["pca_mel_l1"] < figures["mean_mel_l1"]
    assert 0 < figures["spectral_convergence"] < 1.2
    assert figures["codes_used_share"] > 0.3
    assert 2 < figures["perplexity_level_3"] <= 16


@pytest.mark.slow
def test_a_minute_of_training_is_intelligible(held_out_speech: list[AudioClip], speech: list[AudioClip]) -> None:
    figures = AudioTokenizer.fit(speech, progress=False).evaluate(held_out_speech, speech)
    assert figures["mel_l1"] < 0.42
    falling = [figures[f"mel_l1_levels_{levels}"] for levels in range(1, 8)]
    assert falling == sorted(falling, reverse=True)
    assert all(figures[f"codes_used_share_level_{level}"] > 0.9 for level in range(2, 8))
