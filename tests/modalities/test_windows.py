"""Windows: what is around values, lengths that do not fit, groups of one size, signals that are read when needed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tokenmask.modalities.windows import Beyond, Windows, cut

VALUES = torch.arange(1, 6)


@pytest.mark.parametrize(
    ("start", "length", "beyond", "wanted"),
    [
        (1, 3, None, [2, 3, 4]),
        (-2, 4, None, [0, 0, 1, 2]),
        (4, 3, None, [5, 0, 0]),
        (-1, 7, torch.tensor(9), [9, 1, 2, 3, 4, 5, 9]),
        (-2, 9, "nearest", [1, 1, 1, 2, 3, 4, 5, 5, 5]),
        (7, 2, None, [0, 0]),
        (7, 2, "nearest", [5, 5]),
        (-5, 2, "nearest", [1, 1]),
        (-5, 2, torch.tensor(7), [7, 7]),
        (2, 0, None, []),
    ],
)
def test_cut(start: int, length: int, beyond: Beyond, wanted: list[int]) -> None:
    assert cut(VALUES, start, length, beyond).tolist() == wanted
    wide = cut(VALUES[:, None].expand(-1, 2), start, length, beyond)
    assert wide.tolist() == [[one, one] for one in wanted]


def test_windows_overlap_by_their_halo() -> None:
    windows = Windows(step=2, halo=1, together=4)
    assert windows.size == 4
    assert [one.tolist() for one in windows.of(VALUES)] == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 0, 0]]


@pytest.mark.parametrize("lengths", [[5], [1, 8, 3], [2] * 9, []])
def test_signals_come_back_in_their_lengths(lengths: list[int]) -> None:
    """Whatever goes together, the network sees four windows, and every signal gets what is its own."""
    sizes: list[int] = []

    def run(windows: Tensor) -> Tensor:
        sizes.append(len(windows))
        return windows[:, 1:-1] * 10

    signals = [torch.arange(length) + 100 * number + 1 for number, length in enumerate(lengths)]
    made = list(Windows(step=2, halo=1, together=4).through(signals, run))
    assert [one[:length].tolist() for one, length in zip(made, lengths, strict=True)] == [
        (signal * 10).tolist() for signal in signals
    ]
    assert set(sizes) <= {4}


def test_few_signals_are_in_memory_at_a_time() -> None:
    taken = 0

    def signals() -> Iterator[Tensor]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield torch.ones(4)

    made = Windows(step=2, halo=0, together=4).through(signals(), lambda windows: windows)
    next(made)
    assert taken <= 3
