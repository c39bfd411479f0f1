"""Long signals through a network, in windows of one size and always as many together.

Sums of products depend on how many rows go together; so here they never change, and what a network gives for a window
is equal, bit for bit, alone, in any batch, for any length of the signal and for any number of threads, on one machine.

Does not know: media, networks, codes. Works on plain tensors.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tokenmask.threads import look_again

Run = Callable[[Tensor], Tensor]
"""Windows [together, size, ...] -> [together, places, ...]; each output depends on its own window only."""


Beyond = Tensor | Literal["nearest"] | None
"""What stands before the beginning and after the end of values: these [...], the first and the last, or zeros."""


def cut(values: Tensor, start: int, length: int, beyond: Beyond = None) -> Tensor:
    """``length`` values from ``start``, which may lie before or after what is there.

    Args:
        values: any dtype, [time, ...].
        start: of the piece; may be negative.
        length: of the piece.
        beyond: see :data:`Beyond`.

    Returns:
        [length, ...], a view of ``values`` where all of it is inside.
    """
    if 0 <= start <= len(values) - length:
        return values[start : start + length]
    inside = values[max(start, 0) : max(start + length, 0)]
    before = min(max(-start, 0), length)
    piece = values.new_zeros(length, *values.shape[1:])
    if isinstance(beyond, Tensor):
        piece[:] = beyond
    elif beyond == "nearest":
        piece[:before], piece[before:] = values[0], values[-1]
    piece[before : before + len(inside)] = inside
    return piece


@dataclass(frozen=True)
class Windows:
    """Windows that begin at multiples of ``step`` and also hold what is next to them.

    Args:
        step: values from one window to the next.
        halo: values on either side that are looked at besides.
        together: windows that go through the network at once.
    """

    step: int
    halo: int
    together: int

    @property
    def size(self) -> int:
        """Values of a window."""
        return self.step + 2 * self.halo

    def of(self, values: Tensor, beyond: Beyond = None) -> Iterator[Tensor]:
        """The windows [size, ...] of values [time, ...], the last filled up; see :func:`cut`."""
        for start in range(0, len(values), self.step):
            yield cut(values, start - self.halo, self.size, beyond)

    def of_pieces(self, pieces: Iterable[Tensor], length: int, beyond: Beyond = None) -> Iterator[Tensor]:
        """The same of ``length`` values that come in pieces [time, ...]."""
        values = Forward(pieces)
        for start in range(0, length, self.step):
            first, stop = max(start - self.halo, 0), min(start + self.step + self.halo, length)
            yield cut(values.take(first, stop), start - self.halo - first, self.size, beyond)

    def run(self, windows: Iterable[Tensor], run: Run) -> Iterator[Tensor]:
        """What the network gives for each window, [places, ...]; groups that are not full are filled with zeros."""
        for group in grouped(windows, self.together):
            batch = group[0].new_zeros(self.together, *group[0].shape)
            torch.stack(group, out=batch[: len(group)])
            look_again()
            yield from run(batch)[: len(group)]

    def through(self, signals: Iterable[Tensor], run: Run, beyond: Beyond = None) -> Iterator[Tensor]:
        """What the network gives for whole signals, of which few windows are in memory at a time.

        Args:
            signals: [time, ...] each, not empty, all of one shape but for their length.
            run: see :data:`Run`.
            beyond: what is around a signal, see :data:`Beyond`.

        Yields:
            For each signal [windows * places, ...]; cut it where the signal ends.
        """
        counts: list[int] = []

        def windows() -> Iterator[Tensor]:
            for signal in signals:
                counts.append(-(-len(signal) // self.step))
                yield from self.of(signal, beyond)

        made, parts = self.run(windows(), run), []
        done = 0
        for part in made:
            parts.append(part)
            if len(parts) == counts[done]:
                yield torch.cat(parts)
                parts, done = [], done + 1


class Forward:
    """Values that come in pieces, taken from front to back: what is behind is let go.

    Args:
        pieces: [time, ...] each.
    """

    def __init__(self, pieces: Iterable[Tensor]) -> None:
        self._rest = iter(pieces)
        self._held: Tensor | None = None
        self._first = 0

    def take(self, start: int, stop: int) -> Tensor:
        """Values ``start`` .. ``stop`` - 1, or up to their end; ``start`` never goes back."""
        held = next(self._rest) if self._held is None else self._held
        while True:
            behind = min(start - self._first, len(held))
            held, self._first = held[behind:], self._first + behind
            if len(held) >= stop - self._first or (piece := next(self._rest, None)) is None:
                break
            held = torch.cat([held, piece]) if len(held) else piece
        self._held = held
        return held[: stop - start]


def grouped(parts: Iterable[Tensor], size: int) -> Iterator[list[Tensor]]:
    """Lists of ``size`` of them, the last perhaps shorter."""
    rest = iter(parts)
    while group := list(itertools.islice(rest, size)):
        yield group
