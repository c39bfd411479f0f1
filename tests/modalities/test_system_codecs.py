"""Codecs of the system: what each bit of a frame means, the contract where the library is, one sentence where not."""

from __future__ import annotations

import ctypes.util
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tokenmask.modalities.audio import system_codecs as module
from tokenmask.modalities.audio.codec_frames import CODEC2_MODES, LPCNET_MODES, Frame
from tokenmask.modalities.audio.media import AudioClip
from tokenmask.modalities.audio.mel import log_mel, spectrum
from tokenmask.modalities.audio.system_codecs import Codec2Tokenizer, LpcnetTokenizer, SystemCodec, find_library
from tokenmask.testing import tokenizer_checks
from tokenmask.tokenizer import load_tokenizer

from .conftest import DATA
from .contract import each_check, run_check

INSTALLED = ctypes.util.find_library("codec2") is not None
CODECS = [(Codec2Tokenizer, mode) for mode in CODEC2_MODES] + [(LpcnetTokenizer, mode) for mode in LPCNET_MODES]
INSTALL = r"install it \(Debian: libcodec2-1\.0\) or pass its path"


def opened(kind: type[SystemCodec], mode: str) -> SystemCodec | None:
    """The codec; where the library or the codec in it is missing, what it says of that is checked instead."""
    try:
        return kind(mode)
    except ImportError as error:
        assert not INSTALLED or kind is LpcnetTokenizer  # libcodec2 may be built without LPCNet
        sentence = str(error)
        assert sentence.startswith(f"{kind.name} needs the system library libcodec2")
        assert sentence.endswith("; install it (Debian: libcodec2-1.0) or pass its path")
        assert "\n" not in sentence
        return None


@pytest.fixture(scope="module")
def clips() -> list[AudioClip]:
    folder = DATA / "audio" / "speech"
    entries = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    chosen = [entry for entry in entries if entry["group"] == "digits" and entry["seconds"] < 0.7][:2]
    return [AudioClip.load(folder / entry["file"]) for entry in chosen]


def voice(hertz: float, loudness: float = 0.01) -> AudioClip:
    """A second of something voiced: harmonics up to 3.6 kHz, in phase; loudness is the root mean square."""
    times = torch.arange(8000) / 8000
    tones = [torch.cos(2 * torch.pi * hertz * n * times) / n**0.5 for n in range(1, int(3600 / hertz) + 1)]
    samples = torch.stack(tones).sum(0)
    return AudioClip(loudness * samples[None] / samples.square().mean().sqrt(), 8000)


# Frames ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [*CODEC2_MODES.values(), *LPCNET_MODES.values()])
def test_codes_become_bits_and_come_back(frame: Frame) -> None:
    draw = torch.Generator().manual_seed(0)
    codes = torch.stack([torch.randint(size, (50,), generator=draw) for size in frame.levels.values()], 1).int()
    bits = frame.pack(codes)
    assert bits.shape == (50, frame.bits)
    assert int(bits.max()) == 1
    assert torch.equal(frame.codes(bits), codes)
    assert sorted(level for group in frame.groups for level in group) == list(range(len(frame.levels)))


def test_bits_of_a_frame_by_hand() -> None:
    frame = Frame(0, 8000, 80, 0, (("a", 1), ("b", 3), ("", 2), ("c", 2)), gray=True, stages=("a", "c"))
    assert frame.groups == ((0, 2), (1,))
    # Gray codes of 0 .. 7: 000 001 011 010 110 111 101 100
    bits = torch.tensor([[1, 1, 1, 0, 1, 1, 1, 0], [0, 1, 0, 0, 0, 0, 0, 1]], dtype=torch.uint8)
    assert frame.codes(bits).tolist() == [[1, 4, 3], [0, 7, 1]]
    assert frame.pack(frame.codes(bits)).tolist() == [[1, 1, 1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, 0, 0, 1]]
    plain = Frame(0, 8000, 80, 0, (("a", 1), ("b", 3), ("", 2), ("c", 2)))
    assert plain.codes(bits).tolist() == [[1, 6, 2], [0, 4, 1]]


