"""Sound: samples of one or more channels, their files, and other rates.

Arrow: .wav, .flac or .ogg --AudioClip.load--> float32 samples, and back. Does not know: codes, networks, other media.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from tokenmask.arguments import above_zero, path_of, tensor_of
from tokenmask.as_array import AsArray
from tokenmask.medium import Timed, knowing_others, steps_between
from tokenmask.modalities.audio.reading import read
from tokenmask.modalities.audio.unread import no_sound
from tokenmask.modalities.audio.writing import FORMATS, write_pieces
from tokenmask.modalities.windows import cut
from tokenmask.streams import TokenStream
from tokenmask.telling import tell

MAX_SAMPLES = 1 << 30  # of a clip; 4 GiB in memory
_MOST_CHANNELS = 64  # of what is shorter than wide; more are samples that stand in the other order
CANCELLED = 0.5  # of what is left of channels that have nothing to do with each other


@dataclass(frozen=True, eq=False)
class AudioClip(Timed, AsArray):
    """A piece of sound.

    Args:
        samples: float32 [channels, time], finite, full scale is -1..1 (more is allowed, and cut by players). A NumPy
            array is taken likewise: [time] or [channels, time], of floats, or of whole numbers of 8 to 32 bits as WAV
            files hold them (a sample of int16 is 1/32768 of full scale, uint8 lies about 128).
        sample_rate_hz: samples of a channel in a second.
        stream: the codes it was generated from, if it was; does not count in comparisons.
        source: the file it was read from, for messages; does not count either.
    """

    written_suffixes: ClassVar[tuple[str, ...]] = tuple(FORMATS)
    """Endings that can be written; the first if none is asked for."""

    suffixes: ClassVar[tuple[str, ...]] = (
        *written_suffixes,
        *(".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64"),
    )
    """Endings that are looked for in folders."""

    asked: ClassVar[tuple[str, ...]] = ("channels",)
    view: ClassVar[str] = "tokenmask.report.views.sounds:Sounds"
    array_field: ClassVar[str] = "samples"

    samples: Tensor
    sample_rate_hz: int
    stream: TokenStream | None = field(default=None, repr=False)
    source: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.samples, np.ndarray):
            object.__setattr__(self, "samples", _of_array(self.samples))
        if not isinstance(self.samples, Tensor):
            got = type(self.samples).__name__
            raise TypeError(f"samples of an AudioClip must be a tensor or an array, got {got}; make one with np.array")
        if self.samples.dtype != torch.float32 or self.samples.dim() != 2 or not self.samples.numel():
            raise ValueError(
                "samples of an AudioClip must be float32 [channels, time], one at least, got "
                f"{str(self.samples.dtype).removeprefix('torch.')} {list(self.samples.shape)}; convert or reshape them"
            )
        channels, time = self.samples.shape
        if channels > max(_MOST_CHANNELS, time):
            raise ValueError(
                f"samples of an AudioClip must be [channels, time], got {channels} channels of {time} samples; "
                "transpose them"
            )
        rate: Any = self.sample_rate_hz
        rate = above_zero("sample_rate_hz of an AudioClip", rate)
        if not rate.is_integer():
            raise ValueError(f"sample_rate_hz of an AudioClip must be a whole number, got {rate!r}; round it")
        object.__setattr__(self, "sample_rate_hz", int(rate))
        if not bool(self.samples.isfinite().all()):
            raise ValueError("samples of an AudioClip must be finite, got NaN or infinity; repair the recording")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AudioClip):
            return NotImplemented
        return self.sample_rate_hz == other.sample_rate_hz and torch.equal(self.samples, other.samples)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        channels = self.samples.shape[0]
        return f"AudioClip({self.duration_seconds:.3f} s, {channels} channel(s), {self.sample_rate_hz} Hz)"

    @property
    def duration_seconds(self) -> float:
        """Length."""
        return self.samples.shape[1] / self.sample_rate_hz

    def between(self, start_seconds: float, end_seconds: float) -> AudioClip:
        """The samples of a piece of time."""
        first, stop = steps_between(start_seconds, end_seconds, self.sample_rate_hz, self.samples.shape[1])
        return AudioClip(self.samples[:, first:stop].clone(), self.sample_rate_hz)

    @classmethod
    @knowing_others
    def load(cls, path: str | Path, *, channels: Sequence[str | int] | None = None) -> Self:
        """Reads WAV, FLAC, Ogg Vorbis, Opus, MP3 and what else libsndfile knows, to the end; see :mod:`.reading`.

        Args:
            path: of a sound file.
            channels: numbers of those that are taken, from 1 as sound editors have them, in any order; None for all.

        Raises:
            ValueError: no such file, no audio, damaged or empty, samples that are not finite or beyond 65536 times
                full scale, or a channel that is not there.
        """
        import soundfile

        if not path_of("path of a sound", path).is_file():
            raise ValueError(f"audio is read from a file, but {path} is none; check the path")
        try:
            clip = cls(*read(path, MAX_SAMPLES), source=str(path))
        except (soundfile.SoundFileError, ValueError, TypeError, OSError, RuntimeError) as error:
            raise ValueError(no_sound(path, error)) from error
        return (
            clip
            if channels is None
            else replace(clip, samples=clip.samples[rows_of(channels, len(clip.samples), path)])
        )

    def save(self, path: str | Path) -> None:
        """Writes the format that the file's suffix names, atomically.

        .wav holds 32-bit floats and loses nothing, .flac rounds to 24 bits, .ogg (Vorbis) loses what is hardly heard.

        Raises:
            ValueError: a suffix that names no format that can be written, or a WAV file of more than 4 GiB.
        """
        path_of("path of a sound", path)
        channels, frames = self.samples.shape
        write_pieces(path, [self.samples], frames, self.sample_rate_hz, channels)

    def resample(self, sample_rate_hz: int) -> AudioClip:
        """Another rate, band-limited (soxr); at least one sample is left."""
        if above_zero("a sample rate", sample_rate_hz) < 1:
            raise ValueError(f"a sample rate must be 1 Hz or more, got {sample_rate_hz}; choose another number")
        if sample_rate_hz == self.sample_rate_hz:
            return AudioClip(self.samples, sample_rate_hz)
        wanted = resampled_length(self.samples.shape[1], self.sample_rate_hz, sample_rate_hz)
        if wanted * self.samples.shape[0] > MAX_SAMPLES:
            raise ValueError(
                f"a clip may have up to {MAX_SAMPLES} samples, but {self!r} at {sample_rate_hz} Hz would have "
                f"{wanted * self.samples.shape[0]}; check its rate, or cut it"
            )
        changed = resampled(self.samples.T, self.sample_rate_hz, sample_rate_hz)
        return AudioClip(cut(changed, 0, wanted).T.contiguous(), sample_rate_hz)

    def mono(self) -> AudioClip:
        """One channel: the mean of all, as is usual; where channels cancel each other, the loudest, with a warning.

        The mean of channels that have nothing to do with each other keeps 1 / channels of their mean energy, that of
        equal ones all of it. Channels cancel where it keeps less than half of the first, which for two of equal energy
        is a correlation below -0.5: then one has most likely its sign turned, and the mean would be another sound.
        """
        mean = self.samples.mean(0, keepdim=True)
        energies = self.samples.double().square().sum(1)
        kept, least = float(mean.double().square().sum()), CANCELLED * float(energies.mean()) / len(self.samples)
        if kept < least:
            loudest = int(energies.argmax())
            mean = self.samples[loudest][None]
            self.tell_cancelled(self.source or repr(self), kept / float(energies.mean()), loudest)
        return AudioClip(mean, self.sample_rate_hz)

    @staticmethod
    def tell_cancelled(source: str, share: float, loudest: int) -> None:
        """Warns of channels whose mean keeps little of their energy, of which one is taken, numbered from 0."""
        tell(
            f"the channels of {source} cancel each other (their mean keeps {share:.1%} of the energy); channel "
            f"{loudest + 1}, the loudest, is taken alone"
        )


def rows_of(channels: Sequence[str | int], held: int, source: str | Path) -> list[int]:
    """Which of ``held`` channels of a file are meant, from 0; ValueError for one that is not there, or comes twice."""
    rows = [int(text) - 1 for one in channels if (text := str(one)).isascii() and text.isdigit()]
    if not rows or len(rows) < len(channels) or not all(0 <= row < held for row in rows):
        raise ValueError(
            f"channels of a sound are numbers from 1, and {source} has {held}, got "
            f"{', '.join(map(str, channels)) or 'none'}; name those that are there"
        )
    if len(set(rows)) < len(rows):
        raise ValueError(f"each channel of {source} can be taken once, got {', '.join(map(str, channels))}")
    return rows


def _of_array(array: np.ndarray) -> Tensor:
    """Samples of an array, see :class:`AudioClip`; what they can't be made of as it is, to be refused."""
    if array.dtype == np.uint8:
        array = (array.astype(np.float32) - 128) / 128
    elif array.dtype.kind == "i" and array.dtype.itemsize <= 4:
        array = array.astype(np.float64) / float(1 << (8 * array.dtype.itemsize - 1))
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # infinity, which is refused
            array = array.astype(np.float32)
    if array.ndim == 1:
        array = array[None]
    if array.dtype.kind not in "biuf":
        return tensor_of("samples of an AudioClip", array)
    return torch.from_numpy(np.ascontiguousarray(array))


def resampled_length(samples: int, from_hz: int, to_hz: int) -> int:
    """How many samples there are at another rate."""
    return max(1, round(samples * to_hz / from_hz))


def resampled(samples: Tensor, from_hz: float, to_hz: float) -> Tensor:
    """Samples float32 [time] or [time, channels] at another rate, by soxr."""
    import soxr

    changed: Tensor = torch.from_numpy(soxr.resample(samples.contiguous().cpu().numpy(), from_hz, to_hz))
    return changed
