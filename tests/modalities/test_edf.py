"""EDF and BDF files as others write them: units, numbers, labels, rates, gaps, events, any length and rate."""

from __future__ import annotations

import math
import warnings
from datetime import datetime, time
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest
import torch

from tokenmask.modalities.eeg import ChannelHeader, EegRecording, Event, Session
from tokenmask.modalities.eeg.names import channel_names, without_reference

HEAD = 256  # bytes of the header, and of that of each signal
TIME = np.arange(8 * 128) / 128
WAVE = 40 * np.sin(2 * math.pi * 10 * TIME)


@pytest.fixture(autouse=True)
def _every_warning_counts() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def signal(data: Any, label: str = "EEG Fp1", rate: float = 128, unit: str = "uV") -> Any:
    return edfio.EdfSignal(data, rate, label=label, physical_dimension=unit, physical_range=(-500, 500))


def written(path: Path, signals: list[Any], **fields: Any) -> Path:
    edfio.Edf(signals, **fields).write(path)
    return path


def patched(path: Path, old: bytes, new: bytes) -> Path:
    """Every occurrence in the header replaced by as many bytes."""
    raw = path.read_bytes()
    assert len(old) == len(new) and old in raw[:4096]
    path.write_bytes(raw.replace(old, new))
    return path


# Headers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("micro", [b"\xb5V", "\u00b5V".encode(), "\u03bcV".encode(), b"UV"])
def test_units_with_a_micro_sign(tmp_path: Path, micro: bytes) -> None:
    warnings.filterwarnings("ignore", ".*is no EEG but read beside it")
    signals = [signal(WAVE), signal(WAVE / 2, "EEG Fp2"), signal(WAVE / 100, "ECG", unit="mV")]
    path = patched(written(tmp_path / "a.edf", signals), b"uV  ", micro.ljust(4))
    found = EegRecording.load(path)
    assert found.channels == ("Fp1", "Fp2", "ECG")
    wanted = np.stack([WAVE, WAVE / 2, 10 * WAVE])
    assert np.abs(found.samples.numpy() - wanted).max() < 1000 * 1000 / 65535


def test_a_comma_is_a_point_in_numbers(tmp_path: Path) -> None:
    path = written(tmp_path / "a.edf", [signal(WAVE)])
    patched(path, b"-500    500     ", b"-500,0  500,0   ")
    assert np.abs(EegRecording.load(path).samples.numpy()[0] - WAVE).max() < 1000 / 65535


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (b"-a      500     ", r"physical minimum of 'EEG Fp1' must be a number, got '-a'"),
        (b"-500            ", r"physical maximum of 'EEG Fp1' must be a number, got ''"),
        (b"-500    inf     ", r"physical maximum of 'EEG Fp1' must be a number, got 'inf'"),
        (b"500     500     ", r"the limits of 'EEG Fp1' must differ, got 500 to 500"),
    ],
)
def test_integers_are_never_taken_for_voltages(tmp_path: Path, limits: bytes, reason: str) -> None:
    path = patched(written(tmp_path / "a.edf", [signal(WAVE)]), b"-500    500     ", limits)
    with pytest.raises(
        ValueError, match=rf"a\.edf must be.*no voltages that can be read: EEG Fp1 \(the .*{reason[4:]}"
    ):
        EegRecording.load(path)


def test_a_channel_without_a_scale_is_left_out_by_name(tmp_path: Path) -> None:
    path = written(tmp_path / "a.edf", [signal(WAVE), signal(WAVE, "EEG Fp2")])
    patched(path, b"-500    -500    500     500     ", b"-500    -500    500     ?       ")
    with pytest.warns(UserWarning, match=r"a\.edf: left out: EEG Fp2 \(the physical maximum of 'EEG Fp2' must be"):
        assert EegRecording.load(path).channels == ("Fp1",)


def test_double_and_blank_labels_get_names_of_their_own(tmp_path: Path) -> None:
    labels = ["FP1-F7", "T8-P8", "", "t8-p8"]
    path = written(tmp_path / "a.edf", [signal(WAVE / (i + 1), label) for i, label in enumerate(labels)])
    with pytest.warns(UserWarning, match=r"labels that are blank or there twice became 3, t8-p8-2"):
        found = EegRecording.load(path)
    assert found.channels == ("FP1-F7", "T8-P8", "3", "t8-p8-2")
    assert np.abs(found.samples.numpy()[3] - WAVE / 4).max() < 1000 / 65535


