"""Tables out to several workers and back in their order, whatever becomes of the workers.

Arrow: tables --**in_order**--> their token tables. Does not know: what a worker is, how it is started or lost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pyarrow as pa

IN_HAND = 4  # tables a worker that are given out or wait for those before them
TRIES = 2  # workers that a row may be in hand of when they are lost
MOVES = 10  # times that rows may be given out again because a machine was lost, for which none of them is blamed


class Lost(Exception):
    """A worker is lost, and with it what it was given.

    Args:
        reason: what is said of a row that is to blame.
        blamed: whether one of the rows may have done it; a machine that is switched off is nobody's fault.
    """

    def __init__(self, reason: str, *, blamed: bool = True) -> None:
        super().__init__(reason)
        self.blamed = blamed


W = TypeVar("W")


def check_workers(workers: Any, each: str) -> None:
    """Refuses what is no number of workers.

    Raises:
        TypeError: no whole number and not None.
        ValueError: less than 1.
    """
    if workers is None:
        return
    if not isinstance(workers, int) or isinstance(workers, bool):
        raise TypeError(f"workers must be a whole number or None, got {workers!r}; None takes one for each {each}")
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}; None takes one for each {each}")


class Team(ABC, Generic[W]):
    """Some workers, each with one table at a time; a lost one is started anew by the team."""

    size: int

    @abstractmethod
    def free(self) -> Sequence[W]:
        """The workers that can be given a table now."""

    @abstractmethod
    def give(self, worker: W, table: pa.Table) -> None:
        """Gives a table to a free worker."""

    @abstractmethod
    def wait(self) -> Sequence[W]:
        """Waits until something happens; the workers whose answers can be taken."""

    @abstractmethod
    def take(self, worker: W) -> pa.Table:
        """The answer of a worker of :meth:`wait`.

        Raises:
            Lost: there will be none.
        """


@dataclass(eq=False)
class _Task:
    """A table, and what is known of its rows: answers by the row at which they begin."""

    table: pa.Table
    answers: dict[int, pa.Table] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return bool(self.answers) and sum(map(len, self.answers.values())) == len(self.table)


@dataclass(frozen=True, eq=False)
class _Part:
    """Some neighbouring rows of a task, and how often they were lost."""

    task: _Task
    start: int
    count: int
    tries: int = 0
    moves: int = 0

    @property
    def table(self) -> pa.Table:
        return self.task.table.slice(self.start, self.count)

    def again(self, lost: Lost) -> list[_Part]:
        """What is to be given out again; nothing, if the row is to blame."""
        if not lost.blamed and self.moves < MOVES:
            return [_Part(self.task, self.start, self.count, self.tries, self.moves + 1)]
        if self.tries + 1 >= TRIES and self.count == 1:
            return []
        rows = range(self.start, self.start + self.count)
        return [_Part(self.task, row, 1, self.tries + 1, self.moves) for row in rows]


def in_order(
    team: Team[W], tables: Iterator[pa.Table], refuse: Callable[[pa.Table, str], pa.Table]
) -> Iterator[pa.Table]:
    """The answers to some tables, in order; few are in memory.

    A table that was lost with its worker is tried again row by row. A row whose second worker is lost as well is
    refused, and costs no other row.

    Args:
        team: the workers.
        tables: read a few at a time.
        refuse: the answer to rows that are refused for a reason.
    """
    tasks: deque[_Task] = deque()
    again: deque[_Part] = deque()
    out: dict[int, _Part] = {}  # by id of the worker

    exhausted = False

    def next_part() -> _Part | None:
        nonlocal exhausted
        if again:
            return again.popleft()
        if exhausted or len(tasks) >= IN_HAND * team.size:
            return None
        table = next(tables, None)
        if table is None:
            exhausted = True
            return None
        tasks.append(_Task(table))
        return _Part(tasks[-1], 0, len(table))

    while True:
        for worker in team.free():
            part = next_part()
            if part is None:
                break
            out[id(worker)] = part
            team.give(worker, part.table)
        if exhausted and not tasks:
            return
        for worker in team.wait():
            part = out.pop(id(worker))
            try:
                part.task.answers[part.start] = team.take(worker)
            except Lost as lost:
                parts = part.again(lost)
                again += parts
                if not parts:
                    part.task.answers[part.start] = refuse(part.table, str(lost))
        while tasks and tasks[0].done:
            answers = tasks.popleft().answers
            yield pa.concat_tables([answers[start] for start in sorted(answers)])
