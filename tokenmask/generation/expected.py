"""Expected lengths: how long a new stream is, told by what is given, as records of a training had it.

Arrow: records --**ExpectedLengths.fit**--> weights of codes --**ExpectedLengths.of**--> a number of codes. Does not
know: models, tokenizers, corpora.

Each code that is given adds its own share to the length, as each phoneme does its duration in FastSpeech
(arXiv:1905.09263, section 3.3); here the shares are those of ridge regression on the counts of codes, with the penalty
that tells records best that were left out. A word that is always said slowly so asks for more seconds. What is cut off
is worse than a silence behind it, so the length is one that four of five such records stay within.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from tokenmask.corpus import Record
from tokenmask.generation.request import growing_axis
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tensor_files import load_tensors, save_tensors

MOST_RECORDS = 1024  # that one pair of streams is told by
MOST_CODES = 4096  # that have a share of their own, those that occur most; rarer ones take what any code takes
_FEWEST_RECORDS = 8
_ROOM = 0.84  # errors above the mean: where errors are normal, four of five records are shorter
_PENALTIES = tuple(4.0**power for power in range(-3, 9))


@dataclass(frozen=True)
class Seen:
    """Lengths of a stream in records.

    Args:
        least, median, most: places along its growing axis.
    """

    least: int
    median: int
    most: int

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Seen:
        """Of some lengths, at least one."""
        return cls(min(lengths), sorted(lengths)[len(lengths) // 2], max(lengths))


@dataclass(frozen=True, eq=False)
class Shares:
    """What each code of a given stream adds to the length of another.

    Args:
        codes: int64 [n], codes of the first level, in order.
        shares: float32 [n], places that one of each adds.
        every: places that any code adds, besides.
        constant: places without any.
        error: root of the mean squared difference of a record that was left out, in places.
    """

    codes: Tensor
    shares: Tensor
    every: float
    constant: float
    error: float

    def length(self, stream: TokenStream) -> float:
        """The mean of the places beside such a stream."""
        own = stream.codes[..., 0].flatten().long()
        known = own[torch.isin(own, self.codes)]
        shares = self.shares[torch.searchsorted(self.codes, known)]
        return self.constant + self.every * len(own) + float(shares.double().sum())


@dataclass(frozen=True, eq=False)
class ExpectedLengths:
    """How long streams of free length are, by what is given.

    Args:
        seen: stream -> its lengths in records; with a second name, in those that hold this one, too.
        shares: (stream, given stream) -> what its codes add; not of streams that say themselves where they end.
    """

    seen: Mapping[tuple[str, ...], Seen] = field(default_factory=dict)
    shares: Mapping[tuple[str, str], Shares] = field(default_factory=dict)

    @classmethod
    def fit(cls, records: Iterable[Record], longest: int | None = None) -> ExpectedLengths:
        """Learns from records; of more than ``MOST_RECORDS`` of a pair of streams so many are drawn, always alike.

        Args:
            records: of a training.
            longest: places of a stream with an end code that a model sees at once; of a longer one it saw a piece.
        """
        lengths: dict[tuple[str, ...], list[int]] = defaultdict(list)
        beside: dict[tuple[str, str], list[tuple[TokenStream, int]]] = defaultdict(list)
        for record in records:
            for name, stream in record.streams.items():
                if None not in stream.spec.grid:
                    continue
                size = stream.grid[growing_axis(stream.spec)]
                if longest is not None and stream.spec.end_code is not None:
                    size = min(size, longest)
                lengths[name,].append(size)
                for other, given in record.streams.items():
                    if other != name:
                        lengths[name, other].append(size)
                        if stream.spec.end_code is None:
                            beside[name, other].append((given, size))
        seen = {key: Seen.of(found) for key, found in lengths.items()}
        told = {key: found for key, found in beside.items() if len(found) >= _FEWEST_RECORDS}
        return cls(seen, {key: _regression(_some(found)) for key, found in told.items()})

    def of(self, name: str, spec: StreamSpec, given: Mapping[str, TokenStream]) -> int | None:
        """The length of a new stream, at least 1; None if nothing is known of it.

        Args:
            name: of the stream.
            spec: of its codes. One with an end code gets room for the longest of the records, and its end.
            given: the conditions; of several the one that told lengths best counts, and without any the median.
        """
        if (name,) not in self.seen:
            return None
        if spec.end_code is not None:
            beside = [self.seen[name, other].most for other in given if (name, other) in self.seen]
            return (max(beside) if beside else self.seen[name,].most) + 1
        pairs = [(self.shares[name, other].error, other) for other in given if (name, other) in self.shares]
        if not pairs:
            return max(self.seen[name,].median, 1)
        other = min(pairs)[1]
        limits, told = self.seen[name, other], self.shares[name, other]
        return min(max(round(told.length(given[other]) + _ROOM * told.error), limits.least, 1), max(limits.most, 1))

    def without(self, names: Iterable[str]) -> ExpectedLengths:
        """Those in which none of some streams takes part."""
        gone = set(names)
        return ExpectedLengths(
            {key: value for key, value in self.seen.items() if not gone & set(key)},
            {key: value for key, value in self.shares.items() if not gone & set(key)},
        )

    def over(self, earlier: ExpectedLengths) -> ExpectedLengths:
        """These, and of what they do not know those that were learned earlier."""
        return ExpectedLengths({**earlier.seen, **self.seen}, {**earlier.shares, **self.shares})

    def save(self, path: str | Path) -> None:
        """Writes one safetensors file."""
        about = {
            "seen": [[*key, asdict(value)] for key, value in self.seen.items()],
            "shares": [[*key, one.every, one.constant, one.error] for key, one in self.shares.items()],
        }
        tensors: dict[str, Tensor] = {}
        for (name, other), one in self.shares.items():
            tensors |= {f"{name}/{other}/codes": one.codes, f"{name}/{other}/shares": one.shares}
        save_tensors(path, tensors, about)

    @classmethod
    def load(cls, path: str | Path) -> ExpectedLengths:
        """Reads what :meth:`save` wrote.

        Raises:
            ValueError: a damaged file, or another.
        """
        tensors, about = load_tensors(path)
        try:
            seen = {tuple(key): Seen(**value) for *key, value in about["seen"]}
            shares = {
                (name, other): Shares(tensors[f"{name}/{other}/codes"], tensors[f"{name}/{other}/shares"], *numbers)
                for name, other, *numbers in about["shares"]
            }
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} holds no expected lengths ({error}); train the run again") from error
        return cls(seen, shares)


def _some(found: Sequence[tuple[TokenStream, int]]) -> list[tuple[TokenStream, int]]:
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(0))
    return [found[number] for number in order[:MOST_RECORDS].sort().values.tolist()]


def _regression(found: Sequence[tuple[TokenStream, int]]) -> Shares:
    """Ridge regression of lengths on counts of codes, in its dual form; counts are few where records are many."""
    rows = [stream.codes[..., 0].flatten().long() for stream, _ in found]
    codes, often = torch.unique(torch.cat(rows), return_counts=True)
    codes = codes[often.argsort(descending=True, stable=True)[:MOST_CODES].sort().values]
    own = [row[torch.isin(row, codes)] for row in rows]
    counts = torch.stack([torch.bincount(torch.searchsorted(codes, row), minlength=len(codes)) for row in own])
    wide = torch.cat([torch.tensor([[len(row)] for row in rows]), counts], 1).double()
    length = torch.tensor([size for _, size in found], dtype=torch.float64)
    middle, mean = wide.mean(0), length.mean()
    centred = wide - middle
    values, vectors = torch.linalg.eigh(centred @ centred.T)
    turned = vectors.T @ (length - mean)
    squares = vectors**2
    best: tuple[float, Tensor] | None = None
    for penalty in _PENALTIES:
        kept = values.clamp(min=0) / (values.clamp(min=0) + penalty)
        leverage = squares @ kept + 1 / len(length)
        left_out = (length - mean - vectors @ (kept * turned)) / (1 - leverage).clamp(min=1e-6)
        error = float(left_out.square().mean().sqrt())
        if best is None or error < best[0]:
            best = error, centred.T @ (vectors @ (turned / (values.clamp(min=0) + penalty)))
    assert best is not None
    error, weights = best
    return Shares(codes, weights[1:].float(), float(weights[0]), float(mean - middle @ weights), error)
