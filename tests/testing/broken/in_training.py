"""Broken packings, arrangements, patterns, objectives, procedures and metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from tests.testing.broken.planting import planted
from tokenmask.analysis import Figure
from tokenmask.evaluation.metrics import Bits
from tokenmask.layout import Flatten, Parallel
from tokenmask.masking import Queries
from tokenmask.models import Causal
from tokenmask.objectives import MaskedCrossEntropy
from tokenmask.procedures import Plain
from tokenmask.testing.metric import small_part
from tokenmask.training import Packing

PACKS, LEVELS, SEES, LOSS, STEP = Packing(16), Parallel(), Causal(), MaskedCrossEntropy(), Plain()


def refuses_two(self, layout, record, **told):
    if len(record) > 1:
        raise ValueError("one stream only")
    return PACKS(layout, record, **told)


def backwards(record):
    return {name: replace(stream, codes=stream.codes.flip(0)) for name, stream in record.items()}


def twice(codes):
    placed, place = LEVELS.place(codes)
    return torch.cat([placed[:1], placed[:-1]]) if len(placed) > 1 else placed, place


def looks(self, query, key):
    return SEES.allows(query, key) if bool(query.position.max() >= 0) else SEES.allows(key, query)


def loss_of(change: Callable[..., Any]) -> dict[str, Any]:
    return {"__call__": lambda self, model, masked, extra=None: change(LOSS(model, masked, extra), model, masked)}


def asks_the_start(self, model, masked, extra=None):
    model(masked.inputs, Queries(torch.tensor([0]), torch.tensor([0])))
    return LOSS(model, masked, extra)


def step_of(change: Callable[..., Any], **more: Any) -> dict[str, Any]:
    return {"loss": lambda self, *told: change(STEP.loss(*told)), **more}


def counts_in_the_loss(self, model, masked, objective, kept):
    kept["calls"] += 1
    return STEP.loss(model, masked, objective, kept)


def puts_another(self, model, kept):
    kept["calls"] = kept["calls"] + 1


def remembers(self, model, kept):
    self.__dict__["moved"] = True


def by_memory(self, *told):
    loss = STEP.loss(*told)
    return replace(loss, sum=loss.sum * 2) if getattr(self, "moved", False) else loss


def counts():
    return {"state": lambda self, model: {"calls": torch.zeros(())}}


def says(*figures: Figure) -> dict[str, Any]:
    return {"__call__": lambda self, part: list(figures)}


def moves_a_weight(self, part):
    with torch.no_grad():
        next(iter(part.run.models["main"].parameters())).add_(1.0)
    return []


ONE = Figure("one", 1.0, (0.0, 2.0), 4, "records")
BROKEN: dict[tuple[str, str], Any] = {
    ("packing", "takes_what_fits"): planted(PACKS, __call__=refuses_two),
    ("packing", "fits_the_model"): planted(PACKS, __call__=lambda self, *told, **more: Packing(400)(*told, **more)),
    ("packing", "says_how_long_it_is"): planted(
        Packing(), positions=lambda self, layout, record: Packing().positions(layout, record) + 1
    ),
    ("packing", "gives_the_record_back"): planted(
        PACKS, __call__=lambda self, layout, record, **told: PACKS(layout, backwards(record), **told)
    ),
    ("packing", "windows_follow_the_key"): planted(
        PACKS, __call__=lambda self, *told, **more: PACKS(*told, **{**more, "sample_id": 0})
    ),
    ("packing", "keeps_roles"): planted(
        PACKS, __call__=lambda self, *told, **more: PACKS(*told, **{**more, "roles": None})
    ),
    ("packing", "refuses_what_it_cannot_cut"): planted(
        Packing(10), __call__=lambda self, *told, **more: Packing(128)(*told, **more)
    ),
    ("arrangement", "comes_back_as_it_was"): planted(
        LEVELS, restore=lambda self, placed, levels: LEVELS.restore(placed, levels).flip(0)
    ),
    ("arrangement", "places_each_code_once"): planted(LEVELS, place=lambda self, codes: twice(codes)),
    ("arrangement", "says_how_many_positions"): planted(Flatten(), positions=lambda self, places, levels: places),
    ("pattern", "answers_every_pair"): planted(SEES, allows=lambda self, query, key: SEES.allows(query, key).float()),
    ("pattern", "packed_equals_dense"): planted(
        SEES, allows=lambda self, query, key: SEES.allows(query, key) | torch.tensor(query.position.dim() == 2)
    ),
    ("pattern", "one_pair_equals_dense"): planted(SEES, allows=looks),
    ("pattern", "only_the_pair_matters"): planted(
        SEES,
        allows=lambda self, query, key: (
            SEES.allows(query, key) & (torch.arange(key.position.shape[-1] if key.position.dim() else 1) % 2 == 0)
        ),
    ),
    ("pattern", "rows_do_not_matter_to_one_another"): planted(
        SEES, allows=lambda self, query, key: SEES.allows(query, key) & (key.position * 20 < key.valid.numel())
    ),
    ("objective", "is_finite"): planted(LOSS, **loss_of(lambda loss, *_: replace(loss, sum=loss.sum / 0))),
    ("objective", "teaches_the_model"): planted(LOSS, **loss_of(lambda loss, *_: replace(loss, sum=loss.sum * 0))),
    ("objective", "asks_codes_of_their_own_range"): planted(LOSS, __call__=asks_the_start),
    ("objective", "nothing_to_ask_is_no_loss"): planted(
        LOSS, **loss_of(lambda loss, model, _: replace(loss, sum=loss.sum + sum(p.sum() for p in model.parameters())))
    ),
    ("objective", "adds_up_over_shares"): planted(
        LOSS, **loss_of(lambda loss, *_: replace(loss, sum=loss.total, weight=torch.tensor(1.0)))
    ),
    ("objective", "rows_do_not_matter_to_one_another"): planted(
        LOSS, **loss_of(lambda loss, _, masked: replace(loss, sum=loss.sum * masked.inputs.shape[1]))
    ),
    ("procedure", "is_finite"): planted(STEP, **step_of(lambda loss: replace(loss, weight=-loss.weight))),
    ("procedure", "teaches_the_model"): planted(STEP, **step_of(lambda loss: replace(loss, sum=loss.sum * 0))),
    ("procedure", "adds_up_over_shares"): planted(
        STEP, **step_of(lambda loss: replace(loss, sum=loss.total, weight=torch.tensor(1.0)))
    ),
    ("procedure", "keeps_tensors_by_name"): planted(STEP, after=puts_another, **counts()),
    ("procedure", "loss_leaves_all_as_it_was"): planted(STEP, loss=counts_in_the_loss, **counts()),
    ("procedure", "goes_on_from_what_is_kept"): planted(STEP, loss=by_memory, after=remembers),
    ("metric", "figures_say_what_they_are"): planted(Bits(), **says(ONE, replace(ONE, name="two", value=float("nan")))),
    ("metric", "intervals_hold_the_value"): planted(Bits(), **says(replace(ONE, interval=(2.0, 3.0)))),
    ("metric", "leaves_the_run_alone"): lambda: (
        planted(Bits(), __call__=moves_a_weight),
        {"part": small_part.__wrapped__()},
    ),
    ("metric", "measures_nothing_of_nothing"): planted(Bits(), **says(ONE)),
    ("metric", "is_made_without_arguments"): planted(Bits(), __init__=lambda self, needed: None, needed=3),
}
