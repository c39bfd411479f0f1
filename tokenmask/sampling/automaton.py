"""Automata: constraints on what a whole stream says, exact at every slot whatever stands and whatever is open.

Arrow: inside the Sampler loop, SlotContext --> bool [N, V]. Does not know: models, orders.
A code may be drawn if the other open slots of its row can still be filled so that the whole is accepted. Where a step
reveals several slots each is judged beside what stood before it, so only one slot a step is certain to end well.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor

from tokenmask.batch import FILL
from tokenmask.sampling.constraint import AllowAll, Constraint
from tokenmask.sampling.context import SlotContext
from tokenmask.sampling.pattern import Pattern


@dataclass(frozen=True, eq=False)
class Machine:
    """States, and the steps that codes make between them; state 0 is the start.

    Args:
        steps: int64 [S, V], the next state; -1 where there is none.
        accepting: bool [S], where a stream may end.
    """

    steps: Tensor
    accepting: Tensor


class Automaton(Constraint):
    """Base of constraints that are a machine over the codes of level 0 of a stream."""

    stream: str
    whole: ClassVar[bool] = True  # from the first code of the stream on; False, from the first one that is to be filled

    @abstractmethod
    def machine(self, size: int, end: int | None) -> Machine:
        """The machine.

        Args:
            size: number of codes of the stream.
            end: its end code, after which nothing counts.
        """

    def allowed(self, context: SlotContext) -> Tensor | None:
        owner = context.layout.ranges[context.head]
        if (owner.stream, owner.level) != (self.stream, 0):
            return None
        machine = self.machine(owner.size, context.layout.streams[self.stream].end_code)
        batch, levels = context.state.batch, context.state.batch.shape[2]
        mine = (batch.stream == context.layout.index(self.stream)) & batch.valid
        if not self.whole:
            mine = mine & (batch.role[..., 0] == FILL)
        codes = torch.where(context.state.is_open, -1, context.layout.codes_of(batch.ids))[..., 0]
        positions = torch.div(context.slots, levels, rounding_mode="floor")
        row, mine = torch.div(positions, mine.shape[1], rounding_mode="floor"), mine.cpu()
        number = (mine.cumsum(1) - 1).flatten()[positions.cpu()]  # of the slot's place in the stream
        asked = mine.flatten()[positions.cpu()]
        found = torch.ones(len(row), owner.size, dtype=torch.bool)
        for one in sorted(set(row.tolist())):
            before, after = _reached(machine, codes[one][mine[one]].tolist())
            here = ((row.cpu() == one) & asked).nonzero().squeeze(1)
            ends_well = after[number[here] + 1][:, machine.steps.clamp(min=0)] & (machine.steps >= 0)  # [n, S, V]
            found[here] = (before[number[here]][:, :, None] & ends_well).any(1)
        return found


def _reached(machine: Machine, codes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """bool [P + 1, S] each: states that may hold before each place, and states from which the rest can end well.

    Args:
        machine: of S states.
        codes: of P places; -1 where one is open.
    """
    states = len(machine.steps)
    moves = torch.zeros(states, states + 1)
    moves.scatter_(1, torch.where(machine.steps >= 0, machine.steps, states), 1.0)
    some = moves[:, :states] > 0  # by any code
    before = torch.zeros(len(codes) + 1, states, dtype=torch.bool)
    after = torch.zeros(len(codes) + 1, states, dtype=torch.bool)
    before[0, 0], after[-1] = True, machine.accepting
    for place, code in enumerate(codes):
        if code < 0:
            before[place + 1] = (before[place][:, None] & some).any(0)
        else:
            to = machine.steps[before[place], code]
            before[place + 1, to[to >= 0]] = True
    for place in range(len(codes) - 1, -1, -1):
        if codes[place] < 0:
            after[place] = (some & after[place + 1]).any(1)
        else:
            to = machine.steps[:, codes[place]]
            after[place] = (to >= 0) & after[place + 1][to.clamp(min=0)]
    return before, after


@dataclass(frozen=True)
class StartsWith(Automaton):
    """What is filled in of a text starts with some words, however they fall into codes.

    Codes are allowed that the words left to say start with, and codes that start with these. Source: token alignment,
    arXiv:2403.08688, there from left to right; its own law is local, that of :class:`Restricted` with
    :class:`Particles` goes to the model's given the words.

    Args:
        text: the words, in the spelling of the pieces.
        pieces: what each code says; "" says nothing, as the end code, and may not come before the words are said.
        stream: name of the stream.
    """

    text: str = ""
    pieces: tuple[str, ...] = ()
    stream: str = "text"
    whole: ClassVar[bool] = False

    def machine(self, size: int, end: int | None) -> Machine:
        check_pieces(self, size)
        return _prefix_machine(self.text, self.pieces)

    def later(self) -> Constraint:
        """Nothing: the words are said."""
        return AllowAll()


@dataclass(frozen=True)
class MatchesPattern(Automaton):
    """A text matches a regular expression, as a whole, up to its end code.

    Args:
        pattern: see :class:`tokenmask.sampling.pattern.Pattern`.
        pieces: what each code says; "" is no text: after the end code anything may stand, others are never drawn.
        stream: name of the stream.
    """

    pattern: str = ".*"
    pieces: tuple[str, ...] = ()
    stream: str = "text"

    def __post_init__(self) -> None:
        Pattern(self.pattern)

    def machine(self, size: int, end: int | None) -> Machine:
        check_pieces(self, size)
        return _pattern_machine(self.pattern, self.pieces, end)

    def can_hold(self, codes: Sequence[int], end: int | None) -> bool:
        """Whether some filling of the places with -1 is accepted.

        Args:
            codes: of level 0 of the stream.
            end: its end code.
        """
        before, after = _reached(self.machine(len(self.pieces), end), codes)
        return bool((before[0] & after[0]).any())


def check_pieces(constraint: Any, size: int) -> None:
    """ValueError unless there is a piece for each code."""
    if len(constraint.pieces) != size:
        raise ValueError(
            f"{type(constraint).__name__}.pieces must have a string for each of {size} codes of "
            f"{constraint.stream!r}, got {len(constraint.pieces)}; see tokenmask.generation.pieces_of"
        )


@lru_cache(maxsize=16)
def _prefix_machine(text: str, pieces: tuple[str, ...]) -> Machine:
    """State n: n characters were said; the last one: all of them."""
    steps = torch.full((len(text) + 1, len(pieces)), -1)
    for said in range(len(text)):
        left = text[said:]
        for code, piece in enumerate(pieces):
            if piece and (piece.startswith(left) or left.startswith(piece)):
                steps[said, code] = min(said + len(piece), len(text))
    steps[len(text)] = len(text)
    accepting = torch.zeros(len(text) + 1, dtype=torch.bool)
    accepting[-1] = True
    return Machine(steps, accepting)


@lru_cache(maxsize=16)
def _pattern_machine(words: str, pieces: tuple[str, ...], end: int | None) -> Machine:
    """The sets of places of the pattern that codes can lead to, and one more for what follows the end code."""
    pattern = Pattern(words)
    numbers, waiting, rows = {pattern.start: 0}, [pattern.start], list[list[int]]()
    for state in waiting:
        row = []
        for code, piece in enumerate(pieces):
            after = state
            for one in piece:
                after = pattern.step(after, one)
            if code == end:
                row.append(-2 if pattern.accepts(state) else -1)
            elif not piece or not after:
                row.append(-1)
            else:
                if after not in numbers:
                    numbers[after] = len(numbers)
                    waiting.append(after)
                row.append(numbers[after])
        rows.append(row)
    steps = torch.tensor([*rows, [len(rows)] * len(pieces)])
    accepting = torch.tensor([*(pattern.accepts(state) for state in waiting), True])
    return Machine(torch.where(steps == -2, len(rows), steps), accepting)
