"""The decode loop: exact where the truth is known, equal to a plain loop, invariant, true to what is given."""

from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmask.batch import FILL, GIVEN, Batch, collate
from tokenmask.layout import Layout, Parallel
from tokenmask.sampling import (
    Categorical,
    ClassifierFree,
    ForbidCodes,
    ProcessSchedule,
    RevokeLeastLikely,
    Sampler,
    SamplerState,
    Stage,
    UniformSchedule,
)
from tokenmask.scores import ConfidenceScore, EntropyScore, HaltonScore, MarginScore, RandomScore
from tokenmask.streams import StreamSpec, TokenStream

TEXT = StreamSpec("text", (12,), ("index",))
AUDIO = StreamSpec("audio", (6, 6, 6), ("time",), rate_hz=10.0)
LAYOUT = Layout({"text": TEXT, "audio": AUDIO}, arrangements={"audio": Parallel()})


class Seer:
    """A model of fixed logits that depend on what is visible: a hash of the row's ids, position by position."""

    def __init__(self, layout: Layout = LAYOUT, look: bool = True) -> None:
        self.layout, self.look, self.seen = layout, look, []
        self.tables = [
            torch.randn(64, r.size, generator=torch.Generator().manual_seed(index)) * 2
            for index, r in enumerate(layout.ranges)
        ]

    def logits(self, inputs: Batch, queries, t=None, group=None):
        rows, length, levels = inputs.shape
        self.seen.append(inputs)
        row = torch.div(queries.slots, length * levels, rounding_mode="floor")
        position = torch.div(queries.slots % (length * levels), levels, rounding_mode="floor")
        visible = (inputs.ids * inputs.valid[:, :, None]).sum((1, 2)) if self.look else torch.zeros(rows).long()
        for head in queries.heads.unique().tolist():
            index = (queries.heads == head).nonzero().squeeze(1)
            yield head, index, self.tables[head][(visible[row] + position)[index] % 64]


def batch_of(*records, roles=None, multiple=8) -> Batch:
    roles = [*(roles or []), *[None] * (len(records) - len(roles or []))]
    sequences = [LAYOUT.pack(record, roles=role) for record, role in zip(records, roles, strict=True)]
    return collate(sequences, multiple=multiple)


def text(length: int, seed: int = 0) -> TokenStream:
    codes = torch.randint(12, (length, 1), generator=torch.Generator().manual_seed(seed), dtype=torch.int32)
    return TokenStream(TEXT, codes)


def audio(length: int, seed: int = 0) -> TokenStream:
    codes = torch.randint(6, (length, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.int32)
    return TokenStream(AUDIO, codes)


def run(sampler: Sampler, batch: Batch, model=None, seeds=None):
    seeds = torch.zeros(batch.shape[0], dtype=torch.int64) if seeds is None else seeds
    return sampler.run({"main": model or Seer()}, LAYOUT, SamplerState.start(batch, LAYOUT, seeds))


SAMPLERS = [
    Sampler(),
    Sampler(4, order=ConfidenceScore(4.5), guidance=ClassifierFree(3.0, 1.0, "cosine")),
    Sampler(7, schedule=UniformSchedule(), order=RandomScore(), pick=Categorical(1.0, 0.2, top_k=3)),
    Sampler(5, order=HaltonScore(), pick=Categorical(0.7, top_p=0.8)),
    Sampler(6, order=MarginScore(), revoke=RevokeLeastLikely(0.3), pick=Categorical(1.0, min_p=0.1)),
    Sampler(1, order=EntropyScore()),
    Sampler(stages=(Stage(3, (0,)), Stage(2, (1, 2)))),
    Sampler(stages=(Stage(30),)),
]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(SAMPLERS), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99), st.data())
def test_fills_everything_and_changes_nothing_given(sampler, words, frames, seed, data):
    open_audio = data.draw(st.lists(st.booleans(), min_size=frames * 3, max_size=frames * 3))
    role = torch.tensor(open_audio).view(frames, 3).to(torch.int8) + 1
    both = {"text": text(words, seed), "audio": audio(frames, seed)}
    batch = batch_of(both, {"audio": audio(3)}, roles=[{"text": GIVEN, "audio": role}, {}])
    done = run(sampler, batch, seeds=torch.tensor([seed, 1]))
    assert not done.is_open.any()
    fixed = batch.role != FILL
    assert torch.equal(done.batch.ids[fixed], batch.ids[fixed])
    heads = LAYOUT.head_of(batch.ids)[~fixed]
    codes = done.batch.ids[~fixed] - LAYOUT.offsets()[heads]
    assert ((codes >= 0) & (codes < LAYOUT.sizes()[heads])).all()


