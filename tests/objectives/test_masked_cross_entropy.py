"""Every value of the three axes against a calculation by hand, and the bound against a distribution known exactly."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.models.small import masked_at, small_batch, small_layout, small_masked
from tokenmask.batch import GIVEN, collate
from tokenmask.layout import Layout
from tokenmask.masking import Cosine, Linear, Polynomial
from tokenmask.masking.masked_batch import Targets
from tokenmask.models import MaskedModel, Predictions, RangeHeadsConfig, RangeLogits, TransformerConfig
from tokenmask.objectives import Loss, MaskedCrossEntropy
from tokenmask.streams import StreamSpec, TokenStream

LN = math.log


class Says(torch.nn.Module):
    """A model whose code 0 has the probability p of a slot (by its position), the other three share the rest."""

    def __init__(self, layout: Layout, p_of_position) -> None:
        super().__init__()
        self.layout = layout
        self.p = torch.nn.Parameter(torch.tensor(p_of_position))

    def forward(self, inputs, queries, *, group=None, t=None, read=lambda group: group.logits):
        position = torch.div(queries.slots, inputs.shape[2], rounding_mode="floor")
        p = self.p[position % inputs.shape[1]]
        logits = torch.stack([p, *[(1 - p) / 3] * 3], 1).log()
        groups = []
        for head in queries.heads.unique().tolist():
            index = (queries.heads == head).nonzero().squeeze(1)
            groups.append(RangeLogits(head, index, read(RangeLogits(head, index, logits[index]))))
        return Predictions(tuple(groups), logits)


@pytest.fixture
def case():
    """Two rows of four code-0 slots behind BOS: row 0 hides three of them, row 1 one; t = 0.5 and 0.25.

    The model gives the right code 1/2, 1/4, 1/8, 1/16 at the four positions.
    """
    layout = Layout({"x": StreamSpec("text", (4,), ("index",))})
    stream = TokenStream(layout.streams["x"], torch.zeros(4, 1, dtype=torch.int32))
    batch = collate([layout.pack({"x": stream}), layout.pack({"x": stream})])
    hidden = torch.zeros(2, 5, 1, dtype=torch.bool)
    hidden[0, 1:4] = True
    hidden[1, 2] = True
    masked = masked_at(layout, batch, hidden, [0.5, 0.25])
    return Says(layout, [1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16]), masked


# In units of ln 2 the terms are 1, 2, 3 in row 0 and 2 in row 1.
REDUCTIONS = {
    "per_token": (1 + 2 + 3 + 2) / 4,
    "per_slot": (1 + 2 + 3 + 2) / 8,
    "per_row": (1 + 2 + 3 + 2) / 2,
    "per_row_slot": ((1 + 2 + 3) / 4 + 2 / 4) / 2,
    "per_sample_mean": ((1 + 2 + 3) / 3 + 2 / 1) / 2,
    "bits": (1 + 2 + 3 + 2) / 2 / LN(2),
}
# With 1 / t the terms are 2, 4, 6 and 8.
WEIGHTED = {
    "per_token": (2 + 4 + 6 + 8) / 4,
    "per_slot": (2 + 4 + 6 + 8) / 8,
    "per_row": (2 + 4 + 6 + 8) / 2,
    "per_row_slot": (12 / 4 + 8 / 4) / 2,
    "per_sample_mean": (12 / 3 + 8 / 1) / 2,
    "bits": (2 + 4 + 6 + 8) / 2 / LN(2),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions_by_hand(case, reduction):
    model, masked = case
    assert MaskedCrossEntropy(reduction=reduction)(model, masked).total.item() == pytest.approx(
        REDUCTIONS[reduction] * LN(2), rel=1e-6
    )
    for weight, process in (("inverse_t", None), ("elbo", Linear())):
        loss = MaskedCrossEntropy(weight=weight, process=process, reduction=reduction)(model, masked)
        assert loss.total.item() == pytest.approx(WEIGHTED[reduction] * LN(2), rel=1e-6)


def test_weight_of_other_processes(case):
    model, masked = case
    loss = MaskedCrossEntropy(weight="elbo", process=Cosine(), reduction="per_row")(model, masked)
    weights = [(math.pi / 2) / math.tan(math.pi * t / 2) for t in (0.5, 0.25)]
    assert loss.total.item() == pytest.approx((6 * weights[0] + 2 * weights[1]) / 2 * LN(2), rel=1e-5)


def test_the_law_of_time_is_that_of_the_batch(case):
    model, masked = case
    said, elbo = replace(masked, process=Cosine()), MaskedCrossEntropy(weight="elbo", reduction="per_row")
    assert torch.equal(elbo(model, said).total, replace(elbo, process=Cosine())(model, masked).total)
    assert torch.equal(elbo(model, said).total, replace(elbo, process=Cosine())(model, said).total)
    with pytest.raises(
        ValueError, match=r"said twice: the batch was masked by Cosine\(\), and .* is Linear\(\); leave"
    ):
        replace(elbo, process=Linear())(model, said)
    with pytest.raises(ValueError, match="this batch was masked without one; take a ProcessRate"):
        elbo(model, masked)


def test_scopes_by_hand(case):
    model, masked = case
    valid = masked.inputs.valid.clone()
    valid[1, 4] = False  # the last slot of row 1 is at a dropped position
    role = masked.clean.role.clone()
    role[:, 1] = GIVEN
    masked = replace(
        masked,
        inputs=replace(masked.inputs, valid=valid),
        clean=replace(masked.clean, role=role),
        targets=Targets(torch.tensor([1]), torch.tensor([0]), torch.ones(1)),
    )
    sums = {"predicted": (2, 1), "hidden": (8, 4), "filled": (9 + 5, 5), "valid": (10 + 6, 7), "all": (20, 8)}
    for scope, (total, count) in sums.items():
        loss = MaskedCrossEntropy(scope=scope)(model, masked)
        assert loss.total.item() == pytest.approx(total / count * LN(2), rel=1e-6), scope
        assert loss.parts["x/count"] == count
        assert loss.parts["x/nats"].item() == pytest.approx(total / count * LN(2), rel=1e-6)


def test_target_weights_and_repeated_targets(case):
    model, masked = case
    targets = Targets(torch.tensor([2, 0, 2]), torch.tensor([0, 0, 0]), torch.tensor([1.0, 10.0, 0.5]))
    loss = MaskedCrossEntropy(reduction="per_row")(model, replace(masked, targets=targets))
    assert loss.total.item() == pytest.approx((3 + 10 + 1.5) / 2 * LN(2), rel=1e-6)


def test_label_smoothing_and_class_weights_are_those_of_torch(case):
    model, masked = case
    logits = model(masked.inputs, masked.queries).groups[0].logits
    codes = torch.tensor([0, 1, 2, 0])
    masked = replace(masked, targets=replace(masked.targets, codes=codes))
    expected = F.cross_entropy(logits, codes, label_smoothing=0.1)
    torch.testing.assert_close(MaskedCrossEntropy(label_smoothing=0.1)(model, masked).total, expected)
    weights = torch.tensor([0.5, 2.0, 3.0, 1.0])
    loss = MaskedCrossEntropy(weight="class")(model, masked, {"class_weights": {0: weights}})
    torch.testing.assert_close(loss.total, F.cross_entropy(logits, codes, weight=weights))


@pytest.mark.parametrize("tied", [True, False])
def test_gradient_is_that_of_plain_cross_entropy_over_the_range(tied):
    layout = small_layout(4)
    model = MaskedModel.create(TransformerConfig(width=64, depth=1, heads=2), layout, head=RangeHeadsConfig(tied))
    masked = small_masked(layout, small_batch(layout))
    loss = MaskedCrossEntropy()(model, masked)
    ours = torch.autograd.grad(loss.total, list(model.parameters()))
    hidden = model.backbone(masked.inputs, masked.queries).queries
    table = model.backbone.embedding.table if tied else model.heads.table
    everything = hidden @ table.T + model.heads.bias
    terms = []
    for query, code, head in zip(masked.targets.queries, masked.targets.codes, masked.queries.heads, strict=True):
        place = layout.ranges[int(head)]
        outside = torch.ones(layout.num_ids, dtype=torch.bool)
        outside[place.offset : place.offset + place.size] = False
        scores = everything[query].masked_fill(outside, -torch.inf)
        terms.append(F.cross_entropy(scores, code + place.offset))
    plain = torch.stack(terms).mean()
    torch.testing.assert_close(loss.total, plain)
    for mine, theirs in zip(ours, torch.autograd.grad(plain, list(model.parameters())), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-4)
    counts = sum(value for name, value in loss.parts.items() if name.endswith("/count"))
    assert counts == len(masked.targets)
    assert set(loss.parts) == {f"audio.{level}/{kind}" for level in range(4) for kind in ("nats", "count")}


class Oracle(torch.nn.Module):
    """Knows a joint table over three slots of three codes: answers with the exact conditionals."""

    def __init__(self, layout: Layout, joint: torch.Tensor) -> None:
        super().__init__()
        self.layout, self.joint = layout, joint

    def forward(self, inputs, queries, *, group=None, t=None, read=lambda group: group.logits):
        codes = inputs.ids[0, 1:, 0] - self.layout.ranges[0].offset
        seen = self.joint
        for axis, code in enumerate(codes.tolist()):
            seen = seen if code == 3 else seen.select(axis, code).unsqueeze(axis)
        rows = []
        for slot in queries.slots.tolist():
            others = [axis for axis in range(3) if axis != slot - 1]
            rows.append((seen.sum(others) / seen.sum()).log())
        logits = torch.stack(rows)
        index = torch.arange(len(rows))
        return Predictions((RangeLogits(0, index, read(RangeLogits(0, index, logits))),), logits)


@pytest.mark.parametrize("process", [Linear(), Cosine(), Polynomial(2.0)], ids=repr)
def test_the_bound_of_exact_conditionals_is_the_exact_likelihood(process):
    """E over t and masks of weight(t) * sum of hidden terms = -log p(x). Source: MD4, arXiv:2406.04329, equation 5."""
    layout = Layout({"x": StreamSpec("text", (3,), ("index",))})
    generator = torch.Generator().manual_seed(0)
    joint = torch.rand(3, 3, 3, generator=generator, dtype=torch.float64) ** 3
    joint = joint / joint.sum()
    model, objective = Oracle(layout, joint), MaskedCrossEntropy(weight="elbo", process=process, reduction="per_row")
    nodes, shares = np.polynomial.legendre.leggauss(12)
    for x in ((0, 1, 2), (2, 2, 0)):
        codes = torch.tensor(x, dtype=torch.int32)[:, None]
        batch = collate([layout.pack({"x": TokenStream(layout.streams["x"], codes)})])
        bound = 0.0
        for pattern in itertools.product([False, True], repeat=3):
            hidden = torch.tensor([False, *pattern])[None, :, None]
            for node, share in zip(nodes, shares, strict=True):
                if any(pattern):
                    t = (node + 1) / 2
                    rate = process.share(t)
                    chance = math.prod(rate if h else 1 - rate for h in pattern)
                    bound += share / 2 * chance * objective(model, masked_at(layout, batch, hidden, [t])).total.item()
        assert bound == pytest.approx(-math.log(joint[x]), rel=2e-5)


def test_nothing_to_predict_is_zero_with_a_gradient():
    layout = small_layout()
    model = MaskedModel.create(TransformerConfig(width=64, depth=1, heads=2), layout)
    batch = small_batch(layout)
    masked = masked_at(layout, batch, torch.zeros(batch.shape, dtype=torch.bool))
    for reduction in REDUCTIONS:
        loss = MaskedCrossEntropy(reduction=reduction)(model, masked)
        loss.total.backward()
        assert loss.total.item() == 0 and loss.parts == {}
    assert all(parameter.grad.eq(0).all() for parameter in model.parameters())


def test_a_total_is_divided_by_any_weight_but_0():
    three = torch.tensor(3.0)
    assert [Loss(three, torch.tensor(weight)).total.item() for weight in (2.0, 0.5, 0.0)] == [1.5, 6.0, 3.0]


def test_refusals(case):
    model, masked = case
    with pytest.raises(ValueError, match=r"only weight 'elbo' takes a process, got 'none' and Linear\(\)"):
        MaskedCrossEntropy(process=Linear())
    with pytest.raises(ValueError, match=r"label_smoothing must lie in 0\.\.1, got 1"):
        MaskedCrossEntropy(label_smoothing=1)
    with pytest.raises(ValueError, match=r"needs extra\['class_weights'\]"):
        MaskedCrossEntropy(weight="class")(model, masked)
    moved = replace(masked, inputs=replace(masked.inputs, coordinates=masked.inputs.coordinates + 1))
    with pytest.raises(ValueError, match="stand as in the clean batch"):
        MaskedCrossEntropy(scope="hidden")(model, moved)
