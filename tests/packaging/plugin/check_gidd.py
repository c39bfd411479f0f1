"""GIDD of examples/plugin: its noise, its bound and its step back, against their definitions; and a run of it."""

import itertools
import math

import pytest
import torch
from tokenmask_example.gidd import Ancestral, GiddBound, Hybrid
from tokenmask_example.gidd.objective import bound_terms, elbo_weights
from tokenmask_example.gidd.pick import posterior

from tests.packaging.plugin.trained import trained
from tests.sampling.test_values import LAYOUT, MASK, OFFSET, Table, trace
from tokenmask.batch import collate
from tokenmask.corpus import HELD_OUT
from tokenmask.masking import Cosine, Masker, ProcessRate
from tokenmask.models import MaskedModel
from tokenmask.sampling import Sampler
from tokenmask.streams import TokenStream
from tokenmask.testing.world import World, small_model


def test_hybrid_noise_by_hand():
    law, half = Hybrid(0.2), torch.tensor(0.5, dtype=torch.float64)
    # B = 2 * 0.2 / 0.8 = 0.5, c = 0.5 * 0.5 = 0.25, C = 1.25: 0.4 stays, 0.4 is MASK, 0.2 random
    assert float(law.hidden(half)) == pytest.approx(0.6) and float(law.random_share(half)) == pytest.approx(1 / 3)
    assert float(law.uniform_prime(half)) == 0 and float(law.hidden_prime(half)) == pytest.approx(1 / 1.25)
    times = torch.rand(9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(Hybrid(0.0).hidden(times), times, atol=1e-8)
    with pytest.raises(ValueError, match="0 <= p_uniform < 1"):
        Hybrid(1.0)


def test_noise_has_the_shares_of_the_process():
    batch = collate(
        [LAYOUT.pack({"text": TokenStream(LAYOUT.streams["text"], torch.zeros(4000, 1).int())})], multiple=1
    )
    masker = Masker(ProcessRate(Hybrid(0.2), low=0.4999, high=0.5001, rounding="bernoulli"))
    masked = masker(batch, LAYOUT, seed=1)
    codes = (masked.inputs.ids[0, 1:4001, 0] - OFFSET).tolist()
    shares = [codes.count(code) / 4000 for code in range(5)]
    assert shares == pytest.approx([0.45, 0.05, 0.05, 0.05, 0.4], abs=0.025)  # 0 is right: 0.4 + 0.2 / 4
    assert torch.equal(masked.hidden, masked.inputs.ids != batch.ids) and masked.process == Hybrid(0.2)


def test_weights_and_terms_are_those_of_the_bound():
    """Against the definition: w = ((beta pi)'_z - alpha' / alpha (beta pi)_z) / q_t(z | x), KL and r by their sums."""

    law, size, draw = Hybrid(0.3, 1.0), 3, torch.Generator().manual_seed(0)
    logits = torch.randn(4, size, generator=draw)
    right, stands = torch.tensor([0, 1, 2, 2]), torch.tensor([0, 2, 3, 0])  # right, random, MASK, random
    t = torch.tensor([0.3, 0.3, 0.7, 0.9], dtype=torch.float64, requires_grad=True)
    weights, terms = elbo_weights(law, size, right, stands, t), bound_terms(law, logits, right, stands, t)
    for row in range(4):
        time = t[row : row + 1]
        c = law.uniform(time)
        alpha = (1 - time) / (1 + c)
        noise = torch.cat([(c / size / (1 + c)).expand(size), time / (1 + c)])
        slopes = [torch.autograd.grad(value, t, retain_graph=True)[0][row] for value in noise]
        fall = torch.autograd.grad(alpha.sum(), t, retain_graph=True)[0][row]
        data_law = noise.detach().clone()
        data_law[right[row]] += alpha.detach()[0]
        model_law = noise.detach() + alpha.detach() * torch.cat([logits[row].double().softmax(0), torch.zeros(1)])
        z = int(stands[row])
        expected = (slopes[z] - fall / alpha.detach() * noise[z].detach()) / data_law[z]
        assert float(weights[row].detach()) == pytest.approx(float(expected.detach()), rel=1e-9)
        ratio = data_law[z] / model_law[z]
        divergence = (data_law * (data_law / model_law).log()).sum()
        assert float(terms[row].detach()) == pytest.approx(float(divergence + ratio - ratio.log() - 1), rel=1e-4)


def test_without_random_codes_it_is_the_bound_of_mdlm():
    logits = torch.tensor([[2.0, 0.0, -1.0, 0.5]])
    hidden, t = torch.tensor([4]), torch.tensor([0.3], dtype=torch.float64)
    loss = elbo_weights(Hybrid(0.0), 4, torch.tensor([1]), hidden, t) * bound_terms(
        Hybrid(0.0), logits, torch.tensor([1]), hidden, t
    )
    assert float(loss) == pytest.approx(-float(logits.log_softmax(1)[0, 1]) / 0.3, rel=1e-5)
    shown = bound_terms(Hybrid(0.0), logits, torch.tensor([1]), torch.tensor([1]), t)
    assert float(shown * elbo_weights(Hybrid(0.0), 4, torch.tensor([1]), torch.tensor([1]), t)) == pytest.approx(
        0, abs=1e-6
    )
    masked = Masker(ProcessRate(Cosine()))(World().batch, small_model().layout, seed=0)
    with pytest.raises(ValueError, match="goes with a rate by the process Hybrid"):
        GiddBound()(small_model(), masked)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.3])
