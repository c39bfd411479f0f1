"""Scores: which slots are hidden in training and revealed in sampling first.

Does not know: which score.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tokenmask.models import AttentionTap
from tokenmask.sampling.answers import found as words_for
from tokenmask.scores import Score, ScoreContext
from tokenmask.testing.alike import alike, finite, shaped
from tokenmask.testing.anything import in_any_company, value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.draws import follows_its_keys
from tokenmask.testing.world import World

STEPS = ((0, 1), (0, 4), (2, 4), (3, 4))
_OF_ALL_CODES = ("entropy", "margin")  # what is predicted of a slot whatever was drawn


def _contexts(score: Score, world: World) -> list[ScoreContext]:
    """Training, where a score can be used there, and steps of a generation, each with what the last one carried."""
    found = [] if score.reads_predictions else [world.context(predicted=False)]
    carry: Mapping[str, Tensor] = {}
    for index, steps in STEPS:
        context = replace(world.context(index, steps), carry=carry)
        found.append(_tapped(score, context, world))
        carry = {**carry, **score.observe(context)}
    return found


def _tapped(score: Score, context: ScoreContext, world: World) -> ScoreContext:
    """The context with what the score asks of the model."""
    asked = score.taps(replace(context, predictions={}))
    return replace(context, taps={str(getattr(tap, "name", tap)): _seen(tap, world) for tap in asked})


def _seen(tap: Hashable, world: World) -> Tensor:
    """What a model may have shown, by row and place: float32 [B, L, 8], or [B, 2, L, C] of attention."""
    places = world.chance(5)[:, :, :1]
    if not isinstance(tap, AttentionTap):
        return places * torch.arange(1, 9) % 1
    columns = tap.columns_of(len(world.numbers), places.device).expand(len(world.numbers), -1)[:, None]
    seen = torch.where(columns >= 0, (places + 0.37 * (columns + 1)) % 1 / 8, 0.0)
    return torch.stack([seen, seen.square()], 1)


def says_that_it_reads_predictions_if_it_taps(score: Score) -> None:
    """Taps are there once the model was asked, which is too late for a score that reads no predictions."""
    asked = any(score.taps(world_context) for world_context in _contexts(score, World()))
    require(score.reads_predictions or not asked, "must say reads_predictions, since it asks for taps of the model")


def _use(score: Score, world: World) -> list[Any]:
    return [(score(context), score.observe(context)) for context in _contexts(score, world)]


def scores_every_open_slot(score: Score) -> None:
    """float32 [B, L, K], finite where a slot is open and never NaN, in training and in every step."""
    for context in _contexts(score, World()):
        scores, shape = score(context), context.is_open.shape
        right = shaped(scores, torch.float32, shape)
        require(right, f"scores must be float32 {list(shape)}, got {words_for(scores)}")
        require(not bool(scores.isnan().any()), "scores may be anything but NaN, at closed slots too, got NaN")
        require(finite(scores[context.is_open]), "scores of open slots must be finite, got an infinity")


def rows_do_not_matter_to_one_another(score: Score) -> None:
    """A slot's score follows from its own row alone."""

    def answers(world: World) -> list[Tensor]:
        found = []
        for context in _contexts(score, world):
            found.append(torch.where(context.is_open, score(context), 0.0))
            found.extend(score.observe(context).values())
        return found

    in_any_company(answers)


def draws_follow_seed_and_keys(score: Score) -> None:
    """Another seed and another key (row, step) draw anew, or nothing is drawn."""

    def draw(seed: int, keys: int) -> Tensor:
        contexts = _contexts(score, World(seed=seed, keys=keys))
        return torch.cat([torch.where(context.is_open, score(context), 0.0) for context in contexts])

    follows_its_keys(draw)


def says_whether_it_reads_predictions(score: Score) -> None:
    """Slots of a score that says that it reads none are chosen before anything is predicted."""
    if score.reads_predictions:
        return
    for context in _contexts(score, World()):
        told, untold = score(context), score(replace(context, predictions={}))
        require(alike(told, untold), "must say reads_predictions, since what is predicted changes its scores")


def says_whether_it_reads_drawn_codes(score: Score) -> None:
    """A decoder, which knows the distributions and not the codes, can repeat a score that says that it reads none."""
    if score.reads_drawn_codes:
        return
    for context in _contexts(score, World()):
        others = {name: 2 * value - 1 for name, value in context.predictions.items() if name not in _OF_ALL_CODES}
        other = replace(context, predictions={**context.predictions, **others})
        same = alike(score(context), score(other))
        require(same, "must say reads_drawn_codes, since what is predicted of the drawn codes changes its scores")


def spreads_within_bounds(score: Score) -> None:
    """What it says of how many slots are hidden is int64 [B], at most those that may be, and follows from the row."""
    if score.reads_predictions:
        return
    for share in (0.0, 0.35, 1.0):
        context = World().context(predicted=False)
        most = context.is_open.sum((1, 2))
        count = score.spread(context, torch.full(most.shape, share))
        if count is None:
            continue
        right = shaped(count, torch.int64, most.shape)
        require(right, f"spread must answer int64 {list(most.shape)}, got {words_for(count)}")
        inside = bool(((count >= 0) & (count <= most)).all())
        require(inside, "spread must lie in 0..slots that may be hidden, got more or fewer")
        require(bool((count[most > 0] > 0).all()), "spread must hide a slot where one may be hidden, got 0")


def spread_follows_from_the_row(score: Score) -> None:
    """How many slots it hides in a row does not hang on the rows beside it."""
    if score.reads_predictions:
        return

    def answers(world: World) -> list[Tensor]:
        context = world.context(predicted=False)
        count = score.spread(context, torch.full((len(world.numbers),), 0.4))
        return [] if count is None else [count]

    in_any_company(answers)


def carries_rows(score: Score) -> None:
    """What it carries from step to step has a row for each row of the batch."""
    for context in _contexts(score, World()):
        for name, value in score.observe(context).items():
            rows = context.is_open.shape[0]
            right = isinstance(value, Tensor) and value.dim() >= 1 and value.shape[0] == rows
            require(right, f"must carry tensors [{rows}, ...], got {words_for(value)} for {name!r}")


SCORES = Contract(
    "score",
    Score,
    (
        scores_every_open_slot,
        rows_do_not_matter_to_one_another,
        draws_follow_seed_and_keys,
        says_whether_it_reads_predictions,
        says_that_it_reads_predictions_if_it_taps,
        says_whether_it_reads_drawn_codes,
        carries_rows,
        spreads_within_bounds,
        spread_follows_from_the_row,
        *value_requirements(_use),
    ),
)


def check_score(score: Score) -> list[str]:
    """Runs every check of a score (an order, a strategy); see :meth:`Contract.check` for what it returns and raises."""
    return SCORES.check(score)
