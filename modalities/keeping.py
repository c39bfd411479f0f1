"""What is kept of given media while the rest is decoded: checks and clocks that every modality has alike.

What comes out is as the given media are, in rate, channels and size: what is made is brought to them.

Does not know: media, tokenizers, streams.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import torch
from torch import Tensor

Media = TypeVar("Media")
_SHORT = 2  # places that codecs may leave out at the end of what they code
_ROUNDING = 1e-6  # of a place
_PART = 1 << 20  # steps whose places are found at once


def kept(given: Media | None, keep: Tensor | None) -> tuple[Media, Tensor] | None:
    """Both, or None where neither was passed.

    Raises:
        ValueError: only one of them.
    """
    if given is None and keep is None:
        return None
    if given is None or keep is None:
        raise ValueError("given and keep belong together, but only one was passed; pass both or neither")
    return given, keep


def check_keep(keep: Tensor, *shapes: tuple[int, ...]) -> None:
    """ValueError in one sentence unless ``keep`` is bool and of one of the shapes."""
    if keep.dtype != torch.bool or tuple(keep.shape) not in shapes:
        wanted = " or ".join(str(list(shape)) for shape in shapes)
        kind = str(keep.dtype).removeprefix("torch.")
        raise ValueError(f"keep must be bool {wanted}, got {kind} {list(keep.shape)}")


def check_nothing_kept(tokenizer: Any, given: Any, keep: Tensor | None) -> None:
    """ValueError where something is to be kept: for those who make media in pieces that can't be joined to others."""
    if kept(given, keep) is not None:
        raise ValueError(
            f"{type(tokenizer).__name__} joins what is given as a whole, not in pieces; continue it from its codes "
            "with keep_original=False, or all at once with generate"
        )


def length_of(own: int, own_hz: float, coded: int, made: int, made_hz: float, places_hz: float) -> int:
    """Steps of a result: as many as were given, or, where the stream goes on by a place or more, as long as that.

    Args:
        own, own_hz: steps of the given media, and how many are a second.
        coded: the steps that they have at the rate of the tokenizer, by the rounding of their medium.
        made, made_hz: of what was decoded.
        places_hz: places of the stream in a second.

    Raises:
        ValueError: media that go on where the stream is over.
    """
    place = made_hz / places_hz  # in steps
    if made - coded < -_SHORT * place:
        raise ValueError(
            f"given must be no longer than the stream, got {own / own_hz:g} s for {made / made_hz:g} s; cut it"
        )
    return own if made - coded < place * (1 - 1e-6) else max(own, round(made / made_hz * own_hz))


def places_taken(coded: int, made_hz: float, places_hz: float) -> int:
    """How many places of a stream the codes of media take that have ``coded`` steps at the rate of the tokenizer."""
    return max(math.ceil(coded * places_hz / made_hz - _ROUNDING), 1)


def places_of(
    steps: int, steps_hz: float, places_hz: float, places: int, *, own: int = 0, taken: int = 0, first: int = 0
) -> Tensor:
    """The place of a stream that each step of media lies in.

    Args:
        steps: how many steps, from ``first`` on.
        steps_hz, places_hz: steps and places in a second.
        places: of the stream; steps behind are of the last one.
        own, taken: so many steps are of given media, whose codes take so many places (:func:`places_taken`). Brought to
            the rate of the tokenizer their end is rounded, and a step that falls behind it is of the last of them.
        first: the first step.

    Returns:
        int32 [steps].
    """
    made = torch.empty(steps, dtype=torch.int32)
    for at in range(0, steps, _PART):
        part = made[at : at + _PART]
        middles = (torch.arange(first + at, first + at + len(part), dtype=torch.float64) + 0.5) * (places_hz / steps_hz)
        part.copy_(middles.floor_().clamp_(max=places - 1))
    made[: max(own - first, 0)].clamp_(max=max(taken, 1) - 1)
    return made


def without_edges(keep: Tensor, reach: int) -> Tensor:
    """bool [places], what is kept and has nothing that is made within ``reach`` places of it."""
    made = torch.nn.functional.max_pool1d((~keep).float()[None], 2 * reach + 1, 1, reach)[0]
    return made == 0
