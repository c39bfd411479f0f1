"""Sound that is made in place of parts of other sound, which stays in its rate and with its channels.

Does not know: codes, networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from tokenmask.modalities.audio.long import LongSound, resampled_pieces
from tokenmask.modalities.audio.media import AudioClip, resampled_length
from tokenmask.modalities.keeping import check_keep, length_of, places_of, places_taken
from tokenmask.modalities.seams import crossfaded, mixed, nearness, reflected
from tokenmask.modalities.windows import Forward, cut

FADE_SECONDS = 0.01  # of what is made beside what is kept


def joined(
    made: AudioClip, given: AudioClip, keep: Tensor, fade_seconds: float = FADE_SECONDS, hop: int | None = None
) -> AudioClip:
    """What is kept of a clip, sample by sample, and what is made elsewhere.

    Args:
        made: with its stream; it is resampled. Unless it has as many channels as the clip, its mean stands in all.
        given: a clip of any rate and channels. Where the stream goes on behind its end, so does the result; what is
            made there fades in over the last of the clip, backwards.
        keep: bool [places of the stream], or bool [samples of the result].
        fade_seconds: over which what is made fades in.
        hop: samples of ``made`` that a place stands for, where that is not what the rate of the stream says.

    Returns:
        at the rate and with the channels of ``given``, with the stream of ``made``; of its length too, or longer.

    Raises:
        ValueError: a keep of another shape.
    """
    assert made.stream is not None and made.stream.spec.rate_hz is not None  # it was decoded
    places, rate_hz, rate = made.stream.grid[0], made.stream.spec.rate_hz, given.sample_rate_hz
    time = given.samples.shape[1]
    coded = resampled_length(time, rate, made.sample_rate_hz)
    places_hz = made.sample_rate_hz / hop if hop else rate_hz
    size = length_of(time, rate, coded, made.samples.shape[1], made.sample_rate_hz, places_hz)
    check_keep(keep, (places,), (size,))
    if len(keep) != size:
        taken = places_taken(coded, made.sample_rate_hz, places_hz)
        keep = keep[places_of(size, rate, rate_hz, places, own=time, taken=taken)]
    keep = keep.clone()
    keep[time:] = False
    fade = round(fade_seconds * rate)
    anew = made.resample(rate).samples
    anew = cut((anew if len(anew) == len(given.samples) else anew.mean(0, keepdim=True)).T, 0, size).T
    return AudioClip(crossfaded(anew, reflected(given.samples, size, fade), keep, fade), rate, made.stream)


class HeldSound:
    """A clip as :func:`joined_pieces` takes it."""

    def __init__(self, clip: AudioClip) -> None:
        self._samples = clip.samples
        self.sample_rate_hz, (self.channels, self.frames) = clip.sample_rate_hz, clip.samples.shape

    def blocks(self) -> Iterator[Tensor]:
        """All of it."""
        yield self._samples


def joined_pieces(
    made: Iterable[Tensor], made_hz: int, sound: LongSound | HeldSound, keep: Tensor, size: int, places_hz: float
) -> Iterator[Tensor]:
    """What :func:`joined` gives for a file, float32 [channels, time] in pieces.

    Args:
        made, made_hz: one channel in pieces float32 [time], of all that the stream says, and its rate.
        sound: the file, or a clip.
        keep: bool [places of the stream].
        size: samples of the result, see :func:`~tokenmask.modalities.keeping.length_of`.
        places_hz: places of the stream in a second.
    """
    rate, time, places = sound.sample_rate_hz, sound.frames, len(keep)
    taken = places_taken(resampled_length(time, rate, made_hz), made_hz, places_hz)
    fade = round(FADE_SECONDS * rate)
    given = Forward(block.T for block in _reflected(sound, fade, size))
    begin, whole = 0, round(places / places_hz * made_hz)
    for piece in _to_size(resampled_pieces(made, whole, made_hz, rate), size):
        stop, first = begin + len(piece), max(0, begin - fade)
        last = min(stop + fade, size)
        kept = keep[places_of(last - first, rate, places_hz, places, own=time, taken=taken, first=first)]
        kept[max(time - first, 0) :] = False
        inside = slice(begin - first, stop - first)
        source = given.take(begin, stop).T
        yield mixed(piece, source, kept[inside], nearness(kept, fade)[inside])
        begin = stop


def _reflected(sound: LongSound | HeldSound, reach: int, size: int) -> Iterator[Tensor]:
    """The blocks of a file, and what :func:`reflected` puts behind its end."""
    last = torch.zeros(sound.channels, 0)
    for block in sound.blocks():
        yield block
        last = torch.cat([last, block], 1)[:, -reach:].clone()
    if sound.frames < size:
        yield reflected(last, last.shape[1] + size - sound.frames, reach)[:, last.shape[1] :]


def _to_size(pieces: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """Pieces float32 [time], cut or with silence behind them, so that they have ``size`` samples in all."""
    done = 0
    for piece in pieces:
        piece = piece[: size - done]
        done += len(piece)
        if len(piece):
            yield piece
    if done < size:
        yield torch.zeros(size - done)
