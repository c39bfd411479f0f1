"""Sound of any length, read and written in pieces: memory does not grow with it.

Arrow: file --**long_sound**--> pieces of one channel at a rate; such pieces --**write_pieces**--> file.
Does not know: codes, networks. The pieces of a file are, bit for bit, what the whole clip would be.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tokenmask.files import writing_atomically
from tokenmask.modalities.audio.joined import streams
from tokenmask.modalities.audio.media import CANCELLED, AudioClip, format_of
from tokenmask.modalities.audio.reading import UNKNOWN, check_magnitude, oddities
from tokenmask.modalities.windows import cut

_BLOCK = 1 << 20  # samples of each channel that are in memory together
_WHOLE = (b"fLaC", b"mp3")  # read to their ends, whatever their headers say; see reading.py
_MOST_BYTES = (1 << 32) - 4096  # of samples in a WAV file


@dataclass(frozen=True)
class LongSound:
    """A sound file that has been looked through once.

    Args:
        path: of the file.
        sample_rate_hz: samples of a channel in a second.
        channels: how many.
        frames: samples of a channel.
        loudest: the channel that is taken alone, since all cancel each other; None takes their mean.
    """

    path: Path
    sample_rate_hz: int
    channels: int
    frames: int
    loudest: int | None

    @property
    def duration_seconds(self) -> float:
        """Length."""
        return self.frames / self.sample_rate_hz

    def at(self, sample_rate_hz: int) -> Iterator[Tensor]:
        """One channel at a rate, float32 [time] in pieces; together ``clip.mono().resample(rate).samples[0]``."""
        import soxr

        wanted = max(1, round(self.frames * sample_rate_hz / self.sample_rate_hz))
        stream = None
        if sample_rate_hz != self.sample_rate_hz:
            stream = soxr.ResampleStream(self.sample_rate_hz, sample_rate_hz, 1, dtype="float32", quality="HQ")
        done = 0
        for number, block in enumerate(_blocks(self.path), 1):
            samples = block.mean(0) if self.loudest is None else block[self.loudest]
            if stream is not None:
                last = number * _BLOCK >= self.frames
                samples = torch.from_numpy(stream.resample_chunk(samples.numpy(), last=last))
            samples = samples[: wanted - done]
            done += len(samples)
            if len(samples):
                yield samples
        if done < wanted:
            yield torch.zeros(wanted - done)


def long_sound(path: str | Path) -> LongSound | None:
    """A file that can be read in pieces: one stream that says how long it is (WAV, AIFF, AU, CAF, Wave64, RF64, Ogg).

    Reads it through once, and warns and refuses as :meth:`AudioClip.load` and :meth:`AudioClip.mono` do of the whole.

    Returns:
        None for a file that has to be read whole: FLAC, MP3, several streams in one, or one that cannot be read.
    """
    import soundfile

    notes: list[str] = []
    try:
        found = streams(path, notes)
        with soundfile.SoundFile(path) as file:
            frames, rate, channels = int(file.frames), int(file.samplerate), int(file.channels)
            whole = len(found) > 1 or found[0].kind in _WHOLE or not file.seekable() or not 0 < frames < UNKNOWN
    except (soundfile.SoundFileError, ValueError, OSError):
        return None  # reading it whole says why
    if whole or not isinstance(found[0].source, (str, Path)):
        return None
    peak, kept, energies, seen = 0.0, 0.0, torch.zeros(channels, dtype=torch.float64), 0
    try:
        for block in _blocks(path):
            check_magnitude(block.T.numpy(), rate, seen)
            peak = max(peak, float(block.abs().max()))
            energies += block.double().square().sum(1)
            kept += float(block.mean(0).double().square().sum())
            seen += block.shape[1]
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{path} must be a whole audio file, but cannot be read ({' '.join(str(error).split())}); export it again"
        ) from error
    if seen != frames:
        return None
    notes += oddities(peak, frames, rate)
    if notes:
        warnings.warn(f"{path}: {'; '.join(notes)}", stacklevel=2)
    loudest = None
    if kept < CANCELLED * float(energies.mean()) / channels:
        loudest = int(energies.argmax())
        AudioClip.tell_cancelled(str(path), kept / float(energies.mean()), loudest)
    return LongSound(Path(path), rate, channels, frames, loudest)


def _blocks(path: str | Path) -> Iterator[Tensor]:
    """The samples of a file, float32 [channels, time]."""
    import soundfile

    with soundfile.SoundFile(path) as file:
        while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
            yield torch.from_numpy(block.T.copy())


def aligned(pieces: Iterable[Tensor], sizes: Iterable[int]) -> Iterator[Tensor]:
    """Pieces float32 [time] cut anew, into the sizes asked for; silence where they end too early."""
    rest, waiting = iter(pieces), torch.zeros(0)
    for size in sizes:
        parts, there = [waiting], len(waiting)
        while there < size and (piece := next(rest, None)) is not None:
            parts.append(piece)
            there += len(piece)
        waiting = torch.cat(parts)
        yield cut(waiting, 0, size)
        waiting = waiting[size:].clone()


def write_pieces(path: str | Path, pieces: Iterable[Tensor], frames: int, sample_rate_hz: int) -> None:
    """Writes one channel, float32 [time] in pieces of ``frames`` samples in all, as :meth:`AudioClip.save` would.

    Raises:
        ValueError: another suffix, or a WAV file of more than 4 GiB.
    """
    import soundfile

    kind, subtype = format_of(path)
    if kind == "WAV" and 4 * frames > _MOST_BYTES:
        raise ValueError(f"a WAV file holds up to 4 GiB, but {path} would have {4 * frames} bytes; write .flac")
    with (
        writing_atomically(path) as partial,
        soundfile.SoundFile(partial, "w", sample_rate_hz, 1, subtype, format=kind) as file,
    ):
        for piece in pieces:
            file.write(piece.numpy())
