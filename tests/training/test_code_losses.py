"""Losses of single targets: one for each target, whatever the queries it belongs to, where the model computes."""

import math
from dataclasses import replace

import pytest
import torch

from tests.models.small import masked_at, small_batch, small_layout, small_masked
from tokenmask.batch import collate
from tokenmask.layout import Layout
from tokenmask.masking.masked_batch import Targets
from tokenmask.models import MaskedModel, RangeLogits, TransformerConfig
from tokenmask.objectives import targets_of
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.training import code_losses

CODES = torch.tensor([0.5, 0.25, 0.2, 0.05])  # the probabilities of the four codes, whatever is asked
LAYOUT = Layout({"x": StreamSpec("text", (4,), ("index",))})


class Says:
    """Answers later queries first, in two groups."""

    def logits(self, inputs, queries, *, group=None, t=None):
        numbers = torch.arange(len(queries))
        for part in (numbers[2:], numbers[:2]):
            yield RangeLogits(0, part, CODES.log().expand(len(part), 4))


def masked(queries: list[int], codes: list[int]):
    stream = TokenStream(LAYOUT.streams["x"], torch.zeros(4, 1, dtype=torch.int32))
    hidden = torch.tensor([False, True, True, True, True])[None, :, None]
    found = masked_at(LAYOUT, collate([LAYOUT.pack({"x": stream})]), hidden)
    return replace(found, targets=Targets(torch.tensor(queries), torch.tensor(codes), torch.ones(len(codes))))


@pytest.mark.parametrize(
    ("queries", "codes"),
    [
        ([0, 1, 2, 3], [3, 2, 1, 0]),
        ([3], [1]),  # fewer targets than queries
        ([3, 0, 3, 3, 1, 0], [0, 1, 2, 3, 3, 0]),  # more, several of one query, none of another
        ([], []),
    ],
)
def test_a_loss_for_each_target(queries, codes):
    found = code_losses(Says(), masked([int(q) for q in queries], codes) if queries else none())
    assert found.tolist() == pytest.approx([-math.log(CODES[code]) for code in codes])


def none():
    found = masked([0], [0])
    return replace(found, targets=Targets(torch.zeros(0).long(), torch.zeros(0).long(), torch.zeros(0)))


def test_targets_of_a_group_are_in_the_order_of_its_queries():
    one = masked([3, 0, 3, 2], [0, 1, 2, 3])
    first, second = Says().logits(one.inputs, one.queries)
    names, rows = targets_of(first, one.queries, one.targets)
    assert names.tolist() == [3, 0, 2] and rows.tolist() == [0, 1, 1]
    names, rows = targets_of(second, one.queries, one.targets)
    assert names.tolist() == [1] and rows.tolist() == [0]  # the first of its two queries, the other has no target
    whole = masked([0, 1, 2, 3], [0, 0, 0, 0])
    assert targets_of(first, whole.queries, whole.targets)[1] is None


@pytest.mark.needs_cuda
def test_losses_stand_where_the_batch_is():
    layout = small_layout()
    model = MaskedModel.create(TransformerConfig(width=64, depth=1, heads=2), layout)
    one = small_masked(layout, small_batch(layout))
    found = code_losses(model.to("cuda"), one.to("cuda"))
    assert found.device.type == "cuda"
    torch.testing.assert_close(found.cpu(), code_losses(model.cpu(), one), atol=1e-3, rtol=1e-3)
