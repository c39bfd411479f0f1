"""Sound files as they are met: lengths that are wrong or missing, streams one after the other, absurd samples.

Arrow: file --**read**--> float32 [channels, time] and a rate. Does not know: clips, codes, networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tokenmask.modalities.audio.joined import Stream, streams
from tokenmask.modalities.audio.oddities import Oddities
from tokenmask.modalities.audio.view import View
from tokenmask.modalities.overheard import in_words, overheard
from tokenmask.modalities.riddles import Unfit
from tokenmask.telling import tell

LOUDEST = 65536.0  # times full scale; floats that were scaled like 16-bit integers stay below
BLOCK = 1 << 20  # samples of a channel that are read at a time
_ID3V1 = 128  # bytes of such a tag
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
    notes: list[str] = []
    with overheard() as lines:
        parts = [_read_one(stream, max_samples, notes) for stream in streams(path, notes)]
    notes += [in_words(lines)] if lines else []
    kinds = sorted({(rate, samples.shape[1]) for samples, rate in parts})
    if len(kinds) > 1:
        held = " and ".join(f"{channels} channel(s) at {rate} Hz" for rate, channels in kinds)
        raise Unfit(f"its {len(parts)} streams must be of one kind, but have {held}; split it")
    samples = np.concatenate([samples for samples, _ in parts]) if len(parts) > 1 else parts[0][0]
    if samples.size > max_samples:
        raise Unfit(f"it has more than {max_samples} samples; cut it")
    if not samples.size:
        raise Unfit("it holds no samples")
    rate = kinds[0][0]
    check_magnitude(samples, rate)
    odd = Oddities(samples.shape[1])
    for start in range(0, len(samples), BLOCK):
        odd.add(samples[start : start + BLOCK])
    notes += odd.told(rate)
    if notes:
        tell(f"{path}: {'; '.join(notes)}")
    return torch.from_numpy(samples.T.copy()), rate


def _read_one(stream: Stream, max_samples: int, notes: list[str]) -> tuple[Any, int]:
    """float32 [time, channels] and rate of one stream; to its end, whatever its header announces."""
    import soundfile

    held = header(stream, notes)
    if held.frames * held.channels > max_samples and held.frames < UNKNOWN:
        raise Unfit(f"it has {held.frames} x {held.channels} samples, more than {max_samples}; cut it")
    if not held.forward:
        samples = _joined(blocks(stream, held), max_samples, held.channels)
        return samples, held.rate
    try:
        samples = _joined(blocks(stream, held), max_samples, held.channels)
    except soundfile.SoundFileError:  # what follows the last frame is no frame: as many as the header announces
        if held.frames >= UNKNOWN:
            raise
        return _joined(blocks(stream, held._replace(forward=False)), max_samples, held.channels), held.rate
    notes += held.told(len(samples))
    return samples, held.rate


class Header(NamedTuple):
    """What the header of a stream says.

    Args:
        frames: samples of a channel, from ``UNKNOWN`` on not known.
        channels: how many.
        rate: in Hz.
        forward: whether the stream is read to its end, whatever ``frames`` says.
    """

    frames: int
    channels: int
    rate: int
    forward: bool

    def told(self, seen: int) -> list[str]:
        """What is to be said where there are other frames than announced."""
        if self.frames >= UNKNOWN or seen == self.frames:
            return []
        return [f"its header announces {self.frames / self.rate:g} s, but {seen / self.rate:g} s are there"]


def header(stream: Stream, notes: list[str]) -> Header:
    """The header of a stream; notes get what it counts and is not there."""
    import soundfile

    announced, held = stream.announced
    if announced > held:
        notes.append(f"its header announces {announced} MP3 frames, but {held} are there: it is cut short")
    with soundfile.SoundFile(_again(stream.source)) as file:
        frames = int(file.frames)
        forward = stream.kind == b"fLaC" or frames >= UNKNOWN or not file.seekable()
        found = Header(frames, int(file.channels), int(file.samplerate), forward)
    if stream.blocks is None:
        return found
    meant = stream.blocks.meant(frames, found.rate, notes)
    return found if meant == frames else found._replace(frames=meant, forward=False)


def blocks(stream: Stream, held: Header, size: int = BLOCK) -> Iterator[Any]:
    """The samples of a stream, float32 [time, channels] in blocks of ``size``, the last perhaps shorter."""
    import soundfile

    class Forward(soundfile.SoundFile):  # type: ignore[misc]
        """Read from front to back. After each piece soundfile seeks to where it is, and then MP3 frames lack the bits
        of those before them; in FLAC files of unknown length libsndfile fails to seek."""

        def seekable(self) -> bool:
            return False

    source = _without_length(stream.source) if held.forward and stream.kind == b"fLaC" else stream.source
    left = UNKNOWN if held.forward else held.frames
    with overheard():
        opened = Forward(_again(source))
    with opened as file:
        while left:
            with overheard():
                block = file.read(min(size, left), dtype="float32", always_2d=True)
            if not len(block):
                break
            yield block
            left -= len(block)
            if len(block) < size:
                break


def _joined(parts: Iterable[Any], max_samples: int, channels: int) -> Any:
    """All of them; one more than allowed at most by a block."""
    held: list[Any] = []
    for block in parts:
        held.append(block)
        if sum(one.size for one in held) > max_samples:
            break
    return np.concatenate(held) if held else np.zeros((0, channels), np.float32)


def _again(source: str | Path | View) -> str | Path | View:
    if isinstance(source, View):
        source.seek(0)
    return source


def _without_length(source: str | Path | View) -> View:
    """The same FLAC file whose header says that the length is unknown: a decoder then reads to the end."""
    view = source if isinstance(source, View) else View(source, [(0, Path(source).stat().st_size)])
    view.seek(21)
    first = view.read(1)[0]
    view.seek(max(0, view.size - _ID3V1))
    tag = _ID3V1 if view.size > _ID3V1 and view.read(3) == b"TAG" else 0  # which is no frame
    # RFC 9639, section 8.2: 36 bits, the last of bytes 18 to 25
    return view.changed({21: bytes([first & 0xF0]), 22: bytes(4)}, view.size - tag)


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
        raise Unfit(
            f"its samples must be finite and up to {LOUDEST:g} times full scale (1), but one at "
            f"{(before + at) / rate:.3f} s is {worst:g}; repair or scale the recording"
        )