@pytest.mark.parametrize(
    ("label", "name"),
    [
        *(("EEG FP1-REF", "Fp1"), ("C4-M1", "C4"), ("fz-avg", "Fz"), ("EEG O1-LE", "O1"), ("Fc5.", "FC5")),
        *(
            ("FP1-F7", "FP1-F7"),
            ("A1-A2", "A1-A2"),
            ("ECG-REF", "ECG-REF"),
            ("EEG", "EEG"),
            ("EEG A2-REF", "A2"),
            ("a1-LE", "a1-LE"),
        ),
    ],
)
def test_a_reference_is_no_part_of_a_name(label: str, name: str) -> None:
    assert channel_names([label]) == ([name], [])


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        *(("Fp1", 0), ("fp1", 0), ("EEG FP1-REF", 0), ("EEG Fp1", 0), ("FP1-LE", 0), (" eeg fp1 ", 0)),
        *(("C3-A1", 1), ("c3-a2", 2), ("EEG C3-A2", 2), ("T8-P8", 3), ("t8-p8-2", 4), ("Oz", 5), ("EEG OZ-avg", 5)),
        *(("EEG", 6), ("ECG", 7)),
    ],
)
def test_channels_are_asked_for_as_people_and_files_spell_them(asked: str, wanted: int) -> None:
    names = ("Fp1", "C3-A1", "C3-A2", "T8-P8", "T8-P8-2", "Oz", "EEG", "ECG")
    recording = EegRecording(torch.arange(8.0)[:, None].repeat(1, 4), 4, names)
    assert recording.select([asked]).samples.tolist() == [[float(wanted)] * 4]


def test_channels_that_could_be_several_are_refused() -> None:
    recording = EegRecording(torch.ones(3, 4), 4, ("C3-A1", "C3-A2", "Cz"))
    with pytest.raises(
        ValueError,
        match=r"channels must be among C3-A1, C3-A2, Cz, got Pz; C3, which could be C3-A1 or C3-A2$",
    ):
        recording.select(["Pz", "Cz", "C3"])
    with pytest.raises(ValueError, match=r"channels must be among C3-A1, C3-A2, Cz, got none; name one"):
        recording.select([])


@pytest.mark.parametrize(
    ("label", "name"),
    [
        *(("Fp1_REF", "Fp1"), ("FP1:REF", "Fp1"), ("Fp1/A2", "Fp1"), ("EEG F7-REF1", "F7"), ("EEG Fp1(Ref)", "Fp1")),
        *(("Fp1Ref", "Fp1"), ("C3-Linked", "C3"), ("EEG T3 - LE", "T3"), ("A1_Ref", "A1"), ("Cz-Vref", "Cz")),
        *(("EEG_Fp1", "Fp1"), ("EEG-FC5", "FC5"), ("EEGOz", "Oz"), ("POL Fp1", "Fp1"), ("EEG 001", "001")),
        *(("EEG_1", "EEG_1"), ("A1-A2", "A1-A2"), ("T8:P8", "T8:P8"), ("Fp1 F7", "Fp1 F7"), ("POL X1", "POL X1")),
        *(("EEGs", "EEGs"), ("Xyz1-REF", "Xyz1-REF"), ("Fp1-Cz", "Fp1-Cz"), ("C3-P1", "C3-P1")),
    ],
)
def test_names_and_references_as_programs_put_them_together(label: str, name: str) -> None:
    assert channel_names([label, "O2"]) == ([name, "O2"], [])


def test_references_stay_where_they_tell_channels_apart(tmp_path: Path) -> None:
    assert channel_names(["C3-A2", "C3-M2", "O1-A2"]) == (["C3-A2", "C3-M2", "O1"], [])
    assert channel_names(["x", "x-2", "X"]) == (["x", "x-2", "X-3"], ["X-3"])
    assert without_reference("C3-A2") == "C3"
    found = EegRecording.load(written(tmp_path / "a.edf", [signal(WAVE, f"EEG {one}-REF") for one in ("FP1", "O2")]))
    assert found.channels == ("Fp1", "O2")
    for asked in ("Fp1", "FP1", "fp1-ref"):
        assert found.select([asked]).channels == ("Fp1",)


# Rates, gaps, events --------------------------------------------------------------------------------------------------


def test_the_rate_of_the_eeg_is_taken(tmp_path: Path) -> None:
    pulse = np.zeros(800)
    pulse[350:352] = 80
    muscles = [signal(np.tile(WAVE, 2)[:1600], f"EMG {side}", 200) for side in ("chin", "leg", "arm")]
    rows = [signal(pulse, "EEG Fpz-Cz", 100), signal(pulse / 2, "EOG", 100), *muscles, signal(np.ones(8), "EMG", 1)]
    with pytest.warns(UserWarning, match=r"left out: EMG chin \(200 Hz instead of 100 Hz\).*EMG \(1 Hz instead"):
        found = EegRecording.load(written(tmp_path / "a.edf", rows))
    assert (found.channels, found.sample_rate_hz) == (("Fpz-Cz", "EOG"), 100)
    assert np.abs(found.samples.numpy() - np.stack([pulse, pulse / 2])).max() < 1000 / 65535
    assert int(found.samples[0].argmax()) / found.sample_rate_hz == 3.5


def test_a_gap_is_refused_with_its_place(tmp_path: Path) -> None:
    whole = written(tmp_path / "a.edf", [signal(WAVE)], annotations=[edfio.EdfAnnotation(1.5, None, "here")])
    patched(whole, b"EDF+C", b"EDF+D")
    assert EegRecording.load(whole).duration_seconds == 8  # records that follow each other
    whole.write_bytes(whole.read_bytes().replace(b"+2\x14", b"+9\x14"))
    with pytest.raises(ValueError, match=r"a\.edf .*number 2 ends at 2 s and the next begins at 9 s; split it there"):
        EegRecording.load(whole)


