"""EDF files channel by channel: the codes and what is told of the whole recording."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from tokenmask.modalities.eeg import EegRecording
from tokenmask.run import load
from tokenmask.tokenizer import ReadsFiles

NAMES = ("Fp1", "C3", "O2")


@pytest.fixture(scope="module")
def eeg():
    return load().tokenizers["eeg"]


def written(path: Path, rate: float, seconds: float, *, odd: bool = False) -> Path:
    draw = torch.Generator().manual_seed(round(rate * seconds))
    samples = 20 * torch.randn(len(NAMES), round(rate * seconds), generator=draw)
    if odd:
        samples[0] += 3000  # an offset
        samples[1] = 7  # no wave
        samples[2].clamp_(-15, 15)  # cut off
    EegRecording(samples, rate, NAMES).save(path)
    return path


@pytest.mark.parametrize(("rate", "seconds"), [(128.0, 9.5), (256.0, 20.0), (100.0, 0.3)])
@pytest.mark.parametrize("odd", [False, True])
def test_codes_labels_and_warnings_are_those_of_the_whole(eeg, tmp_path: Path, rate, seconds, odd) -> None:
    path = written(tmp_path / "night.edf", rate, seconds, odd=odd)
    with warnings.catch_warnings(record=True) as whole:
        warnings.simplefilter("always")
        recording = EegRecording.load(path)
        expected = eeg.encode(recording)
    shown: list[tuple[float, float]] = []
    with warnings.catch_warnings(record=True) as rows:
        warnings.simplefilter("always")
        stream = eeg.encode_file(path, show=lambda *done: shown.append(done))
    assert isinstance(eeg, ReadsFiles)
    assert torch.equal(stream.codes, expected.codes) and stream.labels == expected.labels
    assert stream.spec == expected.spec
    assert sorted(str(one.message) for one in rows) == sorted(str(one.message) for one in whole)
    length = recording.duration_seconds
    assert shown == [(pytest.approx(length * part / 3), length) for part in (1, 2, 3)]


def test_only_one_channel_is_in_memory_at_a_time(eeg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "night.edf", 128.0, 30.0)
    widths: set[int] = set()
    made = EegRecording.__post_init__

    def noted(self: EegRecording) -> None:
        made(self)
        if self.samples.shape[1] > 1:
            widths.add(len(self.samples))

    monkeypatch.setattr(EegRecording, "__post_init__", noted)
    eeg.encode_file(path)
    assert widths == {1}


def test_other_files_are_read_whole_and_wrong_ones_refused_alike(eeg, tmp_path: Path) -> None:
    recording = EegRecording(torch.ones(2, 300), 128.0, ("C3", "C4"))
    recording.save(tmp_path / "a.npz")
    assert torch.equal(eeg.encode_file(tmp_path / "a.npz").codes, eeg.encode(recording).codes)
    (tmp_path / "bad.edf").write_bytes(b"0" * 300)
    for name in ("bad.edf", "absent.edf"):
        with pytest.raises(ValueError) as whole:
            EegRecording.load(tmp_path / name)
        with pytest.raises(ValueError) as rows:
            eeg.encode_file(tmp_path / name)
        assert str(rows.value) == str(whole.value)
