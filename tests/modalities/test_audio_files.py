"""Sound files as other programs write them, and channels that cancel each other."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.audio import media as clip_module

RATE = 16000


def tone(samples: int, hz: float = 440) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(samples) / RATE)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_streams_one_after_the_other_are_joined(tmp_path: Path, subtype: str) -> None:
    parts = []
    for number, (samples, hz) in enumerate([(19200, 300), (16000, 1000), (8000, 2000)]):
        soundfile.write(tmp_path / f"{number}.ogg", tone(samples, hz), RATE, format="OGG", subtype=subtype)
        parts.append((tmp_path / f"{number}.ogg").read_bytes())
    (tmp_path / "all.ogg").write_bytes(b"".join(parts))
    clip = AudioClip.load(tmp_path / "all.ogg")
    assert clip.samples.shape == (1, 43200) and clip.sample_rate_hz == RATE
    wanted = np.concatenate([tone(19200, 300), tone(16000, 1000), tone(8000, 2000)])
    assert np.corrcoef(clip.samples[0].numpy(), wanted)[0, 1] > 0.98
    (tmp_path / "one.ogg").write_bytes(parts[0])
    assert AudioClip.load(tmp_path / "one.ogg").samples.shape == (1, 19200)


def test_ogg_streams_of_different_kinds_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.ogg", tone(8000), RATE)
    soundfile.write(tmp_path / "b.ogg", np.stack([tone(8000)] * 2, 1), 22050)
    (tmp_path / "c.ogg").write_bytes((tmp_path / "a.ogg").read_bytes() + (tmp_path / "b.ogg").read_bytes())
    with pytest.raises(
        ValueError, match=r"c\.ogg .*2 streams .*1 channel\(s\) at 16000 Hz and 2 channel\(s\) at 22050"
    ):
        AudioClip.load(tmp_path / "c.ogg")


def test_a_flac_file_of_unknown_length_is_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.flac"
    values = np.rint(np.stack([tone(19200), tone(19200, 700)], 1) * 32767).astype(np.int16)
    soundfile.write(path, values, RATE, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    assert data[4] & 0x7F == 0  # the first block is STREAMINFO; its total is the lower 36 bits of bytes 10 to 17
    data[8 + 13] &= 0xF0
    data[8 + 14 : 8 + 18] = bytes(4)
    path.write_bytes(data)
    assert np.array_equal(AudioClip.load(path).samples.numpy(), values.T / np.float32(32768))
    monkeypatch.setattr(clip_module, "MAX_SAMPLES", 10_000)
    with pytest.raises(ValueError, match=r"a\.flac .*more than 10000 samples"):
        AudioClip.load(path)


@pytest.mark.parametrize("size", [None, 0xFFFFFFFF, 0x7FFFFFFF])
@pytest.mark.parametrize("extensible", [False, True])
def test_headers_of_wav(tmp_path: Path, extensible: bool, size: int | None) -> None:
    """Extended ones, as most programs write more than 16 bits, and those of pipes, which do not know the length."""
    values = np.rint(tone(4800) * 32767).astype("<i2")
    head = struct.pack("<HHIIHH", 0xFFFE if extensible else 1, 1, RATE, 2 * RATE, 2, 16)
    if extensible:
        head += struct.pack("<HHIH", 22, 16, 4, 1) + bytes.fromhex("000000001000800000aa00389b71")
    body = b"WAVEfmt " + struct.pack("<I", len(head)) + head + b"data"
    whole = size or 2 * len(values)
    data = body + struct.pack("<I", whole) + values.tobytes()
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", size or len(data)) + data)
    assert np.array_equal(AudioClip.load(tmp_path / "a.wav").samples[0].numpy(), values / np.float32(32768))


@pytest.mark.parametrize("value", [1e29, -1e6, np.inf, np.nan])
def test_a_sample_that_cannot_be_sound_is_refused_by_name(tmp_path: Path, value: float) -> None:
    samples = tone(RATE)
    samples[4000] = value
    soundfile.write(tmp_path / "big.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"big\.wav .*finite and up to 65536 times full scale .* at 0\.250 s is"):
        AudioClip.load(tmp_path / "big.wav")
    soundfile.write(tmp_path / "loud.wav", tone(RATE) * 32768, RATE, subtype="FLOAT")
    assert AudioClip.load(tmp_path / "loud.wav").samples.abs().max() > 16000


def cancelling(*channels: torch.Tensor) -> torch.Tensor:
    """What becomes of channels that must be said to cancel each other."""
    with pytest.warns(UserWarning, match=r"AudioClip\(0\.500 s, 2 channel.* cancel each other .* is taken alone"):
        return AudioClip(torch.stack(channels), RATE).mono().samples[0]


def test_opposite_channels_are_still_heard(tmp_path: Path) -> None:
    one = torch.from_numpy(tone(8000)).float()
    other = torch.from_numpy(tone(8000, 1000)).float()
    assert torch.equal(cancelling(one, -one), one)
    assert torch.equal(cancelling(-0.98 * one, one), one)
    assert torch.equal(cancelling(one, -0.5 * one), one)  # the mean would be a quarter of the wave
    path = tmp_path / "opposite.wav"
    soundfile.write(path, np.stack([tone(8000), -tone(8000)], 1), RATE, subtype="FLOAT")
    with pytest.warns(UserWarning, match=re.escape(f"the channels of {path} cancel each other (their mean keeps 0.0%")):
        assert torch.equal(AudioClip.load(path).mono().samples[0], one)
    side = cancelling(one + 0.3 * other, 0.3 * other - one)  # the mean would have the quiet tone alone
    assert abs(float(torch.corrcoef(torch.stack([side, one]))[0, 1])) > 0.9


@pytest.mark.filterwarnings("error")
def test_other_channels_are_averaged() -> None:
    one, other = (torch.from_numpy(tone(8000, hz)).float() for hz in (440, 1000))
    for channels in ([one, one], [one, other], [one, 0 * one], [one, -0.2 * one], [one, 0.6 * other - 0.3 * one]):
        together = torch.stack(channels)
        assert torch.equal(AudioClip(together, RATE).mono().samples, together.mean(0, keepdim=True))
    noise = torch.randn(64, 8000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(AudioClip(noise, RATE).mono().samples, noise.mean(0, keepdim=True))
    assert torch.equal(AudioClip(torch.zeros(2, 9), RATE).mono().samples, torch.zeros(1, 9))


# What others write and break ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subtype", ["GSM610", "G721_32"])
def test_codecs_without_seeking_are_read_forward(tmp_path: Path, subtype: str) -> None:
    kind = ("a.wav", "WAV") if subtype == "GSM610" else ("a.au", "AU")
    path, values = tmp_path / kind[0], 0.5 * np.sin(2 * np.pi * 300 * np.arange(16000) / 8000)
    soundfile.write(path, values, 8000, format=kind[1], subtype=subtype)
    clip = AudioClip.load(path)
    assert clip.sample_rate_hz == 8000 and clip.samples.shape[0] == 1
    assert 16000 <= clip.samples.shape[1] < 16000 + 320
    assert np.corrcoef(clip.samples[0, 200:16000].numpy(), values[200:])[0, 1] > 0.98


def test_a_file_without_samples_is_said(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0), RATE)
    with pytest.raises(ValueError, match=r"a\.wav must be a whole audio file, but .*\(it holds no samples\)"):
        AudioClip.load(tmp_path / "a.wav")


def test_a_broken_ogg_file_is_said_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "hole.ogg"
    soundfile.write(path, tone(16000), RATE, format="OGG", subtype="VORBIS")
    whole = path.read_bytes()
    second = whole.index(b"OggS", 1)  # the page with the tables of the codec
    path.write_bytes(whole[: second + 100] + whole[second + 400 :])
    with pytest.raises(ValueError, match=r"hole\.ogg must be a whole audio file") as caught:
        AudioClip.load(path)
    assert "BytesIO" not in str(caught.value) and "\n" not in str(caught.value)
