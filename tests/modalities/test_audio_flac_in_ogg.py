"""FLAC in Ogg, which libsndfile does not find there, and codings of telephones in WAV, AU and AIFF-C."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.audio.long import long_sound

WAVE = (np.random.default_rng(0).normal(size=(40000, 2)) * 3000).astype(np.int16)


def page(payload: bytes, kind: int, serial: int = 7) -> bytes:
    """A page of Ogg; nobody here looks at its checksum."""
    lacing = bytes([255] * (len(payload) // 255) + [len(payload) % 255])
    return (
        b"OggS\0"
        + bytes([kind])
        + bytes(8)
        + serial.to_bytes(4, "little")
        + bytes(8)
        + bytes([len(lacing)])
        + lacing
        + payload
    )


def flac_in_ogg(folder: Path, between: bytes = b"") -> bytes:
    """As RFC 9639 has it: STREAMINFO in the first packet, other blocks and frames behind it."""
    soundfile.write(folder / "own.flac", WAVE, 16000)
    held = (folder / "own.flac").read_bytes()
    pages = [page(b"\x7fFLAC\x01\0\0\x01" + held[:42], 2)]
    pages += [page(held[at : at + 9000], 0) for at in range(42, len(held), 9000)]
    return between.join(pages)


@pytest.mark.parametrize("between", [b"", page(b"another stream", 0, serial=8)])
def test_flac_in_ogg_is_read(tmp_path: Path, between: bytes) -> None:
    path = tmp_path / "x.oga"
    path.write_bytes(flac_in_ogg(tmp_path, between))
    assert len(path.read_bytes()) > 9 * 9000  # many pages
    wanted = torch.from_numpy(WAVE.T / np.float32(32768))
    clip = AudioClip.load(path)
    assert clip.sample_rate_hz == 16000 and torch.equal(clip.samples, wanted)
    long = long_sound(path)
    assert long is not None and long.frames == len(WAVE)
    path.write_bytes(path.read_bytes() * 2)  # chained
    assert torch.equal(AudioClip.load(path).samples, torch.cat([wanted, wanted], 1))


def test_what_lies_between_pages_of_flac_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.ogg"
    path.write_bytes(flac_in_ogg(tmp_path, b"lost"))
    with pytest.warns(UserWarning, match=r"x\.ogg: \d+ bytes in it are no Ogg pages and are left out"):
        assert AudioClip.load(path).samples.shape == (2, len(WAVE))


@pytest.mark.parametrize("name", ["a.au", "b.au", "c.au", "d.wav", "e.wav", "f.aiff"])
def test_old_codings_of_telephones_are_read(tmp_path: Path, name: str) -> None:
    coding = {"a": "G721_32", "b": "G723_24", "c": "G723_40", "d": "G721_32", "e": "NMS_ADPCM_32", "f": "GSM610"}[
        name[0]
    ]
    wave = 0.3 * np.sin(np.arange(8000) * 2 * np.pi * 300 / 8000)
    soundfile.write(tmp_path / name, wave, 8000, subtype=coding)
    read = AudioClip.load(tmp_path / name).samples[0].numpy()[: len(wave)]
    assert np.corrcoef(read, wave)[0, 1] > 0.98
