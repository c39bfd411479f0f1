"""Offsets and drifts of amplifiers without a high-pass filter: what is taken, what stays, what is said."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest
import torch

from tokenmask.modalities.eeg import EegRecording, EegTokenizer
from tokenmask.modalities.eeg.offset import _drawn, _smoothed, lost_seconds, without_baseline
from tokenmask.tokenizer import load_tokenizer

WEIGHTS = Path(__file__).parents[2] / "tokenmask" / "weights" / "tokenizers"
RATE = 128


@pytest.fixture(autouse=True)
def _every_warning_counts() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(scope="module")
def tokenizer() -> EegTokenizer:
    return load_tokenizer(WEIGHTS / "eeg")


def time_of(seconds: float) -> Any:
    return np.arange(int(seconds * RATE)) / RATE


def wave_of(time: Any) -> Any:
    return 40 * np.sin(2 * math.pi * 10 * time)


DRIFTS = {
    "offset": lambda time: 18000 + 0 * time,
    "ramp": lambda time: 18000 + 5000 * time,
    "settling": lambda time: 18000 * np.exp(-time / 10),
    "very slow": lambda time: 3000 * np.sin(0.05 * 2 * math.pi * time + 0.3),
    "slow": lambda time: 3000 * np.sin(0.1 * 2 * math.pi * time + 0.3),
}


@pytest.mark.parametrize("offset", [100.0, -800.0, 18000.0, 100000.0])
@pytest.mark.parametrize("drift", [0.0, 50.0])
def test_the_wave_survives_an_offset_of_any_size(
    tmp_path: Path, tokenizer: EegTokenizer, offset: float, drift: float
) -> None:
    time = time_of(8)
    values = wave_of(time) + offset + drift * time
    data = edfio.BdfSignal(values, RATE, label="EEG Cz", physical_dimension="uV", physical_range=(-200000, 200000))
    edfio.Bdf([data]).write(tmp_path / "a.bdf")
    with pytest.warns(UserWarning, match=r"a\.bdf: offsets and drifts below 0\.5 Hz were taken away from 1 of 1 chan"):
        found = EegRecording.load(tmp_path / "a.bdf")
    assert np.corrcoef(found.samples.numpy()[0], wave_of(time))[0, 1] > 0.999
    made = tokenizer.decode(tokenizer.encode(found))
    assert np.corrcoef(made.samples.numpy()[0], wave_of(time))[0, 1] > 0.95


@pytest.mark.parametrize("seconds", [0.9, 1.5, 3.0, 3.99, 4.0, 6.0, 60.0])
@pytest.mark.parametrize("kind", DRIFTS)
def test_the_wave_survives_slow_drifts_in_recordings_of_any_length(
    tokenizer: EegTokenizer, kind: str, seconds: float
) -> None:
    time = time_of(seconds)
    samples = torch.from_numpy(wave_of(time) + DRIFTS[kind](time)).float()[None]
    found, taken = without_baseline(samples, RATE)
    assert float(taken[0]) == pytest.approx(float(np.sqrt(np.mean(DRIFTS[kind](time) ** 2))), rel=0.02)
    assert np.sqrt(np.mean((found.numpy()[0] - wave_of(time)) ** 2)) < 16
    assert int(lost_seconds(found, RATE)[0]) == 0
    made = tokenizer.decode(tokenizer.encode(EegRecording(found, RATE, ("Cz",)))).filtered(3)
    assert np.corrcoef(made.samples.numpy()[0, : len(time)], wave_of(time))[0, 1] > 0.95


@pytest.mark.parametrize("seconds", [0.5, 0.9, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 60.0])
@pytest.mark.parametrize("hertz", [0.5, 0.75, 1.0, 2.0])
def test_slow_waves_of_eeg_are_no_drift(seconds: float, hertz: float) -> None:
    time = time_of(seconds)
    for phase in (0.0, 0.8, 1.6):
        delta = 100 * np.sin(2 * math.pi * hertz * time + phase)
        samples = torch.from_numpy(delta + wave_of(time) / 4).float()[None]
        size = abs(float(samples.mean()))
        kept, taken = without_baseline(samples, RATE)
        if seconds < 1 or size < 1 or seconds * hertz >= 1:
            assert kept.data_ptr() == samples.data_ptr()
            assert float(taken[0]) == 0
        else:  # half a wave or less may have a mean that outweighs it; nothing but that mean is taken
            assert float(taken[0]) in (0.0, pytest.approx(size, rel=1e-4))


@pytest.mark.parametrize("seconds", [0.5, 1.5, 3.0])
def test_an_offset_goes_and_slow_waves_stay(seconds: float) -> None:
    time = time_of(seconds)
    delta = 100 * np.sin(2 * math.pi * time)
    found, taken = without_baseline(torch.from_numpy(5000 + delta).float()[None], RATE)
    assert float(taken[0]) == pytest.approx(5000 + delta.mean(), rel=1e-5)
    assert np.abs(found.numpy()[0] - (delta - delta.mean())).max() < 2e-3


def test_ordinary_recordings_stay_bit_for_bit() -> None:
    noise = np.random.default_rng(0).normal(0, 10, (3, 1280))
    samples = torch.from_numpy(noise + np.array([[0], [5], [4000]])).float()
    kept, taken = without_baseline(samples, RATE)
    assert torch.equal(kept[:2], samples[:2])
    assert taken[:2].tolist() == [0, 0] and abs(float(taken[2]) - 4000) < 1
    assert np.abs(kept[2].numpy() - noise[2]).max() < 1
    assert without_baseline(samples[:2], RATE)[0].data_ptr() == samples[:2].data_ptr()
    assert torch.equal(without_baseline(samples[:, :20], 4)[0], samples[:, :20])  # values, not waves


def test_offsets_are_taken_in_place_where_that_is_asked_for() -> None:
    samples = torch.from_numpy(np.random.default_rng(0).normal(0, 10, (2, 1280)) + np.array([[0], [4000]])).float()
    kept, wanted = samples.clone(), without_baseline(samples, RATE)[0]
    assert torch.equal(samples, kept)
    found, taken = without_baseline(samples, RATE, in_place=True)
    assert found.data_ptr() == samples.data_ptr() and torch.equal(samples, wanted)
    assert taken[0] == 0 and abs(float(taken[1]) - 4000) < 1


def test_a_flat_channel_loses_its_offset() -> None:
    for size in (20, 640):
        assert without_baseline(torch.full((1, size), 4e4), RATE)[0].abs().max() < 1e-2


@pytest.mark.parametrize("rate", [8.0, 9.0, 128.0, 250.0, 1000 / 3])
@pytest.mark.parametrize("seconds", [1.0, 3.3, 10.0])
def test_a_parabola_is_all_drift(rate: float, seconds: float) -> None:
    time = np.arange(int(rate * seconds)) / rate
    curve = 3 + 5 * time - 2 * time**2
    size = max(round(rate / 10), 1)
    points = curve[: len(curve) // size * size].reshape(-1, size).mean(1)
    found = _drawn(torch.from_numpy(_smoothed(points, rate / size)), size, len(curve)).numpy()
    assert np.abs(found - curve).max() < 2e-3


@pytest.mark.parametrize("size", [4, 5, 6, 7, 50, 300])
def test_the_smoother_solves_its_equations(size: int) -> None:
    points = np.random.default_rng(size).normal(size=size)
    third, weight = np.diff(np.eye(size), 3, axis=0), (2 * math.sin(math.pi * 0.35 / 10)) ** -6
    assert np.abs(np.linalg.solve(np.eye(size) + weight * third.T @ third, points) - _smoothed(points, 10)).max() < 1e-9


def test_steps_that_hide_the_wave_are_told(tmp_path: Path) -> None:
    time = time_of(20)
    values = np.stack([wave_of(time), wave_of(time) + 50000 * (time > 10)])
    data = [
        edfio.BdfSignal(row, RATE, label=f"EEG {name}", physical_dimension="uV", physical_range=(-200000, 200000))
        for row, name in zip(values, ("O1", "Cz"), strict=True)
    ]
    edfio.Bdf(data).write(tmp_path / "a.bdf")
    with pytest.warns(
        UserWarning, match=r"a\.bdf: .*; 1 of 2 channels have seconds with a mean over 300 microvolts \(Cz: \d"
    ):
        found = EegRecording.load(tmp_path / "a.bdf")
    lost = lost_seconds(found.samples, RATE)
    assert int(lost[0]) == 0 and 2 <= int(lost[1]) <= 6
    assert np.abs(found.samples.numpy()[0] - wave_of(time)).max() < 0.05
    assert lost_seconds(torch.tensor([[301.0] * 3, [-301.0] * 3, [299.0] * 3]), 2).tolist() == [2, 2, 0]
