"""What published systems say that can be checked exactly, on small worlds whose laws are known."""

import itertools
import math
from collections import Counter
from dataclasses import replace

import pytest
import torch

from tests.models.small import randomise
from tests.sampling.test_values import LAYOUT, row_of, start
from tests.systems.test_parts import film_row
from tests.worlds import tiny_run
from tokenmask.batch import FILL, GIVEN, collate
from tokenmask.layout import Layout
from tokenmask.masking import Conditioning, Power
from tokenmask.masking.masked_batch import Queries
from tokenmask.models import MaskedModel, OwnFrame, SlotMeta, SpatialWindows, TransformerConfig, Window, dense_mask
from tokenmask.recipes import load_recipe
from tokenmask.sampling import (
    Categorical,
    ClassifierFree,
    LogitNoise,
    ProcessSchedule,
    Sampler,
    SamplerState,
    Twice,
    UniformSchedule,
    Zigzag,
)
from tokenmask.scores import RandomScore
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.worlds import Markov, oracle

CHAIN = Markov(5, ((0.9, 0.1), (0.2, 0.8)))
EVERY = torch.tensor(list(itertools.product(range(2), repeat=5)))


def law_of_counts(world, counts: list[int]) -> torch.Tensor:
    """float64 [32], what is drawn when so many slots of a random order are filled in each step, by enumeration."""
    found, parts = torch.zeros(len(EVERY), dtype=torch.float64), 0
    told = {
        seen: world.conditionals(torch.where(torch.tensor(seen), EVERY, -1)).gather(2, EVERY[:, :, None])[..., 0]
        for seen in itertools.product((False, True), repeat=5)
    }
    for order in set(itertools.permutations([step for step, count in enumerate(counts) for _ in range(count)])):
        likely = torch.ones(len(EVERY), dtype=torch.float64)
        for step in range(len(counts)):
            seen, now = tuple(one < step for one in order), [place for place in range(5) if order[place] == step]
            likely = likely * told[seen][:, now].prod(1)
        found, parts = found + likely, parts + 1
    return found / parts


def revealed(steps: int) -> list[int]:
    after = [5, *ProcessSchedule().plan(5, steps)]
    return [a - b for a, b in itertools.pairwise(after)]


def test_maskgit_nears_the_law_with_every_step_and_reaches_it():
    """Of 1 to 5 steps in a random order the divergence falls, to 0 with one slot a step; samples follow that law."""
    true = CHAIN.log_prob(EVERY).exp()
    laws = [law_of_counts(CHAIN, revealed(steps)) for steps in range(1, 6)]
    apart = [float((true * (true / law).log()).sum()) for law in laws]
    assert all(a > b for a, b in itertools.pairwise(apart)) and apart[0] > 0.3 and abs(apart[-1]) < 1e-12
    sampler = Sampler(2, order=RandomScore())
    batch = CHAIN.batch(torch.zeros(2000, 5, dtype=torch.int64))
    batch = replace(batch, sample_ids=torch.arange(2000))
    done = sampler.run(
        {"main": oracle(CHAIN)}, CHAIN.layout, SamplerState.start(batch, CHAIN.layout, torch.zeros(2000).long())
    )
    codes = CHAIN.layout.codes_of(done.batch.ids)[done.batch.to_fill].view(2000, 5)
    seen = torch.bincount((codes * torch.tensor([16, 8, 4, 2, 1])).sum(1), minlength=32)
    chi = float(((seen - 2000 * laws[1]) ** 2 / (2000 * laws[1])).sum())
    assert chi < 61.1  # 31 degrees of freedom: one alarm in 1,000


def test_maskgit_fills_independent_slots_exactly_in_one_step():
    even = Markov(5, ((0.7, 0.3), (0.7, 0.3)))
    true = even.log_prob(EVERY).exp()
    assert torch.allclose(law_of_counts(even, [5]), true, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("magnet", {"radius": 5, "temperature": 3.0, "top_p": 0.9, "start": 10.0, "end": 1.0}),
        ("mmm", {"low": 0.5, "noise": 0.5, "plain": True}),
        ("meissonic", {"scale": 2.0, "start": 9.0}),
        ("worlddreamer", {"rows": 4, "columns": 4}),
        ("genmol", {"each": 1, "noise": 0.5, "temperature": 0.5}),
    ],
)
def test_numbers_of_the_papers(name, said):
    from tests.testing.test_ours import components_in

    parts = list(components_in(load_recipe(name)))
    for field, value in said.items():
        assert any(getattr(part, field, None) == value for part in parts), field


