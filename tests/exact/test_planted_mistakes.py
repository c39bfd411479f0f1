"""Mistakes that a sampler could have, planted one by one: the checks of this folder see each of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.exact import test_laws_of_samplers as laws
from tests.exact.law import CONFIDENT, RANDOM, Codes, Pick, fixed, made
from tests.exact.orders import EVEN
from tests.exact.test_laws_of_samplers import CHAIN, follows
from tokenmask.models import Packed
from tokenmask.sampling import (
    Categorical,
    RevokeLeastLikely,
    Sampler,
    SamplerState,
    StaleReuse,
    committed,
    drawn,
    passes,
    sampler,
    straight,
)
from tokenmask.scores import ConfidenceScore, RandomScore, RasterScore
from tokenmask.worlds import Oracle

Plant = Callable[[pytest.MonkeyPatch], None]


def plain(order: Any = RandomScore(), rule: Any = RANDOM, steps: int = 3, **options: Any) -> None:
    follows(Sampler(steps, schedule=EVEN, order=order, **options), CHAIN, made(CHAIN, EVEN.plan(4, steps), rule))


def confident() -> None:
    plain(ConfidenceScore(), CONFIDENT)


def cooled() -> None:
    law = made(CHAIN, EVEN.plan(4, 3), RANDOM, Pick(2.0, 0.5))
    follows(Sampler(3, schedule=EVEN, order=RandomScore(), pick=Categorical(2.0, 0.5)), CHAIN, law)


def guided() -> None:
    laws.test_guidance_is_a_law_between_and_beyond_two("pairs", (1, -1), 2.5, None)


def given() -> None:
    known: Codes = (-1, 2, -1, 0)
    law = made(CHAIN, EVEN.plan(2, 2), RANDOM, given=known)
    revoke = RevokeLeastLikely(0.0)
    follows(Sampler(2, schedule=EVEN, order=RandomScore(), revoke=revoke), CHAIN, law, known)


def revoked() -> None:
    laws.test_every_revocation("chain")


def reused() -> None:
    order = fixed([0, -1, -2, -3])
    law = made(CHAIN, EVEN.plan(4, 4), order)
    follows(Sampler(4, schedule=EVEN, order=RasterScore(), reuse=StaleReuse(n_local=3)), CHAIN, law)


def one_more(patch: pytest.MonkeyPatch) -> None:
    own = committed.commit
    patch.setattr(committed, "commit", lambda ids, new, rank, may, count: own(ids, new, rank, may, count + 1))


def worst_first(patch: pytest.MonkeyPatch) -> None:
    own = committed.commit
    patch.setattr(committed, "commit", lambda ids, new, rank, may, count: own(ids, new, -rank, may, count))


def one_draw_a_row(patch: pytest.MonkeyPatch) -> None:
    own = drawn.slot_counters
    patch.setattr(drawn, "slot_counters", lambda *options: own(*options)[:, :1].expand(-1, options[1], -1).contiguous())


def one_draw_a_row_straight(patch: pytest.MonkeyPatch) -> None:
    own = straight.slot_counters
    patch.setattr(
        straight, "slot_counters", lambda *options: own(*options)[:, :1].expand(-1, options[1], -1).contiguous()
    )


def late_temperature_straight(patch: pytest.MonkeyPatch) -> None:
    own = Categorical.temperature_at
    patch.setattr(Categorical, "temperature_at", lambda pick, progress: own(pick, progress.on("after")))


def one_draw_a_slot(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SamplerState, "keys", property(lambda state: state.batch.sample_ids << 16))


def samples_alike(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SamplerState, "keys", property(lambda state: torch.zeros_like(state.seeds) + state.step))


def all_from_the_start(patch: pytest.MonkeyPatch) -> None:
    """The model sees what stood in the first step throughout."""
    own, first = passes.HeadLogits, dict[int, Any]()

    def kept(head: int, index: torch.Tensor, logits: torch.Tensor, *others: Any) -> Any:
        return own(head, index, first.setdefault(head, logits)[: len(logits)], *others)

    patch.setattr(passes, "HeadLogits", kept)


def turned_round(patch: pytest.MonkeyPatch) -> None:
    own = passes.HeadLogits
    patch.setattr(
        passes,
        "HeadLogits",
        lambda head, index, c, u, s: own(head, index, c if u is None else u, u if u is None else c, s),
    )


def late_temperature(patch: pytest.MonkeyPatch) -> None:
    own = Categorical.__call__

    def late(pick: Categorical, logits: torch.Tensor, uncond: Any, context: Any) -> Any:
        return own(pick, logits, uncond, dataclasses.replace(context, progress=context.progress.on("after")))

    patch.setattr(Categorical, "__call__", late)


def given_forgotten(patch: pytest.MonkeyPatch) -> None:
    own = SamplerState.start.__func__  # type: ignore[attr-defined]

    def start(kind: Any, batch: Any, layout: Any, *others: Any) -> SamplerState:
        state: SamplerState = own(kind, batch, layout, *others)
        ids = torch.where(batch.role == 1, layout.mask_of(batch.ids), state.batch.ids)
        return dataclasses.replace(state, batch=dataclasses.replace(state.batch, ids=ids))

    patch.setattr(SamplerState, "start", classmethod(start))


def given_reopened(patch: pytest.MonkeyPatch) -> None:
    own = sampler.reopened
    patch.setattr(
        sampler, "reopened", lambda state, revoked, layout: own(state, layout.head_of(state.batch.ids) >= 0, layout)
    )


def best_revoked(patch: pytest.MonkeyPatch) -> None:
    own = RevokeLeastLikely.__call__

    def turned(revoke: RevokeLeastLikely, context: Any) -> Any:
        state = dataclasses.replace(context.state, score=-context.state.score)
        return own(revoke, dataclasses.replace(context, state=state))

    patch.setattr(RevokeLeastLikely, "__call__", turned)


def never_run_anew(patch: pytest.MonkeyPatch) -> None:
    """Cheap steps find MASK where codes were revealed since the full step."""
    own = Oracle.extend

    def stale(model: Oracle, new: Packed, *others: Any, **options: Any) -> Any:
        return own(model, dataclasses.replace(new, ids=model.layout.mask_of(new.ids)), *others, **options)

    patch.setattr(Oracle, "extend", stale)


LAW = "standard deviations from its law"
PLANTED: list[tuple[Plant, Callable[[], None], str]] = [
    (one_more, plain, "a step reveals as many slots as planned"),
    (worst_first, confident, LAW),
    (one_draw_a_row, plain, LAW),
    (one_draw_a_row_straight, plain, LAW),
    (late_temperature_straight, cooled, LAW),
    (one_draw_a_slot, confident, LAW),
    (samples_alike, plain, LAW),
    (all_from_the_start, plain, LAW),
    (turned_round, guided, LAW),
    (late_temperature, cooled, LAW),
    (given_forgotten, given, LAW),
    (given_reopened, given, "what is open shows MASK, and nothing else does"),
    (best_revoked, revoked, LAW),
    (never_run_anew, reused, LAW),
]


@pytest.mark.parametrize(("plant", "check", "said"), PLANTED, ids=lambda one: getattr(one, "__name__", ""))
def test_a_planted_mistake_is_seen(
    plant: Plant, check: Callable[[], None], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not plant.__name__.endswith("_straight"):  # mistakes of the loop that asks every part
        monkeypatch.setattr(straight.Straight, "of", lambda *_: None)
    check()
    plant(monkeypatch)
    with pytest.raises(AssertionError, match=said):
        check()
