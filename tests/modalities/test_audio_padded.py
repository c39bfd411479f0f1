"""WAV files in codings of whole blocks end where their fact chunk says, read whole or in pieces."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.audio.long import long_sound
from tokenmask.modalities.audio.mpeg import mp3_streams

SAMPLES = 15435


def tone(channels: int = 1) -> np.ndarray:
    return np.repeat(0.3 * np.sin(np.arange(SAMPLES) / 10)[:, None], channels, 1)


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def loaded(path: Path) -> tuple[torch.Tensor, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        samples = AudioClip.load(path).samples
    in_pieces = long_sound(path)
    if in_pieces is not None:
        assert torch.equal(torch.cat(list(in_pieces.blocks()), 1), samples)
    return samples, [str(one.message) for one in caught]


@pytest.mark.parametrize(
    ("coding", "rate", "channels"), [("MS_ADPCM", 22050, 1), ("MS_ADPCM", 22050, 2), ("GSM610", 8000, 1)]
)
def test_a_last_block_is_cut_to_the_samples_that_are_meant(
    tmp_path: Path, coding: str, rate: int, channels: int
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(channels), rate, subtype=coding)
    whole = soundfile.read(path, dtype="float32", always_2d=True)[0].T
    samples, told = loaded(path)
    assert told == [] and samples.shape == (channels, SAMPLES) and whole.shape[1] > SAMPLES
    assert torch.equal(samples, torch.from_numpy(whole[:, :SAMPLES].copy()))
    assert np.corrcoef(samples[0, -200:].numpy(), tone()[-200:, 0])[0, 1] > 0.95  # the end is the tone's, not padding


@pytest.mark.parametrize("said", [0, None, 8000])
def test_a_length_that_is_missing_or_another_is_told_and_all_is_read(tmp_path: Path, said: int | None) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(), 22050, subtype="MS_ADPCM")
    held = path.read_bytes()
    at = held.index(b"fact")
    length = b"junk" + held[at + 4 : at + 12] if said is None else chunk(b"fact", struct.pack("<I", said))
    path.write_bytes(held[:at] + length + held[at + 12 :])
    samples, told = loaded(path)
    assert samples.shape[1] == soundfile.info(path).frames
    wanted = "it announces 0.362812 s, but 0.734331 s are there" if said else "it does not say how many samples it has"
    assert len(told) == 1 and told[0].startswith(f"{path}: {wanted}")


@pytest.mark.parametrize(("off", "cut", "told"), [(100, True, 0), (2000, False, 0), (9000, False, 1)])
def test_mp3_in_wav_is_cut_to_the_samples_that_are_meant(tmp_path: Path, off: int, cut: bool, told: int) -> None:
    soundfile.write(tmp_path / "a.mp3", tone(), 44100)
    frames = (tmp_path / "a.mp3").read_bytes()
    frames = frames[frames.index(frames[:2], 4) :]  # without the frame that says how much of the others is meant
    (tmp_path / "bare.mp3").write_bytes(frames)
    bare = AudioClip.load(tmp_path / "bare.mp3").samples
    count = 1152 * mp3_streams(frames, [])[0].held
    assert bare.shape[1] == count - 529  # the delay of a decoder
    form = struct.pack("<HHIIHHHHIHHH", 0x55, 1, 44100, 8000, 1, 0, 12, 1, 2, 418, 1, 1393)
    parts = chunk(b"fmt ", form) + chunk(b"fact", struct.pack("<I", count - off)) + chunk(b"data", frames)
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WAVE" + parts)
    samples, words = loaded(path)
    assert len(words) == told
    assert torch.equal(samples, bare[:, : count - 529 - off] if cut else bare)