def test_magnet_takes_three_frames_at_a_time_and_never_takes_one_back():
    """The recipe's loop over a row of 30 frames: counts of MAGNeT on every level, runs whole, what is kept stays."""
    sampler = load_recipe("magnet").sampler_of("audio")
    spec = StreamSpec("audio", (8, 8), ("time",), rate_hz=50.0)
    layout = Layout({"audio": spec})
    packed = layout.pack({"audio": TokenStream(spec, torch.zeros(30, 2, dtype=torch.int32))})
    model = MaskedModel.create(TransformerConfig(64, 1, 2), layout, pattern=Window(5, None, 1))
    randomise(model, size=0.15)
    state = SamplerState.start(collate([packed], multiple=1), layout, torch.tensor([1]))
    sampler = replace(sampler, stages=tuple(replace(one, steps=6) for one in sampler.stages[:2]))
    opened, before, ids = [], state.is_open[0, 1:], None
    for step in sampler.iterate({"main": model}, layout, state):
        now = step.state.is_open[0, 1:]
        assert bool((now <= before).all()) and torch.equal(now[::3], now[1::3]) and torch.equal(now[::3], now[2::3])
        if ids is not None:
            assert torch.equal(step.state.batch.ids[0, 1:][~before], ids[~before])
        before, ids = now, step.state.batch.ids[0, 1:]
        opened.append(int(now.sum()))
    runs = [max(1, int(10 * math.cos(math.pi * i / 10))) for i in range(1, 6)] + [0]
    assert runs == [9, 8, 5, 3, 1, 0]
    assert opened == [30 + 3 * count for count in runs] + [3 * count for count in runs]


def test_mmm_masks_more_than_half_and_learns_all():
    recipe = load_recipe("mmm")
    spec = StreamSpec("motion", (40,), ("time",), rate_hz=7.5)
    layout = Layout({"motion": spec})
    packed = layout.pack({"motion": TokenStream(spec, torch.zeros(30, 1, dtype=torch.int32))})
    batch = collate([packed] * 200, multiple=1)
    batch = replace(batch, sample_ids=torch.arange(200))
    masked = recipe.masker(batch, layout, seed=0)
    shown = masked.inputs.ids[:, 1:, 0]
    hidden = (shown == layout.range("motion").mask_id).sum(1)
    assert int(hidden.min()) >= 15 and int(hidden.max()) <= 30 and 22 < float(hidden.float().mean()) < 23
    wrong = masked.hidden[:, 1:, 0] & (shown != layout.range("motion").mask_id)
    assert float(wrong.sum() / (30 * 200 - hidden.sum())) == pytest.approx(0.5 * 39 / 40, abs=0.03)
    from tokenmask.objectives.scope import asked

    queries, targets = asked(recipe.objective.scope, masked, layout)
    assert len(queries) == 30 * 200 and targets.codes.tolist() == [0] * 6000


def test_muse_fills_few_codes_then_more(tmp_path):
    """What is filled of "fine" follows from "image"; a part that is given stays as it is."""
    run = tiny_run(tmp_path / "muse", "muse")
    coarse = run.generate_tokens("image", given={"text": "red apple"}, steps=3)[0]
    given = {"text": "red apple", "image": coarse}
    fine = run.generate_tokens("fine", given=given, steps=3)[0]
    assert fine.spec == run.layout.streams["fine"]
    other = replace(coarse, codes=(coarse.codes + 7) % run.layout.streams["image"].codebook_sizes[0])
    assert run.generate_tokens("fine", given=given, steps=3)[0] == fine
    assert run.generate_tokens("fine", given={**given, "image": other}, steps=3)[0] != fine
    # In training the words are never what is filled, and each of the pictures is, with the other one given or dropped.
    conditioning = run.recipe.conditioning
    assert isinstance(conditioning, Conditioning)
    streams = {
        "text": TokenStream(run.layout.streams["text"], torch.zeros(2, 1, dtype=torch.int32)),
        "image": coarse,
        "fine": fine,
    }
    batch = collate([run.layout.pack(streams)] * 60, multiple=1)
    batch = conditioning(replace(batch, sample_ids=torch.arange(60)), run.layout, seed=0)
    filled = Counter(
        tuple(name for number, name in enumerate(run.layout.names) if (role[stream == number] == FILL).any())
        for role, stream in zip(batch.role, batch.stream, strict=True)
    )
    assert set(filled) == {("image",), ("fine",)} and min(filled.values()) > 15


