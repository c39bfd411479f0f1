"""Philox4x32-10 in torch integers: the meaning of every draw, and the purposes that keep draws apart.

Counter: word 0 the slot, word 1 the purpose, words 2 and 3 the caller's 64-bit counter (low word first). Key: the
64-bit seed (low word first). ``csrc/include/tokenmask/philox.h`` does the same for the kernels.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from enum import IntEnum

import torch
from torch import Tensor

_LOW = 0xFFFFFFFF


class Purpose(IntEnum):
    """What a draw is for. Two purposes never share bits, whatever their counters."""

    mask = 0
    code = 1
    order = 2
    corruption = 3
    resample = 4
    latent = 5
    dropout = 6
    rate = 7
    crop = 8


def multiply_high(a: Tensor, b: int | Tensor) -> Tensor:
    """High 32 bits of the product of two unsigned 32-bit numbers, held in int64."""
    low, high = b & 0xFFFF, b >> 16
    return (a * high + ((a * low) >> 16)) >> 16


def philox4x32(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Ten rounds of Philox4x32.

    Args:
        counter: four int64 tensors of one shape that hold unsigned 32-bit words.
        key: two such tensors.

    Returns:
        Four new int64 tensors of that shape that hold unsigned 32-bit words.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = multiply_high(c0, 0xD2511F53), (c0 * 0xD2511F53) & _LOW
        high1, low1 = multiply_high(c2, 0xCD9E8D57), (c2 * 0xCD9E8D57) & _LOW
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) & _LOW, (k1 + 0xBB67AE85) & _LOW
    return c0, c1, c2, c3


def draw_reference(seed: int | Tensor, slot: Tensor, purpose: int, counter: Tensor) -> tuple[Tensor, ...]:
    """The four words of a draw, with the project's use of counter and key.

    Args:
        seed: int, or int64 that broadcasts with ``slot`` and ``counter``.
        slot: int64, at least 0.
        purpose: one of :class:`Purpose`.
        counter: int64, all 64 bits count.

    Returns:
        Four int64 tensors of the broadcast shape that hold unsigned 32-bit words.
    """
    seeds = seed if isinstance(seed, Tensor) else torch.full_like(counter, seed)
    seeds, slot, counter = torch.broadcast_tensors(seeds, slot, counter)  # type: ignore[no-untyped-call]
    words = (slot & _LOW, torch.full_like(slot, purpose), counter & _LOW, (counter >> 32) & _LOW)
    return philox4x32(words, (seeds & _LOW, (seeds >> 32) & _LOW))


def uniform24(word: Tensor) -> Tensor:
    """The upper 24 bits of a 32-bit word as float32 in [0, 1), exact."""
    return (word >> 8).float() * 2.0**-24
