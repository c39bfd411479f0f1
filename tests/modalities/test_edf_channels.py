"""Channels of EDF files that are no electrodes, hold no wave or one that is cut off, and bytes behind the records."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest

from tokenmask.modalities.eeg import EegRecording, EegTokenizer, EegTokenizerConfig
from tokenmask.modalities.eeg.names import is_beside

WAVE = 40 * np.sin(2 * math.pi * 10 * np.arange(512) / 128)
BESIDE = (
    *("TRIG", "Trigger", "STI 014", "STI101", "STIM", "Status", "Event", "Event marker", "MARKER", "DC01", "EEG DC3"),
    *("Photic", "PHOTIC-REF", "POL DC09", "Pulse Rate", "SpO2", "EtCO2", "Ext Trigger", "Heart rate"),
    *("EDF Status", "COUNTER", "BATTERY", "GYROX", "Accel Y", "CQ_AF3", "RAW_CQ", "TIME_STAMP_s", "MKR", "MarkerIndex"),
)
ELECTRODES = (
    "EEG Fp1-Ref",
    "Fp1",
    "EOG L",
    "ECG",
    "EMG1",
    "Cz",
    "DCz",
    "E12",
    "Resp",
    "Pz-Oz",
    "STP1",
    "EventPz",
    "AccPz",
    "Or1",
)


def written(path: Path, *signals: tuple[str, Any]) -> Path:
    made = [
        edfio.EdfSignal(data, 128, label=label, physical_dimension="uV", physical_range=(-500, 500))
        for label, data in signals
    ]
    edfio.Edf(made).write(path)
    return path


def read(path: Path) -> tuple[EegRecording, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recording = EegRecording.load(path)
    return recording, [str(one.message) for one in caught]


@pytest.mark.parametrize("label", BESIDE)
def test_what_is_recorded_beside_the_electrodes_is_left_out_and_said(tmp_path: Path, label: str) -> None:
    pulses = np.zeros(512)
    pulses[100:104] = 5
    recording, said = read(written(tmp_path / "a.edf", ("EEG Fp1", WAVE), (label, pulses)))
    assert recording.channels == ("Fp1",)
    assert np.abs(recording.samples.numpy()[0] - WAVE).max() < 0.02
    assert said == [f"{tmp_path / 'a.edf'}: left out: {label} (no electrode)"]


@pytest.mark.parametrize("label", ELECTRODES)
def test_electrodes_and_other_voltages_of_a_body_stay(label: str) -> None:
    assert not is_beside(label)


def test_a_file_of_triggers_alone_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.edf", ("TRIG", WAVE))
    with pytest.raises(ValueError, match=r"no voltages that can be read: TRIG \(no electrode\)"):
        EegRecording.load(path)


def test_the_table_of_a_bids_folder_says_what_a_channel_is(tmp_path: Path) -> None:
    path = written(tmp_path / "sub-1_task-rest_eeg.edf", ("EEG Fp1", WAVE), ("X1", WAVE), ("DC1", WAVE))
    (tmp_path / "sub-1_task-rest_channels.tsv").write_text(
        "name\ttype\tunits\nFp1\tEEG\tuV\nX1\tMISC\tuV\nDC1\tEOG\tuV\n"
    )
    recording, said = read(path)
    assert recording.channels == ("Fp1", "DC1")
    assert said == [
        f"{path}: left out: X1 (no electrode); 1 of its 2 channels is no EEG but read beside it, each as a channel of "
        "its own: DC1 (EOG in channels.tsv) (EegRecording.select leaves channels out)"
    ]


def test_channels_that_the_table_calls_bad_are_said(tmp_path: Path) -> None:
    path = written(tmp_path / "sub-1_eeg.edf", ("EEG Fp1", WAVE), ("EEG Z9", WAVE), ("O2", WAVE))
    (tmp_path / "sub-1_channels.tsv").write_text("name\ttype\tstatus\nFp1\tEEG\tgood\nZ9\tEEG\tBad\nO2\tEEG\tn/a\n")
    recording, said = read(path)
    assert len(recording.channels) == 3
    told = "channels.tsv calls EEG Z9 bad: read as they are (EegRecording.select leaves them out)"
    assert said == [f"{path}: {told}"]


def test_what_stands_above_applies_to_all_below_and_the_nearer_goes_before(tmp_path: Path) -> None:
    """The inheritance principle of BIDS; of tables the nearest, of JSON all."""
    home = tmp_path / "set"
    folder = home / "sub-1/ses-2/eeg"
    folder.mkdir(parents=True)
    path = written(folder / "sub-1_ses-2_task-rest_eeg.edf", ("EEG Fp1", WAVE), ("X1", WAVE))
    table = "name\ttype\nFp1\tEEG\nX1\t{}\n"
    (tmp_path / "channels.tsv").write_text(table.format("TRIG"))  # above the data set
    (home / "sub-2_channels.tsv").write_text(table.format("TRIG"))  # of another subject
    (home / "task-rest_run-1_channels.tsv").write_text(table.format("TRIG"))  # names a run, which this one has not
    (tmp_path / "set/derivatives").mkdir()
    assert read(path)[0].channels == ("Fp1", "X1") and read(path)[1] == []
    (home / "task-rest_channels.tsv").write_text(table.format("MISC"))
    assert read(path)[0].channels == ("Fp1",)
    (home / "sub-1/sub-1_channels.tsv").write_text(table.format("EEG"))
    assert read(path)[0].channels == ("Fp1", "X1") and read(path)[1] == []
    (home / "sub-1/sub-1_ses-2_channels.tsv").write_text(table.format("MISC"))  # two at one level: more entities
    recording, said = read(path)
    names = "sub-1_ses-2_channels.tsv and sub-1_channels.tsv apply to it, of which sub-1_ses-2_channels.tsv is taken"
    assert recording.channels == ("Fp1",) and names in said[0]
    (home / "sub-1/sub-1_ses-2_channels.tsv").unlink()
    (home / "eeg.json").write_text('{"SamplingFrequency": 512}')
    assert "says a SamplingFrequency of 512 Hz" in read(path)[1][0]
    path.with_suffix(".json").write_text('{"PowerLineFrequency": 50}')
    assert "says a SamplingFrequency of 512 Hz" in read(path)[1][0]
    path.with_suffix(".json").write_text(f'{{"SamplingFrequency": {read(path)[0].sample_rate_hz}}}')
    assert read(path)[1] == []


OF_BODY = ("EOG left", "EOG L", "VEOG", "HEOGR", "ECG", "EKG1", "EMG1-EMG2", "Chin EMG", "LOC", "ROC-A1", "EEG ECG")
OF_BODY += ("GSR1", "Plet", "Temp rectal", "Erg1", "EXG3", "Right AUX", "AUX_LEFT", "EDA", "Misc 1")


@pytest.mark.parametrize("label", OF_BODY)
def test_voltages_of_eyes_hearts_and_muscles_are_read_and_said(tmp_path: Path, label: str) -> None:
    path = written(tmp_path / "a.edf", ("EEG Fp1", WAVE), (label, WAVE), ("EEG O2", WAVE))
    recording, said = read(path)
    assert len(recording.channels) == 3
    assert said == [
        f"{path}: 1 of its 3 channels is no EEG but read beside it, each as a channel of its own: {label} "
        "(EegRecording.select leaves channels out)"
    ]
    (tmp_path / "sub-1_eeg.edf").write_bytes(path.read_bytes())
    (tmp_path / "sub-1_channels.tsv").write_text(f"name\ttype\nFp1\tHEOG\n{label}\tEEG\nO2\tn/a\n")
    said = read(tmp_path / "sub-1_eeg.edf")[1]  # the table goes before the label
    assert len(said) == 1 and "1 of its 3 channels is no EEG" in said[0] and "own: EEG Fp1 (HEOG in" in said[0]


def test_a_file_without_eeg_is_read_as_it_is(tmp_path: Path) -> None:
    recording, said = read(written(tmp_path / "a.edf", ("ECG", WAVE), ("EMG", WAVE)))
    assert (recording.channels, said) == (("ECG", "EMG"), [])


@pytest.mark.parametrize("announced", [b"4       ", b"-1      "])
def test_bytes_behind_the_last_record_are_said(tmp_path: Path, announced: bytes) -> None:
    path = written(tmp_path / "a.edf", ("EEG Fp1", WAVE))
    raw = path.read_bytes()
    path.write_bytes(raw[:236] + announced + raw[244:] + bytes(130))
    recording, said = read(path)
    assert np.abs(recording.samples.numpy()[0] - WAVE).max() < 0.02
    assert said == [f"{path}: 130 bytes after its 4 whole records are no whole one and are left out"]


def test_channels_that_are_flat_or_cut_off_are_said(tmp_path: Path) -> None:
    path = written(tmp_path / "a.edf", ("EEG Fp1", WAVE), ("EEG Fp2", np.zeros(512)), ("EEG Cz", 12.5 * WAVE))
    assert read(path)[1] == [f"{path}: without a wave, the same value throughout: Fp2"]  # Cz only touches its limits
    loud = np.clip(40 * WAVE, -500, 500)  # a wave of 10 Hz is cut for six samples in a row
    loud[500:] = WAVE[500:]
    path, share = written(tmp_path / "b.edf", ("EEG Fp1", WAVE), ("EEG Cz", loud)), np.mean(np.abs(loud) > 499.99)
    assert read(path)[1] == [
        f"{path}: samples in a row at the limits of the range, where the wave is cut off: Cz ({share:.1%} of them)"
    ]


@pytest.mark.parametrize("ending", ["edf", "npz", "safetensors"])
def test_an_only_channel_that_is_flat_is_said_in_every_format(tmp_path: Path, ending: str) -> None:
    recording, _ = read(written(tmp_path / "a.edf", ("EEG Fp1", np.full(512, 25.0))))
    recording.save(path := tmp_path / f"b.{ending}")
    assert read(path)[1] == [f"{path}: without a wave, the same value throughout: Fp1"]


def test_samples_that_are_turned_are_told() -> None:
    with pytest.raises(ValueError, match=r"its 256 channels, got \('a', 'b'\); samples are \[channels, time\], tr"):
        EegRecording(np.zeros((256, 2), np.float32), 128, ("a", "b"))


def test_resampling_names_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "a.edf", ("EEG Fp1", WAVE))
    recording = EegRecording.load(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokenizer = EegTokenizer.fit([recording], config=EegTokenizerConfig.at(64.0), steps=1, progress=False)
    assert recording.source == str(path) and recording.between(0, 2).source == str(path)
    with pytest.warns(UserWarning) as caught:
        tokenizer.encode(recording)
    assert str(caught[0].message) == f"{path} is resampled to the 64 Hz of this EegTokenizer"