def test_events_and_header_come_back(tmp_path: Path) -> None:
    events = [edfio.EdfAnnotation(0.5, None, "Augen zu \u00e4"), edfio.EdfAnnotation(2.25, 0.5, "spike")]
    path = written(
        tmp_path / "a.edf",
        [signal(WAVE)],
        patient=edfio.Patient(code="P7", sex="F"),
        recording=edfio.Recording(startdate=datetime(2020, 3, 2).date(), equipment_code="amp"),
        starttime=time(10, 30, 5, 250000),
        annotations=events,
    )
    found = EegRecording.load(path)
    assert found.session == Session(
        datetime(2020, 3, 2, 10, 30, 5, 250000),
        "P7 F X X",
        "Startdate 02-MAR-2020 X X amp",
        (Event(0.5, "Augen zu \u00e4"), Event(2.25, "spike", 0.5)),
    )
    for name in ("b.edf", "b.npz", "b.safetensors"):
        found.save(tmp_path / name)
        again = EegRecording.load(tmp_path / name)
        assert again.session == found.session
        assert (again == found) == (name != "b.edf")
    other = edfio.read_edf(tmp_path / "b.edf")
    assert list(other.annotations) == events
    assert (other.patient.code, other.recording.equipment_code) == ("P7", "amp")
    assert (other.startdatetime, other.is_continuous) == (found.session.start, True)
    assert found.resample(100).select(["fp1"]).filtered(1).session == found.session
    EegRecording(found.samples, 128, ("Fp1",)).save(tmp_path / "plain.edf")
    assert EegRecording.load(tmp_path / "plain.edf").session is None


def test_events_of_bdf_files(tmp_path: Path) -> None:
    data = edfio.BdfSignal(WAVE, 128, label="Cz", physical_dimension="uV")
    edfio.Bdf([data], annotations=[edfio.EdfAnnotation(3.125, 1, "stimulus")]).write(tmp_path / "a.bdf")
    found = EegRecording.load(tmp_path / "a.bdf")
    assert found.session == Session(events=(Event(3.125, "stimulus", 1),), channels=(ChannelHeader("Cz", "Cz"),))
    assert np.abs(found.samples.numpy()[0] - WAVE).max() < 1e-4


def test_events_that_cannot_be_read_cost_no_recording(tmp_path: Path) -> None:
    path = written(tmp_path / "a.edf", [signal(WAVE)], annotations=[edfio.EdfAnnotation(1.5, None, "here")])
    path.write_bytes(path.read_bytes().replace(b"+1.5\x14", b"late\x14"))
    with pytest.warns(UserWarning, match=r"1 of its annotations cannot .* \(its annotation b'late.*must begin"):
        assert EegRecording.load(path).session is None


@pytest.mark.parametrize("event", [(math.nan, "a", None), (1.0, "a", -1.0), (1.0, "a\x14b", None)])
def test_wrong_events_are_one_sentence(event: tuple[float, str, float | None]) -> None:
    with pytest.raises(ValueError, match=r"an event needs|the text of an event must be without"):
        Event(*event)


def test_a_file_that_was_cut_off_has_its_whole_records(tmp_path: Path) -> None:
    path = written(tmp_path / "a.edf", [signal(WAVE)])
    path.write_bytes(path.read_bytes()[: 2 * HEAD + 3 * 256 + 100])
    with pytest.warns(UserWarning, match=r"announces 8 records, but it holds 3 whole ones"):
        found = EegRecording.load(path)
    assert found.samples.shape == (1, 384)


# Any length and rate --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [300.0, 128.0, 127.5, 1000 / 3, 23.976, 0.5, 4096.0, 512.5])
def test_edf_holds_any_length(tmp_path: Path, rate: float) -> None:
    warnings.filterwarnings("ignore", ".*without a wave")  # the only sample fills up its record
    for size in (1, 2, 101, 256, 1009):
        values = 100 * np.random.default_rng(size).uniform(-1, 1, (1, size))
        recording = EegRecording(torch.from_numpy(values).float(), rate, ("Cz",))
        recording.save(tmp_path / "a.edf")
        found, other = EegRecording.load(tmp_path / "a.edf"), edfio.read_edf(tmp_path / "a.edf").signals[0]
        assert found.sample_rate_hz == pytest.approx(rate, rel=1e-6)
        extra = found.samples.shape[1] - size
        assert 0 <= extra < max(rate, 4)
        assert np.abs(found.samples.numpy()[:, :size] - values).max() < 202 / 65535
        assert np.abs(other.data - found.samples.numpy()[0]).max() < 1e-4
        assert (found.samples[:, size:] == found.samples[:, size - 1 : size]).all()
        assert rate != 300 or extra == -size % 3
