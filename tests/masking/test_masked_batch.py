"""Rows of a masked batch: queries, targets and clean rows go with them, also where these stand in another order."""

from dataclasses import replace

import pytest
import torch

from tests.models.small import small_batch, small_layout, small_masked
from tokenmask.batch import ABSENT, FILL, GIVEN
from tokenmask.masking.masked_batch import MaskedBatch, Targets


@pytest.fixture
def masked() -> MaskedBatch:
    """Rows that are views of two samples, answers at other places, repeated and unasked targets."""
    layout = small_layout(4)
    whole = small_masked(layout, small_batch(layout))
    rows = whole.inputs.shape[0]
    number = len(whole.queries)
    queries = replace(whole.queries, coordinates=torch.arange(3 * number, dtype=torch.int32).view(-1, 3))
    order = torch.cat([torch.arange(number).flip(0), torch.tensor([0, 0])])
    targets = Targets(order, order % 3, torch.arange(len(order)) / 7)
    group = torch.arange(rows * whole.inputs.shape[1], dtype=torch.int32).view(rows, -1)
    return replace(
        whole, queries=queries, targets=targets, group=group, row_of_sample=torch.arange(rows).flip(0), t=whole.t + 0.1
    )


def described(masked: MaskedBatch, first_row: int) -> list[tuple[object, ...]]:
    """Every target by what it means, in order."""
    size = masked.inputs.shape[1] * masked.inputs.shape[2]
    found = []
    for query, code, weight in zip(masked.targets.queries, masked.targets.codes, masked.targets.weights, strict=True):
        slot = int(masked.queries.slots[query])
        row, places = slot // size, masked.queries.coordinates
        assert places is not None
        clean = int(masked.clean.sample_ids[masked.row_of_sample[row]])
        head = int(masked.queries.heads[query])
        found.append((row + first_row, slot % size, head, places[query].tolist(), int(code), float(weight), clean))
    return found


def test_rows_take_along_what_is_theirs(masked):
    rows = masked.inputs.shape[0]
    whole = described(masked, 0)
    assert rows >= 2
    for cut in range(rows + 1):
        parts = [masked.rows(0, cut), masked.rows(cut, rows)]
        found = [*described(parts[0], 0), *described(parts[1], cut)]
        assert sorted(map(repr, found)) == sorted(map(repr, whole))
        for name in ("hidden", "group", "t"):
            assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(masked, name))
        for part, first in zip(parts, (0, cut), strict=True):
            assert torch.equal(part.inputs.ids, masked.inputs.ids[first : first + len(part.t)])
            own = masked.row_of_sample[first : first + len(part.t)]
            assert torch.equal(part.clean.ids, masked.clean.ids[own]) and torch.equal(part.dropped, masked.dropped[own])
            assert torch.equal(part.row_of_sample, torch.arange(len(part.t)))


def test_what_is_to_fill_stands_at_valid_positions():
    role, valid = torch.tensor([[[FILL, GIVEN], [FILL, FILL], [ABSENT, FILL]]]), torch.tensor([[True, False, True]])
    some = replace(small_batch(small_layout()).rows(torch.tensor([0])), role=role, valid=valid)
    assert some.to_fill.tolist() == [[[True, False], [False, False], [False, True]]]
