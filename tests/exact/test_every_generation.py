"""What must hold of every generation, on larger worlds too, and whatever rows, orders of rows and threads there are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.exact.orders import EVEN, ORDERS, TRUE
from tests.exact.rows import codes_of, drawn
from tokenmask.masking import Linear
from tokenmask.models import GivenFirst, GroupCausal
from tokenmask.sampling import (
    Blocks,
    Categorical,
    ClassifierFree,
    ConfidenceAbove,
    ContextCorrupted,
    Differential,
    DrawnSchedule,
    EntropyBounded,
    ExpectedSchedule,
    GroupCausalReuse,
    LogitNoise,
    PrefixReuse,
    RevealAll,
    Reversal,
    RevokeDoubted,
    RevokeDrawn,
    RevokeLeastLikely,
    RevokeRandom,
    RevokeSpans,
    Sampler,
    SamplerState,
    Stage,
    StaleReuse,
    Suppressed,
    Truncated,
    Twice,
    Zigzag,
)
from tokenmask.scores import (
    Blockwise,
    ConfidenceScore,
    EntropyScore,
    HaltonScore,
    RandomScore,
    RasterScore,
    Score,
    SpanScore,
    SpanUnion,
    TubeScore,
)
from tokenmask.worlds import (
    Brackets,
    Enumerated,
    Markov,
    MovingGlyphs,
    NaeSat,
    Potts,
    Scenes,
    Sudoku4,
    TwinWords,
    oracle,
)

LARGE = {
    "sudoku": (Sudoku4(), 4),
    "scenes": (Scenes(), 4),
    "glyphs": (MovingGlyphs(), 17),
    "sat": (NaeSat(), 0),
    "brackets": (Brackets(8, 2), 1),
    "potts": (Potts(3, 2), 2),
    "twins": (TwinWords(), 3),
    "chain": (Markov(9), 1),
}


@pytest.mark.parametrize("name", LARGE)
def test_nothing_stays_hidden_and_what_is_given_stays(name: str) -> None:
    """Counts, given codes and MASK are looked at in every step by ``drawn``; true orders make what is possible only."""
    world, known = LARGE[name]
    truth = world.draw(1, seed=7)[0].tolist()
    given = tuple(code if slot < known else -1 for slot, code in enumerate(truth))
    more: dict[str, tuple[Score, Any]] = {"tubes": (TubeScore(), None), "unions": (SpanUnion(3), None)}
    for order, (score, _) in (ORDERS | more).items():
        drawn(Sampler(4, order=score), world, 20, given)
        if order in TRUE and len(truth) - known <= 20:
            codes = drawn(Sampler(len(truth) - known, schedule=EVEN, order=score), world, 20, given)
            assert codes[:, :known].tolist() == [list(given[:known])] * 20
            assert bool(world.log_prob(codes).isfinite().all()), f"{order} makes what cannot be"
            assert not isinstance(world, Enumerated) or int(world.numbers(codes).min()) >= 0


TO_THE_END = StaleReuse(n_local=None, reorder=True)

SAMPLERS = {
    "random": (Sampler(4, schedule=EVEN, order=RandomScore()), None),
    "confidence": (Sampler(4, order=ConfidenceScore(2.0), pick=Categorical(1.4, 0.6, top_p=0.9)), None),
    "spans": (Sampler(3, order=SpanScore(2)), None),
    "deciding": (Sampler(schedule=ConfidenceAbove(0.5), order=ConfidenceScore(plain=True)), None),
    "guided": (Sampler(4, order=EntropyScore(), guidance=ClassifierFree(3.0, 1.0)), None),
    "least likely": (Sampler(4, schedule=EVEN, order=RandomScore(), revoke=RevokeLeastLikely(0.5)), None),
    "drawn": (Sampler(4, order=ConfidenceScore(1.0), revoke=RevokeDrawn(0.5), schedule=EVEN), None),
    "ancestral": (Sampler(5, schedule=DrawnSchedule(), order=RandomScore()), None),
    "reversed": (Sampler(6, pick=Reversal(rule="conf", last="best")), None),
    "looped": (Sampler(9, pick=Reversal(Categorical(0.8), rule="loop", eta=0.4)), None),
    "doubted": (Sampler(4, schedule=RevealAll(), revoke=RevokeDoubted("main", noise=1.0)), None),
    "overlapping": (Sampler(4, schedule=RevealAll(), revoke=RevokeSpans(2)), None),
    "expected": (Sampler(4, schedule=ExpectedSchedule(), pick=Truncated(Categorical(1.0, top_k=3))), None),
    "suppressed": (Sampler(4, pick=Suppressed(codes={"word": (1,), "twin": (0,)})), None),
    "bounded": (Sampler(schedule=EntropyBounded(0.7), order=EntropyScore()), None),
    "logit noise": (Sampler(4, order=ConfidenceScore(1.0), pick=LogitNoise(Categorical(0.8), 2.0)), None),
    "differential": (Sampler(4, schedule=EVEN, order=ConfidenceScore(), pick=Differential()), None),
    "zigzag": (Sampler(4, schedule=Twice(EVEN), order=ConfidenceScore(1.0), revoke=Zigzag()), None),
    "at random": (Sampler(4, schedule=EVEN, order=RandomScore(), revoke=RevokeRandom(0.3)), None),
    "corrupted": (Sampler(4, schedule=EVEN, order=RandomScore(), guidance=ContextCorrupted(0.4, 1.5)), None),
    "rotated": (Sampler(4, schedule=EVEN, order=HaltonScore(rotate=True)), None),
    "blocks": (Sampler(4, schedule=Blocks(EVEN, 2), order=Blockwise(ConfidenceScore(), 2)), None),
    "stages": (Sampler(stages=(Stage(2), Stage(1, order=RasterScore())), order=RandomScore()), None),
    "block stages": (Sampler(stages=(Stage(2, block=2),), order=ConfidenceScore(), reuse=TO_THE_END), None),
    "stale": (Sampler(4, order=ConfidenceScore(), reuse=StaleReuse(n_local=1)), None),
    "prefix": (Sampler(4, order=RandomScore(), reuse=PrefixReuse(), process=Linear()), GivenFirst()),
    "groups": (Sampler(4, order=RandomScore(), reuse=GroupCausalReuse()), GroupCausal()),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_row_is_the_same_alone_in_any_order_and_with_any_threads(name: str) -> None:
    """Rows of different puzzles, seeds and samples, all at once, the other way round, in halves and one by one."""
    sampler, pattern = SAMPLERS[name]
    world = TwinWords()
    model, codes = oracle(world, pattern=pattern), world.draw(12, seed=1)
    is_open = torch.rand(codes.shape, generator=torch.Generator().manual_seed(2)) < 0.7
    is_open[:4, 3:] = False  # the first rows are conditions of the other stream
    if name in ("deciding", "bounded", "blocks", "block stages"):
        is_open[:] = torch.arange(6) > 0  # as many in all rows, see Sampler.alike
    batch = replace(world.batch(codes, is_open), sample_ids=torch.arange(12) % 5)
    start = SamplerState.start(batch, model.layout, torch.arange(12) // 3)

    def filled(rows: list[int]) -> torch.Tensor:
        done = sampler.run({"main": model}, model.layout, start.rows(torch.tensor(rows)))
        return codes_of(done, model.layout)

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        whole = filled(list(range(12)))
        assert torch.equal(filled(list(range(11, -1, -1))).flip(0), whole)
        assert torch.equal(torch.cat([filled(list(range(5))), filled(list(range(5, 12)))]), whole)
        assert torch.equal(torch.cat([filled([row]) for row in range(12)]), whole)
        assert torch.equal(filled([3, 3, 8])[:2], whole[[3, 3]])
        torch.set_num_threads(2)
        assert torch.equal(filled(list(range(12))), whole)
    finally:
        torch.set_num_threads(threads)
    assert len(torch.unique(whole, dim=0)) > 4
