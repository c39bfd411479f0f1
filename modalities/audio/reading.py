"""Sound files as they are met: lengths that are wrong or missing, streams one after the other, absurd samples.

Arrow: file --**read**--> float32 [channels, time] and a rate. Does not know: clips, codes, networks.
"""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenmask.modalities.audio.joined import Stream, streams

LOUDEST = 65536.0  # times full scale; floats that were scaled like 16-bit integers stay below
_LOUD = 16.0  # times full scale, from which on it is told; mixes of floats stay below
_LOWEST_HZ, _HIGHEST_HZ = 2000, 768_000  # rates of sound that are met
_BLOCK = 1 << 20  # samples of a channel that are read at a time where the length is not known
_OBJECT = re.compile(r"<_io\.BytesIO object at \w+>")
UNKNOWN = 1 << 62  # frames; libsndfile's largest number stands for an unknown length


def read(path: str | Path, max_samples: int) -> tuple[Tensor, int]:
    """All samples of a file.

    Args:
        path: of a file that libsndfile reads. Streams that follow each other are joined: chained Ogg (RFC 3533, section
            4) and files of another kind that were put together; a warning counts bytes between them.
        max_samples: of all channels together.

    Returns:
        float32 [channels, time], full scale is -1..1, and the rate in Hz. Where a header announces another length than
        there is, all that is there, with a warning.

    Raises:
        ValueError: too long, streams of different kinds, or a sample beyond 65536 times full scale.
        soundfile.SoundFileError: not readable.
    """
    import soundfile

    notes: list[str] = []
    try:
        parts = [_read_one(stream, max_samples, notes) for stream in streams(path, notes)]
    except soundfile.SoundFileError as error:  # a stream in memory is no name that helps
        raise ValueError(_OBJECT.sub(repr(str(path)), str(error))) from error
    kinds = sorted({(rate, samples.shape[1]) for samples, rate in parts})
    if len(kinds) > 1:
        held = " and ".join(f"{channels} channel(s) at {rate} Hz" for rate, channels in kinds)
        raise ValueError(f"its {len(parts)} streams must be of one kind, but have {held}; split it")
    samples = np.concatenate([samples for samples, _ in parts]) if len(parts) > 1 else parts[0][0]
    if samples.size > max_samples:
        raise ValueError(f"it has more than {max_samples} samples; cut it")
    if not samples.size:
        raise ValueError("it holds no samples")
    rate = kinds[0][0]
    check_magnitude(samples, rate)
    notes += oddities(float(np.abs(samples).max()), len(samples), rate)
    if notes:
        warnings.warn(f"{path}: {'; '.join(notes)}", stacklevel=3)
    return torch.from_numpy(samples.T.copy()), rate


def _read_one(stream: Stream, max_samples: int, notes: list[str]) -> tuple[Any, int]:
    """float32 [time, channels] and rate of one stream; to its end, whatever its header announces."""
    import soundfile

    announced, held = stream.announced
    if announced > held:
        notes.append(f"its header announces {announced} MP3 frames, but {held} are there: it is cut short")
    with soundfile.SoundFile(_again(stream.source)) as file:
        frames, channels, rate = int(file.frames), int(file.channels), int(file.samplerate)
        if frames * channels > max_samples and frames < UNKNOWN:
            raise ValueError(f"it has {frames} x {channels} samples, more than {max_samples}; cut it")
        if stream.kind != b"fLaC" and frames < UNKNOWN and file.seekable():
            return file.read(dtype="float32", always_2d=True), rate
    try:
        samples = _read_forward(
            _without_length(stream.source) if stream.kind == b"fLaC" else stream.source, max_samples
        )
    except soundfile.SoundFileError:  # what follows the last frame is no frame: as many as the header announces
        if frames >= UNKNOWN:
            raise
        with soundfile.SoundFile(_again(stream.source)) as file:
            return file.read(dtype="float32", always_2d=True), rate
    if frames < UNKNOWN and len(samples) != frames:
        notes.append(f"its header announces {frames / rate:g} s, but {len(samples) / rate:g} s are there")
    return samples, rate


def _again(source: str | Path | io.BytesIO) -> str | Path | io.BytesIO:
    if isinstance(source, io.BytesIO):
        source.seek(0)
    return source


def _without_length(source: str | Path | io.BytesIO) -> io.BytesIO:
    """The same FLAC file whose header says that the length is unknown: a decoder then reads to the end."""
    data = bytearray(source.getvalue() if isinstance(source, io.BytesIO) else Path(source).read_bytes())
    data[21] &= 0xF0  # RFC 9639, section 8.2: 36 bits, the last of bytes 18 to 25
    data[22:26] = bytes(4)
    tag = 128 if data[-128:-125] == b"TAG" else 0  # an ID3v1 tag is no frame
    return io.BytesIO(data[: len(data) - tag])


def _read_forward(source: str | Path | io.BytesIO, max_samples: int) -> Any:
    """Samples up to the end, in blocks; one more than allowed at most by a block."""
    import soundfile

    class Forward(soundfile.SoundFile):  # type: ignore[misc]
        """Read from front to back: libsndfile fails to seek in a FLAC file of unknown length."""

        def seekable(self) -> bool:
            return False

    blocks: list[Any] = []
    with Forward(_again(source)) as file:
        while sum(block.size for block in blocks) <= max_samples:
            blocks.append(file.read(_BLOCK, dtype="float32", always_2d=True))
            if len(blocks[-1]) < _BLOCK:
                break
    return np.concatenate(blocks)


def oddities(peak: float, frames: int, rate: int) -> list[str]:
    """What can be read and is hardly meant: of the largest sample, their number in a channel, and the rate."""
    found = []
    if not peak:
        found.append("it is silent throughout")
    if peak >= _LOUD:
        found.append(
            f"its samples reach {peak:g} times full scale (1), as floats do that are scaled like integers: divide them"
        )
    if not _LOWEST_HZ <= rate <= _HIGHEST_HZ:
        found.append(f"its rate of {rate} Hz is none of sound, and it is {frames / rate:g} s long by it: check it")
    return found


def check_magnitude(samples: Any, rate: int, before: int = 0) -> None:
    """ValueError at the first sample that cannot be sound: one such spoils all that is learned from it.

    Args:
        samples: float32 [time, channels].
        rate: in Hz.
        before: samples of a channel before these.
    """
    wrong = ~(np.abs(samples).max(1, initial=0.0) <= LOUDEST)  # NaN is wrong too
    if wrong.any():
        at = int(wrong.argmax())
        worst = samples[at][~(np.abs(samples[at]) <= LOUDEST)][0]
        raise ValueError(
            f"its samples must be finite and up to {LOUDEST:g} times full scale (1), but one at "
            f"{(before + at) / rate:.3f} s is {worst:g}; repair or scale the recording"
        )
