"""Headers of EDF files: numbers with commas, units, years, what channels say, times of records, lost records."""

from __future__ import annotations

import math
import warnings
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest
import torch

from tokenmask.modalities.eeg import ChannelHeader, EegRecording, Event, Session
from tokenmask.modalities.eeg.edf_header import duration_slack, microvolts, number

RATE, RECORDS = 128, 8
WAVE = 40 * np.sin(2 * math.pi * 10 * np.arange(RATE * RECORDS) / RATE)


@pytest.fixture(autouse=True)
def _every_warning_counts() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def edf(
    path: Path,
    *,
    label: bytes = b"EEG Fp1",
    transducer: bytes = b"",
    unit: bytes = b"uV",
    limits: tuple[bytes, bytes, bytes, bytes] = (b"-500", b"500", b"-32767", b"32767"),
    prefilter: bytes = b"",
    patient: bytes = b"X X X X",
    recording: bytes = b"Startdate X X X X",
    date: bytes = b"01.01.85",
    kind: bytes = b"",
    announced: bytes = b"8",
    duration: bytes = b"1",
    onsets: tuple[float, ...] = (),
    values: Any = WAVE,
    records: int = RECORDS,
) -> Path:
    """A file of one signal, built field by field as the standard lists them; ``values`` are in units of 500 / 32767."""
    signals: list[tuple[bytes, ...]] = [(label, transducer, unit, *limits, prefilter, b"128", b"")]
    if onsets:
        signals.append((b"EDF Annotations", b"", b"", b"-1", b"1", b"-32768", b"32767", b"", b"16", b""))
    head = b"0".ljust(8) + patient.ljust(80) + recording.ljust(80) + date.ljust(8) + b"10.30.00"
    head += b"%-8d" % (256 * (1 + len(signals))) + kind.ljust(44) + announced.ljust(8) + duration.ljust(8)
    head += b"%-4d" % len(signals)
    for size, fields in zip((16, 80, 8, 8, 8, 8, 8, 80, 8, 32), zip(*signals, strict=True), strict=True):
        head += b"".join(field.ljust(size) for field in fields)
    body = b""
    counts = np.round(np.resize(values, RATE * records) * 32767 / 500).astype("<i2").reshape(records, RATE)
    for record in range(records):
        body += counts[record].tobytes()
        if onsets:
            body += (b"+%s\x14\x14\x00" % f"{onsets[record]:.9g}".encode()).ljust(32, b"\x00")
    path.write_bytes(head + body)
    return path


# Numbers --------------------------------------------------------------------------------------------------------------


def test_commas_of_digital_limits_stand_between_thousands(tmp_path: Path) -> None:
    path = edf(tmp_path / "a.edf", limits=(b"-500", b"500", b"-32,767", b"32,767"))
    assert np.abs(EegRecording.load(path).samples.numpy()[0] - WAVE).max() < 500 / 32767


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (
            (b"-5,000", b"5,000", b"-1", b"1"),
            "physical minimum of 'EEG Fp1' must be one number, got '-5,000', which is",
        ),
        ((b"-500", b"500", b"-327,67", b"32767"), "digital minimum of 'EEG Fp1' must be a whole number, got '-327,67'"),
        ((b"-500", b"500", b"-32767", b"2047.5"), r"digital maximum of 'EEG Fp1' must be a whole number, got '2047.5'"),
        ((b"-1_000", b"500", b"-32767", b"32767"), "physical minimum of 'EEG Fp1' must be a number, got '-1_000'"),
        ((b"-500", b"500", b"-3_0", b"32767"), "digital minimum of 'EEG Fp1' must be a whole number, got '-3_0'"),
    ],
)
def test_numbers_that_could_be_others_are_refused(tmp_path: Path, limits: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"a\.edf must be a whole recording.*{reason}"):
        EegRecording.load(edf(tmp_path / "a.edf", limits=limits))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("-500,0", "-500.0"), ("0,500", "0.500"), ("-3276,800", "-3276.800"), ("1,234.5", "1234.5")),
        *(("- 500", "-500"), ("1,234,567", "1234567"), ("+.5", "0.5"), ("1e3", "1000"), ("12.", "12")),
    ],
)
def test_commas_that_can_only_be_one_thing(text: str, value: str) -> None:
    assert number(text, "number") == Decimal(value)


