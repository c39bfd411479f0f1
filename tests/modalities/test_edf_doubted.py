"""Recordings whose unit or scale is doubtful or not said, and what lies beside them in a BIDS folder."""

from __future__ import annotations

import json
import math
import re
import warnings
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest
import torch

from tests.modalities.test_edf_headers import RATE, WAVE, edf
from tokenmask.modalities.eeg import EegRecording, EegTokenizer
from tokenmask.modalities.eeg.doubt import doubted, typical_waves
from tokenmask.tokenizer import load_tokenizer

SHIPPED = Path(__file__).parents[2] / "tokenmask/weights/tokenizers/eeg"
LIMITS = (b"-32767", b"32767")


@pytest.fixture(autouse=True)
def _every_warning_counts() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# Amplitudes -----------------------------------------------------------------------------------------------------------


def test_waves_are_half_of_the_range_of_a_usual_second() -> None:
    wave = torch.from_numpy(WAVE).float()
    burst = torch.where(torch.arange(len(wave)) < 3 * RATE, 1000 * wave, wave)  # three of eight seconds
    rows = torch.stack([wave + 18000, wave + torch.arange(len(wave)) / RATE, burst, torch.zeros_like(wave)])
    found = typical_waves(rows, RATE)
    peak = float(WAVE.max() - WAVE.min()) / 2
    assert found[0] == pytest.approx(peak, rel=1e-3) and found[2] == pytest.approx(peak, rel=1e-6) and found[3] == 0
    assert found[1] == pytest.approx(peak, abs=0.5)
    assert typical_waves(rows, 4.0).tolist() == [0, 0, 0, 0]  # values of their own, no waves
    assert doubted(torch.tensor([1999.0, 19999.0, 0.11, 0.0]), ("Cz", "ECG", "Pz", "Oz")) == ""


@pytest.mark.parametrize(
    ("unit", "told"),
    [
        (b"mV", r"waves of 4e\+04 microvolts in a usual second \(Fp1\), far more than EEG has, in 1 of 1 channels"),
        (b"V", r"waves of 4e\+07 microvolts in a usual second"),
        (b"nV", r"waves of 0\.04 microvolts in a usual second \(Fp1\), far less than EEG has, in 1 of 1 channels"),
    ],
)
def test_amplitudes_that_no_eeg_has_are_told_and_read(tmp_path: Path, unit: bytes, told: str) -> None:
    path = edf(tmp_path / "a.edf", unit=unit)
    with pytest.warns(UserWarning, match=rf"a\.edf: {told}.*--voltages UNIT") as caught:
        found = EegRecording.load(path)
    assert len(caught) == 1
    factor = {b"mV": 1e3, b"V": 1e6, b"nV": 1e-3}[unit]
    assert np.abs(found.samples.numpy()[0] / factor - WAVE).max() < 500 / 32767
    right = EegRecording.load(path, voltages="uV")  # the way out, which is told no more
    assert np.abs(right.samples.numpy()[0] - WAVE).max() < 500 / 32767
    assert right.session is not None and right.session.channels == ()  # whose unit is microvolts now


