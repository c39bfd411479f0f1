"""WAV files in codings of whole blocks (ADPCM, GSM 6.10, MP3): how many of the samples in the last one are meant.

Arrow: bytes of a WAV file --**blocks_of**--> Blocks --**Blocks.meant**--> a number of samples, words.
Does not know: how sound is decoded, clips.
Source: Microsoft, Multimedia Programming Interface (1991), fact chunk; mmreg.h, wSamplesPerBlock.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import NamedTuple

_CODINGS = (0x02, 0x11, 0x31, 0x55)  # MS ADPCM, IMA ADPCM, GSM 6.10, MP3
_MP3 = 0x55
_DELAY = 3  # MP3 frames that a coder begins and ends with, which some count and others do not
_DECODER = 529  # samples that an MP3 decoder is late by, which ours takes away
_MPEG_1_HZ = 32000  # the lowest rate whose frames have 1152 samples; others have half of that


class Blocks(NamedTuple):
    """What a WAV file says of its blocks.

    Args:
        said: samples of a channel, 0 if it does not say that.
        size: samples of a channel in a block.
        frames: samples of a channel in all blocks; None for MP3, which its decoder counts.
        channels: how many.
        place, stop: where the blocks begin and end in the file.
    """

    said: int
    size: int
    frames: int | None
    channels: int
    place: int
    stop: int

    @property
    def is_mp3(self) -> bool:
        """Whether they are MP3 frames."""
        return self.frames is None

    def meant(self, decoded: int, rate: int, notes: list[str]) -> int:
        """How many of the samples of a channel count, of those that are decoded, at a rate in Hz; notes get a sentence
        where the file does not say it, or says something else than there is."""
        frames = decoded if self.frames is None else min(decoded, self.frames)
        if not self.said:
            notes.append(
                f"it does not say how many samples it has, and its coding fills blocks of {self.size}: hear its end"
            )
            return decoded
        if 0 <= frames - self.said < self.size:
            return self.said
        by_channel = 0 <= frames - self.said * self.channels < self.size  # as libsndfile writes it with IMA ADPCM
        if frames - self.said >= (_DELAY if self.is_mp3 else 1) * self.size and not by_channel:
            notes.append(
                f"it announces {self.said / rate:g} s, but {frames / rate:g} s are there, all of which are read"
            )
        return decoded


def chunks(data: mmap.mmap, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """The chunks of a WAV file between two places of a file: their names, and where each begins and ends."""
    place = start + 12
    while place + 8 <= stop:
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        yield data[place : place + 4], place + 8, min(place + 8 + size, stop)
        place += 8 + size + size % 2


def blocks_of(data: mmap.mmap, start: int, stop: int) -> Blocks | None:
    """The blocks of a WAV file between two places of a file; None where it has none, but samples."""
    found: dict[bytes, tuple[int, int]] = {}
    for name, begin, end in chunks(data, start, stop):
        found.setdefault(name, (begin, end))
    if not found.keys() >= {b"fmt ", b"data"}:
        return None
    form, (first, last) = data[slice(*found[b"fmt "])], found[b"data"]
    tag, channels, width, block = (int.from_bytes(form[at : at + 2], "little") for at in (0, 2, 12, 18))
    if tag not in _CODINGS or not width or not block:
        return None
    begin = found.get(b"fact", (0, 0))[0]
    said = int.from_bytes(data[begin : begin + 4], "little") if begin else 0
    if tag == _MP3:
        rate = int.from_bytes(form[4:8], "little")
        return Blocks(max(0, said - _DECODER), 1152 if rate >= _MPEG_1_HZ else 576, None, channels, first, last)
    # A decoder may take the byte behind blocks that are odd for one more of them.
    return Blocks(said, block, block * -(-(last - first) // width), channels, first, last)
