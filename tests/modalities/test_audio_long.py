"""Sound files in pieces: the codes and the sound of the whole, whatever the size of the pieces."""

from __future__ import annotations

import resource
import signal
import warnings
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from torch import Tensor

from tokenmask.modalities.audio import AudioClip, AudioTokenizer, long, vocoder
from tokenmask.modalities.audio.joined import streams
from tokenmask.modalities.audio.reading import blocks, header
from tokenmask.modalities.audio.writing import write_pieces
from tokenmask.run import Run, load
from tokenmask.tokenizer import ReadsFiles, WritesFiles


@pytest.fixture(scope="module")
def run() -> Run:
    return load()


@pytest.fixture
def audio(run: Run, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tokenizer that ships, with pieces so small that a second has several."""
    monkeypatch.setattr(long, "_BLOCK", 7001)
    monkeypatch.setattr(vocoder, "_SEGMENT", 32)
    return run.tokenizers["audio"]


def noise(channels: int, samples: int) -> Tensor:
    return 0.1 * torch.randn(channels, samples, generator=torch.Generator().manual_seed(samples))


def written(path: Path, samples: Tensor, rate: int) -> Path:
    soundfile.write(path, samples.T.numpy(), rate, subtype="PCM_16")
    return path


def told(caught: list[warnings.WarningMessage]) -> list[str]:
    return [str(one.message) for one in caught]


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        (noise(1, 40000), 16000),
        (noise(1, 1), 16000),
        (noise(1, 7001 * 4), 24000),
        (noise(2, 30001), 44100),
        (noise(1, 20000).expand(3, -1) * torch.tensor([[1.0], [-1.0], [0.5]]), 8000),
        (torch.zeros(1, 20000), 16000),
    ],
    ids=["own rate", "one sample", "whole pieces", "stereo", "cancelling", "silent"],
)
def test_codes_and_warnings_are_those_of_the_whole(audio: Any, tmp_path: Path, samples: Tensor, rate: int) -> None:
    path = written(tmp_path / "sound.wav", samples, rate)
    with warnings.catch_warnings(record=True) as whole:
        warnings.simplefilter("always")
        expected = audio.encode(AudioClip.load(path))
    shown: list[tuple[float, float]] = []
    with warnings.catch_warnings(record=True) as pieces:
        warnings.simplefilter("always")
        stream = audio.encode_file(path, show=lambda *seconds: shown.append(seconds))
    assert torch.equal(stream.codes, expected.codes) and stream.spec == expected.spec
    assert sorted(told(pieces)) == sorted(told(whole))
    seconds = samples.shape[1] / rate
    assert shown[-1] == (seconds, seconds) and shown == sorted(shown)


@pytest.mark.parametrize("chosen", [["2"], [3, 1], ["3", "2", "1"], [2, 3]])
def test_channels_that_are_chosen_are_those_of_the_whole(
    audio: Any, tmp_path: Path, chosen: list[str | int], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = noise(3, 40001)
    samples[2] = -samples[1]  # which cancel each other
    path = written(tmp_path / "sound.wav", samples, 22050)
    with warnings.catch_warnings(record=True) as whole:
        warnings.simplefilter("always")
        expected = audio.encode(AudioClip.load(path, channels=chosen))
    with pytest.raises(ValueError, match=r"numbers from 1, and .*sound\.wav has 3, got 4; name") as refused:
        AudioClip.load(path, channels=[4])
    monkeypatch.setattr(AudioClip, "load", None)  # nothing is read whole
    with warnings.catch_warnings(record=True) as pieces:
        warnings.simplefilter("always")
        stream = audio.encode_file(path, channels=chosen)
    assert torch.equal(stream.codes, expected.codes) and sorted(told(pieces)) == sorted(told(whole))
    with pytest.raises(ValueError) as refused_pieces:
        audio.encode_file(path, channels=[4])
    assert str(refused_pieces.value) == str(refused.value)


def test_pieces_are_used_where_the_file_allows_it(audio: Any, tmp_path: Path) -> None:
    samples = noise(1, 20000)
    assert isinstance(audio, ReadsFiles) and isinstance(audio, WritesFiles)
    assert long.long_sound(written(tmp_path / "a.wav", samples, 16000)).frames == 20000


def encoded(folder: Path, kind: str) -> Path:
    """A file of a format, of three seconds, or of several streams of one."""
    samples, path = noise(2, 60001).T.numpy(), folder / f"a.{kind.partition(' ')[0]}"
    subtype = {"opus": "OPUS"}.get(path.suffix[1:])
    rate, form = (24000, "OGG") if path.suffix == ".opus" else (22050, None)
    soundfile.write(path, samples, rate, subtype=subtype, format=form)
    data = path.read_bytes()
    if kind.endswith("twice"):
        data += data
    if kind.endswith("without length"):  # RFC 9639, section 8.2
        data = data[:21] + bytes([data[21] & 0xF0]) + bytes(4) + data[26:]
    if kind.endswith("wrong length"):
        data = data[:22] + (50000).to_bytes(4, "big") + data[26:]
    if kind.endswith("with a tag"):
        tag = b"ID3\x04\0\0\0\0\x07\x76" + bytes(1014)
        data = tag + data + b"TAG" + bytes(125)
    if kind.endswith("without a count"):  # an MP3 of bare frames
        data = data[data.find(data[:2], 4) :]
    if kind.endswith("size 0"):
        place = data.find(b"data") + 4
        data = data[:place] + bytes(4) + data[place + 4 :]
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "kind",
    [
        *("flac", "flac twice", "flac without length", "flac wrong length", "flac with a tag", "mp3", "mp3 twice"),
        *(
            "mp3 with a tag",
            "mp3 without a count",
            "ogg",
            "ogg twice",
            "opus",
            "wav twice",
            "wav size 0",
            "aiff",
            "caf",
        ),
    ],
)
def test_files_of_all_formats_are_read_in_pieces(audio: Any, tmp_path: Path, kind: str, monkeypatch: Any) -> None:
    path = encoded(tmp_path, kind)
    with warnings.catch_warnings(record=True) as whole:
        warnings.simplefilter("always")
        clip = AudioClip.load(path)
        expected = audio.encode(clip)
    monkeypatch.setattr(AudioClip, "load", None)  # which is not called
    with warnings.catch_warnings(record=True) as pieces:
        warnings.simplefilter("always")
        stream = audio.encode_file(path)
    assert torch.equal(stream.codes, expected.codes)
    assert sorted(told(pieces)) == sorted(told(whole))
    seconds = (60001 / (24000 if kind == "opus" else 22050)) * (2 if "twice" in kind else 1)
    assert clip.duration_seconds == pytest.approx(seconds, abs=0.06 if "mp3" in kind else 0.02)


def test_a_file_that_is_no_sound_is_refused_as_by_load(audio: Any, tmp_path: Path) -> None:
    bad = noise(1, 20000)
    bad[0, 15000] = float("nan")
    soundfile.write(tmp_path / "bad.wav", bad.T.numpy(), 16000, subtype="FLOAT")
    (tmp_path / "none.wav").write_bytes(b"RIFF no sound at all")
    for name in ("bad.wav", "none.wav", "absent.wav"):
        with pytest.raises(ValueError) as whole:
            AudioClip.load(tmp_path / name)
        with pytest.raises(ValueError) as pieces:
            audio.encode_file(tmp_path / name)
        assert str(pieces.value) == str(whole.value)


@pytest.mark.parametrize("frames", [1, 31, 64, 101])
def test_decoded_files_are_those_of_the_whole(audio: AudioTokenizer, tmp_path: Path, frames: int) -> None:
    stream = audio.encode(AudioClip(noise(1, frames * audio.config.hop), 16000))
    shown: list[tuple[float, float]] = []
    audio.decode_file(stream, tmp_path / "made.wav", show=lambda *seconds: shown.append(seconds))
    assert AudioClip.load(tmp_path / "made.wav") == audio.decode(stream)
    assert shown[-1] == (frames * audio.config.hop / 16000,) * 2


@pytest.mark.parametrize("kept", [(0, 40), (60, 130), (33, 34), (0, 130), (0, 0)])
def test_what_is_kept_is_that_of_the_whole(
    audio: AudioTokenizer, tmp_path: Path, kept: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "given.wav", noise(2, 130 * 480 - 1000), 24000)
    stream = audio.encode(AudioClip(noise(1, 130 * audio.config.hop), 16000))
    keep = torch.zeros(130, dtype=torch.bool)
    keep[kept[0] : kept[1]] = True
    expected = audio.decode(stream, given=AudioClip.load(path), keep=keep)
    made: list[int] = []
    segment = vocoder.Vocoder.segment
    monkeypatch.setattr(vocoder.Vocoder, "segment", lambda *inputs: made.append(1) or segment(*inputs))
    audio.decode_file(stream, tmp_path / "made.wav", given=path, keep=keep)
    assert AudioClip.load(tmp_path / "made.wav") == expected
    # Of 5 those that are kept are not made; but two where the file is over, and what another rate is made of.
    assert len(made) == {(0, 130): 2, (0, 40): 4, (60, 130): 5}.get(kept, 5)
    assert expected.sample_rate_hz == 24000 and expected.samples.shape == (2, 130 * 480)


def test_wrong_wishes_are_refused(audio: AudioTokenizer, tmp_path: Path) -> None:
    stream = audio.encode(AudioClip(noise(1, 3200), 16000))
    with pytest.raises(ValueError, match="given and keep belong together"):
        audio.decode_file(stream, tmp_path / "made.wav", given="a.wav")
    with pytest.raises(ValueError, match=r"must end in \.wav, \.flac or \.ogg, got 'made\.mp3'"):
        audio.decode_file(stream, tmp_path / "made.mp3")
    with pytest.raises(ValueError, match=r"up to 4 GiB, but .*long\.wav would have 4400000000 bytes; write \.flac"):
        write_pieces(tmp_path / "long.wav", iter(()), 1_100_000_000, 16000)
    assert not list(tmp_path.iterdir())


def test_an_edited_file_is_that_of_edit(run: Run, audio: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "given.wav", noise(1, 24000 * 3), 24000)
    options = {"steps": 2, "seed": 3, "num_samples": 2, "given": {"text": "seven"}}
    expected = run.edit(path, [(1.0, 1.3)], stream="audio", **options)
    out = [tmp_path / "one.wav", tmp_path / "two.wav"]
    run.edit_file(path, out, [(1.0, 1.3)], stream="audio", **options)
    assert [AudioClip.load(one) for one in out] == expected
    assert expected[0] != expected[1]
    with pytest.raises(ValueError, match="a file for each of num_samples samples, got 1 names"):
        run.edit_file(path, out[:1], [(1.0, 1.3)], stream="audio", **options)
    with pytest.raises(ValueError, match="ImageTokenizer needs whole media"):
        run.edit_file(path, out, stream="image", **options)


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [(".mp3", "MPEG_LAYER_III"), (".ogg", "VORBIS"), (".opus", "OPUS"), (".flac", "PCM_16"), (".wav", "MS_ADPCM")],
)
def test_pieces_of_a_compressed_file_are_those_of_one_reading(tmp_path: Path, suffix: str, subtype: str) -> None:
    """soundfile seeks after each reading, and MP3 frames need the bits of those before them."""
    path = tmp_path / f"sound{suffix}"
    kind = {".mp3": "MP3", ".ogg": "OGG", ".opus": "OGG", ".flac": "FLAC", ".wav": "WAV"}[suffix]
    with soundfile.SoundFile(path, "w", 24000, 1, subtype, format=kind) as file:
        for second in range(12):
            file.write(0.1 * noise(1, 24000)[0].numpy() * (1 + second % 3))
    with soundfile.SoundFile(path) as file:
        whole = torch.from_numpy(file.read(dtype="float32"))
    whole = whole[: 12 * 24000] if suffix == ".wav" else whole  # without what fills the last block
    stream = next(iter(streams(path, [])))
    held = header(stream, [])
    parts = [torch.from_numpy(part[:, 0]) for part in blocks(stream, held, 7001)]
    assert len(parts) > 40 and torch.equal(torch.cat(parts), whole)
    assert torch.equal(AudioClip.load(path).samples[0], whole)


def test_long_sounds_are_written_whatever_the_stack_holds(tmp_path: Path) -> None:
    """libsndfile's Vorbis writer ended the process for a minute that came in one piece; pieces make no difference."""
    at = torch.arange(70 * 24000, dtype=torch.float64) / 24000
    samples = torch.stack([0.1 * (2 * torch.pi * hertz * at).sin() for hertz in (220, 330)]).float()
    AudioClip(samples, 24000).save(tmp_path / "whole.ogg")
    write_pieces(tmp_path / "parts.ogg", samples.split(9973, 1), samples.shape[1], 24000, 2)
    whole, parts = (AudioClip.load(tmp_path / f"{name}.ogg").samples for name in ("whole", "parts"))
    assert whole.shape == samples.shape and torch.equal(whole, parts)
    correlation = torch.corrcoef(torch.stack([whole.flatten(), samples.flatten()]))[0, 1]
    assert float(correlation) > 0.999


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_a_disk_that_takes_no_more_is_a_sentence(tmp_path: Path, suffix: str) -> None:
    """libsndfile says "System error" of all, and nothing at all where its last bytes do not fit."""
    clip, path = AudioClip(0.3 * noise(1, 30000), 16000), tmp_path / f"sound{suffix}"
    clip.save(path)
    size = path.stat().st_size
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for room in (100, size // 2, size - 1):
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
            with pytest.raises(OSError, match=rf"^{path} could not be written \(File too large\); free some space"):
                clip.save(path)
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            assert path.stat().st_size == size and [one.name for one in tmp_path.iterdir()] == [path.name]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
