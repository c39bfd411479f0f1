"""Conditioning: which streams of a sample are given, filled and dropped.

Does not know: which conditioning.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import Tensor

from tokenmask.batch import ABSENT, FILL, GIVEN, Batch
from tokenmask.layout import Layout
from tokenmask.masking import Conditioning
from tokenmask.streams import StreamSpec
from tokenmask.testing.alike import alike
from tokenmask.testing.anything import in_any_company, value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.draws import follows_its_keys
from tokenmask.testing.world import LAYOUT, World

SEEDS = (0, 1, 2, 3)


@dataclass(frozen=True)
class Subject:
    """What is checked: the conditioning, and the rows of the world that it takes."""

    component: Conditioning

    @cached_property
    def layout(self) -> Layout:
        """The usual one, and behind its streams those that the conditioning names besides."""
        names = [name for name in self.component.odds if name not in LAYOUT.streams]
        return Layout({**LAYOUT.streams, **{name: StreamSpec(name, (3,), ("index",)) for name in names}})

    @cached_property
    def rows(self) -> World:
        """Those that are not refused: all streams of a row may have the odds 0."""
        taken = tuple(number for number in World().numbers if self._takes(World((number,))))
        require(bool(taken), "must take a row of text, audio or images, but refused them all")
        return World(taken)

    def _takes(self, world: World) -> bool:
        try:
            self.conditioned(world)
        except ValueError:
            return False
        return True

    def conditioned(self, world: World, seed: int = 0) -> Batch:
        """The rows of a world, given, filled and dropped."""
        return self.component(world.batch, self.layout, seed=seed)

    def drawn(self) -> list[Batch]:
        """The rows that it takes, under some seeds."""
        return [self.conditioned(self.rows, seed) for seed in SEEDS]


def _use(subject: Subject, world: World) -> list[Any]:
    mine = world if subject.rows.numbers == world.numbers else subject.rows
    return [subject.conditioned(mine, seed) for seed in SEEDS]


def changes_roles_and_validity_alone(subject: Subject) -> None:
    """Codes, streams, places and keys stay; what is absent stays absent, and what is there is given or filled."""
    clean = subject.rows.batch
    for batch in subject.drawn():
        rest = replace(batch, role=clean.role, valid=clean.valid)
        require(alike(rest, clean), "must change nothing of the batch but role and valid")
        absent = bool(((batch.role == ABSENT) == (clean.role == ABSENT)).all())
        require(absent, "must leave absent slots absent and no others")
        known = bool(((batch.role == ABSENT) | (batch.role == GIVEN) | (batch.role == FILL)).all())
        require(known, "roles must be ABSENT, GIVEN or FILL")
        require(bool((batch.valid <= clean.valid).all()), "must make no padding valid")


def every_row_fills_a_stream(subject: Subject) -> None:
    """Something is left to learn in every row: a stream that is filled, whole, and not dropped."""
    clean = subject.rows.batch
    for batch in subject.drawn():
        fill = batch.to_fill
        empty = ~fill.flatten(1).any(1)
        require(not bool(empty.any()), f"must fill a stream of every row, got none in row {int(empty.int().argmax())}")
        for stream in range(len(subject.layout.names)):
            own = (clean.stream == stream) & clean.valid
            kept, filled = batch.valid & own, (batch.role == FILL).any(-1) & own
            whole = (kept == own) | ~kept.any(1, keepdim=True)
            require(bool(whole.all()), "must drop a stream whole or not at all, but dropped a part")
            dropped = filled & ~batch.valid
            require(not bool(dropped.any()), "must not drop a stream that is to be filled")
        controls = (clean.stream < 0) & clean.valid
        require(bool(batch.valid[controls].all()), "must keep control positions valid, but dropped one")


def rows_do_not_matter_to_one_another(subject: Subject) -> None:
    """What becomes of a row follows from its own streams and key."""

    def answers(world: World) -> list[Tensor]:
        batch = subject.conditioned(world)
        return [batch.role, batch.valid]

    in_any_company(answers, subject.rows)


def draws_follow_seed_and_keys(subject: Subject) -> None:
    """Another seed and another key draw anew, or nothing is drawn."""

    def draw(seed: int, keys: int) -> Tensor:
        worlds = [replace(subject.rows, keys=keys + 50 * number) for number in range(6)]
        batches = [subject.conditioned(world, seed) for world in worlds]
        joined = batches[0]
        for batch in batches[1:]:
            joined = joined.join(batch)
        return joined.role.int() * 2 + joined.valid[:, :, None]

    follows_its_keys(draw)


CONDITIONINGS = Contract(
    "conditioning",
    Conditioning,
    (
        changes_roles_and_validity_alone,
        every_row_fills_a_stream,
        rows_do_not_matter_to_one_another,
        draws_follow_seed_and_keys,
        *value_requirements(_use),
    ),
    Subject,
)


def check_conditioning(conditioning: Conditioning) -> list[str]:
    """Runs every check of a conditioning; see :meth:`Contract.check` for what it returns and raises."""
    return CONDITIONINGS.check(conditioning)
