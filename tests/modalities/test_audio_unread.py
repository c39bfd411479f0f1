"""Codings of sound that libsndfile does not read: each is named, with what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.modalities.test_audio_flac_in_ogg import WAVE, page
from tokenmask.modalities.audio import AudioClip

WRONG = {
    "g726.wav": ("WAV", 20, b"\x45\0", "G.726 ADPCM"),
    "g723.wav": ("WAV", 20, b"\x14\0", "G.723 ADPCM"),
    "odd name.wav": ("WAV", 20, b"\x34\x12", "coding 0x1234 of WAV"),
    "g722.au": ("AU", 12, b"\0\0\0\x18", "G.722 ADPCM"),
    "odd.au": ("AU", 12, b"\0\0\0\x63", "coding 99 of AU"),
    "qdmc.aifc": ("AIFF", -1, b"QDMC", "coding 'QDMC' of AIFF-C"),
    "aac.caf": ("CAF", 28, b"aac ", "coding 'aac' of CAF"),
}


@pytest.mark.parametrize("name", WRONG)
def test_codings_that_cannot_be_read_are_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    container, place, other, coding = WRONG[name]
    path = tmp_path / name
    soundfile.write(path, WAVE, 16000, format=container, subtype="ULAW" if container == "AIFF" else "PCM_16")
    held = bytearray(path.read_bytes())
    place = held.find(b"ulaw") if place < 0 else place
    held[place : place + len(other)] = other
    path.write_bytes(held)
    with pytest.raises(ValueError, match="must be sound that libsndfile reads") as caught:
        AudioClip.load(path)
    old, new = (f"'{one}'" if " " in one else one for one in (name, f"{path.stem}.flac"))
    assert str(caught.value) == (
        f"{path} must be sound that libsndfile reads, but holds {coding}; convert it, with ffmpeg -i {old} {new}"
    )


def test_speex_is_named_and_damage_keeps_its_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.ogg").write_bytes(page(b"Speex   1.2" + bytes(69), 2) + page(bytes(200), 0))
    with pytest.raises(ValueError, match=r"but holds Speex; convert it, with ffmpeg -i x\.ogg x\.flac"):
        AudioClip.load(tmp_path / "x.ogg")
    (tmp_path / "x.flac").write_bytes(b"fLaC" + bytes(100))
    with pytest.raises(ValueError, match=r"x\.flac must be a whole audio file, but cannot be read .*; export it again"):
        AudioClip.load(tmp_path / "x.flac")


WRONG_IN_WAV = {
    "two": "it has 2 chunks of samples, and one is allowed",
    "rate": "its header names a rate of 0 Hz",
    "half": "its samples are floats of 16 bits, which have 32 or 64 where it can be read: save it so",
}


@pytest.mark.parametrize("name", WRONG_IN_WAV)
def test_headers_of_wav_that_libsndfile_refuses_are_said(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.wav"
    soundfile.write(path, WAVE, 16000, subtype="PCM_16")
    held = path.read_bytes()
    if name == "two":
        held = held[:4] + (len(held) + 1000).to_bytes(4, "little") + held[8:] + b"data\xe8\3\0\0" + held[44:1044]
    elif name == "rate":
        held = held[:24] + bytes(8) + held[32:]
    else:
        held = held[:20] + b"\3\0" + held[22:44] + WAVE.astype(np.float16).tobytes()
    path.write_bytes(held)
    with pytest.raises(ValueError, match=r"export it again") as caught:
        AudioClip.load(path)
    assert str(caught.value) == (
        f"{path} must be a whole audio file, but cannot be read ({WRONG_IN_WAV[name]}); export it again"
    )
