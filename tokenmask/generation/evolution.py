"""Evolution: what scored well is cut into fragments, put together in other ways, and a segment of that made anew.

Arrow: fragments with scores --**RemaskEvolution.proposal**--> codes with open places --> (filled and scored elsewhere)
--**Fragments.take**--> fragments. Does not know: models, media, where scores come from.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from tokenmask.ops import Purpose, uniform
from tokenmask.scores.arguments import whole

OPEN = -1  # a place to be filled
_DRAWS = 256  # of one proposal and what comes of it


@dataclass(frozen=True)
class FragmentRemask:
    """One segment between delimiters becomes open places, more or fewer than it had.

    Source: fragment remasking of GenMol, arXiv:2501.06158, section 4.

    Args:
        delimiter: the code that stands between two segments.
        least, most: open places; every number of them is equally likely, whatever the segment had.
    """

    delimiter: int
    least: int = 5
    most: int = 15

    def __post_init__(self) -> None:
        whole("FragmentRemask.delimiter", self.delimiter, least=0)
        whole("FragmentRemask.least", self.least)
        whole("FragmentRemask.most", self.most)
        if self.most < self.least:
            raise ValueError(
                f"FragmentRemask.most must be at least the least, {self.least}, got {self.most}; swap them"
            )

    def __call__(self, codes: Sequence[int], which: float, count: float, longest: int | None = None) -> list[int]:
        """The codes with ``OPEN`` in the place of a segment.

        Args:
            codes: without open places.
            which, count: in [0, 1), of the segment and of the number of places.
            longest: most codes of what comes out, one at the least; fewer places are opened there, and only segments
                that leave room for one are drawn, of codes without any such after their last one is lost.
        """
        parts, room = segments(codes, self.delimiter), list[float]()
        while not any(left > 0 for left in room):
            parts = parts[:-1] if room else parts
            others = len(joined(parts, self.delimiter))
            room = [math.inf if longest is None else longest - others + len(part) for part in parts]
        number = [at for at, left in enumerate(room) if left > 0][int(which * sum(left > 0 for left in room))]
        opened = int(min(self.places(count), room[number]))
        return joined([*parts[:number], [OPEN] * opened, *parts[number + 1 :]], self.delimiter)

    def places(self, draw: float) -> int:
        """How many are opened, by a draw in [0, 1)."""
        return self.least + int(draw * (self.most - self.least + 1))


@dataclass(frozen=True)
class RemaskEvolution:
    """How fragments that scored well become proposals, and proposals fragments.

    Two fragments are drawn, put together, and one segment of that is made anew (:class:`FragmentRemask`). What scores
    better than the worst fragment that is kept is cut at delimiters, and its fragments stay with its score while they
    are among the best. Source: GenMol, arXiv:2501.06158, section 4, whose molecules are cut at bonds.

    Args:
        remask: how a segment is opened.
        population: fragments that are kept.
        cuts: delimiters that what is kept is cut at, each alone and drawn, so that a cut gives two fragments.
        warmup: proposals that are put together and no more, before the first one is made anew.
        together: proposals that are made of the same fragments before any of them is scored; more of them are filled
            faster.
        shortest: of fewer codes than that, what was put together is extended by open segments, and stays.
        longest: most codes; what was put together loses its last segments until it fits. None is any number.
    """

    remask: FragmentRemask
    population: int = 100
    cuts: int = 3
    warmup: int = 0
    together: int = 1
    shortest: int = 0
    longest: int | None = None

    def __post_init__(self) -> None:
        for name, least in {"population": 2, "cuts": 1, "warmup": 0, "together": 1, "shortest": 0}.items():
            whole(f"RemaskEvolution.{name}", getattr(self, name), least=least)
        if self.cuts > _DRAWS // 2:
            raise ValueError(f"RemaskEvolution.cuts must be at most {_DRAWS // 2}, got {self.cuts}; cut less often")
        if self.longest is not None and whole("RemaskEvolution.longest", self.longest) < self.shortest:
            raise ValueError(
                f"RemaskEvolution.longest must be at least the shortest, {self.shortest}, got {self.longest}; raise it"
            )

    def proposal(self, fragments: Fragments, number: int, seed: int) -> list[int]:
        """Codes, ``OPEN`` where they are to be filled, by the fragments, the number of the proposal and the seed.

        Raises:
            ValueError: fewer than two fragments.
        """
        kept = fragments.codes
        if len(kept) < 2:
            raise ValueError(f"two fragments are put together, but only {len(kept)} scored; begin with more")
        draws, between = _draws(number, seed), self.remask.delimiter
        first = int(draws[0] * len(kept))
        second = (first + 1 + int(draws[1] * (len(kept) - 1))) % len(kept)
        parts = [*segments(kept[first], between), *segments(kept[second], between)]
        while self.longest is not None and len(parts) > 1 and len(joined(parts, between)) > self.longest:
            parts.pop()
        codes = joined(parts, between)
        if number < self.warmup:
            return codes
        if len(codes) >= self.shortest:
            return self.remask(codes, draws[2], draws[3], self.longest)
        for draw in draws[4 : _DRAWS // 2]:
            if len(codes) >= self.shortest:
                break
            room = (self.longest or math.inf) - len(codes) - 1
            codes = [*codes, between, *[OPEN] * int(min(self.remask.places(draw), room))]
        return codes

    def fragments_of(self, codes: Sequence[int], number: int, seed: int) -> list[tuple[int, ...]]:
        """What codes are cut into; they themselves where they are one segment."""
        parts, found = segments(codes, self.remask.delimiter), list[tuple[int, ...]]()
        if len(parts) == 1:
            return [tuple(codes)]
        for draw in _draws(number, seed)[_DRAWS // 2 : _DRAWS // 2 + self.cuts]:
            at = 1 + int(draw * (len(parts) - 1))
            found += [tuple(joined(some, self.remask.delimiter)) for some in (parts[:at], parts[at:])]
        return found


@dataclass(eq=False)
class Fragments:
    """The fragments that are kept, the best first; those of one score in the order in which they came.

    Args:
        evolution: says how many there are, and how what comes is cut.
        seed: of the cuts.
    """

    evolution: RemaskEvolution
    seed: int
    _best: list[tuple[float, int, tuple[int, ...]]] = field(default_factory=list)
    _came: int = 0

    @property
    def codes(self) -> list[tuple[int, ...]]:
        """Of each."""
        return [codes for _, _, codes in self._best]

    @property
    def scores(self) -> list[float]:
        """Of each."""
        return [-worse for worse, _, _ in self._best]

    def take(self, codes: Sequence[int], score: float | None, number: int) -> None:
        """Cuts what was scored, if that is better than the worst that is kept, or fewer are kept than may be.

        Args:
            codes: without open places.
            score: None where it is no medium at all, which nothing is kept of.
            number: of the proposal.
        """
        if score is None or (len(self._best) >= self.evolution.population and score <= self.scores[-1]):
            return
        for fragment in self.evolution.fragments_of(codes, number, self.seed):
            known = next((one for one in self._best if one[2] == fragment), None)
            if known is not None:
                if known[0] <= -score:
                    continue
                self._best.remove(known)
            bisect.insort(self._best, (-score, self._came, fragment))
            self._came += 1
        del self._best[self.evolution.population :]


def segments(codes: Sequence[int], delimiter: int) -> list[list[int]]:
    """What stands between delimiters, from left to right; one at the least."""
    found = [list[int]()]
    for code in codes:
        if code == delimiter:
            found.append([])
        else:
            found[-1].append(code)
    return found


def joined(parts: Sequence[Sequence[int]], delimiter: int) -> list[int]:
    """Segments with delimiters between them."""
    return [code for number, part in enumerate(parts) for code in ([delimiter] if number else []) + list(part)]


def _draws(number: int, seed: int) -> list[float]:
    counters = torch.arange(number * _DRAWS, (number + 1) * _DRAWS)
    found: list[float] = uniform(seed=seed, counters=counters, purpose=Purpose.crop).double().tolist()
    return found
