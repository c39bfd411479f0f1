"""EEG recordings: voltages of named electrodes, their files, and what is read off them.

Arrow: .edf, .bdf, .npz or .safetensors --EegRecording.load--> samples in microvolts, and back.
Does not know: codes, networks, other modalities.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from tokenmask.files import writing_atomically
from tokenmask.streams import TokenStream
from tokenmask.tensor_files import load_tensors, save_tensors

MAX_SAMPLES = 1 << 30
_MICROVOLTS = {"uv": 1.0, "\u00b5v": 1.0, "\u03bcv": 1.0, "mv": 1e3, "v": 1e6, "nv": 1e-3}
_SUFFIXES = (".edf", ".bdf", ".npz", ".safetensors")
_ROWS = ["AF", "F", "FT", "FC", "T", "C", "TP", "CP", "P", "PO", "O", "I"]
_KNOWN = {
    name.casefold(): name
    for name in [
        *(f"{row}{place}" for row in _ROWS for place in ["z", *range(1, 11)]),
        *(["Fpz", "Fp1", "Fp2", "Nz", "A1", "A2", "M1", "M2", "F11", "F12", "FT11", "FT12", "TP11", "TP12"]),
    ]
}


def electrode(name: str) -> str:
    """The usual spelling of a 10-20 or 10-10 electrode ("FP1" and "fp1" are "Fp1"); other names stay as they are.

    Source: American Clinical Neurophysiology Society, guideline 2 (2016).
    """
    return _KNOWN.get(name.strip().casefold(), name.strip())


@dataclass(frozen=True, eq=False)
class EegRecording:
    """Voltages of electrodes over time, without a large offset: EEG is high-passed (see :meth:`filtered`).

    Args:
        samples: float32 [channels, time], microvolts, finite.
        sample_rate_hz: samples a second.
        channels: a name for each row, different without regard to case; any names, those of the 10-20 and 10-10
            systems are brought to their usual spelling.
        stream: the codes it was generated from, if it was; does not count in comparisons.
    """

    suffixes: ClassVar[tuple[str, ...]] = _SUFFIXES
    """Endings that are looked for in folders."""

    written_suffixes: ClassVar[tuple[str, ...]] = (".edf", ".npz", ".safetensors")
    """Endings that can be written; the first if none is asked for."""

    samples: Tensor
    sample_rate_hz: float
    channels: tuple[str, ...]
    stream: TokenStream | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape = self.samples.shape
        if self.samples.dtype != torch.float32 or len(shape) != 2 or not self.samples.numel():
            raise ValueError(
                "samples of an EegRecording must be float32 [channels, time], got "
                f"{str(self.samples.dtype).removeprefix('torch.')} {list(shape)}"
            )
        if not math.isfinite(self.sample_rate_hz) or self.sample_rate_hz <= 0:
            raise ValueError(f"sample_rate_hz of an EegRecording must be positive, got {self.sample_rate_hz}")
        object.__setattr__(self, "sample_rate_hz", float(self.sample_rate_hz))
        object.__setattr__(self, "channels", tuple(electrode(name) for name in self.channels))
        if len(self.channels) != shape[0] or len({name.casefold() for name in self.channels} - {""}) != shape[0]:
            raise ValueError(
                f"an EegRecording needs a different name for each of its {shape[0]} channels, got {self.channels}"
            )
        if not bool(self.samples.isfinite().all()):
            named = self.channels[int((~self.samples.isfinite()).any(1).nonzero()[0])]
            raise ValueError(f"samples must be finite, but channel {named} holds NaN or infinity; cut or repair it")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EegRecording):
            return NotImplemented
        same = (self.sample_rate_hz, self.channels) == (other.sample_rate_hz, other.channels)
        return same and torch.equal(self.samples, other.samples)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"EegRecording({len(self.channels)} channels, {self.duration_seconds:g} s at {self.sample_rate_hz:g} Hz)"

    @property
    def duration_seconds(self) -> float:
        """Length."""
        return self.samples.shape[1] / self.sample_rate_hz

    # Files ------------------------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads .edf (European Data Format), .bdf (24 bits), and what :meth:`save` wrote as .npz or .safetensors.

        Of EDF and BDF files the signals measured in volts are taken; their "EEG " prefix is dropped.

        Raises:
            ValueError: no such file, another format, a damaged file, or voltages at several rates.
        """
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"a recording is read from a file, but {path} is none; check the path")
        readers = {".edf": cls._read_edf, ".bdf": cls._read_edf, ".npz": cls._read_npz}
        suffix = path.suffix.lower()
        if suffix == ".safetensors":
            tensors, about = load_tensors(path)
            if about.get("media") != "EegRecording":
                raise ValueError(f"{path} must hold an EegRecording, got {about.get('media')}; check the path")
            try:
                return cls(tensors["samples"], about["sample_rate_hz"], tuple(about["channels"]))
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError(
                    f"{path} must hold a recording, but cannot be read ({error!r}); save it again"
                ) from error
        if suffix not in readers:
            raise ValueError(f"a recording's file must end in one of {', '.join(_SUFFIXES)}, got {path.name!r}")
        try:
            return readers[suffix](path)
        except Exception as error:  # the readers of both formats raise many kinds; all mean a damaged file
            reason = " ".join(str(error).split())
            raise ValueError(f"{path} must be a whole recording, but cannot be read ({reason})") from error

    @classmethod
    def _read_edf(cls, path: Path) -> Self:
        import edfio

        file = (edfio.read_bdf if path.suffix.lower() == ".bdf" else edfio.read_edf)(path)
        signals = [one for one in file.signals if one.physical_dimension.strip().casefold() in _MICROVOLTS]
        rates = {one.sampling_frequency for one in signals}
        if len(rates) != 1:
            raise ValueError(f"its voltages must have one sample rate, got {sorted(rates) or 'no voltages'}")
        rows = [
            torch.from_numpy(one.data * _MICROVOLTS[one.physical_dimension.strip().casefold()]).float()
            for one in signals
        ]
        names = [one.label.strip() for one in signals]
        return cls(
            torch.stack(rows),
            float(rates.pop()),
            tuple(name[4:] if name[:4].upper() == "EEG " else name for name in names),
        )

    @classmethod
    def _read_npz(cls, path: Path) -> Self:
        import numpy as np

        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > 4 * MAX_SAMPLES + (1 << 20):
                raise ValueError(f"it unpacks to more than {MAX_SAMPLES} samples")
        with np.load(path, allow_pickle=False) as file:
            samples, rate = torch.from_numpy(file["samples"]), float(file["sample_rate_hz"])
            return cls(samples, rate, tuple(str(name) for name in file["channels"]))

    def save(self, path: str | Path) -> None:
        """Writes the format that the suffix names, atomically; .npz and .safetensors lose nothing, .edf has 16 bits.

        Raises:
            ValueError: another suffix, or a recording that EDF cannot hold.
        """
        suffix = Path(path).suffix.lower()
        if suffix == ".safetensors":
            about = {"media": "EegRecording", "sample_rate_hz": self.sample_rate_hz, "channels": list(self.channels)}
            save_tensors(path, {"samples": self.samples}, about)
        elif suffix == ".npz":
            import numpy as np

            samples, rate = self.samples.cpu().numpy(), np.float64(self.sample_rate_hz)
            with writing_atomically(path) as partial, partial.open("wb") as file:
                np.savez(file, samples=samples, sample_rate_hz=rate, channels=np.array(self.channels))
        elif suffix == ".edf":
            edf = self._as_edf()
            with writing_atomically(path) as partial:
                edf.write(partial)
        else:
            raise ValueError(
                f"a recording is written as .npz, .safetensors or .edf, got {Path(path).name!r}; rename it"
            )

    def _as_edf(self) -> Any:
        import edfio

        try:
            signals = [
                edfio.EdfSignal(
                    row.double().cpu().numpy(),
                    self.sample_rate_hz,
                    label=f"EEG {name}",
                    physical_dimension="uV",
                    physical_range=_edf_range(row),
                )
                for row, name in zip(self.samples, self.channels, strict=True)
            ]
            return edfio.Edf(signals, data_record_duration=_edf_record(self.samples.shape[1], self.sample_rate_hz))
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"an EDF file cannot hold {self!r} ({reason}); save it as .npz") from error

    # Views ------------------------------------------------------------------------------------------------------------

    def resample(self, rate_hz: float) -> EegRecording:
        """The same at another sample rate, with the filter of soxr at its highest quality."""
        import soxr

        if not math.isfinite(rate_hz) or rate_hz <= 0:
            raise ValueError(f"a sample rate must be positive, got {rate_hz}")
        if rate_hz == self.sample_rate_hz:
            return replace(self, stream=None)
        values = soxr.resample(self.samples.T.double().cpu().numpy(), self.sample_rate_hz, rate_hz, quality="VHQ")
        return EegRecording(torch.from_numpy(values).float().T.contiguous(), rate_hz, self.channels)

    def select(self, channels: Sequence[str]) -> EegRecording:
        """Some of the channels, in the order asked for; names without regard to case.

        Raises:
            ValueError: a channel that is not there.
        """
        rows = {name.casefold(): row for row, name in enumerate(self.channels)}
        absent = [name for name in channels if electrode(name).casefold() not in rows]
        if absent or not channels:
            raise ValueError(f"channels must be some of {self.channels}, got {absent or 'none'}")
        chosen = [rows[electrode(name).casefold()] for name in channels]
        return EegRecording(self.samples[chosen], self.sample_rate_hz, tuple(self.channels[row] for row in chosen))

    def filtered(self, low_hz: float, high_hz: float = math.inf) -> EegRecording:
        """Frequencies from ``low_hz`` to below ``high_hz`` only, zero phase; ``filtered(0.5)`` takes an offset away."""
        spectrum, chosen = self._spectrum(low_hz, high_hz)
        band = torch.fft.irfft(spectrum * chosen, self.samples.shape[1], dim=1).float()
        return EegRecording(band, self.sample_rate_hz, self.channels)

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


def _edf_record(samples: int, rate_hz: float) -> float | None:
    """Seconds of a data record: the longest up to a second that divides the recording and that a header can hold."""
    whole = [count for count in range(1, math.floor(rate_hz) + 1) if samples % count == 0]
    fitting = [count / rate_hz for count in whole if len(repr(count / rate_hz)) <= 8]
    return max(fitting, default=None)


def _edf_range(row: Tensor) -> tuple[float, float]:
    """Whole microvolts: a header has room for eight characters."""
    low, high = math.floor(float(row.min())), math.ceil(float(row.max()))
    return low, max(high, low + 1)