def test_equals_the_plain_low_confidence_loop():
    """LLaDA's loop at temperature 0, written out: argmax, softmax confidence, commit the k_s highest."""
    batch = batch_of({"text": text(11)})
    sampler = Sampler(4, schedule=UniformSchedule(), pick=Categorical(0.0))
    done = run(sampler, batch)
    model, offset, mask = Seer(), LAYOUT.range("text").offset, LAYOUT.range("text").mask_id
    ids = torch.where(batch.role[0, :, 0] == FILL, mask, batch.ids[0, :, 0])
    for count in (3, 3, 3, 2):
        visible = int(ids.sum())
        logits = model.tables[0][(visible + torch.arange(len(ids))) % 64]
        confidence, code = logits.softmax(-1).max(-1)
        confidence = torch.where(ids == mask, confidence, -torch.inf)
        best = confidence.argsort(descending=True, stable=True)[:count]
        ids[best] = (code[best] + offset).to(ids.dtype)
    assert torch.equal(done.batch.ids[0, :, 0], ids)


def test_reveals_what_the_schedule_says_in_every_step():
    batch = batch_of({"audio": audio(16)}, {"audio": audio(5)})
    sampler = Sampler(6)
    state = SamplerState.start(batch, LAYOUT, torch.tensor([0, 1]))
    opened = [step.state.is_open.sum(1) for step in sampler.iterate({"main": Seer()}, LAYOUT, state)]
    for row, initial in enumerate((16, 5)):
        for level in range(3):
            for index in range(6):
                now = int(opened[6 * level + index][row, level])
                assert now == ProcessSchedule().plan(initial, 6)[index]
            assert level == 2 or int(opened[6 * level + 5][row, level + 1]) == initial


def test_levels_decode_coarse_to_fine():
    model = Seer()
    run(Sampler(3), batch_of({"audio": audio(6)}), model)
    masks = [LAYOUT.range("audio", level).mask_id for level in range(3)]
    for index, inputs in enumerate(model.seen):
        stage = index // 3
        columns = inputs.ids[0, 1:7]
        for level in range(3):
            hidden = columns[:, level] == masks[level]
            assert hidden.all() if level > stage else (not hidden.any() if level < stage else hidden.any())


def test_one_step_on_a_factorised_source_is_exact():
    model, rows = Seer(look=False), 4000
    batch = collate([LAYOUT.pack({"text": text(2)})] * rows, torch.arange(rows), multiple=1)
    done = run(Sampler(1), batch, model, torch.full((rows,), 7))
    codes = done.batch.ids[:, 1:3, 0] - LAYOUT.range("text").offset
    for position in (1, 2):
        expected = model.tables[0][position].double().softmax(-1) * rows
        found = torch.bincount(codes[:, position - 1].long(), minlength=12).double()
        usual = expected >= 5
        chi = ((found - expected).square() / expected)[usual].sum()
        assert float(chi) < 40  # 11 degrees of freedom: false alarm below 1e-4


