"""EEG recordings: voltages of named electrodes, their files, and what is read off them.

Arrow: .edf, .bdf, .npz or .safetensors --EegRecording.load--> samples in microvolts, and back.
Does not know: codes, networks, other modalities.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from tokenmask.arguments import above_zero, names, path_of, string, tensor_of
from tokenmask.as_array import AsArray
from tokenmask.files import writing_atomically
from tokenmask.medium import Timed, knowing_others, steps_between
from tokenmask.modalities.eeg.arrays import SESSION, read_arrays, unpacked, without_a_wave
from tokenmask.modalities.eeg.doubt import doubted, typical_waves
from tokenmask.modalities.eeg.edf_header import microvolts
from tokenmask.modalities.eeg.edf_write import write_edf
from tokenmask.modalities.eeg.gaps import gaps_in
from tokenmask.modalities.eeg.long import Rows
from tokenmask.modalities.eeg.names import electrode, find_channels
from tokenmask.modalities.eeg.offset import without_baseline
from tokenmask.modalities.eeg.session import Session
from tokenmask.streams import TokenStream
from tokenmask.telling import tell
from tokenmask.tensor_files import description_of, load_tensors, save_tensors

MAX_SAMPLES = 1 << 30
_PART = 1 << 20  # samples that are in double precision together
_SUFFIXES = (".edf", ".bdf", ".npz", ".safetensors")


@dataclass(frozen=True, eq=False)
class EegRecording(Timed, AsArray):
    """Voltages of electrodes over time, without a large offset: EEG is high-passed (see :meth:`without_offset`).

    Args:
        samples: float32 [channels, time], microvolts, finite; a NumPy array of floats is taken likewise.
        sample_rate_hz: samples a second.
        channels: a name for each row, different without regard to case; any names, those of the 10-20 and 10-10
            systems are brought to their usual spelling.
        stream: the codes it was generated from, if it was; does not count in comparisons.
        session: when it began, who was recorded, and events, where a file says so.
        source: the file it was read from, for messages; does not count in comparisons.

    Raises:
        TypeError: samples that are no tensor or array, a rate that is no number, names that are no list of strings.
        ValueError: samples, a rate or names of another kind than these.
    """

    suffixes: ClassVar[tuple[str, ...]] = _SUFFIXES
    """Endings that are looked for in folders."""

    written_suffixes: ClassVar[tuple[str, ...]] = (".edf", ".npz", ".safetensors")
    """Endings that can be written; the first if none is asked for."""

    asked: ClassVar[tuple[str, ...]] = ("channels", "voltages")
    view: ClassVar[str] = "tokenmask.report.views.recordings:Recordings"
    array_field: ClassVar[str] = "samples"

    samples: Tensor
    sample_rate_hz: float
    channels: tuple[str, ...]
    stream: TokenStream | None = field(default=None, repr=False)
    session: Session | None = field(default=None, repr=False)
    source: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.samples, np.ndarray) and self.samples.dtype.kind in "biuf":
            with np.errstate(over="ignore"):  # infinity, which is refused
                object.__setattr__(self, "samples", torch.from_numpy(self.samples.astype(np.float32)))
        tensor_of("samples of an EegRecording", self.samples)
        shape = self.samples.shape
        if self.samples.dtype != torch.float32 or len(shape) != 2 or not self.samples.numel():
            raise ValueError(
                "samples of an EegRecording must be float32 [channels, time], got "
                f"{str(self.samples.dtype).removeprefix('torch.')} {list(shape)}; convert or reshape them"
            )
        rate, channels = self.sample_rate_hz, self.channels
        object.__setattr__(self, "sample_rate_hz", above_zero("sample_rate_hz of an EegRecording", rate))
        called = names("channels of an EegRecording", channels)
        object.__setattr__(self, "channels", tuple(electrode(name) for name in called))
        if len(self.channels) != shape[0] or len({name.casefold() for name in self.channels} - {""}) != shape[0]:
            got = f"{self.channels}; name each once"
            if len(self.channels) == shape[1]:
                got = f"{self.channels}; samples are [channels, time], transpose them"
            raise ValueError(f"an EegRecording needs a different name for each of its {shape[0]} channels, got {got}")
        if not bool(self.samples.isfinite().all()):
            named = self.channels[int((~self.samples.isfinite()).any(1).nonzero()[0])]
            raise ValueError(f"samples must be finite, but channel {named} holds NaN or infinity; cut or repair it")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EegRecording):
            return NotImplemented
        same = (self.sample_rate_hz, self.channels, self.session) == (
            other.sample_rate_hz,
            other.channels,
            other.session,
        )
        return same and torch.equal(self.samples, other.samples)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"EegRecording({len(self.channels)} channels, {self.duration_seconds:g} s at {self.sample_rate_hz:g} Hz)"

    @property
    def duration_seconds(self) -> float:
        """Length."""
        return self.samples.shape[1] / self.sample_rate_hz

    def between(self, start_seconds: float, end_seconds: float) -> EegRecording:
        """The samples of a piece of time; its session, whose times are of the whole, stays behind."""
        first, stop = steps_between(start_seconds, end_seconds, self.sample_rate_hz, self.samples.shape[1])
        return replace(self, samples=self.samples[:, first:stop].clone(), stream=None, session=None)

    # Files ------------------------------------------------------------------------------------------------------------

    @classmethod
    @knowing_others
    def load(cls, path: str | Path, *, channels: Sequence[str] | None = None, voltages: str | None = None) -> Self:
        """Reads .edf (European Data Format), .bdf (24 bits), and what :meth:`save` wrote as .npz or .safetensors.

        Of EDF and BDF files the signals measured in volts are taken that have the rate of the EEG; their "EEG " prefix
        and a reference ("-REF", "-A1") are dropped. Offsets and drifts are taken away where they outweigh the wave, as
        amplifiers without a high-pass filter record them (see :meth:`without_offset`). What was left out or changed is
        a warning with the name of the file, and so is a wave that no EEG has: of more than 2 mV, of less than 0.1 uV.

        Args:
            path: of the file.
            channels: names of those that are taken, as of :meth:`select`; None for all.
            voltages: what its numbers are, "uV", "mV", "nV" or "V", where the file does not say it or is wrong: of
                EDF and BDF files that of electrodes, and of signals without a unit.

        Raises:
            ValueError: no such file, another format, a damaged file, a gap in an EDF+D file, voltages of another
                kind, or a channel that is not there. TypeError: voltages that are no word.
        """
        recording = cls._load(path_of("path of a recording", path), check_voltages(voltages))
        if channels is None:
            return recording
        try:
            return recording.select(channels)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def _load(cls, path: Path, voltages: str | None) -> Self:
        if not path.is_file():
            raise ValueError(f"a recording is read from a file, but {path} is none; check the path")
        readers = {".edf": cls._read_edf, ".bdf": cls._read_edf, ".npz": cls._read_npz}
        factor = 1.0 if voltages is None else microvolts(voltages) or 1.0
        notes: list[str] = []
        suffix = path.suffix.lower()
        if suffix == ".safetensors":
            tensors, about = load_tensors(path)
            if about.get("media") != "EegRecording":
                raise ValueError(f"{path} must hold an EegRecording, got {about.get('media')}; check the path")
            try:
                session = about.get("session")
                recording = cls(
                    tensors["samples"] * factor if factor != 1 else tensors["samples"],
                    about["sample_rate_hz"],
                    tuple(about["channels"]),
                    session=None if session is None else Session.from_json(session),
                    source=str(path),
                )
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError(
                    f"{path} must hold a recording, but cannot be read ({error!r}); save it again"
                ) from error
            waves = typical_waves(recording.samples, recording.sample_rate_hz)
            told = [without_a_wave(recording.samples, recording.channels), doubted(waves, recording.channels)]
            told.append(gaps_in(recording.samples, recording.sample_rate_hz))
            if any(told):
                tell(f"{path}: {'; '.join(filter(None, told))}")
            return recording
        if suffix not in readers:
            raise ValueError(
                f"a recording's file must end in one of {', '.join(_SUFFIXES)}, got {path.name!r}; export it as EDF "
                "(with MNE-Python: mne.io.read_raw(FILE).export('it.edf') for BrainVision, EEGLAB, FIF and others)"
            )
        try:
            recording = readers[suffix](path, notes, voltages)
        except Exception as error:  # the readers of both formats raise many kinds; all mean a damaged file
            raise unreadable(path, error) from error
        if notes:
            tell(f"{path}: {'; '.join(notes)}")
        return recording

    @classmethod
    def claims(cls, path: str | Path) -> float:
        """Nothing of arrays and tensors of other programs, or of other media."""
        if Path(path).suffix.lower() == ".safetensors":
            about = description_of(path)
            return float(about is None or about.get("media") == "EegRecording")
        if Path(path).suffix.lower() != ".npz":
            return 1.0
        try:
            with zipfile.ZipFile(path) as archive:
                return float({"samples.npy", "sample_rate_hz.npy", "channels.npy"} <= set(archive.namelist()))
        except (OSError, zipfile.BadZipFile):
            return 1.0

    @classmethod
    def _read_edf(cls, path: Path, notes: list[str], voltages: str | None) -> Self:
        rows = Rows(path, voltages)
        file, samples = rows.file, torch.empty(len(rows.file.channels), rows.file.length)
        for number, row in enumerate(rows):
            samples[number] = row
        notes += rows.notes()
        return cls(samples, file.sample_rate_hz, file.channels, session=file.session, source=str(path))

    @classmethod
    def _read_npz(cls, path: Path, notes: list[str], voltages: str | None) -> Self:
        arrays = unpacked(path, MAX_SAMPLES)
        held, session = read_arrays(arrays, notes, voltages), None
        if SESSION in arrays:
            try:
                session = Session.from_json(json.loads(str(arrays[SESSION])))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(
                    f"its session must be JSON as it is saved, but is not ({error!r}); save it without"
                ) from error
        return cls(held.samples, held.sample_rate_hz, held.channels, session=session, source=str(path))

    def save(self, path: str | Path) -> None:
        """Writes the format that the suffix names, atomically; .npz and .safetensors lose nothing, .edf has 16 bits.

        An EDF file has whole data records: where no record divides the recording, its last value fills up the last
        one, by a second at most.

        Raises:
            ValueError: another suffix, or a recording that EDF cannot hold.
        """
        suffix = path_of("path of a recording", path).suffix.lower()
        if suffix == ".safetensors":
            about: dict[str, Any] = {
                "media": "EegRecording",
                "sample_rate_hz": self.sample_rate_hz,
                "channels": list(self.channels),
            }
            if self.session is not None:
                about["session"] = self.session.to_json()
            save_tensors(path, {"samples": self.samples}, about)
        elif suffix == ".npz":
            import numpy as np

            samples, rate = self.samples.cpu().numpy(), np.float64(self.sample_rate_hz)
            with writing_atomically(path) as partial, partial.open("wb") as file:
                called = np.array(self.channels)
                arrays: dict[str, Any] = {"samples": samples, "sample_rate_hz": rate, "channels": called}
                if self.session is not None:
                    arrays["session"] = np.array(json.dumps(self.session.to_json()))
                np.savez(file, **arrays)
        elif suffix == ".edf":
            write_rows(path, self.samples, self.sample_rate_hz, self.channels, self.session, repr(self))
        else:
            raise ValueError(
                f"a recording is written as .npz, .safetensors or .edf, got {Path(path).name!r}; rename it"
            )

    # Views ------------------------------------------------------------------------------------------------------------

    def resample(self, rate_hz: float) -> EegRecording:
        """The same at another sample rate, with the filter of soxr at its highest quality."""
        import soxr

        above_zero("a sample rate", rate_hz)
        if rate_hz == self.sample_rate_hz:
            return replace(self, stream=None)
        made: Tensor | None = None
        for number, row in enumerate(self.samples):  # in pieces: a night has no room for its double in doubles
            stream, parts = soxr.ResampleStream(self.sample_rate_hz, rate_hz, 1, dtype="float64", quality="VHQ"), []
            for begin in range(0, len(row), _PART):
                piece, last = row[begin : begin + _PART].double().cpu().numpy(), begin + _PART >= len(row)
                parts.append(torch.from_numpy(stream.resample_chunk(piece, last=last)).float())
            values = torch.cat(parts)
            made = torch.empty(len(self.channels), len(values)) if made is None else made
            made[number] = values
        assert made is not None  # a recording has a channel or more
        return replace(self, samples=made, sample_rate_hz=rate_hz, stream=None)

    def select(self, channels: Sequence[str]) -> Self:
        """Some of the channels, in the order asked for; names without regard to case, "EEG " and reference.

        Raises:
            ValueError: a channel that is not there, or a name that could be several. TypeError: no list of names.
        """
        chosen = find_channels(self.channels, names("channels", channels))
        called = tuple(self.channels[row] for row in chosen)
        return replace(self, samples=self.samples[chosen], channels=called, stream=None)

    def without_offset(self) -> EegRecording:
        """Offsets and drifts below 0.5 Hz taken away from channels where they outweigh the wave; others stay.

        See :func:`without_baseline`. Steps leave seconds that are not EEG.
        """
        return replace(self, samples=without_baseline(self.samples, self.sample_rate_hz)[0], stream=None)

    def filtered(self, low_hz: float, high_hz: float = math.inf) -> EegRecording:
        """Frequencies from ``low_hz`` to below ``high_hz`` only, zero phase; ``filtered(0.5)`` takes an offset away."""
        spectrum, chosen = self._spectrum(low_hz, high_hz)
        band = torch.fft.irfft(spectrum * chosen, self.samples.shape[1], dim=1).float()
        return replace(self, samples=band, stream=None)

    def band_power(self, low_hz: float, high_hz: float) -> Tensor:
        """Mean square of the part from ``low_hz`` to below ``high_hz``, float64 [channels], square microvolts."""
        spectrum, chosen = self._spectrum(low_hz, high_hz)
        size = self.samples.shape[1]
        weight = torch.full((spectrum.shape[1],), 2.0, dtype=torch.float64)
        weight[0] = 1.0
        if size % 2 == 0:
            weight[-1] = 1.0
        return (spectrum.abs().square() * (weight * chosen)).sum(1) / size**2

    def _spectrum(self, low_hz: float, high_hz: float) -> tuple[Tensor, Tensor]:
        if not 0 <= low_hz < high_hz:
            raise ValueError(f"a band goes from low_hz >= 0 up to a higher high_hz, got {low_hz} and {high_hz}")
        size = self.samples.shape[1]
        places = torch.arange(size // 2 + 1, dtype=torch.float64) * self.sample_rate_hz / size
        return torch.fft.rfft(self.samples.double(), dim=1), (places >= low_hz) & (places < high_hz)

    def plot(self, path: str | Path) -> None:
        """Draws all channels under each other, named, into an image file (.png, .svg or .pdf)."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        spacing = max(4 * float(self.samples.std(1, correction=0).median()), 1e-3)
        figure = Figure(figsize=(10, 1 + 0.4 * len(self.channels)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        seconds = torch.arange(self.samples.shape[1]) / self.sample_rate_hz
        for row, samples in enumerate(self.samples):
            axes.plot(seconds.tolist(), (samples / spacing - row).tolist(), color="black", linewidth=0.6)
        axes.set_yticks([-row for row in range(len(self.channels))], list(self.channels))
        axes.set_ylim(-len(self.channels), 1)
        axes.set_xlabel(f"seconds ({spacing:.3g} \u00b5V between two names)")
        with writing_atomically(path) as partial:
            figure.savefig(partial, format=Path(path).suffix.lower().removeprefix(".") or "png")


def write_rows(
    path: str | Path,
    rows: Iterable[Tensor],
    rate_hz: float,
    channels: Sequence[str],
    session: Session | None,
    described: str,
) -> None:
    """Writes .edf atomically, as :meth:`EegRecording.save`, of channels float32 [time] that come one by one.

    Raises:
        ValueError: EDF cannot hold them; ``described`` is what they are in the sentence that says so.
    """
    try:
        with writing_atomically(path) as partial:
            notes = write_edf(partial, rows, rate_hz, channels, session)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"an EDF file cannot hold {described} ({reason}); save it as .npz") from error
    if notes:
        tell(f"{path}: {'; '.join(notes)}")


def check_voltages(voltages: Any) -> str | None:
    """The unit of voltages as it was given, or None.

    Raises:
        TypeError: no word. ValueError: one that is no voltage.
    """
    if voltages is not None and microvolts(string("voltages", voltages)) is None:
        raise ValueError(f"voltages must be a unit, uV, mV, nV or V, or None, got {voltages!r}; write one of these")
    return None if voltages is None else str(voltages)


def unreadable(path: Path, error: Exception) -> ValueError:
    """What is said of a damaged file; where the reason does not say what to do, that is to export it again."""
    reason = " ".join(str(error).split())
    advice = "" if ";" in reason else "; mend it there, or export it again"
    return ValueError(f"{path} must be a whole recording, but cannot be read ({reason}){advice}")
