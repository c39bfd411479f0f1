"""Sound of any length, read in pieces: memory does not grow with it.

Arrow: file --**long_sound**--> pieces of one channel at a rate.
Does not know: codes, networks. The pieces of a file are, bit for bit, what the whole clip would be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tokenmask.modalities.audio.joined import Stream, streams
from tokenmask.modalities.audio.media import CANCELLED, AudioClip, resampled_length, rows_of
from tokenmask.modalities.audio.oddities import Oddities
from tokenmask.modalities.audio.reading import Header, blocks, check_magnitude, header
from tokenmask.modalities.audio.unread import no_sound
from tokenmask.modalities.overheard import in_words, overheard
from tokenmask.telling import tell

_BLOCK = 1 << 20  # samples of each channel that are in memory together


@dataclass(frozen=True)
class LongSound:
    """A sound file that has been looked through once.

    Args:
        parts: its streams, and their headers.
        sample_rate_hz: samples of a channel in a second.
        taken: numbers of the channels that are taken, from 0, in their order.
        frames: samples of a channel.
        loudest: which of them is taken alone, since all cancel each other; None takes their mean.
    """

    parts: tuple[tuple[Stream, Header], ...]
    sample_rate_hz: int
    taken: tuple[int, ...]
    frames: int
    loudest: int | None

    @property
    def channels(self) -> int:
        """How many are taken."""
        return len(self.taken)

    @property
    def duration_seconds(self) -> float:
        """Length."""
        return self.frames / self.sample_rate_hz

    def at(self, sample_rate_hz: int) -> Iterator[Tensor]:
        """One channel at a rate, float32 [time] in pieces; together ``clip.mono().resample(rate).samples[0]``."""
        mixed = (block.mean(0) if self.loudest is None else block[self.loudest] for block in self.blocks())
        yield from resampled_pieces(mixed, self.frames, self.sample_rate_hz, sample_rate_hz)

    def blocks(self) -> Iterator[Tensor]:
        """The channels that are taken as they are, float32 [channels, time] in pieces."""
        return (_rows(block, self.taken) for block in _blocks(self.parts))


def long_sound(path: str | Path, chosen: Sequence[str | int] | None = None) -> LongSound | None:
    """A file that can be read in pieces: of any format, of one stream or several.

    Reads it through once, and warns and refuses as :meth:`AudioClip.load` and :meth:`AudioClip.mono` do of the whole.

    Args:
        path: of the file.
        chosen: channels that are taken, as of :meth:`AudioClip.load`.

    Returns:
        None for a file that has to be read whole: of streams of several kinds, cut short, or one that cannot be read.
    """
    import soundfile

    notes: list[str] = []
    with overheard() as lines:
        try:
            parts = [(one, header(one, notes)) for one in streams(path, notes)]
        except (soundfile.SoundFileError, ValueError, OSError):
            return None  # reading it whole says why
        kinds = {(held.rate, held.channels) for _, held in parts}
        if len(kinds) > 1:
            return None
        rate, channels = kinds.pop()
        taken = tuple(range(channels) if chosen is None else rows_of(chosen, channels, path))
        odd, kept, energies, frames = Oddities(channels), 0.0, torch.zeros(len(taken), dtype=torch.float64), 0
        for stream, held in parts:
            before = frames
            try:
                for block in _blocks([(stream, held)]):
                    check_magnitude(block.T.numpy(), rate, frames)
                    odd.add(block.T.numpy())
                    block = _rows(block, taken)
                    energies += block.double().square().sum(1)
                    kept += float(block.mean(0).double().square().sum())
                    frames += block.shape[1]
            except (soundfile.SoundFileError, RuntimeError):
                return None
            except ValueError as error:
                raise ValueError(no_sound(path, error)) from error
            if held.forward:
                notes += held.told(frames - before)
            elif frames - before != held.frames:
                return None
    if not frames:
        return None
    notes += [*([in_words(lines)] if lines else []), *odd.told(rate)]
    if notes:
        tell(f"{path}: {'; '.join(notes)}")
    loudest = None
    if kept < CANCELLED * float(energies.mean()) / len(taken):
        loudest = int(energies.argmax())
        AudioClip.tell_cancelled(str(path), kept / float(energies.mean()), loudest)
    return LongSound(tuple(parts), rate, taken, frames, loudest)


def _rows(block: Tensor, taken: Sequence[int]) -> Tensor:
    """Some channels of a block; of all of them no copy."""
    return block if list(taken) == list(range(len(block))) else block[list(taken)]


def _blocks(parts: Iterable[tuple[Stream, Header]]) -> Iterator[Tensor]:
    """The samples of streams, float32 [channels, time]."""
    for stream, held in parts:
        for block in blocks(stream, held, _BLOCK):
            yield torch.from_numpy(block.T.copy())


def resampled_pieces(pieces: Iterable[Tensor], frames: int, from_hz: int, to_hz: int) -> Iterator[Tensor]:
    """One channel at another rate, float32 [time] in pieces; together what :meth:`AudioClip.resample` makes of it all.

    Args:
        pieces: float32 [time] each.
        frames: samples of all of them.
        from_hz, to_hz: the rates.
    """
    import soxr

    wanted = resampled_length(frames, from_hz, to_hz)
    stream = None
    if to_hz != from_hz:
        stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")
    done = seen = 0
    for samples in pieces:
        seen += len(samples)
        if stream is not None:
            samples = torch.from_numpy(stream.resample_chunk(samples.numpy(), last=seen >= frames))
        samples = samples[: wanted - done]
        done += len(samples)
        if len(samples):
            yield samples
    if done < wanted:
        yield torch.zeros(wanted - done)
