"""Files in which streams follow each other, and headers that announce more or less sound than there is."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.audio.joined import streams
from tokenmask.modalities.audio.mpeg import mp3_streams

RATE, JUNK = 16000, b"junk" * 50
KINDS = {
    "wav": ("WAV", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}


def tone(samples: int, hz: float) -> np.ndarray:
    return np.rint(16000 * np.sin(2 * np.pi * hz * np.arange(samples) / RATE)) / 32768


def encoded(values: np.ndarray, ending: str, rate: int = RATE) -> bytes:
    held = io.BytesIO()
    soundfile.write(held, values, rate, format=KINDS[ending][0], subtype=KINDS[ending][1])
    return held.getvalue()


def load(path: Path, data: bytes) -> tuple[np.ndarray, list[str]]:
    """The samples of a file, and what was said of it."""
    path.write_bytes(data)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        samples = AudioClip.load(path).samples[0].numpy()
    assert all(str(one.message).startswith(f"{path}: ") for one in said)
    return samples, [str(one.message).removeprefix(f"{path}: ") for one in said]


@pytest.mark.parametrize("ending", KINDS)
def test_files_that_were_put_together_are_read_to_the_end(tmp_path: Path, ending: str) -> None:
    sounds = [tone(24000, 300), tone(16000, 900), tone(8000, 2000)]
    parts = [encoded(sound, ending) for sound in sounds]
    wanted = np.concatenate(sounds)
    for between in (b"", JUNK, bytes(300)):
        samples, said = load(tmp_path / f"all.{ending}", between.join(parts))
        assert len(samples) == 48000 and np.corrcoef(samples, wanted)[0, 1] > 0.98
        if ending in ("wav", "aiff", "au", "caf", "flac"):
            assert np.array_equal(samples, wanted.astype(np.float32))
        counted = between == JUNK and ending in ("ogg", "opus", "mp3")  # no header says where their sound ends
        assert [one[:12] for one in said] == (["400 bytes in"] if counted else [])
    samples, said = load(tmp_path / f"one.{ending}", parts[0])
    assert len(samples) == 24000 and not said


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3"])
def test_parts_of_different_kinds_are_refused(tmp_path: Path, ending: str) -> None:
    other = encoded(np.stack([tone(8000, 500)] * 2, 1), ending, 24000)
    (tmp_path / f"a.{ending}").write_bytes(encoded(tone(8000, 500), ending) + other)
    with pytest.raises(ValueError, match=r"2 streams .*1 channel\(s\) at 16000 Hz and 2 channel\(s\) at 24000"):
        AudioClip.load(tmp_path / f"a.{ending}")


def test_a_picture_in_a_header_is_no_second_stream(tmp_path: Path) -> None:
    data = encoded(tone(8000, 500), "flac")
    block = data[:42] + JUNK  # an application block that holds what looks like a file
    application = b"\x02" + len(block).to_bytes(3, "big") + block
    samples, said = load(tmp_path / "a.flac", data[:42] + application + data[42:])
    assert np.array_equal(samples, tone(8000, 500).astype(np.float32)) and not said


@pytest.mark.parametrize("riff", [0, None])
def test_a_wav_file_that_says_it_has_no_samples_is_read_to_its_end(tmp_path: Path, riff: int | None) -> None:
    data = bytearray(encoded(tone(24000, 300), "wav"))
    place = data.index(b"data") + 4
    data[place : place + 4] = bytes(4)
    if riff is not None:
        data[4:8] = struct.pack("<I", riff)
    samples, said = load(tmp_path / "a.wav", bytes(data))
    assert np.array_equal(samples, tone(24000, 300).astype(np.float32))
    assert said == ["its header says that it has no samples, but 48000 bytes follow, which are read as samples"]
    (tmp_path / "none.wav").write_bytes(data[: place + 4] + b"LIST" + struct.pack("<I", 4) + b"INFO")  # none indeed
    with pytest.raises(ValueError, match=r"none\.wav .*it holds no samples"):
        AudioClip.load(tmp_path / "none.wav")


@pytest.mark.parametrize(("ending", "announced"), [("wav", 48000), ("aiff", 48008)])
def test_a_file_that_was_cut_short_is_said(tmp_path: Path, ending: str, announced: int) -> None:
    samples, said = load(tmp_path / f"a.{ending}", encoded(tone(24000, 300), ending)[:-20000])
    assert np.array_equal(samples, tone(24000, 300)[:14000].astype(np.float32))
    assert said == [
        f"its header announces {announced} bytes of samples, but {announced - 20000} are there: it is cut short"
    ]


@pytest.mark.parametrize(("announced", "said"), [(40000, ["2.5 s"]), (20000, ["1.25 s"]), (24000, []), (0, [])])
def test_flac_has_the_samples_that_are_there(tmp_path: Path, announced: int, said: list[str]) -> None:
    data = bytearray(encoded(tone(24000, 300), "flac"))
    data[21] = data[21] & 0xF0
    data[22:26] = announced.to_bytes(4, "big")
    for tail in (b"", b"TAG" + bytes(125)):
        samples, heard = load(tmp_path / "a.flac", bytes(data) + tail)
        assert np.array_equal(samples, tone(24000, 300).astype(np.float32))
        assert heard == [f"its header announces {one}, but 1.5 s are there" for one in said]


def frames_of(data: bytes) -> bytes:
    """An MP3 file without the frame that counts the others."""
    mark = data.index(b"Info") if b"Info" in data[:100] else data.index(b"Xing")
    return data[data.index(data[:2], mark) :]


def test_mp3_without_a_count_is_read_to_its_end(tmp_path: Path) -> None:
    """A decoder takes the bit rate of the first frame for that of all: a fifth of the sound came out."""
    whole, said = load(tmp_path / "a.mp3", encoded(tone(24000, 300), "mp3"))
    bare = frames_of(encoded(tone(24000, 300), "mp3"))
    samples, said = load(tmp_path / "b.mp3", bare)
    assert len(samples) > 24000 and not said
    late = int(np.argmax(np.correlate(samples[:8000], whole[:6000])))
    assert np.abs(samples[late : late + 23000] - whole[:23000]).max() < 1e-3
    tags = b"ID3\x04\x00\x00\x00\x00\x00\x10" + bytes(16)
    together = tags + bare + b"TAG" + bytes(125) + tags + bare
    assert len(load(tmp_path / "c.mp3", together)[0]) == 2 * len(samples)
    notes: list[str] = []
    assert [one.held for one in mp3_streams(bare + bare, notes)] == [88] and not notes  # one stream of 2 x 44 frames


def test_mp3_that_was_cut_short_is_said(tmp_path: Path) -> None:
    data = encoded(tone(24000, 300), "mp3")
    samples, said = load(tmp_path / "a.mp3", data[:2000])
    assert said == ["its header announces 44 MP3 frames, but 34 are there: it is cut short"]
    assert 15000 < len(samples) < 24000


# Other kinds of long and big-endian files -----------------------------------------------------------------------------


def other(values: np.ndarray, kind: str) -> bytes:
    held = io.BytesIO()
    form, endian = ("WAV", "BIG") if kind == "rifx" else (kind.upper(), "FILE")
    soundfile.write(held, values, RATE, format=form, subtype="PCM_16", endian=endian)
    return held.getvalue()


@pytest.mark.parametrize(("kind", "mark"), [("rf64", b"RF64"), ("rifx", b"RIFX"), ("w64", b"riff"), ("au", b".snd")])
def test_long_and_big_endian_files_are_cut_and_joined_with_the_same_words(
    tmp_path: Path, kind: str, mark: bytes
) -> None:
    sounds = [tone(24000, 300), tone(16000, 900)]
    parts = [other(sound, kind) for sound in sounds]
    assert parts[0][:4] == mark
    samples, said = load(tmp_path / "whole.wav", parts[0])
    assert np.array_equal(samples, sounds[0].astype(np.float32)) and said == []
    samples, said = load(tmp_path / "cut.wav", parts[0][:-20000])
    assert len(samples) == 14000 and np.array_equal(samples, sounds[0][:14000].astype(np.float32))
    assert said == ["its header announces 48000 bytes of samples, but 28000 are there: it is cut short"]
    samples, said = load(tmp_path / "both.wav", b"".join(parts))
    assert np.array_equal(samples, np.concatenate(sounds).astype(np.float32)) and said == []


def test_core_audio_files_that_are_cut_or_do_not_say_how_long_they_are(tmp_path: Path) -> None:
    """The data chunk begins with four bytes that count edits; -1 stands for all that follows."""
    sound = tone(24000, 300)
    data = encoded(sound, "caf")
    samples, said = load(tmp_path / "cut.caf", data[:-20000])
    assert np.array_equal(samples, sound[:14000].astype(np.float32))
    assert said == ["its header announces 48004 bytes of samples, but 28004 are there: it is cut short"]
    at = data.index(b"data") + 4
    unknown = data[:at] + b"\xff" * 8 + data[at + 8 :]
    samples, said = load(tmp_path / "pipe.caf", unknown)
    assert np.array_equal(samples, sound.astype(np.float32)) and said == []
    samples, said = load(tmp_path / "both.caf", unknown + data)
    assert np.array_equal(samples, np.concatenate([sound, sound]).astype(np.float32)) and said == []


ID3 = b"ID3\3\0\0\0\0\0\x7f" + bytes(127)


def test_flac_with_a_tag_before_it_is_joined(tmp_path: Path) -> None:
    sounds = [tone(24000, 300), tone(16000, 900)]
    parts = [ID3 + encoded(sound, "flac") for sound in sounds]
    samples, said = load(tmp_path / "one.flac", parts[0])
    assert np.array_equal(samples, sounds[0].astype(np.float32)) and said == []
    samples, said = load(tmp_path / "two.flac", b"".join(parts))
    assert np.array_equal(samples, np.concatenate(sounds).astype(np.float32)) and said == []


def test_a_tag_within_an_mp3_file_does_not_hide_its_frames(tmp_path: Path) -> None:
    data = encoded(tone(24000, 300), "mp3")
    whole, _ = load(tmp_path / "a.mp3", data)
    bounds = [place for place in range(len(data)) if data[place : place + 2] == data[:2]]
    middle = bounds[len(bounds) // 2]
    samples, said = load(tmp_path / "b.mp3", data[:middle] + ID3 + data[middle:])
    assert said == [] and np.array_equal(samples, whole)


@pytest.mark.parametrize("kind", ["AU", "W64", "RF64"])
def test_a_header_that_leads_back_to_itself_ends(kind: str, tmp_path: Path) -> None:
    """Samples that begin at byte 0 and are none: the search for a next stream began where it had begun."""
    path = tmp_path / f"a.{kind.lower()}"
    soundfile.write(path, np.full(400, 0.25), 16000, format=kind, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    if kind == "AU":
        data[4:12] = bytes(8)
    else:
        place = data.index(b"data") + (16 if kind == "W64" else 4)
        data[place : place + (8 if kind == "W64" else 4)] = bytes(8 if kind == "W64" else 4)
    path.write_bytes(data)
    assert len(streams(path, [])) == 1


@pytest.mark.parametrize("tag", [b"", b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)])
def test_aac_that_is_called_mp3_is_refused(tmp_path: Path, tag: bytes) -> None:
    """ADTS begins as MPEG frames do, with layer 0; libmpg123 makes a moment of silence of it."""
    path = tmp_path / "a.mp3"
    for begin in (b"\xff\xf1", b"\xff\xf0", b"\xff\xf9"):
        path.write_bytes(tag + (begin + bytes([0x50, 0x80, 0x2E, 0x7F, 0xFC]) + bytes(360)) * 20)
        with pytest.raises(ValueError, match=r"a\.mp3 must be .*it is AAC \(ADTS\)"):
            AudioClip.load(path)