@pytest.mark.parametrize("text", ["1_000", "", "1,2,3", "nan", "Infinity", "1,5.2", "\u0661", "1 0", "0x10"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="the number must be a number, got"):
        number(text, "number")


@pytest.mark.parametrize(
    ("unit", "value"),
    [
        *(("uVolt", 1), ("microV", 1), ("\u00b5Volt", 1), ("\u03bcV", 1), ("\u00e6V", 1), ("microvolts", 1), ("UV", 1)),
        *(("mVolt", 1e3), ("milliV", 1e3), ("Volts", 1e6), ("V", 1e6), ("nV", 1e-3), ("degC", None), ("", None)),
        *(
            ("[uV]", 1),
            ("mkV", 1),
            ("\u043c\u043a\u0412", 1),
            ("\u043c\u0412", 1000),
            ("(\u00b5V)", 1),
            ("u V", 1),
            ("uV.", 1),
            ("microvol", 1),
            ("millivol", 1e3),
            ("mcV", 1),
            ("pV", 1e-6),
        ),
        *(("\u00c2\u00b5V", 1), ("\u00c3\u0082\u00b5V", 1), ("\u00ce\u00bcV", 1), ("uV/Hz", None), ("10uV", None)),
        *(("kV", None), ("uVV", None), ("micro", None)),
    ],
)
def test_units(unit: str, value: float | None) -> None:
    assert microvolts(unit) == value


@pytest.mark.parametrize("unit", [b"\xe6V", b"\xb5Volt", b"uVolt", b"microV"])
def test_units_in_files(tmp_path: Path, unit: bytes) -> None:
    found = EegRecording.load(edf(tmp_path / "a.edf", unit=unit))
    assert np.abs(found.samples.numpy()[0] - WAVE).max() < 500 / 32767


# What the header says is kept -----------------------------------------------------------------------------------------


def test_headers_of_channels_come_back(tmp_path: Path) -> None:
    warnings.filterwarnings("ignore", ".*is no EEG but read beside it")
    ecg = edfio.EdfSignal(
        WAVE / 100, RATE, label="ECG", transducer_type="clip", physical_dimension="mV", physical_range=(-1, 1)
    )
    one = edfio.EdfSignal(
        WAVE,
        RATE,
        label="EEG FP1-REF",
        transducer_type="AgAgCl electrode",
        physical_dimension="uV",
        physical_range=(-100, 100),
        prefiltering="HP:0.1Hz LP:75Hz",
    )
    plain = edfio.EdfSignal(WAVE, RATE, label="EEG O1", physical_dimension="uV", physical_range=(-100, 100))
    edfio.Edf([one, ecg, plain]).write(tmp_path / "a.edf")
    found = EegRecording.load(tmp_path / "a.edf")
    assert found.channels == ("Fp1", "ECG", "O1")
    wanted = (
        ChannelHeader("Fp1", "EEG FP1-REF", "uV", "AgAgCl electrode", "HP:0.1Hz LP:75Hz"),
        ChannelHeader("ECG", "ECG", "mV", "clip"),
    )
    assert found.session == Session(channels=wanted)
    for name in ("b.npz", "b.safetensors", "b.edf"):
        found.select(["ecg", "fp1", "O1"]).save(tmp_path / name)
        assert set(EegRecording.load(tmp_path / name).session.channels) == set(wanted)  # type: ignore[union-attr]
    other = edfio.read_edf(tmp_path / "b.edf")
    assert [(s.label, s.physical_dimension, s.transducer_type, s.prefiltering) for s in other.signals] == [
        ("ECG", "mV", "clip", ""),
        ("EEG FP1-REF", "uV", "AgAgCl electrode", "HP:0.1Hz LP:75Hz"),
        ("EEG O1", "uV", "", ""),
    ]
    assert np.abs(other.signals[0].data - WAVE / 100).max() < 2 * 2 / 65535
    assert np.abs(EegRecording.load(tmp_path / "b.edf").samples[0].numpy() - 10 * WAVE).max() < 2 * 2000 / 65535


def test_volts_keep_their_unit_and_their_wave(tmp_path: Path) -> None:
    found = EegRecording.load(edf(tmp_path / "a.edf", unit=b"V", values=WAVE, limits=(b"-.0005", b".0005", *LIMITS)))
    found.save(tmp_path / "b.edf")
    assert b"0.0001" in (tmp_path / "b.edf").read_bytes()[:512]
    assert np.abs(EegRecording.load(tmp_path / "b.edf").samples[0].numpy() - WAVE).max() < 0.03


LIMITS = (b"-32767", b"32767")


def test_letters_that_edf_has_not_are_said_with_the_file(tmp_path: Path) -> None:
    path = edf(
        tmp_path / "a.edf", patient="P7 F X J\u00f6rg_M\u00fcller".encode("latin-1"), transducer="Nadel \u2192".encode()
    )
    found = EegRecording.load(path)
    assert found.session is not None and found.session.patient == "P7 F X J\u00f6rg_M\u00fcller"
    with pytest.warns(UserWarning) as caught:
        found.save(tmp_path / "b.edf")
    assert [str(one.message) for one in caught] == [
        f"{tmp_path}/b.edf: the transducer of Fp1 is written as 'Nadel ?', as EDF holds 80 characters of ASCII; the "
        "patient is written as 'P7 F X Joerg_Mueller', as EDF holds 80 characters of ASCII"
    ]
    assert EegRecording.load(tmp_path / "b.edf").session.patient == "P7 F X Joerg_Mueller"  # type: ignore[union-attr]


def test_a_unit_without_room_is_said(tmp_path: Path) -> None:
    large = EegRecording(
        torch.tensor([[-5e4, 5e4]]), 2, ("Cz",), session=Session(channels=(ChannelHeader("Cz", "EEG Cz", "nV"),))
    )
    with pytest.warns(UserWarning, match=r"b\.edf: Cz is written in uV instead of nV"):
        large.save(tmp_path / "b.edf")
    assert b"uV" in (tmp_path / "b.edf").read_bytes()[:512]


# Years ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("date", "year"), [(b"02.03.85", 1985), (b"02.03.99", 1999), (b"02.03.00", 2000)])
@pytest.mark.parametrize("last", [b"02.03.84", b"02.03.79"])
def test_years_of_two_digits(tmp_path: Path, date: bytes, year: int, last: bytes) -> None:
    for own, wanted in ((date, year), (last, 2000 + int(last[-2:]))):
        found = EegRecording.load(edf(tmp_path / "a.edf", date=own))
        assert found.session == Session(datetime(wanted, 3, 2, 10, 30))
        found.save(tmp_path / "b.edf")
        assert EegRecording.load(tmp_path / "b.edf").session.start == found.session.start  # type: ignore[union-attr]
        assert (tmp_path / "b.edf").read_bytes()[168:176] == own


@pytest.mark.parametrize(("month", "year"), [("MAR", 1979), ("mar", 1923), ("MAR", 2101)])
def test_any_year_of_the_recording_field_is_kept(tmp_path: Path, month: str, year: int) -> None:
    path = edf(tmp_path / "a.edf", recording=b"Startdate 02-%s-%d X X amp" % (month.encode(), year), date=b"02.03.79")
    found = EegRecording.load(path)
    assert found.session is not None and found.session.start == datetime(year, 3, 2, 10, 30)
    found.save(tmp_path / "b.edf")
    head = (tmp_path / "b.edf").read_bytes()[:256]
    assert (head[88:168].rstrip(), head[168:176]) == (b"Startdate 02-MAR-%d X X amp" % year, b"02.03.yy")
    assert EegRecording.load(tmp_path / "b.edf").session.start == found.session.start  # type: ignore[union-attr]


def test_a_start_of_python_in_any_year(tmp_path: Path) -> None:
    for own, field in (
        (Session(datetime(1979, 12, 31)), ""),
        (Session(datetime(1979, 12, 31), recording="bed 3"), " bed 3"),
    ):
        EegRecording(torch.arange(4.0)[None], 2, ("Cz",), session=own).save(tmp_path / "b.edf")
        found = EegRecording.load(tmp_path / "b.edf").session
        assert found == Session(datetime(1979, 12, 31), recording=f"Startdate 31-DEC-1979 X X X{field}")


@pytest.mark.parametrize("date", [b"00.00.00", b"XX.XX.XX", b"xx-xx-xx", b""])
def test_dates_that_say_nothing(tmp_path: Path, date: bytes) -> None:
    assert EegRecording.load(edf(tmp_path / "a.edf", date=date)).session is None


@pytest.mark.parametrize(
    ("date", "recording", "start", "told"),
    [
        (b"2.3.2002", b"", datetime(2002, 3, 2, 10, 30), ""),
        (b"02-03-02", b"", datetime(2002, 3, 2, 10, 30), ""),
        (b"02/03/02", b"", datetime(2002, 3, 2, 10, 30), "its date 02/03/02 is read as day, month and year"),
        (b"31.02.05", b"", None, "its start, 31.02.05 at 10.30.00, is no date and time, and is left out"),
        (b"02-MAR-0", b"", None, "its start, 02-MAR-0 at 10.30.00, is no date and time, and is left out"),
        (b"02.03.yy", b"", None, "its start, 02.03.yy at 10.30.00, is no date and time, and is left out"),
        (
            b"05.06.01",
            b"Startdate 02-MAR-1999 X X X",
            datetime(1999, 3, 2, 10, 30),
            "it is dated 02-MAR-1999, as its re",
        ),
    ],
)
def test_dates_that_cannot_be_read_or_disagree_are_told(
    tmp_path: Path, date: bytes, recording: bytes, start: datetime | None, told: str
) -> None:
    path = edf(tmp_path / "a.edf", date=date, recording=recording)
    if told:
        with pytest.warns(UserWarning, match=rf"a\.edf: {told}"):
            session = EegRecording.load(path).session
    else:
        session = EegRecording.load(path).session
    assert (session or Session()).start == start


# Events ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [b"", b"EDF+C", b"EDF+D"])
def test_events_are_read_whether_or_not_the_header_says_edf_plus(tmp_path: Path, kind: bytes) -> None:
    path = edf(tmp_path / "a.edf", kind=kind, onsets=tuple(range(8)))
    raw, event = path.read_bytes(), b"+3\x14\x14\x00+3.25\x150.5\x14spindle\x14"
    path.write_bytes(raw.replace(b"+3\x14\x14".ljust(32, b"\x00"), event.ljust(32, b"\x00")))
    assert EegRecording.load(path).session.events == (Event(3.25, "spindle", 0.5),)  # type: ignore[union-attr]


def test_events_without_words_are_kept_and_times_of_records_are_none(tmp_path: Path) -> None:
    """A button that marks times writes them without words; edfio reads the same, MNE-Python leaves them out."""
    path = edf(tmp_path / "a.edf", kind=b"EDF+C", onsets=tuple(range(8)))
    raw = path.read_bytes()
    for second, marks in ((3, b"+3\x14\x14\x00+3.25\x14\x14\x00+3.5\x152\x14\x14"), (5, b"+5\x14\x14begins\x14")):
        raw = raw.replace(f"+{second}\x14\x14".encode().ljust(32, b"\x00"), marks.ljust(32, b"\x00"))
    path.write_bytes(raw)
    events = (Event(3.25, ""), Event(3.5, "", 2.0), Event(5.0, "begins"))
    found = EegRecording.load(path)
    assert found.session is not None and found.session.events == events
    assert [(one.onset, one.duration, one.text) for one in edfio.read_edf(path).annotations] == [
        (one.onset_seconds, one.duration_seconds, one.text) for one in events
    ]
    found.save(tmp_path / "b.edf")
    again = EegRecording.load(tmp_path / "b.edf")
    assert again.session is not None and again.session.events == events


def test_events_before_and_behind_the_samples_are_kept(tmp_path: Path) -> None:
    events = (Event(-0.5, "before"), Event(1.0, "\u00e9 \u2192 \u8133"), Event(50, "behind"))
    wave = torch.from_numpy(WAVE[None, :256]).float()
    EegRecording(wave, 128, ("Cz",), session=Session(events=events)).save(tmp_path / "a.edf")
    found = EegRecording.load(tmp_path / "a.edf")
    assert found.session is not None and found.session.events == events


# What has no room -----------------------------------------------------------------------------------------------------


def test_long_names_are_shortened_and_stay_different(tmp_path: Path) -> None:
    names = ("a very long channel name 1", "a very long channel name 2", "Cz")
    values = torch.from_numpy(np.stack([WAVE, -WAVE, WAVE / 2])).float()
    with pytest.warns(UserWarning) as caught:
        EegRecording(values, RATE, names).save(tmp_path / "a.edf")
    assert [str(one.message) for one in caught] == [
        f"{tmp_path}/a.edf: the label 'a very long channel name 1' is written as 'a very long chan', as EDF holds 16 "
        "characters of ASCII; the label 'a very long channel name 2' is written as 'a very long chan', as EDF holds 16 "
        "characters of ASCII; the second 'a very long chan' is written as 'a very long ch-2'"
    ]
    found = EegRecording.load(tmp_path / "a.edf")
    assert found.channels == ("a very long chan", "a very long ch-2", "Cz")
    assert (found.samples - values).abs().max() < 0.01


@pytest.mark.parametrize(("size", "unit"), [(3e9, "mV"), (3e12, "V")])
def test_large_values_are_written_in_a_larger_unit(tmp_path: Path, size: float, unit: str) -> None:
    huge = EegRecording(torch.tensor([[-size, size] * 8]), 8, ("Cz",))
    with pytest.warns(UserWarning, match=rf"a\.edf: Cz is written in {unit} instead of uV"):
        huge.save(tmp_path / "a.edf")
    with pytest.warns(
        UserWarning, match=r"a\.edf: waves of 3e\+\d+ microvolts in a usual second \(Cz\), far more than"
    ):
        found = EegRecording.load(tmp_path / "a.edf").samples
    assert (found - huge.samples).abs().max() < 2 * size / 65535
    with pytest.raises(ValueError, match=r"\(a header has no room for the 3e\+25 microvolts of Cz\); save it as \.npz"):
        EegRecording(torch.tensor([[-3e25, 3e25]]), 8, ("Cz",)).save(tmp_path / "b.edf")


# Records --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [b"EDF+C", b"EDF+D"])
def test_gaps_are_refused_whatever_the_header_says(tmp_path: Path, kind: bytes) -> None:
    times = (0, 1, 2, 3, 10, 11, 12, 13)
    assert EegRecording.load(edf(tmp_path / "a.edf", kind=kind, onsets=tuple(range(5, 13)))).duration_seconds == 8
    with pytest.raises(ValueError, match=r"a\.edf .*number 4 ends at 4 s and the next begins at 10 s; split it there"):
        EegRecording.load(edf(tmp_path / "a.edf", kind=kind, onsets=times))


def test_small_steps_between_records_do_not_add_up(tmp_path: Path) -> None:
    step = 0.4 / RATE
    early = tuple(place + (place == 3) * step for place in range(8))
    assert EegRecording.load(edf(tmp_path / "a.edf", kind=b"EDF+C", onsets=early)).duration_seconds == 8
    drifting = tuple(place * (1 + step) for place in range(8))
    with pytest.raises(
        ValueError, match=r"small steps between them add up: number 3 begins at 2\.00625 s, while .* 2 s"
    ):
        EegRecording.load(edf(tmp_path / "a.edf", kind=b"EDF+C", onsets=drifting))


def test_a_duration_of_eight_characters_is_rounded() -> None:
    assert duration_slack("0.333333", Decimal("0.333333")) == Decimal("0.0000005")
    assert duration_slack("0.3", Decimal("0.3")) == duration_slack("12345678", Decimal(12345678)) == 0


def test_records_that_do_not_all_say_their_time(tmp_path: Path) -> None:
    path = edf(tmp_path / "a.edf", kind=b"EDF+C", onsets=tuple(range(8)))
    path.write_bytes(path.read_bytes().replace(b"+4\x14\x14", b"\x00\x00\x00\x00"))
    with pytest.warns(
        UserWarning, match=r"a\.edf: only 7 of its 8 records say when they begin, so gaps cannot be seen"
    ):
        assert EegRecording.load(path).duration_seconds == 8


def test_records_without_a_duration_are_one_true_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.edf .*the duration of its data records must be positive, got 0 s"):
        EegRecording.load(edf(tmp_path / "a.edf", duration=b"0"))
    events = edfio.Edf([], annotations=[edfio.EdfAnnotation(1, None, "here")])
    events.write(tmp_path / "b.edf")
    with pytest.raises(ValueError, match=r"b\.edf .*it holds events only, no voltages"):
        EegRecording.load(tmp_path / "b.edf")


@pytest.mark.parametrize(
    ("announced", "seconds", "told"),
    [
        (b"4", 4, r"announces 4 records, but it holds 8 whole ones; the last 4 are left out$"),
        (b"11", 8, r"announces 11 records, but it holds 8 whole ones; the other 3 are missing$"),
        (b"0", 8, r"announces 0 records, but it holds 8 whole ones, which are all read$"),
    ],
)
def test_other_numbers_of_records_say_what_is_lost(tmp_path: Path, announced: bytes, seconds: float, told: str) -> None:
    with pytest.warns(UserWarning, match=rf"a\.edf: its header {told}"):
        assert EegRecording.load(edf(tmp_path / "a.edf", announced=announced)).duration_seconds == seconds
    assert EegRecording.load(edf(tmp_path / "a.edf", announced=b"-1")).duration_seconds == 8
