"""Log likelihoods: values that can be counted by hand, and the same in any company."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch

from tests.models.small import masked_at, randomise
from tokenmask.analysis import LogLikelihood, log_likelihoods
from tokenmask.batch import collate
from tokenmask.layout import Layout
from tokenmask.masking import Corruption, FixedRate, Masker
from tokenmask.models import BlockStyle, Causal, MaskedModel, TransformerConfig
from tokenmask.objectives import MaskedCrossEntropy
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.training import Packing

TEXT = StreamSpec("text", (11,), ("index",), end_code=10)
SOUND = StreamSpec("audio", (8, 5), ("time",), rate_hz=10.0)
LAYOUT = Layout({"text": TEXT, "sound": SOUND})
PACKING = Packing(40, end_multiple=4)


def model(**options) -> MaskedModel:
    made = MaskedModel.create(TransformerConfig(64, 2, 2, **options), LAYOUT, seed=0)
    randomise(made, size=0.2)
    return made


def text(*codes: int) -> TokenStream:
    return TokenStream(TEXT, torch.tensor(codes, dtype=torch.int32)[:, None])


def test_without_context_every_draw_is_the_sum_of_log_probabilities():
    """With a norm of zeros logits are biases: N / l times l terms that do not depend on what is hidden, on average."""
    blind = model()
    with torch.no_grad():
        blind.backbone.norm.weight.zero_()
    own = LAYOUT.range("text")
    law = torch.log_softmax(blind.heads.bias[own.offset : own.offset + own.size].detach().double(), 0)
    same = log_likelihoods(blind, PACKING, [{"text": text(3, 3, 3, 3)}], "text", draws=3)[0]
    assert same.nats == pytest.approx(4 * float(law[3]), rel=1e-6)
    assert (same.codes, same.exact) == (4, False) and same.error == pytest.approx(0, abs=1e-5)
    assert same.perplexity == pytest.approx(math.exp(-float(law[3])), rel=1e-6)
    mixed = log_likelihoods(blind, PACKING, [{"text": text(1, 2, 7)}], "text", draws=400)[0]
    assert abs(mixed.nats - float(law[[1, 2, 7]].sum())) < 4 * mixed.error + 1e-6


@torch.no_grad()
def log_probability(own: MaskedModel, codes: list[int], hidden: tuple[int, ...]) -> dict[int, float]:
    """Of each hidden code, with those hidden and an end behind the text."""
    batch = collate([LAYOUT.pack({"text": text(*codes)}, lengths={"text": 4})], multiple=64)
    mask = torch.zeros(batch.shape, dtype=torch.bool)
    mask[0, [1 + place for place in hidden], 0] = True
    masked = masked_at(LAYOUT, batch, mask)
    (group,) = own.logits(masked.inputs, masked.queries)
    law = torch.log_softmax(group.logits.double(), -1)
    return {place: float(law[at, codes[place]]) for at, place in enumerate(hidden)}


def test_the_bound_is_the_average_over_orders():
    """All masks of three codes by hand; the bound is below the log of the mean probability over all orders."""
    own, codes = model(), [4, 0, 9]
    told = {
        hidden: log_probability(own, codes, hidden)
        for size in (1, 2, 3)
        for hidden in itertools.combinations(range(3), size)
    }
    by_size = [[3 / len(h) * sum(law.values()) for h, law in told.items() if len(h) == size] for size in (1, 2, 3)]
    wanted = sum(sum(terms) / len(terms) for terms in by_size) / 3
    found = log_likelihoods(own, PACKING, [{"text": text(*codes)}], "text", draws=300, seed=1)[0]
    assert found.error < 0.2 and abs(found.nats - wanted) < 4 * found.error
    orders = [
        sum(told[tuple(sorted(order[at:]))][order[at]] for at in range(3)) for order in itertools.permutations(range(3))
    ]
    assert wanted == pytest.approx(sum(orders) / 6, rel=1e-6)
    assert wanted < math.log(sum(map(math.exp, orders)) / 6)


def test_counts_that_are_drawn_vary_less_than_rates():
    """Of as many draws; a rate hides each of three codes on its own, t at least 1e-3, and weighs by 1 / t (listed)."""
    own, codes = model(), [4, 0, 9]
    masks = [hidden for size in (1, 2, 3) for hidden in itertools.combinations(range(3), size)]
    said = {hidden: sum(log_probability(own, codes, hidden).values()) for hidden in masks}
    ts = torch.linspace(1e-3, 1, 20_001, dtype=torch.float64)
    chance = {hidden: ts ** len(hidden) * (1 - ts) ** (3 - len(hidden)) for hidden in masks}
    mean = float(sum(chance[one] * said[one] / ts for one in masks).mean())
    square = float(sum(chance[one] * (said[one] / ts) ** 2 for one in masks).mean())
    records = [{"text": text(*codes)}]
    found = torch.tensor([log_likelihoods(own, PACKING, records, "text", draws=6, seed=s)[0].nats for s in range(40)])
    assert abs(float(found.mean()) - mean) < 4 * float(found.std()) / 40**0.5 + 0.01
    assert float(found.var()) < 0.3 * (square - mean**2) / 6


def test_an_item_has_the_same_likelihood_in_any_company():
    own = model(time_input=True)
    sound = TokenStream(SOUND, torch.tensor([[1, 2], [7, 4], [0, 0]], dtype=torch.int32))
    records = [{"text": text(1, 2), "sound": sound}, {"text": text(5), "sound": sound}, {"text": text(3)}]
    together = log_likelihoods(own, PACKING, records, "text", draws=5, seed=2, batch_size=4)
    alone = [log_likelihoods(own, PACKING, [one], "text", draws=5, seed=2)[0] for one in records]
    assert together == alone and len({one.nats for one in alone}) == 3
    assert isinstance(alone[0], LogLikelihood) and alone[0].codes == 2
    both = log_likelihoods(own, PACKING, records[:2], "sound", draws=5)
    assert [one.codes for one in both] == [6, 6] and both[0].nats != both[1].nats  # their words differ
    assert math.isnan(log_likelihoods(own, PACKING, records[:1], "text", draws=1)[0].error)


def causal(layout: Layout, places: str, **options) -> MaskedModel:
    style = BlockStyle(places=places, reads_before=True)
    config = TransformerConfig(64, 2, 2, style=style, absolute=places == "coordinates", **options)
    made = MaskedModel.create(config, layout, pattern=Causal(), seed=0)
    randomise(made, size=0.3)
    return made


@pytest.mark.parametrize("places", ["coordinates", "order"])
@pytest.mark.parametrize("sizes", [(3,), (3, 2)])
def test_a_causal_transformer_gives_a_law(sizes: tuple[int, ...], places: str):
    """Probabilities of all sequences sum to 1, and each is that of its codes one by one, with those before it known."""
    spec = StreamSpec("audio", sizes, ("time",), rate_hz=10.0)
    layout, length = Layout({"sound": spec}), 3 if len(sizes) == 1 else 2
    own = causal(layout, places)
    every = list(itertools.product(*[range(size) for _ in range(length) for size in sizes]))
    streams = [TokenStream(spec, torch.tensor(one, dtype=torch.int32).view(length, -1)) for one in every]
    found = log_likelihoods(own, PACKING, [{"sound": one} for one in streams], "sound")
    assert {one.exact for one in found} == {True} and {one.error for one in found} == {0.0}
    assert sum(math.exp(one.nats) for one in found) == pytest.approx(1, abs=1e-5)
    assert max(one.nats for one in found) - min(one.nats for one in found) > 1
    for stream, score in list(zip(streams, found, strict=True))[::5]:
        batch = collate([layout.pack({"sound": stream})], multiple=64)
        total = 0.0
        for place in range(length):  # what is hidden from here on says nothing
            hidden = torch.zeros(batch.shape, dtype=torch.bool)
            hidden[0, 1 + place : 1 + length] = True
            masked = masked_at(layout, batch, hidden)
            with torch.no_grad():
                groups = own.logits(masked.inputs, masked.queries)
            for group in groups:
                level = group.head
                total += float(torch.log_softmax(group.logits[0].double(), -1)[stream.codes[place, level]])
        assert score.nats == pytest.approx(total, abs=1e-5)


def test_the_loss_of_shown_codes_trains_a_causal_transformer():
    """All codes are asked and none is hidden: the loss is the mean of exact log probabilities, and falls."""
    own, masker = causal(LAYOUT, "order"), Masker(rate=FixedRate(1.0), corruption=Corruption(mask=0.0, keep=1.0))
    records = [{"text": text(*(at % 7 for at in range(first, first + 6)))} for first in range(7)]
    batch = collate([LAYOUT.pack(record) for record in records], torch.arange(7), multiple=64)
    masked = masker(batch, LAYOUT, seed=0)
    assert torch.equal(masked.inputs.ids, batch.ids) and len(masked.queries) == 42
    objective = MaskedCrossEntropy(weight="none", label_smoothing=0.0)
    steps = torch.optim.AdamW(own.parameters(), lr=3e-3)
    before = log_likelihoods(own, PACKING, records, "text")
    assert objective(own, masked).total.item() == pytest.approx(-sum(one.nats for one in before) / 42, rel=1e-5)
    for _ in range(40):
        steps.zero_grad()
        objective(own, masked).total.backward()
        steps.step()
    after = log_likelihoods(own, PACKING, records, "text")
    first = 7 * math.log(7)  # nobody knows where a sequence begins
    assert -sum(one.nats for one in after) < first + 5 < -sum(one.nats for one in before)


def test_a_causal_model_does_not_see_what_stands_behind():
    own, sound = causal(LAYOUT, "order"), TokenStream(SOUND, torch.tensor([[1, 2]], dtype=torch.int32))
    with pytest.raises(ValueError, match="sees what stands before 'text' alone, but sound stands behind it; leave"):
        log_likelihoods(own, PACKING, [{"text": text(1), "sound": sound}], "text")
    heard = [log_likelihoods(own, PACKING, [{"text": text(code), "sound": sound}], "sound")[0] for code in (1, 2)]
    assert heard[0].exact and heard[0].nats != heard[1].nats
    fuller = MaskedModel.create(own.config, LAYOUT, seed=0)  # with the pattern Full
    assert not fuller.causal and not model().causal and own.causal


def test_what_cannot_be_scored_is_one_sentence():
    own = model()
    with pytest.raises(ValueError, match="each record must have the stream 'sound', got text"):
        log_likelihoods(own, PACKING, [{"text": text(1)}], "sound")
    with pytest.raises(ValueError, match="at most 4 positions, got 5 for text; score a part of it"):
        log_likelihoods(own, replace(PACKING, max_positions=4), [{"text": text(1)}], "text")
    with pytest.raises(ValueError, match="draws must be at least 1, got 0; choose another"):
        log_likelihoods(own, PACKING, [{"text": text(1)}], "text", draws=0)
    with pytest.raises(ValueError, match=r"draws must be in 1\.\.1048576, got 10000000000000"):
        log_likelihoods(own, PACKING, [{"text": text(1)}], "text", draws=10**13)
    with pytest.raises(TypeError, match="draws must be a whole number, got nan; write an int"):
        log_likelihoods(own, PACKING, [{"text": text(1)}], "text", draws=math.nan)
    with pytest.raises(ValueError, match="at least one code, got none"):
        log_likelihoods(own, PACKING, [{"text": TokenStream(TEXT, torch.zeros(0, 1, dtype=torch.int32))}], "text")