def test_over_one_slot_the_bound_is_the_entropy(p):
    """With the best answer there is without a neighbour, the data's own shares, whatever the noise."""

    shares, law = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), Hybrid(p)
    angle = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000 * math.pi / 2
    t, slope = angle.sin() ** 2, (2 * angle).sin() * (math.pi / 2 / 2000)  # t = sin^2: the ends are tame
    c, total = law.uniform(t), torch.zeros((), dtype=torch.float64)
    for x in range(3):
        for z in range(4):
            rows = torch.full((2000,), x), torch.full((2000,), z)
            odds = t / (1 + c) if z == 3 else ((1 - t) * (x == z) + c / 3) / (1 + c)
            terms = bound_terms(law, shares.log().float().expand(2000, 3), *rows, t).double()
            weights = elbo_weights(law, 3, *rows, t)
            total += shares[x] * (torch.where(odds > 1e-12, weights * terms * odds, 0.0) * slope).sum()
    entropy = -(shares * shares.log()).sum()
    assert float(total) == pytest.approx(float(entropy), rel=5e-3)


def test_a_step_back_is_bayes_rule():
    law, size = Hybrid(0.3), 3
    t, s = torch.tensor(0.7, dtype=torch.float64), torch.tensor(0.4, dtype=torch.float64)
    likely = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)

    def marginal(time, code):
        c = float(law.uniform(time))
        values = [c / size / (1 + c)] * size + [float(time) / (1 + c)]
        values[code] += (1 - float(time)) / (1 + c)
        return torch.tensor(values, dtype=torch.float64)

    back = torch.cat([posterior(law, likely[None], torch.tensor([z]), t, s) for z in range(4)])
    assert torch.allclose(back.sum(1), torch.ones(4, dtype=torch.float64)) and bool((back >= 0).all())
    # Chapman-Kolmogorov: from the share at t, one step back, comes the share at s.
    at_t, at_s = (sum(likely[x] * marginal(time, x) for x in range(3)) for time in (t, s))
    assert torch.allclose(at_t @ back, at_s)
    masked = posterior(law, likely[None], torch.tensor([3]), t, torch.zeros((), dtype=torch.float64))
    assert torch.allclose(masked[0], torch.cat([likely, torch.zeros(1)]))


class Sees(Table):
    """Sure of code 1 everywhere; keeps the ids that it was shown."""

    def __init__(self):
        super().__init__(torch.tensor([[1e-6, 1 - 3e-6, 1e-6, 1e-6]]))
        self.shown = []

    def logits(self, inputs, queries, t=None, **more):
        self.shown.append((inputs.ids[0, 1:-1, 0].tolist(), len(queries)))
        yield 0, torch.arange(len(queries)), self.table.expand(len(queries), 4)


def test_a_pick_revises_codes_and_hides_them_again():
    ancestral, model = Sampler(6, pick=Ancestral(Hybrid(0.5))), Sees()
    rows = [[-1] * 40, *trace(ancestral, model, slots=40)]
    changes = [(a, b) for before, after in itertools.pairwise(rows) for a, b in zip(before, after, strict=True)]
    assert any(a >= 0 and b >= 0 and a != b for a, b in changes)  # a code became another one
    assert any(a >= 0 and b < 0 for a, b in changes)  # and MASK again
    assert all(asked == 40 for _, asked in model.shown)  # every slot is asked in every step
    assert rows[-1] == [1] * 40  # at s = 0 nothing but what the model says is left, MASK and wrong codes alike
    seen = [[MASK if code < 0 else code + OFFSET for code in row] for row in rows[:-1]]
    assert [ids[: len(seen[0])] for ids, _ in model.shown] == [row[: len(model.shown[0][0])] for row in seen]


def test_the_last_step_ends_at_0_however_far_times_stay_from_it():
    assert trace(Sampler(2, pick=Ancestral(Hybrid(0.5), eps=0.4)), Sees(), slots=40)[-1] == [1] * 40


def test_weights_of_training_by_hand():
    right, stands = torch.tensor([0, 0, 0]), torch.tensor([0, 1, 3])  # right, random, MASK, of three codes
    t, elbo = torch.full((3,), 0.5, dtype=torch.float64), torch.tensor([-1.0, 5.0, 4.0], dtype=torch.float64)
    law = Hybrid(0.2)  # B = 0.5
    kept = 0.5 / 4 * math.exp(0.5 / (1 + math.exp(0.5)))
    assert GiddBound()._chosen(law, 3, right, stands, t, elbo).tolist() == pytest.approx([kept, 1.0, 2.0])
    assert GiddBound(most=1.5)._chosen(law, 3, right, stands, t, elbo).tolist() == pytest.approx([kept, 1.0, 1.5])
    assert GiddBound("clip")._chosen(law, 3, right, stands, t, elbo).tolist() == [0.0, 2.0, 2.0]
    assert GiddBound("elbo")._chosen(law, 3, right, stands, t, elbo).tolist() == [-1.0, 5.0, 4.0]


def test_gidd_trains_reopens_and_generates(corpus, tmp_path):
    run = trained(tmp_path, corpus, "gidd", steps=40)
    assert run.recipe.sampler_of("text").process == Hybrid(0.2) and run.recipe.sampler.pick == Ancestral()
    packed = [run.recipe.packing(run.layout, one.streams) for one in run.records(HELD_OUT)]
    batch = collate(packed, multiple=8)
    masked = run.recipe.masker(batch, run.layout, seed=5)
    fresh = MaskedModel.create(run.recipe.model, run.layout, seed=0)
    with torch.no_grad():
        before, after = (float(GiddBound("elbo")(model, masked).total) for model in (fresh, run.models["main"]))
    assert after < 0.9 * before
