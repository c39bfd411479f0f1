"""EDF files channel by channel: the codes, the samples and what is told of the whole recording."""

from __future__ import annotations

import warnings
from pathlib import Path

import edfio
import numpy as np
import pytest
import torch

from tokenmask.modalities.eeg import EegRecording
from tokenmask.modalities.eeg.session import Event, Session
from tokenmask.run import Run, load
from tokenmask.tokenizer import ReadsFiles, WritesFiles

NAMES = ("Fp1", "C3", "O2")


@pytest.fixture(scope="module")
def run() -> Run:
    return load()


@pytest.fixture(scope="module")
def eeg(run: Run):
    return run.tokenizers["eeg"]


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


@pytest.mark.parametrize("chosen", [["c3"], ["O2", "EEG Fp1"], ["O2", "C3", "Fp1"]])
def test_channels_that_are_chosen_are_those_of_the_whole(eeg, tmp_path: Path, chosen: list[str]) -> None:
    """In the order asked for; what is told is told of all, as where all are read."""
    path = written(tmp_path / "night.edf", 256.0, 20.0, odd=True)
    with warnings.catch_warnings(record=True) as whole:
        warnings.simplefilter("always")
        expected = eeg.encode(EegRecording.load(path, channels=chosen))
    with warnings.catch_warnings(record=True) as rows:
        warnings.simplefilter("always")
        stream = eeg.encode_file(path, channels=chosen)
    assert torch.equal(stream.codes, expected.codes) and stream.labels == expected.labels
    assert sorted(str(one.message) for one in rows) == sorted(str(one.message) for one in whole)
    for wrong in (["Oz"], ["C3", "c3"]):
        with pytest.raises(ValueError) as refused:
            EegRecording.load(path, channels=wrong)
        with pytest.raises(ValueError) as refused_rows:
            eeg.encode_file(path, channels=wrong)
        assert str(refused_rows.value) == str(refused.value)


@pytest.mark.parametrize("chosen", [None, ["C3", "Fp1"]])
def test_only_one_channel_is_in_memory_at_a_time(
    eeg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: list[str] | None
) -> None:
    path = written(tmp_path / "night.edf", 128.0, 30.0)
    widths: set[int] = set()
    made = EegRecording.__post_init__

    def noted(self: EegRecording) -> None:
        made(self)
        if self.samples.shape[1] > 1:
            widths.add(len(self.samples))

    monkeypatch.setattr(EegRecording, "__post_init__", noted)
    eeg.encode_file(path, channels=chosen)
    assert widths == {1}


@pytest.mark.parametrize("suffix", [".edf", ".npz", ".safetensors"])
@pytest.mark.parametrize("tokens", [1, 37, 130])
def test_decoded_files_are_those_of_the_whole(eeg, tmp_path: Path, tokens: int, suffix: str) -> None:
    draw = torch.Generator().manual_seed(tokens)
    recording = EegRecording(20 * torch.randn(3, tokens * eeg.config.stride, generator=draw), 128.0, NAMES)
    stream = eeg.encode(recording)
    shown: list[tuple[float, float]] = []
    eeg.decode_file(stream, tmp_path / f"pieces{suffix}", show=lambda *done: shown.append(done))
    whole = eeg.decode(stream)
    whole.save(tmp_path / f"whole{suffix}")
    assert isinstance(eeg, WritesFiles) and shown[-1] == (whole.duration_seconds,) * 2
    assert EegRecording.load(tmp_path / f"pieces{suffix}") == EegRecording.load(tmp_path / f"whole{suffix}")
    if suffix == ".edf":  # half a step of the integers, by another reader
        assert (tmp_path / "pieces.edf").read_bytes() == (tmp_path / "whole.edf").read_bytes()
        signals = edfio.read_edf(tmp_path / "pieces.edf").signals
        assert [one.label for one in signals] == [f"EEG {name}" for name in NAMES]
        for signal, row in zip(signals, whole.samples, strict=True):
            step = (signal.physical_max - signal.physical_min) / 65535
            assert np.abs(signal.data[: len(row)] - row.numpy()).max() <= 0.5001 * step + 1e-5


@pytest.mark.parametrize("rate", [128.0, 250.0])
@pytest.mark.parametrize("kept", [(0, 20), (10, 76), (0, 76), (0, 0)], ids=str)
def test_what_is_kept_is_that_of_the_whole(eeg, tmp_path: Path, kept: tuple[int, int], rate: float) -> None:
    path = written(tmp_path / "given.edf", rate, 9.5, odd=True)
    with warnings.catch_warnings(action="ignore"):
        given = EegRecording.load(path)
        stream = eeg.encode(given)
        keep = torch.zeros(stream.grid, dtype=torch.bool)
        keep[:, kept[0] : kept[1]] = True
        keep[1, 30] = True
        eeg.decode(stream, given=given, keep=keep).save(tmp_path / "whole.edf")
        eeg.decode_file(stream, tmp_path / "pieces.edf", given=path, keep=keep)
    assert (tmp_path / "pieces.edf").read_bytes() == (tmp_path / "whole.edf").read_bytes()


def test_wrong_wishes_are_refused(eeg, tmp_path: Path) -> None:
    path = written(tmp_path / "given.edf", 128.0, 9.5)
    stream = eeg.encode(EegRecording(torch.ones(3, 320), 128.0, NAMES))
    keep = torch.ones(stream.grid, dtype=torch.bool)
    with pytest.raises(ValueError, match="given and keep belong together"):
        eeg.decode_file(stream, tmp_path / "made.edf", given=path)
    with pytest.raises(
        ValueError, match=r"and its tokens at the most, \[3, 20\], got EegRecording\(3 channels, 9.5 s at 128 Hz"
    ):
        eeg.decode_file(stream, tmp_path / "made.edf", given=path, keep=keep)
    with pytest.raises(ValueError, match=r"written as \.npz, \.safetensors or \.edf, got 'made\.bdf'"):
        eeg.decode_file(stream, tmp_path / "made.bdf")
    assert {one.name for one in tmp_path.iterdir()} == {"given.edf"}


def test_an_edited_file_is_that_of_edit(run: Run, tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(5)
    session = Session(patient="X F X X", events=(Event(1.25, "eyes shut", 2.0), Event(7.0, "beep")))
    recording = EegRecording(20 * torch.randn(2, 1500, generator=draw), 128.0, ("O1", "O2"), session=session)
    recording.save(tmp_path / "given.edf")
    options = {"steps": 2, "seed": 3, "stream": "eeg"}
    run.edit(tmp_path / "given.edf", [(3.0, 4.0)], **options)[0].save(tmp_path / "whole.edf")
    run.edit_file(tmp_path / "given.edf", [tmp_path / "pieces.edf"], [(3.0, 4.0)], **options)
    assert (tmp_path / "pieces.edf").read_bytes() == (tmp_path / "whole.edf").read_bytes()
    made = edfio.read_edf(tmp_path / "pieces.edf")
    assert [(one.onset, one.duration, one.text) for one in made.annotations] == [
        (1.25, 2.0, "eyes shut"),
        (7.0, None, "beep"),
    ]
    given = edfio.read_edf(tmp_path / "given.edf")
    for one, two in zip(made.signals, given.signals, strict=True):
        near = np.abs(one.data - two.data)[: 3 * 128]
        assert near.max() < 0.01 and np.abs(one.data - two.data)[3 * 128 : 4 * 128].max() > 1


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
