"""Sound files that are written, in pieces: WAV, FLAC, Ogg Vorbis.

Arrow: float32 [channels, time] in pieces --**write_pieces**--> file. Does not know: clips, codes, networks.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from tokenmask.files import writing_atomically

FORMATS = {".wav": ("WAV", "FLOAT"), ".flac": ("FLAC", "PCM_24"), ".ogg": ("OGG", "VORBIS")}
_AT_ONCE = 1 << 14  # samples of a channel: libsndfile's Vorbis writer holds what it gets on the stack, which is 8 MB
_MOST_BYTES = (1 << 32) - 4096  # of samples in a WAV file


def format_of(path: str | Path) -> tuple[str, str]:
    """libsndfile's names of the format and of the samples that a file's suffix stands for; ValueError for others."""
    kind = FORMATS.get(Path(path).suffix.lower())
    if kind is None:
        raise ValueError(f"an audio file must end in .wav, .flac or .ogg, got {Path(path).name!r}; rename it")
    return kind


def write_pieces(
    path: str | Path, pieces: Iterable[Tensor], frames: int, sample_rate_hz: int, channels: int = 1
) -> None:
    """Writes sound atomically; the file does not depend on how it is cut into pieces.

    Args:
        path: of the file; its suffix names the format.
        pieces: float32 [channels, time] each.
        frames: samples of a channel, of all pieces together.
        sample_rate_hz: samples of a channel in a second.
        channels: how many.

    Raises:
        ValueError: another suffix, or a WAV file of more than 4 GiB.
        OSError: a full disk, no permission.
    """
    import soundfile

    kind, subtype = format_of(path)
    held = 4 * frames * channels
    if kind == "WAV" and held > _MOST_BYTES:
        raise ValueError(f"a WAV file holds up to 4 GiB, but {path} would have {held} bytes; write .flac")
    with writing_atomically(path) as partial:
        try:
            with soundfile.SoundFile(partial, "w", sample_rate_hz, channels, subtype, format=kind) as file:
                for part in _of_one_size(pieces, channels):
                    file.write(part.T.contiguous().cpu().numpy())
            held = soundfile.info(str(partial)).frames
        except soundfile.LibsndfileError as error:
            _refused(partial)
            raise OSError(errno.EIO, " ".join(str(error).split())) from error
        if held != frames:  # what libsndfile writes when it closes a file fails without a word
            _refused(partial)
            raise OSError(errno.EIO, f"{held} of {frames} samples were written")


def _refused(partial: Path) -> None:
    """OSError with what the system says of more bytes, if it takes none: libsndfile says "System error" of all."""
    with partial.open("ab") as file:
        file.write(bytes(1 << 16))
        file.flush()
        os.fsync(file.fileno())


def _of_one_size(pieces: Iterable[Tensor], channels: int) -> Iterator[Tensor]:
    """The same samples, always as many at once but the last: what a lossy encoder makes depends on it."""
    waiting = torch.zeros(channels, 0)
    for piece in pieces:
        waiting = torch.cat([waiting.to(piece.device), piece], 1)
        while waiting.shape[1] >= _AT_ONCE:
            yield waiting[:, :_AT_ONCE]
            waiting = waiting[:, _AT_ONCE:]
    yield waiting
