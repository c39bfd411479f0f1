"""Sound files as codes and back, in pieces: memory grows with the codes alone.

Arrow: LongSound --**coded_file**--> codes; codes and what is kept of a file --**write_made**--> sound file.
Does not know: networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from tokenmask.modalities.audio.joining import joined_pieces
from tokenmask.modalities.audio.long import LongSound
from tokenmask.modalities.audio.media import AudioClip, resampled_length
from tokenmask.modalities.audio.network import AudioTokenizerConfig
from tokenmask.modalities.audio.telling import tell_changes_of
from tokenmask.modalities.audio.writing import write_pieces
from tokenmask.modalities.keeping import length_of, without_edges
from tokenmask.streams import TokenStream
from tokenmask.tokenizer import Show

_AROUND = 8  # frames beside what is made that another rate is made of, too: soxr sees 2 at the most


def coded_file(
    path: str | Path,
    sound: LongSound,
    config: AudioTokenizerConfig,
    code: Callable[[Iterable[Tensor]], Iterator[TokenStream]],
    show: Show,
) -> Tensor:
    """Codes int32 [frames, levels] of a sound.

    Args:
        path: of its file, to be told.
        sound: the file.
        config: of the tokenizer.
        code: samples of one channel, float32 [time] in pieces -> their codes in pieces.
        show: called with seconds done and seconds in all.
    """
    rate, parts = config.sample_rate_hz, list[Tensor]()
    tell_changes_of(str(path), sound.channels, sound.sample_rate_hz, rate, "this AudioTokenizer")
    for stream in code(sound.at(rate)):
        parts.append(stream.codes)
        seconds = stream.start_seconds + len(stream.codes) * config.hop / rate
        show(min(seconds, sound.duration_seconds), sound.duration_seconds)
    return torch.cat(parts)


def write_made(
    path: str | Path,
    frames: int,
    made: Callable[[Tensor | None], Iterator[Tensor]],
    config: AudioTokenizerConfig,
    kept: tuple[LongSound, Tensor] | None,
    show: Show,
) -> None:
    """Writes a sound file of what is made, joined with what is kept of another one.

    Args:
        path: of the file to write.
        frames: of the codes.
        made: places that are not needed, bool [frames] or None -> samples of one channel, float32 [time] in pieces.
        config: of the tokenizer.
        kept: a sound, and bool [frames], what is copied from it.
        show: called with seconds done and seconds in all.
    """
    rate, own, rate_hz = config.sample_rate_hz, config.sample_rate_hz, config.rate_hz
    size, channels = frames * config.hop, 1
    if kept is None:
        pieces: Iterable[Tensor] = (piece[None] for piece in made(None))
    else:
        sound, keep = kept
        channels, rate = sound.channels, sound.sample_rate_hz
        size = length_of(sound.frames, rate, resampled_length(sound.frames, rate, own), size, own, rate_hz)
        silent = keep.clone()
        if size > sound.frames:  # where the file is over, nothing is kept
            silent[math.floor(sound.duration_seconds * rate_hz) :] = False
        silent = silent if rate == own else without_edges(silent, _AROUND)
        pieces = joined_pieces(made(silent), own, sound, keep, size, rate_hz)
    _write(path, pieces, size, rate, channels, show)


def write_clip(path: str | Path, clip: AudioClip, show: Show) -> None:
    """Writes a clip that is in memory in the same way."""
    channels, size = clip.samples.shape
    _write(path, [clip.samples], size, clip.sample_rate_hz, channels, show)


def _write(path: str | Path, pieces: Iterable[Tensor], size: int, rate: int, channels: int, show: Show) -> None:
    def shown() -> Iterator[Tensor]:
        done = 0
        for piece in pieces:
            yield piece
            done += piece.shape[1]
            show(done / rate, size / rate)

    write_pieces(path, shown(), size, rate, channels)
