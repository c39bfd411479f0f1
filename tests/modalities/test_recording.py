"""EEG recordings: names, files that lose nothing or 16 bits, damaged files, and band powers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as pillow

from tokenmask.data import EEG_CHANNELS, EEG_RATE_HZ, eyes_open_shut
from tokenmask.modalities.eeg.media import EegRecording
from tokenmask.modalities.eeg.names import electrode
from tokenmask.tensor_files import save_tensors


@pytest.fixture(scope="module")
def windows() -> list[EegRecording]:
    return [EegRecording(torch.from_numpy(one), EEG_RATE_HZ, EEG_CHANNELS) for one in eyes_open_shut()[0][:4]]


def sines(frequencies: list[float], amplitude: float = 10.0, seconds: int = 4, rate_hz: float = 256.0) -> EegRecording:
    time = torch.arange(int(seconds * rate_hz), dtype=torch.float64) / rate_hz
    rows = [amplitude * torch.sin(2 * math.pi * hz * time) for hz in frequencies]
    return EegRecording(torch.stack(rows).float(), rate_hz, tuple(f"{hz:g} Hz" for hz in frequencies))


@pytest.mark.parametrize(
    ("name", "usual"), [("FP1", "Fp1"), ("cz", "Cz"), (" ft8", "FT8"), ("POZ", "POz"), ("fpz", "Fpz"), ("Left", "Left")]
)
def test_electrodes_have_one_spelling(name: str, usual: str) -> None:
    assert electrode(name) == usual
    assert EegRecording(torch.ones(1, 2), 1, (name,)).channels == (usual,)


def test_equal_recordings() -> None:
    one = EegRecording(torch.ones(2, 3), 128, ("Fz", "Cz"))
    assert one == EegRecording(torch.ones(2, 3), 128.0, ("FZ", "CZ"))
    assert one != EegRecording(torch.ones(2, 3), 256.0, ("Fz", "Cz"))
    assert one != EegRecording(torch.ones(2, 3), 128.0, ("Cz", "Fz"))
    assert one != EegRecording(torch.zeros(2, 3), 128.0, ("Fz", "Cz"))
    assert one != "recording"
    assert repr(one) == "EegRecording(2 channels, 0.0234375 s at 128 Hz)"


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".NPZ"])
def test_files_that_lose_nothing(tmp_path: Path, windows: list[EegRecording], suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    windows[0].save(path)
    windows[1].save(path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert EegRecording.load(path) == windows[1]


def test_edf_has_sixteen_bits(tmp_path: Path, windows: list[EegRecording]) -> None:
    flat = EegRecording(torch.cat([windows[0].samples[:2], torch.zeros(1, 128)]), 128, ("Fp1", "O2", "flat"))
    flat.save(tmp_path / "a.edf")
    back = EegRecording.load(tmp_path / "a.edf")
    assert (back.channels, back.sample_rate_hz) == (flat.channels, 128.0)
    step = (flat.samples.max() - flat.samples.min() + 2) / 65535
    assert (back.samples - flat.samples).abs().max() <= step
    long = EegRecording(torch.full((1, 101), 1e30), 128, ("Cz",))
    with pytest.raises(ValueError, match=r"an EDF file cannot hold EegRecording\(1 channels.*save it as \.npz"):
        long.save(tmp_path / "b.edf")


def test_foreign_edf_and_bdf_files(tmp_path: Path) -> None:
    import edfio

    draw = np.random.default_rng(0)
    volts, other = draw.normal(0, 2e-5, 256), draw.normal(0, 5, 256)

    def signal(kind: Any, data: np.ndarray, rate: float, label: str, unit: str) -> Any:
        return kind(data, rate, label=label, physical_dimension=unit)

    edfio.Edf(
        [
            signal(edfio.EdfSignal, volts * 1e3, 128, "EEG fp2", "mV"),
            signal(edfio.EdfSignal, other, 128, "Temp rectal", "degC"),
            signal(edfio.EdfSignal, volts * 1e6, 128, "EEG Cz", "uV"),
        ]
    ).write(tmp_path / "a.edf")
    with pytest.warns(UserWarning, match=r"a\.edf: left out: Temp rectal \(its unit 'degC' is no voltage"):
        back = EegRecording.load(tmp_path / "a.edf")
    assert back.channels == ("Fp2", "Cz")
    assert (back.samples - torch.from_numpy(volts * 1e6)).abs().max() < 0.05
    edfio.Bdf([signal(edfio.BdfSignal, volts * 1e6, 256, "A1", "uV")]).write(tmp_path / "a.bdf")
    back = EegRecording.load(tmp_path / "a.bdf")
    assert (back.channels, back.sample_rate_hz) == (("A1",), 256.0)
    assert (back.samples - torch.from_numpy(volts * 1e6)).abs().max() < 1e-4
    edfio.Edf([signal(edfio.EdfSignal, other, 128, "Temp", "degC")]).write(tmp_path / "c.edf")
    with pytest.raises(ValueError, match="no voltages"):
        EegRecording.load(tmp_path / "c.edf")


@pytest.mark.parametrize("suffix", [".npz", ".edf", ".safetensors"])
def test_unreadable_files_are_one_sentence(tmp_path: Path, windows: list[EegRecording], suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with pytest.raises(ValueError, match="is none; check the path"):
        EegRecording.load(path)
    windows[0].save(path)
    whole = path.read_bytes()
    for size in (0, 100, len(whole) // 2):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=path.name) as caught:
            EegRecording.load(path)
        assert "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path: Path, windows: list[EegRecording]) -> None:
    (tmp_path / "a.txt").write_text("1 2 3")
    with pytest.raises(ValueError, match=r"must end in one of \.edf"):
        EegRecording.load(tmp_path / "a.txt")
    for name in ("a.bdf", "a"):
        with pytest.raises(ValueError, match=r"is written as \.npz, \.safetensors or \.edf"):
            windows[0].save(tmp_path / name)
    save_tensors(tmp_path / "a.safetensors", {"samples": torch.ones(1, 2)}, {})
    with pytest.raises(ValueError, match="must hold an EegRecording, got None"):
        EegRecording.load(tmp_path / "a.safetensors")
    with (tmp_path / "a.npz").open("wb") as file:
        np.savez(file, samples=np.array([{}], dtype=object), sample_rate_hz=1.0, channels=np.array(["Cz"]))
    with pytest.raises(ValueError, match="it holds objects of Python, which are not read; save arrays"):
        EegRecording.load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("samples", "rate_hz", "channels", "message"),
    [
        (torch.ones(2, 3).double(), 1, ("a", "b"), r"float32 \[channels, time\], got float64 \[2, 3\]"),
        (torch.ones(3), 1, ("a",), r"got float32 \[3\]"),
        (torch.ones(2, 0), 1, ("a", "b"), r"got float32 \[2, 0\]"),
        (torch.ones(2, 3), 0, ("a", "b"), "must be positive, got 0"),
        (torch.ones(2, 3), math.nan, ("a", "b"), "must be positive, got nan"),
        (torch.ones(2, 3), 1, ("a",), "a different name for each of its 2 channels"),
        (torch.ones(2, 3), 1, ("cz", "CZ"), "a different name"),
        (torch.ones(1, 3), 1, (" ",), "a different name"),
        (torch.tensor([[1.0, 2.0], [math.nan, 0.0]]), 1, ("a", "b"), "channel b holds NaN"),
        (torch.tensor([[1.0, math.inf]]), 1, ("a",), "channel a holds NaN or infinity"),
    ],
)
def test_wrong_recordings_are_one_sentence(
    samples: torch.Tensor, rate_hz: float, channels: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        EegRecording(samples, rate_hz, channels)


def test_select(windows: list[EegRecording]) -> None:
    some = windows[0].select(["o2", "AF3"])
    assert some.channels == ("O2", "AF3")
    assert torch.equal(some.samples, windows[0].samples[[7, 0]])
    with pytest.raises(ValueError, match=r"must be among .*, got Cz"):
        windows[0].select(["O1", "Cz"])
    with pytest.raises(ValueError, match="got none"):
        windows[0].select([])


def test_resampling_keeps_a_sine() -> None:
    slow, fast = sines([7.0], rate_hz=128.0), sines([7.0], rate_hz=256.0)
    inner = slice(100, -100)
    assert (slow.resample(256).samples - fast.samples)[:, inner].abs().max() < 1e-2
    assert slow.resample(256).sample_rate_hz == 256
    assert slow.resample(128) == slow
    assert sines([60.0]).resample(64).samples[:, 20:-20].abs().max() < 0.1  # above the new half rate
    with pytest.raises(ValueError, match="must be positive, got 0"):
        slow.resample(0)


def test_band_power_is_that_of_sines() -> None:
    tones = sines([5.0, 10.0, 20.0])
    assert torch.allclose(tones.band_power(8, 13), torch.tensor([0.0, 50.0, 0.0]).double(), atol=1e-3)
    assert torch.allclose(tones.band_power(5, 10), torch.tensor([50.0, 0.0, 0.0]).double(), atol=1e-3)
    noise = EegRecording(torch.randn(2, 255, generator=torch.Generator().manual_seed(0)) + 3, 128, ("a", "b"))
    for recording in (noise, EegRecording(noise.samples[:, :-1], 128, ("a", "b"))):
        parts = [recording.band_power(low, high) for low, high in ((0, 20), (20, 1000))]
        assert torch.allclose(sum(parts), recording.samples.double().square().mean(1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a band goes from"):
        noise.band_power(8, 8)


def test_filtering_takes_an_offset_away() -> None:
    tones = sines([10.0])
    shifted = EegRecording(tones.samples + 4000, tones.sample_rate_hz, tones.channels)
    assert (shifted.filtered(0.5).samples - tones.samples).abs().max() < 1e-2
    assert shifted.filtered(20, 40).samples.abs().max() < 1e-2


def test_plot(tmp_path: Path, windows: list[EegRecording]) -> None:
    windows[0].plot(tmp_path / "a.png")
    windows[0].plot(tmp_path / "a.svg")
    with pillow.open(tmp_path / "a.png") as picture:
        assert picture.width >= 1000
        assert picture.convert("L").getextrema() == (0, 255)
    assert (tmp_path / "a.svg").read_text().count("<path") > 14


def test_arrays_of_other_programs(tmp_path: Path) -> None:
    """Floats of any kind and order of bytes are the same microvolts; integers have a scale beside them."""
    wave = np.round(40 * np.sin(np.arange(2 * 256).reshape(2, 256) / 3))
    for kind in ("f4", "f8", "f2", ">f4", ">f8"):
        np.savez(
            tmp_path / "a.npz", samples=wave.astype(kind), sample_rate_hz=np.array([128]), channels=[b"fp1", b"O2"]
        )
        found = EegRecording.load(tmp_path / "a.npz")
        assert found.channels == ("Fp1", "O2") and found.sample_rate_hz == 128
        assert np.array_equal(found.samples.numpy(), wave.astype("f4"))
    counts = {"samples": wave.astype(">i2"), "sample_rate_hz": 128, "channels": ["Fp1", "O2"]}
    np.savez(tmp_path / "b.npz", **counts, microvolts_per_count=[0.5, 2])
    assert np.array_equal(EegRecording.load(tmp_path / "b.npz").samples.numpy(), wave * [[0.5], [2]])
    np.savez(tmp_path / "d.npz", **{**counts, "samples": wave * [[0.0], [1.0]] + [[3.0], [0.0]]}, events=[1, 2], fs=128)
    told = r"d\.npz: without a wave, the same value throughout: Fp1; left out: the arrays events, fs$"
    with pytest.warns(UserWarning, match=told):
        assert EegRecording.load(tmp_path / "d.npz").samples[0].tolist() == [3.0] * 256
    np.savez(tmp_path / "c.npz", **{**counts, "samples": wave * 1e-6})
    with pytest.warns(UserWarning, match=r"c\.npz: its largest sample is 4e-05 microvolts; if its numbers are volts"):
        EegRecording.load(tmp_path / "c.npz")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, r"integers beside an array 'microvolts_per_count', got int16; save it with 'microvolts"),
        ({"microvolts_per_count": [1.0, 2.0, 3.0]}, "one for each of its channels, got 3"),
        ({"samples": np.ones((2, 8), complex)}, "floats in microvolts, .* got complex128"),
        ({"samples": np.ones((8, 2))}, r"a row for each of its 2 channels, got \[8, 2\]; save samples\.T"),
        ({"sample_rate_hz": [1, 2]}, "must be one number, got 2"),
        ({"channels": np.array(["Fp1", "O2"], object)}, "it holds objects of Python, which are not read; save arrays"),
    ],
)
def test_arrays_without_a_meaning_are_refused(changed: dict[str, Any], why: str, tmp_path: Path) -> None:
    arrays = {"samples": np.ones((2, 8), np.int16), "sample_rate_hz": 128, "channels": ["Fp1", "O2"]}
    np.savez(tmp_path / "a.npz", **{**arrays, **changed})
    with pytest.raises(ValueError, match=rf"a\.npz must be a whole recording, .*{why}"):
        EegRecording.load(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", data=np.ones((2, 8)), sfreq=128)
    with pytest.raises(ValueError, match="has no samples and no sample_rate_hz and no channels, only data, sfreq"):
        EegRecording.load(tmp_path / "b.npz")