def test_one_slot_a_step_draws_a_markov_chain_exactly():
    """With true conditionals, n steps on n slots sample the joint law whatever the order (here: random)."""
    chain = torch.tensor([[0.9, 0.1], [0.2, 0.8]], dtype=torch.float64)
    start = torch.tensor([0.3, 0.7], dtype=torch.float64)
    bits = [[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)]
    joint = torch.tensor([start[a] * chain[a, b] * chain[b, c] for a, b, c in bits])
    spec = StreamSpec("text", (2,), ("index",))
    layout = Layout({"text": spec})
    offset = layout.range("text").offset

    class Oracle:
        def logits(self, inputs, queries, t=None, group=None):
            length = inputs.shape[1]
            rows, positions = queries.slots // length, queries.slots % length
            out = torch.empty(len(queries), 2)
            for n, (row, position) in enumerate(zip(rows.tolist(), positions.tolist(), strict=True)):
                seen = (inputs.ids[row, 1:4, 0] - offset).tolist()
                fit = torch.tensor([all(s == 2 or s == b for s, b in zip(seen, word, strict=True)) for word in bits])
                for code in range(2):
                    here = torch.tensor([word[position - 1] == code for word in bits])
                    out[n, code] = joint[fit & here].sum().log().float()
            yield 0, torch.arange(len(queries)), out

    rows = 3000
    packed = layout.pack({"text": TokenStream(spec, torch.zeros(3, 1, dtype=torch.int32))})
    batch = collate([packed] * rows, torch.arange(rows))
    state = SamplerState.start(batch, layout, torch.full((rows,), 3))
    done = Sampler(3, schedule=UniformSchedule(), order=RandomScore()).run({"main": Oracle()}, layout, state)
    codes = (done.batch.ids[:, 1:4, 0] - offset).long()
    found = torch.bincount(codes[:, 0] * 4 + codes[:, 1] * 2 + codes[:, 2], minlength=8).double()
    chi = ((found - joint * rows).square() / (joint * rows)).sum()
    assert float(chi) < 29.9  # 7 degrees of freedom: false alarm below 1e-4


@pytest.mark.parametrize("sampler", SAMPLERS, ids=range(len(SAMPLERS)))
def test_a_request_is_the_same_alone_and_in_a_batch(sampler):
    records = [{"text": text(4, n), "audio": audio(5 + n, n)} for n in range(3)] + [{"text": text(7, 9)}]
    roles = [{"text": GIVEN}] * 3 + [{}]
    batch = batch_of(*records, roles=roles, multiple=16)
    seeds = torch.tensor([5, 5, 8, 2])
    together = run(sampler, batch, seeds=seeds)
    for row in range(4):
        alone = run(sampler, batch.rows(torch.tensor([row])), seeds=seeds[row : row + 1])
        assert torch.equal(alone.batch.ids[0], together.batch.ids[row])
    # fewer levels in the batch: the text row on its own has K = 1
    single = collate([LAYOUT.pack(records[3])], torch.tensor([3]), multiple=16)
    assert torch.equal(run(sampler, single, seeds=seeds[3:]).batch.ids[0, :, 0], together.batch.ids[3, :, 0])


def test_samples_of_one_seed_differ_and_seeds_differ():
    batch = collate([LAYOUT.pack({"text": text(12)})] * 3, torch.tensor([0, 1, 0]), multiple=8)
    done = run(Sampler(3), batch, Seer(look=False), torch.tensor([4, 4, 5])).batch.ids
    assert not torch.equal(done[0], done[1]) and not torch.equal(done[0], done[2])


def test_guidance_runs_the_dropped_condition_and_combines():
    batch = batch_of({"text": text(3), "audio": audio(2)}, roles=[{"text": GIVEN}])
    plain, guided = Seer(), Seer()
    run(Sampler(stages=(Stage(1),)), batch, plain)
    done = run(Sampler(stages=(Stage(1),), guidance=ClassifierFree(2.5)), batch, guided)
    assert [inputs.shape[0] for inputs in plain.seen] == [1] and [inputs.shape[0] for inputs in guided.seen] == [2]
    dropped = guided.seen[0]
    assert torch.equal(dropped.ids[0], dropped.ids[1])
    assert dropped.valid[0].tolist() == [True] * 6 + [False] * 2
    assert dropped.valid[1].tolist() == [True] + [False] * 3 + [True] * 2 + [False] * 2
    assert done.counters == {"forward_passes": 1, "computed_positions": 16, "queries": 12}
    greedy = run(Sampler(stages=(Stage(1),), guidance=ClassifierFree(2.5), pick=Categorical(0.0)), batch)
    head = LAYOUT.head("audio", 1)
    c, u = (Seer().tables[head][(int((dropped.ids[n] * dropped.valid[n][:, None]).sum()) + 4) % 64] for n in (0, 1))
    assert int(greedy.batch.ids[0, 4, 1]) - LAYOUT.ranges[head].offset == int((u + 2.5 * (c - u)).argmax())