@pytest.mark.parametrize("offset", [18000.0, -95000.0])
def test_offsets_are_not_doubted(tmp_path: Path, offset: float) -> None:
    values = torch.from_numpy(WAVE + offset)[None].float()
    EegRecording(values, RATE, ("Cz",)).save(tmp_path / "a.npz")
    assert torch.equal(EegRecording.load(tmp_path / "a.npz").samples, values)
    signal = edfio.EdfSignal(WAVE + offset, RATE, label="EEG Cz", physical_dimension="uV")
    edfio.Edf([signal]).write(tmp_path / "a.edf")
    with pytest.warns(UserWarning, match=r"a\.edf: offsets and drifts below 0\.5 Hz were taken away[^;]*$"):
        assert np.abs(EegRecording.load(tmp_path / "a.edf").samples.numpy()[0] - WAVE).max() < 1


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_arrays_and_tensors_are_doubted_too(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    EegRecording(torch.from_numpy(WAVE)[None].float() * 100, RATE, ("Cz",)).save(path)
    with pytest.warns(UserWarning, match=rf"a\{ending}: waves of 4e\+03 microvolts in a usual second \(Cz\), far more"):
        EegRecording.load(path)
    found = EegRecording.load(path, voltages="nV").samples.numpy()[0]
    assert np.abs(found - WAVE / 10).max() < 1e-5


def test_large_waves_of_a_heart_are_those_of_a_heart(tmp_path: Path) -> None:
    wave = torch.from_numpy(WAVE)[None].float()
    EegRecording(torch.cat([wave, 100 * wave]), RATE, ("Cz", "ECG")).save(tmp_path / "a.npz")
    assert EegRecording.load(tmp_path / "a.npz").samples[1].max() > 3900
    EegRecording(torch.cat([wave, 1000 * wave]), RATE, ("Cz", "ECG")).save(tmp_path / "a.npz")
    with pytest.warns(UserWarning, match=r"microvolts in a usual second \(ECG\), far more than EEG has, in 1 of 2 ch"):
        EegRecording.load(tmp_path / "a.npz")


# Units that are asked for ---------------------------------------------------------------------------------------------


def test_a_file_without_a_unit_has_a_way_out(tmp_path: Path) -> None:
    path = edf(tmp_path / "a.edf", unit=b"", limits=(b"-.5", b".5", *LIMITS))
    with pytest.raises(ValueError, match=r"a\.edf .*its unit '' is no voltage .*say their unit with --voltages UNIT"):
        EegRecording.load(path)
    found = EegRecording.load(path, voltages="mV")
    assert np.abs(found.samples.numpy()[0] - WAVE).max() < 500 / 32767
    tokenizer = load_tokenizer(SHIPPED)
    assert isinstance(tokenizer, EegTokenizer)
    codes = tokenizer.encode_file(path, voltages="mV").codes
    assert torch.equal(codes, tokenizer.encode(found).codes)


@pytest.mark.parametrize(
    ("label", "unit", "told"),
    [
        (
            "EEG Pz",
            "",
            r"its unit '' is no voltage that is known\); where they are voltages, say their unit with --volt",
        ),
        (
            "EEG Pz",
            "lux",
            r"its unit 'lux' is no voltage that is known\); where they are voltages, say their unit with",
        ),
        ("SpO2", "%", r"its unit '%' is no voltage that is known\)$"),
        ("TRIG", "", r"its unit '' is no voltage that is known\)$"),
    ],
)
def test_a_channel_that_is_left_out_for_its_unit_says_what_to_do(
    tmp_path: Path, label: str, unit: str, told: str
) -> None:
    signals = [edfio.EdfSignal(WAVE, RATE, label="EEG Cz", physical_dimension="uV")]
    signals.append(edfio.EdfSignal(WAVE / 2, RATE, label=label, physical_dimension=unit))
    edfio.Edf(signals).write(tmp_path / "a.edf")
    with pytest.warns(UserWarning, match=rf"a\.edf: left out: {label} \({told}"):
        assert EegRecording.load(tmp_path / "a.edf").channels == ("Cz",)


@pytest.mark.parametrize(("wrong", "kind"), [("ohm", ValueError), ("", ValueError), (1e-6, TypeError)])
def test_voltages_that_are_none_are_refused(tmp_path: Path, wrong: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="voltages must be a"):
        EegRecording.load(edf(tmp_path / "a.edf"), voltages=wrong)


def test_a_unit_is_that_of_electrodes_and_of_what_has_none(tmp_path: Path) -> None:
    """A heart in mV stays so, a saturation in % is no voltage, a channel of any name without a unit is one."""

    def signal(label: str, unit: str, size: float = 1.0) -> Any:
        return edfio.EdfSignal(
            size * WAVE, RATE, label=label, physical_dimension=unit, physical_range=(-50 * size, 50 * size)
        )

    signals = [signal("EEG Cz", "mV"), signal("ECG", "mV", 0.01), signal("X1", ""), signal("SpO2", "%")]
    edfio.Edf(signals).write(tmp_path / "a.edf")
    with pytest.warns(UserWarning, match=r"left out: SpO2 \(its unit '%' is no voltage that is known\); 1 of its 3"):
        found = EegRecording.load(tmp_path / "a.edf", voltages="uV")
    assert found.channels == ("Cz", "ECG", "X1")
    assert np.abs(found.samples.numpy() - np.stack([WAVE, 10 * WAVE, WAVE])).max() < 0.02


def test_integers_of_an_archive_with_a_unit(tmp_path: Path) -> None:
    counts = np.round(WAVE * 1000).astype(np.int32)[None]
    np.savez(tmp_path / "a.npz", samples=counts, sample_rate_hz=RATE, channels=["Cz"])
    found = EegRecording.load(tmp_path / "a.npz", voltages="nV").samples.numpy()[0]
    assert np.abs(found - WAVE).max() < 0.001


def test_an_archive_with_an_array_twice_is_refused(tmp_path: Path) -> None:
    import zipfile

    EegRecording(torch.from_numpy(WAVE)[None].float(), RATE, ("Cz",)).save(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zipfile, which writes it all the same
        archive.writestr("samples.npy", archive.read("samples.npy"))
    with pytest.raises(ValueError, match=r"a\.npz .*it holds samples\.npy twice; save it again with each array once"):
        EegRecording.load(tmp_path / "a.npz")


# Headers that are wrong say what to do --------------------------------------------------------------------------------


def changed(path: Path, begin: int, field: bytes) -> Path:
    raw = bytearray(path.read_bytes())
    raw[begin : begin + len(field)] = field
    path.write_bytes(bytes(raw))
    return path


@pytest.mark.parametrize(
    ("begin", "field", "told"),
    [
        (
            184,
            b"256     ",
            r"says that it is 256 bytes long, but one of 1 signals has 512; write that into its bytes 184",
        ),
        (
            184,
            b"513     ",
            r"says that it is 513 bytes long, but one of 1 signals has 512; write that into its bytes 184",
        ),
        (184, b"        ", r"length of the header must be a whole number, got ''\); mend it there, or export it again"),
        (252, b"x   ", r"number of signals must be a whole number, got 'x'\); mend it there, or export it again"),
        (252, b"0   ", r"number of signals must be positive, got 0; write it into bytes 252 to 255"),
        (252, b"99  ", r"it ends inside of its header of 99 signals; copy it again"),
        (244, b"0       ", r"duration of its data records must be positive, got 0 s.*; write it into its bytes 244 to"),
        (472, b"many    ", r"samples of 'EEG Fp1' must be a whole number, got 'many'\); mend it there, or export it"),
    ],
)
def test_wrong_headers_say_what_to_do(tmp_path: Path, begin: int, field: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        EegRecording.load(changed(edf(tmp_path / "a.edf"), begin, field))


@pytest.mark.parametrize(
    ("announced", "told"),
    [
        (b"many    ", "its header announces many records; the 8 that are there are read$"),
        (b"        ", "its header announces no number of records; the 8 that are there are read$"),
        (b"-5      ", "its header announces -5 records; the 8 that are there are read$"),
    ],
)
def test_a_number_of_records_that_is_none(tmp_path: Path, announced: bytes, told: str) -> None:
    with pytest.warns(UserWarning, match=rf"a\.edf: {told}"):
        found = EegRecording.load(edf(tmp_path / "a.edf", announced=announced))
    assert np.abs(found.samples.numpy()[0] - WAVE).max() < 500 / 32767


def test_a_longer_header_is_read_where_all_records_fit_behind_it(tmp_path: Path) -> None:
    path = changed(edf(tmp_path / "a.edf"), 184, b"768     ")
    raw = path.read_bytes()
    path.write_bytes(raw[:512] + bytes(256) + raw[512:])
    with pytest.warns(UserWarning, match=r"says that it is 768 bytes long.*all 8 records fit behind 768, and are read"):
        found = EegRecording.load(path)
    assert np.abs(found.samples.numpy()[0] - WAVE).max() < 500 / 32767


@pytest.mark.parametrize(
    ("limits", "told", "factor"),
    [
        (
            (b"-500", b"500", b"-100000", b"100000"),
            r"integers of 16 bits lie in -32768\.\.32767, but the header has other limits, .* \(-100000 to 100000\)$",
            0.32767,
        ),
        (
            (b"-500", b"500", b"32767", b"-32767"),
            r"the larger digital limit comes first, .*: EEG Fp1 \(32767 to -32767\)$",
            -1,
        ),
        (
            (b"-500", b"500", b"-1000", b"1000"),
            r"samples beyond the limits that the header gives them, .* Fp1 \(78\.0% of",
            32.767,
        ),
        ((b"500", b"-500", b"-32767", b"32767"), "", -1),  # which is how the standard turns a wave over
    ],
)
def test_limits_that_are_odd_are_told(
    tmp_path: Path, limits: tuple[bytes, bytes, bytes, bytes], told: str, factor: float
) -> None:
    path = edf(tmp_path / "a.edf", limits=limits)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = EegRecording.load(path)
    assert np.abs(found.samples.numpy()[0] / factor - WAVE).max() < 500 / 32767
    assert len(caught) == bool(told)
    assert all(re.search(told, str(one.message)) for one in caught)


def test_files_of_other_formats_with_this_ending(tmp_path: Path) -> None:
    (tmp_path / "a.edf").write_bytes(b"SR_RESEARCH_COMBFILE".ljust(4096, b"\1"))  # an eye tracker's EDF
    with pytest.raises(ValueError, match=r"it begins with 'SR_RESEA', not with 0 as EDF, and is of another format; e"):
        EegRecording.load(tmp_path / "a.edf")
    with pytest.warns(UserWarning, match=r"a\.edf: it begins with '7', not with 0 as EDF$"):
        found = EegRecording.load(changed(edf(tmp_path / "a.edf"), 0, b"7       "))
    assert np.abs(found.samples.numpy()[0] - WAVE).max() < 500 / 32767


@pytest.mark.parametrize(
    ("mark", "events", "told"),
    [
        (b"+3.2\x15-1\x14x\x14", [(3.2, "x", None)], r"duration of 0 or more, got .*, so it has none\)$"),
        (b"+3.2\x15nan\x14x\x14", [(3.2, "x", None)], "the duration of an annotation must be a number, got 'nan', so"),
        (b"+3,2\x14x\x14", [], r"its annotation b'\+3,2\\x14x\\x14' must begin with a time"),
    ],
)
def test_an_annotation_that_is_odd_costs_no_other(tmp_path: Path, mark: bytes, events: Any, told: str) -> None:
    path = edf(tmp_path / "a.edf", kind=b"EDF+C", onsets=tuple(range(8)))
    raw = path.read_bytes().replace(b"+3\x14\x14".ljust(32, b"\0"), (b"+3\x14\x14\0" + mark).ljust(32, b"\0"))
    path.write_bytes(raw.replace(b"+5\x14\x14".ljust(32, b"\0"), b"+5\x14\x14\0+5.5\x14good\x14".ljust(32, b"\0")))
    with pytest.warns(UserWarning, match=rf"a\.edf: 1 of its annotations cannot be read as they are, .*{told}"):
        session = EegRecording.load(path).session
    assert session is not None
    found = [(one.onset_seconds, one.text, one.duration_seconds) for one in session.events]
    assert found == [*events, (5.5, "good", None)]


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        (
            {"microvolts_per_count": 0.1},
            "its microvolts_per_count is not used, for its samples are floats and so",
        ),
        ({"samples": np.ones((1, 8), int), "microvolts_per_count": 0}, r"must be finite and not 0, got \[0\.0\]; save"),
        ({"sample_rate_hz": math.nan}, "its sample_rate_hz must be positive, got nan; write a finite number above 0"),
        ({"session": np.array("{")}, "its session must be JSON as it is saved, but is not .*; save it without"),
    ],
)
def test_arrays_that_are_odd(tmp_path: Path, arrays: dict[str, Any], told: str) -> None:
    np.savez(tmp_path / "a.npz", **{"samples": WAVE[None], "sample_rate_hz": RATE, "channels": ["Cz"], **arrays})
    with pytest.raises((ValueError, UserWarning), match=rf"a\.npz.*{told}"):
        EegRecording.load(tmp_path / "a.npz")


# Beside it in a BIDS folder -------------------------------------------------------------------------------------------


def beside(path: Path, table: str = "", about: dict[str, Any] | str | None = None) -> Path:
    """A recording of Fp1 and O1, of 128 Hz, with its table and its JSON."""
    made = [
        edfio.EdfSignal(size * WAVE, RATE, label=label, physical_dimension="uV", physical_range=(-50, 50))
        for label, size in (("EEG Fp1-REF", 1.0), ("EEG O1", 0.5))
    ]
    edfio.Edf(made).write(path / "sub-1_task-x_eeg.edf")
    if table:
        (path / "sub-1_task-x_channels.tsv").write_text(table)
    if about is not None:
        (path / "sub-1_task-x_eeg.json").write_text(about if isinstance(about, str) else json.dumps(about))
    return path / "sub-1_task-x_eeg.edf"


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("name\ttype\tunits\nO1\tEEG\tuV\nFp1\tEEG\tuV\n", ""),  # in another order
        ("name\ttype\nFp1\tEEG\n", "channels.tsv does not name EEG O1, so of these it says nothing"),
        (
            "name\ttype\nFp1\tEEG\nO2\tEEG\n",
            "channels.tsv does not name EEG O1 and names what the file has not: O2, so of these it says nothing",
        ),
        ("name\ttype\nFp1\tEEG\nO1\tEEG\nFp1\tEEG\n", "channels.tsv names fp1 twice, the last row counts"),
        ("channel\ttype\nFp1\tEEG\n", "channels.tsv has no column 'name', only channel, type, so it says nothing"),
        (
            "name\ttype\tunits\nFp1\tEEG\tmV\nO1\tEEG\tuV\n",
            "channels.tsv says other units than its header, which is taken: EEG Fp1-REF (mV instead of uV); say which",
        ),
    ],
)
def test_what_a_table_says_otherwise_is_told(tmp_path: Path, table: str, told: str) -> None:
    path = beside(tmp_path, table)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = EegRecording.load(path)
    assert [str(one.message).removeprefix(f"{path}: ")[: len(told)] for one in caught] == [told] * bool(told)
    assert found.channels == ("Fp1", "O1")
    assert np.abs(found.samples.numpy() - np.stack([WAVE, WAVE / 2])).max() < 0.01


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({"SamplingFrequency": 128}, ""),
        ({"SamplingFrequency": 128.3}, ""),
        ({"SamplingFrequency": "n/a"}, ""),
        ({"PowerLineFrequency": 50}, ""),
        (
            {"SamplingFrequency": 512},
            "its _eeg.json says a SamplingFrequency of 512 Hz, but its own header 128 Hz, which is taken",
        ),
        ("{", "its _eeg.json cannot be read ("),
        ({"SamplingFrequency": "fast"}, "its _eeg.json cannot be read (could not convert"),
    ],
)
def test_a_rate_that_is_said_otherwise_is_told(tmp_path: Path, about: Any, told: str) -> None:
    path = beside(tmp_path, about=about)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert EegRecording.load(path).sample_rate_hz == 128
    assert [str(one.message).removeprefix(f"{path}: ")[: len(told)] for one in caught] == [told] * bool(told)


def test_units_that_a_header_lacks_stand_in_the_table(tmp_path: Path) -> None:
    path = edf(tmp_path / "sub-1_task-x_eeg.edf", unit=b"", limits=(b"-.0005", b".0005", *LIMITS))
    (tmp_path / "sub-1_task-x_channels.tsv").write_text("name\ttype\tunits\nFp1\tEEG\tV\n")
    with pytest.warns(UserWarning, match=r"units that its header lacks are those of channels\.tsv: EEG Fp1 \(V\)$"):
        found = EegRecording.load(path)
    assert np.abs(found.samples.numpy()[0] - WAVE).max() < 500 / 32767
    assert math.isclose(found.sample_rate_hz, 128)
