"""Waves that are made in place of parts of a recording, which stays at its rate.

Does not know: codes, networks.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from tokenmask.modalities.eeg.media import EegRecording
from tokenmask.modalities.eeg.network import EegTokenizerConfig
from tokenmask.modalities.keeping import check_keep, length_of, places_of, places_taken
from tokenmask.modalities.seams import crossfaded, reflected
from tokenmask.modalities.windows import cut
from tokenmask.streams import TokenStream


def joined(made: EegRecording, given: EegRecording, keep: Tensor) -> EegRecording:
    """What is kept of a recording, sample by sample, and what is made elsewhere, which fades in over a token.

    Args:
        made: with its stream and as many channels; it is resampled.
        given: at any rate. Where the stream goes on behind its end, so does the result; what is made there fades in
            over the last of the recording, backwards.
        keep: bool [channel, time] of the stream, or bool [channel, samples of the result].

    Returns:
        at the rate of ``given``, with its session and the stream of ``made``; of its length too, or longer.

    Raises:
        ValueError: a keep of another shape.
    """
    assert made.stream is not None and made.stream.spec.rate_hz is not None  # it was decoded
    channels, places = made.stream.grid
    rate, rate_hz = given.sample_rate_hz, made.stream.spec.rate_hz
    time, made_hz = given.samples.shape[1], made.sample_rate_hz
    coded = round(time * made_hz / rate)
    size = length_of(time, rate, coded, made.samples.shape[1], made_hz, rate_hz)
    check_keep(keep, made.stream.grid, (channels, size))
    own = {"own": time, "taken": places_taken(coded, made_hz, rate_hz)}
    at_samples = places_of(size, rate, rate_hz, places, **own) if keep.shape == made.stream.grid else None
    mixed = torch.empty(channels, size)
    for row, samples in enumerate(given.samples):
        kept = keep[row] if at_samples is None else keep[row, at_samples]
        mixed[row] = joined_row(made.samples[row], made_hz, samples, rate, kept, rate_hz)
    return replace(given, samples=mixed, stream=made.stream, source="")


def joined_row(made: Tensor, made_hz: float, given: Tensor, rate: float, keep: Tensor, places_hz: float) -> Tensor:
    """One channel of :func:`joined`.

    Args:
        made, given: float32 [time], each at its rate.
        made_hz, rate: samples a second of both.
        keep: bool [samples of the result].
        places_hz: places of the stream in a second.
    """
    keep, fade = keep.clone(), max(1, round(rate / places_hz))
    keep[len(given) :] = False
    if bool(keep.all()):
        return given
    anew = cut(EegRecording(made[None], made_hz, ("made",)).resample(rate).samples[0], 0, len(keep))
    return crossfaded(anew, reflected(given, len(keep), fade), keep, fade)


def check_size(stream: TokenStream, config: EegTokenizerConfig, channels: int, samples: int, rate: float) -> None:
    """ValueError for other channels than those of a stream, or more samples at a rate than its tokens have."""
    tokens = samples * config.sample_rate_hz / rate / config.stride
    if channels != stream.grid[0] or tokens > stream.grid[1] + 0.5:  # resampling rounds
        got = described(channels, samples, rate)
        raise ValueError(
            f"given must have the stream's channels, and its tokens at the most, {list(stream.grid)}, got {got}"
        )


def described(channels: int, samples: int, rate_hz: float) -> str:
    """A recording as messages show it."""
    return f"EegRecording({channels} channels, {samples / rate_hz:g} s at {rate_hz:g} Hz)"


def names_of(stream: TokenStream) -> tuple[str, ...]:
    """The channels of a stream; numbers where it has no labels."""
    return stream.labels.get("channel") or tuple(str(number + 1) for number in range(stream.grid[0]))
