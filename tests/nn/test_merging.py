"""Positions that are alike go through a layer as one: who goes with whom by loops, what stays alone is unchanged."""

import pytest
import torch

from tokenmask.batch import FILL, GIVEN, collate
from tokenmask.layout import Layout
from tokenmask.masking import Queries
from tokenmask.models import MaskedModel, TransformerConfig, transformer
from tokenmask.nn import match
from tokenmask.nn.init import build
from tokenmask.sampling import MergeTokens, NoReuse, Sampler, SamplerState
from tokenmask.sampling.reuse import ReuseStep
from tokenmask.scores import RandomScore
from tokenmask.streams import StreamSpec, TokenStream


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("counts", [(0, 0), (1, 3), (4, 2), (6, 6)])
def test_the_likest_go_with_the_one_that_they_are_likest(counts):
    x = drawn(2, 9, 5)
    keeps = torch.zeros(2, 9, dtype=torch.bool)
    keeps[0, [1, 4, 8]] = keeps[1, [0, 3, 7]] = True
    found = match(x, ~keeps, keeps, torch.tensor(counts))
    for row, count in enumerate(counts):
        unit = x[row] / x[row].norm(dim=1, keepdim=True)
        with_whom, likeness = {}, {}
        for place in (~keeps[row]).nonzero()[:, 0].tolist():
            likeness[place], with_whom[place] = max(
                (float(unit[place] @ unit[other]), other) for other in keeps[row].nonzero()[:, 0].tolist()
            )
        gone = sorted(sorted(likeness, key=likeness.get, reverse=True)[:count])
        alone = [place for place in range(9) if place not in gone]
        assert found.kept[row, : 9 - count].tolist() == alone and int(found.counts[row]) == 9 - count
        goes = [alone.index(with_whom[place] if place in gone else place) for place in range(9)]
        assert found.into[row].tolist() == goes
        for number, place in enumerate(alone):
            together = [place, *(one for one in gone if with_whom[one] == place)]
            merged = found.merge(x)[row, number]
            assert torch.allclose(merged, x[row, together].mean(0), atol=1e-6)
            if len(together) == 1:
                assert torch.equal(merged, x[row, place])
        spread = found.spread(found.merge(x))[row]
        assert all(torch.equal(spread[one], spread[with_whom[one]]) for one in gone)


def test_what_may_be_seen_is_that_of_the_positions_that_go_on():
    keeps = torch.tensor([[True, False, False, True], [True, False, False, True]])
    found = match(drawn(2, 4, 3), ~keeps, keeps, torch.tensor([2, 1]))
    causal = torch.ones(4, 4, dtype=torch.bool).tril().expand(2, 1, 4, 4)
    for mask in (causal, causal[:, :, -1:], None):
        seen = found.mask(mask)
        for row in range(2):
            kept, count = found.kept[row], int(found.counts[row])
            for query, key in ((query, key) for query in range(seen.shape[2]) for key in range(seen.shape[3])):
                if query >= count and seen.shape[2] > 1:
                    continue
                own = True if mask is None else bool(mask[row, 0, min(int(kept[query]), mask.shape[2] - 1), kept[key]])
                assert bool(seen[row, 0, query, key]) == (own and key < count)


SPEC = StreamSpec("image", (32,), ("row", "column"))
LAYOUT = Layout({"image": SPEC, "word": StreamSpec("word", (5,), ("index",))})


@pytest.fixture(scope="module")
def model():
    config = TransformerConfig(width=64, depth=3, heads=2)
    return build(lambda: MaskedModel(config, LAYOUT), 0).eval()


def rows(sides=((8, 8), (8, 6))) -> SamplerState:
    packed = []
    for height, width in sides:
        streams = {
            "word": TokenStream(LAYOUT.streams["word"], torch.tensor([[1], [2]], dtype=torch.int32)),
            "image": TokenStream(SPEC, torch.zeros(height, width, 1, dtype=torch.int32)),
        }
        packed.append(LAYOUT.pack(streams, roles={"word": GIVEN, "image": FILL}))
    return SamplerState.start(collate(packed, multiple=64), LAYOUT, torch.tensor([1] * len(sides)))


def test_of_each_cell_of_what_is_filled_one_is_kept():
    state = rows()
    marked = MergeTokens(0.3, cell=2).marked(state.batch)
    marks, plan = marked.features["merged"], marked.features["merged_plan"]
    for row, (height, width) in enumerate(((8, 8), (8, 6))):
        image = state.batch.stream[row] == LAYOUT.index("image")
        assert (marks[row, ~image] == 0).all() and (marks[row, image] > 0).all()
        kept = state.batch.coordinates[row, marks[row] == 2]
        assert sorted(map(tuple, (kept[:, 1:] // 2).tolist())) == [
            (r, c) for r in range(height // 2) for c in range(width // 2)
        ]
    assert plan.tolist() == [[19, 0], [14, 0]]  # 30 % of 64 and of 48


def logits(model, reuse, state) -> torch.Tensor:
    slots = state.is_open.flatten().nonzero()[:, 0]
    queries = Queries(slots, LAYOUT.head_of(state.batch.ids).flatten()[slots])
    step = ReuseStep(state.batch, queries, torch.ones(state.batch.shape[0]))
    (group,) = reuse.score(model, step, None).groups
    return group[2]


def test_nothing_merged_is_the_model_as_it_is_and_a_share_changes_it(model, monkeypatch):
    state = rows()
    plain = logits(model, NoReuse(), state)
    assert torch.equal(logits(model, MergeTokens(0.0), state), plain)
    some = logits(model, MergeTokens(0.25), state)
    assert not torch.equal(some, plain)
    assert (some - plain).abs().mean() < (logits(model, MergeTokens(0.75), state) - plain).abs().mean()
    made = []
    monkeypatch.setattr(transformer, "match", lambda *asked: made.append(match(*asked)) or made[-1])
    for blocks, matchings in ((0, 1), (1, 3), (2, 2), (5, 1)):
        made.clear()
        logits(model, MergeTokens(0.25, blocks=blocks), state)
        assert len(made) == matchings


def test_a_row_is_filled_alone_as_among_others(model):
    sampler = Sampler(3, order=RandomScore(), reuse=MergeTokens(0.25))
    both = sampler.run({"main": model}, LAYOUT, rows())
    alone = sampler.run({"main": model}, LAYOUT, rows(((8, 8),)))
    size = alone.batch.shape[1]
    assert torch.equal(both.batch.ids[0, :size], alone.batch.ids[0])
