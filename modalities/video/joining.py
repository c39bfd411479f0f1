"""Frames that are made in place of parts of a film, which keeps its rate and its size.

Does not know: codes, networks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tokenmask.modalities.image.joining import at_pixels
from tokenmask.modalities.image.media import Image
from tokenmask.modalities.keeping import length_of, places_of, places_taken
from tokenmask.modalities.video.media import VideoClip, frames_at


def joined(made: VideoClip, given: VideoClip, keep: Tensor) -> VideoClip:
    """What is kept of a clip, pixel by pixel, and what is made elsewhere.

    Args:
        made: with its stream; it is shown at the rate of ``given`` and brought to its size.
        given: a clip. Where the stream goes on behind its end, so does the result.
        keep: bool [time], or bool [time, row, column], of the stream.

    Returns:
        at the rate and of the size of ``given``, with the stream of ``made``; of its length too, or longer.
    """
    assert made.stream is not None and made.stream.spec.rate_hz is not None  # it was decoded
    rate, rate_hz, own = given.frame_rate_hz, made.stream.spec.rate_hz, len(given.frames)
    coded = frames_at(made.frame_rate_hz, own, rate)
    size = length_of(own, rate, coded, len(made.frames), made.frame_rate_hz, rate_hz)
    taken, pixels = places_taken(coded, made.frame_rate_hz, rate_hz), tuple(given.frames.shape[1:3])
    places = places_of(size, rate, rate_hz, len(keep), own=own, taken=taken)
    shown = places_of(size, rate, made.frame_rate_hz, len(made.frames)).tolist()
    frames = given.frames.new_empty(size, *given.frames.shape[1:])
    frames[:own] = given.frames[:size]
    for number, (place, frame) in enumerate(zip(places.tolist(), shown, strict=True)):
        kept = keep[place] if number < own else torch.zeros_like(keep[place])
        if bool(kept.all()):
            continue
        anew = Image(made.frames[frame]).resize(*pixels).pixels
        if kept.dim() == 2:
            anew = torch.where(at_pixels(kept, pixels)[..., None], frames[number], anew)
        frames[number] = anew
    return VideoClip(frames, rate, made.stream)