def test_guidance_scales():
    assert ClassifierFree(10.0, 1.0).scale(0.5) == 5.5
    assert ClassifierFree(3.0).scale(0.9) == 3.0
    assert ClassifierFree(0.0, 2.0, "cosine").scale(1 / 3) == pytest.approx(2 * (1 - 3**0.5 / 2))


def test_forbidden_codes_are_never_drawn():
    sampler = Sampler(2, constraint=ForbidCodes({"text": tuple(range(11))}))
    done = run(sampler, batch_of({"text": text(9)}))
    assert (done.batch.ids[0, 1:10, 0] - LAYOUT.range("text").offset == 11).all()
    with pytest.raises(ValueError, match=r"^ForbidCodes for 'text' must lie in 0\.\.11, got \(12,\)"):
        run(Sampler(2, constraint=ForbidCodes({"text": (12,)})), batch_of({"text": text(9)}))


def test_revoked_slots_open_again_and_are_filled_in_time():
    batch = batch_of({"text": text(12)})
    state = SamplerState.start(batch, LAYOUT, torch.tensor([0]))
    sampler = Sampler(6, revoke=RevokeLeastLikely(0.5), schedule=UniformSchedule())
    counts = [int(step.state.is_open.sum()) for step in sampler.iterate({"main": Seer()}, LAYOUT, state)]
    assert counts[0] >= 10 and counts[-1] == 0
    assert any(count > UniformSchedule().plan(12, 6)[index] for index, count in enumerate(counts[:-1]))


def test_rows_moves_every_field():
    batch = batch_of({"text": text(4)}, {"text": text(4, 1)}, {"text": text(4, 2)})
    state = SamplerState.start(batch, LAYOUT, torch.tensor([1, 2, 3]))
    state = replace(state, carry={"noise": torch.arange(3)})
    picked = state.rows(torch.tensor([2, 2, 0, 1]))
    for item in fields(state):
        value, chosen = getattr(state, item.name), getattr(picked, item.name)
        if isinstance(value, torch.Tensor):
            assert torch.equal(chosen, value[torch.tensor([2, 2, 0, 1])])
    assert picked.carry["noise"].tolist() == [2, 2, 0, 1]
    assert torch.equal(picked.batch.ids[1], batch.ids[2] * 0 + state.batch.ids[2])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Sampler(0), "at least 1"),
        (lambda: Stage(0), r"Stage\.steps must be at least 1, got 0"),
        (lambda: run(Sampler(stages=(Stage(2, (0,)),)), batch_of({"audio": audio(3)})), "add a stage for the rest"),
        (lambda: run(Sampler(stages=(Stage(2, model="big"),)), batch_of({"text": text(3)})), "one of main, got 'big'"),
    ],
)
def test_wrong_input_gets_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_levels_of_equal_depth_are_filled_together_and_before_finer_ones():
    body = StreamSpec("motion", (6, 6, 6, 6), ("time",), rate_hz=7.5, level_groups=((0, 1), (2, 3)))
    layout = Layout({"motion": body})
    stream = TokenStream(body, torch.zeros(5, 4, dtype=torch.int32))
    state = SamplerState.start(collate([layout.pack({"motion": stream})], multiple=8), layout, torch.tensor([3]))
    seen = [
        step.state.is_open[0, 1:6].any(0).tolist()
        for step in Sampler(steps=2).iterate({"main": Seer(layout)}, layout, state)
    ]
    assert seen == [[True] * 4, [False, True, False, True], [False, True, False, True], [False] * 4]
