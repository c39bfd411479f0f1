"""Sound files as they are met: headers without a length, Ogg streams one after the other, samples that are no sound.

Arrow: file --**read**--> float32 [channels, time] and a rate. Does not know: clips, codes, networks.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

LOUDEST = 65536.0  # times full scale; floats that were scaled like 16-bit integers stay below
_BLOCK = 1 << 20  # samples of a channel that are read at a time where the length is not known
_CAPTURE, _FIRST_PAGE = b"OggS", 2  # RFC 3533, section 6


def read(path: str | Path, max_samples: int) -> tuple[Tensor, int]:
    """All samples of a file.

    Args:
        path: of a file that libsndfile reads; Ogg streams that follow each other (RFC 3533, section 4) are joined.
        max_samples: of all channels together.

    Returns:
        float32 [channels, time], full scale is -1..1, and the rate in Hz.

    Raises:
        ValueError: too long, streams of different kinds, or a sample beyond 65536 times full scale.
        soundfile.SoundFileError: not readable.
    """
    with open(path, "rb") as file:
        is_ogg = file.read(4) == _CAPTURE
    links = _ogg_links(Path(path).read_bytes()) if is_ogg else []
    parts = [_read_one(io.BytesIO(link), max_samples) for link in links] if len(links) > 1 else []
    parts = parts or [_read_one(path, max_samples)]
    kinds = sorted({(rate, samples.shape[1]) for samples, rate in parts})
    if len(kinds) > 1:
        held = " and ".join(f"{channels} channel(s) at {rate} Hz" for rate, channels in kinds)
        raise ValueError(f"its {len(parts)} streams must be of one kind, but have {held}; split it")
    samples = np.concatenate([samples for samples, _ in parts]) if len(parts) > 1 else parts[0][0]
    if samples.size > max_samples:
        raise ValueError(f"it has more than {max_samples} samples; cut it")
    rate = kinds[0][0]
    _check_magnitude(samples, rate)
    return torch.from_numpy(samples.T.copy()), rate


def _read_one(source: str | Path | io.BytesIO, max_samples: int) -> tuple[Any, int]:
    """float32 [time, channels] and rate of one stream, in blocks where its header does not tell how long it is."""
    import soundfile

    class Forward(soundfile.SoundFile):  # type: ignore[misc]
        """Read from front to back: libsndfile fails to seek in a FLAC file of unknown length."""

        def seekable(self) -> bool:
            return False

    with soundfile.SoundFile(source) as file:
        if file.frames * file.channels <= max_samples:
            return file.read(dtype="float32", always_2d=True), int(file.samplerate)
        if file.frames < 1 << 62:  # libsndfile's largest number stands for an unknown length
            raise ValueError(f"it has {file.frames} x {file.channels} samples, more than {max_samples}; cut it")
    blocks: list[Any] = []
    with Forward(source) as file:
        while sum(block.size for block in blocks) <= max_samples:
            block = file.read(_BLOCK, dtype="float32", always_2d=True)
            blocks.append(block)
            if len(block) < _BLOCK:
                break
        return np.concatenate(blocks), int(file.samplerate)


def _ogg_links(data: bytes) -> list[bytes]:
    """The links of a chain, each a whole Ogg file: a first page that comes after others than first ones begins one."""
    starts, place, opening = [0], 0, True
    while data[place : place + 4] == _CAPTURE and place + 27 <= len(data):
        kind, segments = data[place + 5], data[place + 26]
        is_first = bool(kind & _FIRST_PAGE)
        if is_first and not opening:
            starts.append(place)
        opening = is_first
        place += 27 + segments + sum(data[place + 27 : place + 27 + segments])
    return [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]


def _check_magnitude(samples: Any, rate: int) -> None:
    """ValueError at the first sample that cannot be sound: one such spoils all that is learned from it."""
    wrong = ~(np.abs(samples).max(1, initial=0.0) <= LOUDEST)  # NaN is wrong too
    if wrong.any():
        at = int(wrong.argmax())
        worst = samples[at][~(np.abs(samples[at]) <= LOUDEST)][0]
        raise ValueError(
            f"its samples must be finite and up to {LOUDEST:g} times full scale (1), but one at {at / rate:.3f} s is "
            f"{worst:g}; repair or scale the recording"
        )