def test_meissonic_without_its_extras_is_the_plain_sampler():
    plain = load_recipe("meissonic").sampler_of("image")
    sampler = replace(plain, steps=4, pick=Categorical())
    from tests.sampling.test_values import Table, trace

    quiet = replace(sampler, pick=replace(plain.pick, scale=0.0))
    assert isinstance(plain.pick, LogitNoise)
    assert trace(quiet, seed=5) == trace(sampler, seed=5)
    # One slot a step leaves nothing that zigzag could open: the step that fills it again asks nothing.
    zigzag = replace(sampler, schedule=Twice(UniformSchedule(1)), revoke=Zigzag(), guidance=ClassifierFree(1.0))
    model = Table()
    steps = list(zigzag.iterate({"main": model}, LAYOUT, start(seed=5)))
    assert [int(step.state.is_open.sum()) for step in steps] == [3, 3, 2, 2, 1, 1, 0]
    assert len(row_of().ids) == 1


def positions(layout: Layout, batch) -> SlotMeta:
    return SlotMeta.of(batch)


@pytest.mark.parametrize("splits", [1, 2, 4])
def test_windows_have_one_in_s_squared_of_the_pairs(splits):
    layout, batch = film_row(3, 8, 8)
    mask = dense_mask(SpatialWindows(8 // splits, 8 // splits), positions(layout, batch))[0, 0, 1:, 1:]
    assert int(mask.sum()) * splits**2 == (3 * 64) ** 2
    assert torch.equal(mask, mask.T)  # and a place sees its own window in every frame
    assert bool(mask[0, 64]) and bool(mask[0, 128]) and (splits == 1 or not bool(mask[0, 63]))


def test_pictures_that_are_trained_as_a_film_do_not_meet():
    """Permuting the frames permutes the logits: no frame sees another, and none knows its number."""
    layout, batch = film_row(4, 3, 3)
    config = TransformerConfig(64, 2, 2, absolute=False)
    model = MaskedModel.create(config, layout, pattern=OwnFrame(alone=True))
    randomise(model, size=0.15)
    order = torch.tensor([2, 0, 3, 1])
    frames = batch.ids[:, 1:].view(1, 4, 9, 1)
    moved = replace(batch, ids=torch.cat([batch.ids[:, :1], frames[:, order].reshape(1, 36, 1)], 1))
    queries = Queries(torch.arange(1, 37), torch.zeros(36, dtype=torch.int64))
    with torch.inference_mode():
        logits, permuted = (next(iter(model.logits(one, queries)))[2].view(4, 9, 9) for one in (batch, moved))
    assert torch.allclose(permuted, logits[order], atol=1e-4) and not torch.allclose(permuted, logits, atol=1e-2)


def test_worlddreamer_goes_on_from_a_first_frame():
    """A film of which one frame is given, as no tube ever shows: what is given stays, all else is filled."""
    recipe = load_recipe("worlddreamer", tiny=True)
    layout, batch = film_row(4, 8, 8)
    given = torch.zeros_like(batch.role, dtype=torch.bool)
    given[:, 1:65] = True
    batch = replace(batch, role=torch.where(given, GIVEN, batch.role).to(torch.int8))
    model = MaskedModel.create(recipe.model, layout, pattern=SpatialWindows(4, 4))
    randomise(model, size=0.15)
    sampler = replace(recipe.sampler_of("video"), steps=3, guidance=ClassifierFree(1.0))
    done = sampler.run({"main": model}, layout, SamplerState.start(batch, layout, torch.tensor([0])))
    assert torch.equal(done.batch.ids[given], batch.ids[given]) and not bool(done.is_open.any())


def test_m2t_groups_of_the_paper():
    """576 cells in 12 groups by (s / S)^2.2: what is open after each is what the law leaves, rounded up."""
    after = ProcessSchedule(Power(2.2), "ceil").plan(576, 12)
    groups = [a - b for a, b in itertools.pairwise([576, *after])]
    assert groups == [2, 9, 16, 24, 32, 42, 50, 61, 69, 80, 90, 101]