@pytest.mark.parametrize("mode", [name for name in CODEC2_MODES if name != "700C"])
def test_fields_are_where_the_frame_says(mode: str) -> None:
    """Loudness moves energy by its step in decibels, pitch is linear in frequency, and voices are voiced."""
    tokenizer = opened(Codec2Tokenizer, mode)
    if tokenizer is None:
        return
    names = list(tokenizer.frame.levels)

    def middle(clip: AudioClip) -> dict[str, float]:
        codes = tokenizer.encode(clip).codes.float()
        return dict(zip(names, codes[len(codes) // 2 :].median(0).values.tolist(), strict=True))

    low, high, loud = middle(voice(100)), middle(voice(200)), middle(voice(100, 0.04))
    noise = middle(AudioClip(0.05 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(0)), 8000))
    for name in names:
        if name.startswith("voiced"):
            assert (low[name], high[name], noise[name]) == (1, 1, 0), name
        if name.startswith("energy"):
            assert loud[name] - low[name] == pytest.approx(12.04 / (50 / 32), abs=1.01), name
        if name in ("pitch", "pitch_2", "pitch_4"):
            assert low[name] == pytest.approx(128 * (100 - 50) / 350, abs=2), name
            assert high[name] == pytest.approx(128 * (200 - 50) / 350, abs=3), name


def test_pitch_and_energy_of_700c() -> None:
    tokenizer = opened(Codec2Tokenizer, "700C")
    if tokenizer is None:
        return
    codes = [tokenizer.encode(clip).codes[10:, 2:].float().median(0).values for clip in (voice(100), voice(200))]
    assert 0 < codes[0][1] < codes[1][1] < 64
    loud, soft = (tokenizer.encode(voice(100, one)).codes[10:, 2].float().mean() for one in (0.2, 0.01))
    assert loud > soft + 4


def test_fields_of_lpcnet() -> None:
    """Pitch is the period, from 32 samples on in steps of four; loudness leaves it alone and changes the cepstrum."""
    tokenizer = opened(LpcnetTokenizer, "direct")
    if tokenizer is None:
        return
    for hertz in (110, 150, 200, 300):
        pitch = tokenizer.encode(voice(hertz, 0.1)).codes[8:-5, 4].float().median()
        assert pitch == pytest.approx((16000 / hertz - 32) / 4, abs=1.01), hertz
    soft, loud = (tokenizer.encode(voice(150, one)).codes[8:-5] for one in (0.05, 0.2))
    assert torch.equal(soft[:, 4:].median(0).values, loud[:, 4:].median(0).values)
    assert not torch.equal(soft[:, 0].median(), loud[:, 0].median())


# Contract -------------------------------------------------------------------------------------------------------------


@each_check
def test_contract(name: str, clips: list[AudioClip]) -> None:
    tokenizer = opened(Codec2Tokenizer, "1300")
    if tokenizer is None:
        return
    others = [AudioClip(torch.full((1, 1), 0.5), 16000), AudioClip(torch.zeros(2, 900), 22050)]
    run_check(name, list(tokenizer_checks(tokenizer, [*clips, *others], suffix=".wav")))


def test_contract_of_lpcnet(clips: list[AudioClip]) -> None:
    tokenizer = opened(LpcnetTokenizer, "direct")
    if tokenizer is None:
        return
    short = AudioClip(clips[0].samples[:, 2000:5000].contiguous(), 16000)
    items = [short, AudioClip(torch.zeros(1, 1), 8000), AudioClip(torch.zeros(2, 300), 16000)]
    for check in tokenizer_checks(tokenizer, items, suffix=".wav"):
        check()


@pytest.mark.parametrize(("kind", "mode"), CODECS)
def test_sound_comes_back_where_it_was(kind: type[SystemCodec], mode: str, clips: list[AudioClip]) -> None:
    """Decoded bands are nearer the original's than those of sound that is 40 ms early or late."""
    tokenizer = opened(kind, mode)
    if tokenizer is None:
        return
    rate = tokenizer.frame.sample_rate_hz
    original, shift = clips[0].resample(rate).samples[0], rate // 25
    made = tokenizer.decode(tokenizer.encode(clips[0])).samples[0]
    assert 0 <= len(made) - len(original) < tokenizer.frame.samples

    def bands(samples: Tensor) -> Tensor:
        return log_mel(spectrum(samples[: len(original) - shift], rate // 25, rate // 100), 32, rate)

    here, late = ((bands(made) - bands(one)).abs().mean() for one in (original, original[shift:]))
    early = (bands(original) - bands(made[shift:])).abs().mean()
    assert here < 0.9 * min(late, early)


def test_bits_a_second_and_figures(clips: list[AudioClip]) -> None:
    for kind, mode in CODECS:
        tokenizer = opened(kind, mode)
        if tokenizer is None or (kind is LpcnetTokenizer and mode == "predictive"):
            continue
        rate = 52 / 0.03 if kind is LpcnetTokenizer else float(mode.removesuffix("C"))
        figures = tokenizer.evaluate(clips[:1], clips[1:])
        spare = sum(bits for name, bits in tokenizer.frame.fields if not name) * (tokenizer.spec.rate_hz or 0)
        assert figures["bits_per_second"] == pytest.approx(rate - spare)
        assert figures["mel_l1_below_4000_hz"] < 1.4
        assert figures["mel_l1_below_4000_hz"] < figures["mean_mel_l1"]
        assert len([name for name in figures if name.startswith("perplexity")]) == len(tokenizer.frame.levels)


def test_kept_samples_are_those_of_the_given_clip(clips: list[AudioClip]) -> None:
    tokenizer = opened(Codec2Tokenizer, "1300")
    if tokenizer is None:
        return
    stream, given = tokenizer.encode(clips[0]), AudioClip(torch.ones(1, 4000), 8000)
    plain, keep = tokenizer.decode(stream), torch.zeros(len(stream.codes), dtype=torch.bool)
    keep[2] = True
    mixed = tokenizer.decode(stream, given=given, keep=keep)
    assert torch.equal(mixed.samples[0, 640:960], torch.ones(320))
    assert torch.equal(mixed.samples[0, 960:], plain.samples[0, 960:])
    with pytest.raises(ValueError, match="given and keep belong together"):
        tokenizer.decode(stream, given=given)
    with pytest.raises(ValueError, match="keep must be bool"):
        tokenizer.decode(stream, given=given, keep=keep[:1])
    with pytest.raises(ValueError, match=r"codec2 decodes streams of 1 frame\(s\) or more, got 0"):
        tokenizer.decode(type(stream)(stream.spec, stream.codes[:0]))
    with pytest.raises(ValueError, match="evaluate needs at least one clip"):
        tokenizer.evaluate([])


def test_modes_and_library_versions_are_told_apart(tmp_path: Path, clips: list[AudioClip]) -> None:
    first, second = opened(Codec2Tokenizer, "1300"), opened(Codec2Tokenizer, "1600")
    if first is None or second is None:
        return
    assert first.spec.fingerprint != second.spec.fingerprint
    first.save(tmp_path)
    assert load_tokenizer(tmp_path).encode(clips[0]) == first.encode(clips[0])
    description = tmp_path / "tokenizer.json"
    values = json.loads(description.read_text())
    values["config"]["library_version"] = "0.9"
    description.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"made with version 0\.9 of .*, but version .* is installed"):
        Codec2Tokenizer.load(tmp_path)
    values["config"] = {"modus": 1}
    description.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="a configuration this tokenmask does not know"):
        Codec2Tokenizer.load(tmp_path)


# Absence --------------------------------------------------------------------------------------------------------------


def test_unknown_modes_are_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"mode of Codec2Tokenizer must be one of 3200, .*, got '450'"):
        Codec2Tokenizer("450")


def test_no_library_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "libcodec2.so.1.0"
    with pytest.raises(ImportError, match=f"codec2 needs the system library libcodec2, but it cannot .*; {INSTALL}"):
        Codec2Tokenizer(library=path)
    path.write_text("no library")
    with pytest.raises(ImportError, match=f"lpcnet needs the system library libcodec2, but it cannot .*; {INSTALL}"):
        LpcnetTokenizer(library=path)
    monkeypatch.setattr(module.ctypes.util, "find_library", lambda name: None)
    with pytest.raises(ImportError, match=f"codec2 needs the system library libcodec2, but none was found; {INSTALL}"):
        Codec2Tokenizer()


def test_libraries_without_the_codec_are_one_sentence() -> None:
    """The C library stands for one that was built without."""
    name = ctypes.util.find_library("c")
    assert name is not None
    with pytest.raises(ImportError, match=f"built with lpcnet, but {name} has no lpcnet_freedv_create; {INSTALL}"):
        find_library("lpcnet", LpcnetTokenizer.symbols, name)
    assert find_library("c", ["qsort"], name) == (name, "6")


def test_libraries_of_unknown_version_or_frames_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = ctypes.util.find_library("m")
    assert name is not None
    found = next(path for path in Path("/").glob(f"*lib*/**/{name}"))
    (tmp_path / "libm.so").write_bytes(found.read_bytes())
    with pytest.raises(ImportError, match="under a name with its version"):
        find_library("m", ["cos"], tmp_path / "libm.so")
    monkeypatch.setattr(SystemCodec, "_run", lambda self, direction, given: b"160 65")
    monkeypatch.setattr(module, "find_library", lambda *_: ("libcodec2.so.9", "9"))
    with pytest.raises(ValueError, match=r"frames of codec2 3200 must have 160 64 samples and bits, but .* 160 65"):
        Codec2Tokenizer("3200")


def test_a_codec_that_crashes_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_library", lambda *_: ("libnothing.so.1", "1"))
    with pytest.raises(OSError, match=r"codec2 of libnothing\.so\.1 failed to tell_sizes \(.*\); reinstall it") as told:
        Codec2Tokenizer("3200")
    assert "\n" not in str(told.value)
