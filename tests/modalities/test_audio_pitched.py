"""A head that takes its phases from the pitch: pitches, pulses that fit from part to part, fitting, folders."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tokenmask.modalities.audio import AudioClip, AudioTokenizer, AudioTokenizerConfig, mel
from tokenmask.modalities.audio.pitch import cycles_of, filled, pitch_hz, pitch_of, pulses, voice
from tokenmask.modalities.audio.pitched import PitchedConfig
from tokenmask.modalities.audio.pitched_fit import PitchedFit, PitchedFitting
from tokenmask.modalities.learned import DECODER_FILE, stored
from tokenmask.modalities.motion import MotionTokenizer
from tokenmask.recipes.learners import fit_options
from tokenmask.tensor_files import load_tensors, save_tensors

from .contract import goes_on_bit_for_bit, refused_resume

TINY = AudioTokenizerConfig(
    bands=40, width=64, encoder_blocks=1, decoder_blocks=1, latent=16, codes=16, levels=3, head_width=64, head_blocks=1
)
SMALL = PitchedFit(steps=60, pitch_share=0.5, batch_size=4, peak_lr=3e-3, config=PitchedConfig(16, blocks=0))


def gliding(seconds: float = 2.0) -> tuple[Tensor, Tensor]:
    """A voice of six harmonics that glides from 100 to 200 Hz, and its pitch at each sample."""
    hertz = torch.linspace(100, 200, round(seconds * 16000), dtype=torch.float64)
    cycles = hertz.cumsum(0) / 16000
    return sum(0.1 / n * torch.cos(2 * torch.pi * n * cycles) for n in range(1, 7)).float(), hertz


@pytest.fixture(scope="module")
def clips() -> list[AudioClip]:
    sound, _ = gliding()
    hiss = 0.02 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    return [AudioClip(sound[None], 16000), AudioClip(hiss, 16000)]


@pytest.fixture(scope="module")
def first(clips: list[AudioClip]) -> AudioTokenizer:
    return AudioTokenizer.fit(clips, config=TINY, steps=10, batch_size=4, peak_lr=4e-3, progress=False)


@pytest.fixture(scope="module")
def later(first: AudioTokenizer, clips: list[AudioClip]) -> AudioTokenizer:
    return first.fit_decoder(clips, SMALL, progress=False)


# Pitch ----------------------------------------------------------------------------------------------------------------


def test_a_glide_is_followed_and_noise_and_silence_have_no_pitch() -> None:
    sound, hertz = gliding()
    wanted = hertz.view(-1, 320).mean(1)
    found = pitch_of(sound, 16000, 320)
    assert found.shape == (100,) and found.dtype == torch.float32
    assert bool((found[2:-2] > 0).all())
    assert float((found[2:-2] / wanted[2:-2]).log2().abs().max()) < 1 / 24  # half a semitone
    noise = torch.randn(16000, generator=torch.Generator().manual_seed(1))
    assert not pitch_of(noise, 16000, 320).any() and not pitch_of(torch.zeros(3201), 16000, 320).any()
    assert len(pitch_of(torch.zeros(3201), 16000, 320)) == 11
    both = pitch_of(torch.cat([noise * 0.1, sound]), 16000, 320)
    assert not both[:48].any() and bool((both[52:-2] > 0).all())


def test_frames_without_a_pitch_take_that_of_the_nearest() -> None:
    assert filled(torch.tensor([0.0, 0, 100, 0, 0, 0, 200, 0])).tolist() == [100, 100, 100, 100, 100, 200, 200, 200]
    assert filled(torch.zeros(2)).tolist() == [pytest.approx(math.sqrt(60 * 500))] * 2
    assert float(pitch_hz()[48] / pitch_hz()[0]) == 2.0


def test_pulses_are_all_harmonics_equally_strong() -> None:
    cycles = torch.arange(16000, dtype=torch.float64) * 200 / 16000
    train = pulses(cycles, torch.full((16000,), 200.0), 16000)
    assert train[:240].argmax() % 80 == 0  # a cycle ends every 80 samples
    assert float(train.square().mean().sqrt()) == pytest.approx(1, abs=0.02)
    powers = torch.fft.rfft(train.double()).abs().square()
    assert torch.allclose(powers[200:7900:200], powers[200].expand(39), rtol=1e-3)
    assert float(powers[200::200].sum() / powers.sum()) == pytest.approx(1, abs=1e-9)
    low = pulses(cycles, torch.full((16000,), 9000.0), 16000)  # one harmonic at least
    assert torch.allclose(low, math.sqrt(2) * torch.cos(2 * torch.pi * cycles).float(), atol=1e-5)


def test_cycles_by_hand() -> None:
    cycles, hertz = cycles_of(torch.tensor([4.0, 8.0]), rate_hz=8, hop=4, edge=2)
    # The middles of the frames lie between samples 3 and 4, and 7 and 8; before and after them the pitch stays.
    assert hertz.tolist() == [4, 4, 4, 4, 4.5, 5.5, 6.5, 7.5, 8, 8, 8, 8]
    assert cycles.tolist() == (torch.tensor(hertz.tolist()).double().cumsum(0) / 8).tolist()
    alone = cycles_of(torch.tensor([[5.0]]), 8, 4, 2)[1]
    assert alone.tolist() == [[5.0] * 8]


@pytest.mark.parametrize("drift", [0.0, 0.37])
def test_parts_that_are_made_by_themselves_fit(drift: float) -> None:
    """Segments of 64 frames, each with 12 frames beside it: what both make is equal, whatever the pitch adds up to."""
    hertz = 150 + drift + 20 * torch.sin(torch.arange(152) / 9)
    one = voice(hertz[:88], 16000, 320, 1280, first=12, segment=64)
    two = voice(hertz[64:], 16000, 320, 1280, first=12, segment=64)
    shared = slice(66, 86)  # but for the outermost frames, whose pitch is interpolated with one that the other lacks
    assert float((one[shared] - two[2:22]).abs().max()) < 1e-3 * float(one.abs().max())
    far = voice(hertz, 16000, 320, 1280, first=12, segment=1000)  # without a next segment nothing is changed
    plain = cycles_of(hertz, 16000, 320, 480)
    begin = 480 + 12 * 320
    assert torch.equal(far, mel.spectrum(pulses(plain[0] - plain[0][begin], plain[1], 16000), 1280, 320))


def test_settling_brings_a_sound_nearer_to_its_bands() -> None:
    sound = 0.1 * torch.randn(32000, generator=torch.Generator().manual_seed(3))
    spectra = mel.spectrum(sound, 1280, 320)
    wanted = mel.log_mel(spectra, 80, 16000)

    def apart(spectra: Tensor) -> float:
        again = mel.log_mel(mel.spectrum(mel.waveform(spectra, 320), 1280, 320), 80, 16000)
        return float((again - wanted)[4:-4].abs().mean())

    same = mel.settled(spectra, wanted, 320, 16000, rounds=1, lift=1.0)  # what fits already stays
    assert torch.allclose(same[4:-4], spectra[4:-4], atol=1e-3)
    angles = 6 * torch.rand(spectra.shape, generator=torch.Generator().manual_seed(2))
    rough = torch.polar(spectra.abs(), angles)  # much of it cancels
    rounds = [apart(mel.settled(rough, wanted, 320, 16000, rounds, 1.0)) for rounds in (0, 1, 3)]
    assert 0.6 * rounds[0] > rounds[1] > rounds[2]
    louder = mel.settled(spectra * 1.2, wanted, 320, 16000, 1, 0.0)
    assert apart(louder) < 0.1 * apart(spectra * 1.2)
    assert torch.allclose(mel.settled(spectra * 0.8, wanted, 320, 16000, 1, 0.0)[4:-4], spectra[4:-4] * 0.8, atol=1e-3)


# Fitting --------------------------------------------------------------------------------------------------------------


def test_a_fit_lowers_both_of_its_errors_from_the_first_head(first: AudioTokenizer, clips: list[AudioClip]) -> None:
    task = PitchedFitting(clips, first._network, SMALL)
    assert torch.equal(task.head.head.enter.weight[:, :-2], first._network.head.enter.weight)
    assert torch.equal(task.head.head.leave.weight[: 2 * task.head.bins], first._network.head.leave.weight)
    metrics = [task.step(index) for index in range(60)]
    pitch = [one["pitch_error"] for one in metrics if "pitch_error" in one]
    heads = [one["head_error"] for one in metrics if "head_error" in one]
    assert len(pitch) == len(heads) == 30
    assert sum(pitch[-5:]) < 0.9 * sum(pitch[:5])
    assert sum(heads[-8:]) < 0.9 * sum(heads[:8])
    assert metrics[29]["pitch_right"] > metrics[0]["pitch_right"]


def test_a_stopped_fit_goes_on_bit_for_bit(
    tmp_path: Path, first: AudioTokenizer, clips: list[AudioClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SMALL, steps=8)

    def fitted(folder: Path, settings: PitchedFit = settings) -> AudioTokenizer:
        return first.fit_decoder(clips, settings, folder=folder, checkpoint_every=3, progress=False)

    goes_on_bit_for_bit(fitted, tmp_path, monkeypatch, stop_at=7, fitting=PitchedFitting)
    refused_resume(fitted, tmp_path, "resumed with the settings it began with", settings=replace(settings, seed=1))


def test_fit_brings_both_heads(tmp_path: Path, clips: list[AudioClip]) -> None:
    options = fit_options(AudioTokenizer, {"pitched": {"steps": 4, "config": {"width": 8, "blocks": 1}}})
    assert options == {"pitched": PitchedFit(steps=4, config=PitchedConfig(8, 1))}
    made = AudioTokenizer.fit(clips, config=TINY, steps=2, batch_size=4, folder=tmp_path, progress=False, **options)
    assert made.decoder_config == PitchedConfig(8, 1)
    plain = AudioTokenizer.fit(clips, config=TINY, steps=2, batch_size=4, progress=False)
    assert made.spec == plain.spec and (tmp_path / "decoder" / "checkpoint.safetensors").is_file()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"steps": 1}, "steps of a pitched fit must be a whole number, at least 2, got 1"),
        ({"steps": 2.5}, "steps of a pitched fit must be a whole number, at least 2, got 2.5"),
        ({"batch_size": 0}, "batch_size .* at least 1, got 0"),
        ({"seed": "x"}, "seed .* at least 0, got 'x'"),
        ({"pitch_share": 1.0}, "pitch_share of a pitched fit must lie above 0 and below 1.0, got 1.0"),
        ({"peak_lr": 0.0}, "peak_lr of a pitched fit must lie above 0"),
        ({"peak_lr": float("nan")}, "peak_lr .* got nan"),
        ({"config": 3}, "config must be a PitchedConfig, got 3"),
    ],
)
def test_settings_out_of_range_are_one_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        PitchedFit(**change)
    with pytest.raises(ValueError, match=r"lift in 0\.\.1, got 0, 2, 2 and 0\.5"):
        PitchedConfig(width=0)


def test_without_a_head_there_is_no_later_one(clips: list[AudioClip]) -> None:
    config = replace(TINY, head_width=0, vocoder="griffin_lim")
    bare = AudioTokenizer.fit(clips, config=config, steps=1, batch_size=4, progress=False)
    with pytest.raises(ValueError, match="begins as the tokenizer's head, but there is none; set head_width"):
        bare.fit_decoder(clips, SMALL)
    with pytest.raises(ValueError, match="fitting needs 1 clip at least"):
        bare.fit_decoder([])


@pytest.mark.parametrize(("sound", "told"), [(0.0, "any sound"), (0.1, "a voice or anything else with a pitch")])
def test_clips_without_a_pitch_are_told(first: AudioTokenizer, sound: float, told: str) -> None:
    noise = sound * torch.randn(1, 16000, generator=torch.Generator().manual_seed(1))
    with pytest.warns(UserWarning, match=f"the clips to fit to are without {told}, so the head learns no pitch"):
        PitchedFitting([AudioClip(noise, 16000)], first._network, SMALL)


# Codes and folders ----------------------------------------------------------------------------------------------------


def test_codes_stay_bit_for_bit_and_the_sound_changes(
    first: AudioTokenizer, later: AudioTokenizer, clips: list[AudioClip]
) -> None:
    assert later.spec == first.spec
    before, after = first.encode_many(clips), later.encode_many(clips)
    assert all(torch.equal(one.codes, two.codes) for one, two in zip(before, after, strict=True))
    assert stored(first._network).keys() == stored(later._network).keys()
    assert all(torch.equal(value, stored(later._network)[name]) for name, value in stored(first._network).items())
    old, new = (one.decode(before[0]).samples for one in (first, later))  # either decodes the codes of the other
    assert old.shape == new.shape and not torch.equal(old, new)


def test_long_sounds_go_on_over_segments(
    later: AudioTokenizer, clips: list[AudioClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokenmask.modalities.audio import vocoder as module

    monkeypatch.setattr(module, "_SEGMENT", 32)
    codes = later.encode(clips[0]).codes
    whole = later.sound_of(codes)
    steps = (whole[1:] - whole[:-1]).abs()
    joints = torch.cat([steps[start * 320 - 40 : start * 320 + 40] for start in (32, 64, 96)])
    assert float(joints.max()) <= float(steps.max()) and float(joints.mean()) < 2 * float(steps.mean())
    halves = torch.cat(list(later._vocoder.pieces(iter([codes[:41], codes[41:]]), len(codes))))
    assert torch.equal(halves, whole)


def test_folders_keep_the_later_decoder(
    tmp_path: Path, first: AudioTokenizer, later: AudioTokenizer, clips: list[AudioClip]
) -> None:
    stream = first.encode(clips[0])
    later.save(tmp_path / "a")
    read = AudioTokenizer.load(tmp_path / "a")
    assert read.spec == later.spec and read.decoder_config == SMALL.config
    assert torch.equal(read.decode(stream).samples, later.decode(stream).samples)
    first.save(tmp_path / "b")
    assert (tmp_path / "a" / "weights.safetensors").read_bytes() == (tmp_path / "b/weights.safetensors").read_bytes()
    about = [json.loads((tmp_path / name / "tokenizer.json").read_text()) for name in "ab"]
    assert about[0].pop("decoder") == later.decoder_fingerprint and about[0] == about[1]
    hidden = (tmp_path / "a" / DECODER_FILE).rename(tmp_path / "hidden")
    wanted = rf"must have decoder {later.decoder_fingerprint[:16]}, but its files give no later decoder: they were"
    with pytest.raises(ValueError, match=wanted):
        AudioTokenizer.load(tmp_path / "a")
    shutil.copy(hidden, tmp_path / "b" / DECODER_FILE)
    with pytest.raises(ValueError, match="must have no later decoder, but its files give decoder"):
        AudioTokenizer.load(tmp_path / "b")
    first.save(tmp_path / "a")  # what a folder holds is what was saved last
    assert torch.equal(AudioTokenizer.load(tmp_path / "a").decode(stream).samples, first.decode(stream).samples)


def test_a_decoder_of_other_codes_is_refused(tmp_path: Path, later: AudioTokenizer, clips: list[AudioClip]) -> None:
    other = AudioTokenizer.fit(clips, config=TINY, steps=2, batch_size=4, progress=False)
    later.save(tmp_path / "a")
    other.save(tmp_path / "b")
    shutil.copy(tmp_path / "a" / DECODER_FILE, tmp_path / "b")
    with pytest.raises(ValueError, match=rf"decoder\.safetensors must be a decoder for the codes of tokenizer "
                       rf"{other.spec.fingerprint[:16]}, got one for {later.spec.fingerprint[:16]}; copy"):  # fmt: skip
        AudioTokenizer.load(tmp_path / "b")
    tensors, about = load_tensors(tmp_path / "a" / DECODER_FILE)
    save_tensors(tmp_path / "a" / DECODER_FILE, tensors, about | {"config": {"width": 32, "blocks": 0}})
    with pytest.raises(ValueError, match="must fit the configuration in names and shapes"):
        AudioTokenizer.load(tmp_path / "a")
    assert MotionTokenizer.decoder_class is None
