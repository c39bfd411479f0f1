"""Condition ranks: a judge that knows the rule ranks the own condition first, one that knows nothing does not."""

import math

import pytest
import torch

from tests.training import worlds
from tokenmask.analysis import ConditionRanks, condition_ranks
from tokenmask.masking import Cosine, Linear
from tokenmask.models import RangeLogits
from tokenmask.streams import TokenStream
from tokenmask.training import Packing


class Judge:
    """Scores picture codes of the small world by the word in the same row; ``bias`` 0 knows nothing."""

    layout = worlds.LAYOUT

    def parameters(self):
        return iter([torch.zeros(0)])  # where it lives

    def __init__(self, bias: float) -> None:
        self.bias = bias

    def logits(self, inputs, queries, group=None, t=None):
        length = inputs.shape[1]
        row, position = queries.slots // length, queries.slots % length
        n = (inputs.ids[row, 1, 0] - self.layout.range("word").offset).long()
        first = (inputs.coordinates[row, position, 2] % 2) == 0
        logits = torch.zeros(len(queries), 10)
        logits[torch.arange(len(queries)), torch.where(first, n % 10, (3 * n) % 10)] = self.bias
        yield RangeLogits(int(queries.heads[0]), torch.arange(len(queries)), logits)


def world(count: int):
    words, pictures = [], []
    for n in range(count):
        length = 3 + 4 * (n % 2)  # conditions of unequal length move the picture, and must not move its masks
        word = torch.tensor([[(n + k) % 11] for k in range(length)], dtype=torch.int32)
        words.append({"word": TokenStream(worlds.WORD, word)})
        codes = torch.tensor([n % 10, (3 * n) % 10] * 4, dtype=torch.int32).view(2, 4, 1)
        pictures.append(TokenStream(worlds.PICTURE, codes))
    return words, pictures


def test_a_judge_that_knows_ranks_the_own_condition_first():
    words, pictures = world(10)
    ranks = condition_ranks(Judge(4.0), Packing(24, 4), "picture", pictures, words, candidates=8, draws=3)
    assert ranks.first_share == 1.0 and ranks.chance == 1 / 8 and ranks.standard_error == 0.0
    assert "1.00 +- 0.00 of 10 (chance 0.12)" in str(ranks)


def test_a_judge_that_knows_nothing_never_wins():
    words, pictures = world(10)
    ranks = condition_ranks(Judge(0.0), Packing(24, 4), "picture", pictures, words, candidates=8)
    assert (ranks.ranks == 7).all()  # ties count against the own condition, and equal masks make all of them ties


def test_a_judge_is_told_the_time_of_the_law_that_it_was_trained_with():
    """Shares are drawn by a linear law, t = share; a model of a cosine rate knows that share as sin(pi t / 2)."""
    told = []

    class Watch(Judge):
        def logits(self, inputs, queries, group=None, t=None):
            told.append(t)
            return super().logits(inputs, queries, group, t)

    words, pictures = world(10)
    for process in (None, Linear(), Cosine()):
        condition_ranks(Watch(1.0), Packing(24, 4), "picture", pictures, words, candidates=4, process=process)
    plain, linear, cosine = torch.cat(told).chunk(3)
    assert torch.equal(plain, linear)
    assert torch.allclose(torch.sin(cosine * (math.pi / 2)), plain, atol=1e-6) and not torch.equal(plain, cosine)


def test_wrong_input_gets_one_sentence():
    words, pictures = world(3)
    with pytest.raises(ValueError, match="at least 4 of them, got 3 streams and 3 conditions"):
        condition_ranks(Judge(1.0), Packing(24, 4), "picture", pictures, words, candidates=4)


def test_shares_and_errors():
    ranks = ConditionRanks(torch.tensor([0, 0, 1, 5]), 20)
    assert ranks.first_share == 0.5 and ranks.standard_error == pytest.approx(0.25)
