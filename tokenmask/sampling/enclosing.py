"""Enclosing: what is filled in of a text stands between words that stay, however they fall into codes.

Does not know: models, orders, tokenizers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch

from tokenmask.sampling.automaton import Automaton, Machine, check_pieces


@dataclass(frozen=True)
class Encloses(Automaton):
    """What is filled in of a text begins with some words and ends with others, which do not overlap.

    So an edit that begins or ends inside of a code changes nothing but what it was asked to. The machine of the last
    words is that of Knuth, Morris and Pratt, doi:10.1137/0206024.

    Args:
        before, after: the words, in the spelling of the pieces.
        pieces: what each code says; "" says nothing, as the end code, and is never drawn.
        stream: name of the stream.
    """

    before: str = ""
    after: str = ""
    pieces: tuple[str, ...] = ()
    stream: str = "text"
    whole: ClassVar[bool] = False

    def machine(self, size: int, end: int | None) -> Machine:
        check_pieces(self, size)
        return _machine(self.before, self.after, self.pieces)

    def fits(self, places: int) -> bool:
        """Whether so many codes can say it."""
        machine = self.machine(len(self.pieces), None)
        can = machine.accepting
        for _ in range(places):
            can = ((machine.steps >= 0) & can[machine.steps.clamp(min=0)]).any(1)
        return bool(can[0])


@lru_cache(maxsize=16)
def _machine(before: str, after: str, pieces: tuple[str, ...]) -> Machine:
    """State n up to len(before): n of its letters were said; behind, so many of those of ``after`` were said last."""
    first, count = len(before), len(after)
    states = first + count + 1
    letters = set("".join(pieces))
    follows: list[dict[str, int]] = [{one: number + 1} for number, one in enumerate(before)]
    for number in range(count + 1):
        said = after[:number]
        follows.append({one: first + _longest(said + one, after) for one in letters})
    steps = torch.full((states, len(pieces)), -1)
    for state in range(states):
        for code, piece in enumerate(pieces):
            to = state if piece else -1
            for one in piece:
                to = follows[to].get(one, -1)
                if to < 0:
                    break
            steps[state, code] = to
    accepting = torch.zeros(states, dtype=torch.bool)
    accepting[-1] = True
    return Machine(steps, accepting)


def _longest(said: str, words: str) -> int:
    """How many letters of ``words`` stand at the end of what was said."""
    return next(many for many in range(min(len(said), len(words)), -1, -1) if said.endswith(words[:many]))
