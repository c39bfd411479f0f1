"""Draws of open slots alone are those of all slots, and a span's union follows from them as from all."""

import pytest
import torch

from tokenmask.batch import FILL, Batch
from tokenmask.scores import SpanUnion
from tokenmask.scores.noise import open_noise, slot_noise
from tokenmask.scores.score import ScoreContext


def context(share: float, rows: int = 5, length: int = 40, levels: int = 3) -> ScoreContext:
    g = torch.Generator().manual_seed(0)
    batch = Batch(
        ids=torch.zeros(rows, length, levels, dtype=torch.int32),
        stream=(torch.arange(length) // 17).to(torch.int8).expand(rows, length).contiguous(),
        role=torch.full((rows, length, levels), FILL, dtype=torch.int8),
        coordinates=torch.zeros(rows, length, 3, dtype=torch.int32),
        valid=torch.ones(rows, length, dtype=torch.bool),
        sample_ids=torch.arange(rows) + 7,
    )
    is_open = torch.rand(rows, length, levels, generator=g) < share
    is_open[2] = False
    return ScoreContext(batch, is_open, torch.full((rows,), 3), batch.sample_ids)


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_open_draws_are_those_of_all(share):
    asked = context(share)
    expected = torch.where(asked.is_open, slot_noise(asked), -1.0)
    noise, each = open_noise(asked)
    assert torch.equal(noise, expected)
    assert each.shape[1] == max(1, int(asked.is_open.sum((1, 2)).max()))
    for row, own in enumerate(each):
        there = expected[row][asked.is_open[row]]
        assert torch.equal(own[: len(there)], there) and (own[len(there) :] == -1).all()


@pytest.mark.parametrize("span", [2, 3, 50])
def test_a_slot_is_as_good_as_the_best_start_that_covers_it(span):
    asked = context(0.4)
    noise, stream = open_noise(asked)[0], asked.batch.stream
    expected = noise.clone()
    for place in range(noise.shape[1]):
        for start in range(max(0, place - span + 1), place):
            if (stream[0, start : place + 1] == stream[0, place]).all():
                expected[:, place] = torch.maximum(expected[:, place], noise[:, start])
    scores = SpanUnion(span)
    assert torch.equal(scores(asked), expected)
    counts = scores.spread(asked, torch.full((5,), 0.5))
    assert counts is not None and counts[2] == 0 and (counts[[0, 1, 3, 4]] > 0).all()
    scores(asked).zero_()  # what was given is the caller's own
    assert torch.equal(scores(asked), expected) and torch.equal(SpanUnion(1)(asked), noise)
