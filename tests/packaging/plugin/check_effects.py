"""What parts of examples/plugin bring about, on a law that is known exactly: the error of a few calls, in nats."""

import itertools
import math

import pytest
import torch
from tokenmask_example.dilated import Dilated

from tokenmask.batch import collate
from tokenmask.layout import Layout
from tokenmask.sampling import Sampler, SamplerState
from tokenmask.scores import RandomScore, RasterScore
from tokenmask.streams import StreamSpec, TokenStream

SPEC = StreamSpec("text", (2,), ("index",))
LAYOUT = Layout({"text": SPEC})
OFFSET = LAYOUT.range("text").offset
SLOTS, STICKS = 8, 0.9  # a chain of bits; the next one is the same with that probability
WORDS = torch.tensor(list(itertools.product((0, 1), repeat=SLOTS)))
STAYS = (WORDS.diff(dim=1) == 0).sum(1)
JOINT = 0.5 * STICKS**STAYS * (1 - STICKS) ** (SLOTS - 1 - STAYS)


class Oracle:
    """Answers with the true conditionals of each open slot given what is seen."""

    def __init__(self) -> None:
        self.calls = 0

    def logits(self, inputs, queries, t=None, **more):
        self.calls += 1
        seen = inputs.ids[:, 1 : 1 + SLOTS, 0] - OFFSET
        fits = ((seen[:, None] == WORDS) | (seen[:, None] == 2)).all(2) * JOINT  # [rows, words]
        ones = fits @ WORDS.to(fits.dtype) / fits.sum(1, keepdim=True)
        shares = ones.flatten()[queries.slots // inputs.shape[1] * SLOTS + queries.slots % inputs.shape[1] - 1]
        yield 0, torch.arange(len(queries)), torch.stack([1 - shares, shares], 1).log().float()


def error(order, rows: int = 2000) -> tuple[float, int]:
    """KL(generated || true) of rows, each with its own order, in nats, by their exact probabilities; and the calls."""
    packed = LAYOUT.pack({"text": TokenStream(SPEC, torch.zeros(SLOTS, 1, dtype=torch.int32))})
    batch = collate([packed] * rows, torch.arange(rows), multiple=1)
    state, model = SamplerState.start(batch, LAYOUT, torch.full((rows,), 5)), Oracle()
    done = Sampler(3, schedule=Dilated(SLOTS), order=order).run({"main": model}, LAYOUT, state)
    codes = (done.batch.ids[:, 1 : 1 + SLOTS, 0] - OFFSET).long()
    true = JOINT[(codes * 2 ** torch.arange(SLOTS - 1, -1, -1)).sum(1)]
    drawn = done.score[:, 1 : 1 + SLOTS, 0].double().sum(1)  # of each code when it was drawn
    return float((drawn - true.log()).mean()), model.calls


def test_dilated_unmasking_makes_the_error_that_theory_says_and_others_more():
    """Three calls for eight bits: 0 and 4, then 2 and 6, then the odd ones. Given every other bit of a chain the rest
    are independent, so what is lost is that 0 and 4 know of each other: -ln(1 - r^2) / 2 nats with r = 0.8^4."""
    found, calls = error(Dilated(SLOTS))
    expected = -0.5 * math.log(1 - (2 * STICKS - 1) ** 8)
    assert calls == 3 and Dilated(SLOTS).plan(SLOTS, 3) == [6, 4, 0]
    assert expected == pytest.approx(0.0918, abs=1e-4) and found == pytest.approx(expected, abs=0.02)
    random, as_many = error(RandomScore())
    rows, again = error(RasterScore())
    assert calls == as_many == again
    assert random > 5 * expected and rows > 10 * expected
