"""Pixels of many pictures of one size: in memory while they are few, else in a temporary file without a name.

Arrow: pixels, one picture after the other --**KeptPixels**--> pixels of any of them. Does not know: networks, streams.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from tokenmask.tokenizer.identity import fingerprint_of_parts

MOST_BYTES = 1 << 26  # that are held in memory
_PART = 1 << 22  # bytes that are looked at together


class KeptPixels:
    """uint8 [count, size, size, 3].

    Args:
        count: pictures.
        size: pixels of a side.
    """

    def __init__(self, count: int, size: int) -> None:
        self.shape = (count, size, size, 3)
        self._each = 3 * size * size
        self._file: Any = None
        self._held = torch.empty(0, dtype=torch.uint8)
        if count * self._each <= MOST_BYTES:
            self._held = torch.empty(self.shape, dtype=torch.uint8)
        else:
            self._file = tempfile.TemporaryFile(prefix="tokenmask-")  # noqa: SIM115 (closed with this)

    def __len__(self) -> int:
        return self.shape[0]

    def put(self, number: int, pixels: Tensor) -> None:
        """Keeps those of a picture, uint8 [size, size, 3]."""
        if self._file is None:
            self._held[number] = pixels
        else:
            os.pwrite(self._file.fileno(), pixels.contiguous().numpy().tobytes(), number * self._each)

    def of(self, numbers: Sequence[int]) -> Tensor:
        """uint8 [numbers, size, size, 3], in their order."""
        if self._file is None:
            return self._held[torch.tensor(numbers, dtype=torch.int64)]
        made = torch.empty(len(numbers), self._each, dtype=torch.uint8)
        for place, number in enumerate(numbers):
            made[place] = torch.frombuffer(bytearray(self._read(number, 1)), dtype=torch.uint8)
        return made.view(-1, *self.shape[1:])

    def parts(self) -> Iterator[Tensor]:
        """All of them in their order, some at a time."""
        at_once = max(1, _PART // self._each)
        for first in range(0, len(self), at_once):
            count = min(at_once, len(self) - first)
            if self._file is None:
                yield self._held[first : first + count]
            else:
                part = torch.frombuffer(bytearray(self._read(first, count)), dtype=torch.uint8)
                yield part.view(-1, *self.shape[1:])

    def variance(self) -> float:
        """Of the values in the network's scale, by counting them: exact, and small for any number of pictures."""
        counts = sum(part.reshape(-1).bincount(minlength=256).double() for part in self.parts())
        values = torch.arange(256, dtype=torch.float64) / 127.5 - 1
        share = torch.as_tensor(counts) / torch.as_tensor(counts).sum()
        return max(float(share @ values.square() - (share @ values) ** 2), 1e-6)

    def fingerprint(self) -> str:
        """As of a tensor named "pixels"."""
        return fingerprint_of_parts({}, "pixels", torch.uint8, self.shape, self.parts())

    def _read(self, first: int, count: int) -> bytes:
        return os.pread(self._file.fileno(), count * self._each, first * self._each)
