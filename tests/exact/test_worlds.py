"""Worlds: conditionals against sums over all codes, draws against their law, records that are trained on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tokenmask.batch import FILL, GIVEN
from tokenmask.corpus import HELD_OUT, Corpus
from tokenmask.masking.masked_batch import Queries
from tokenmask.models import Causal
from tokenmask.recipes import StreamOptions, load_recipe
from tokenmask.run import train
from tokenmask.tokenizer import load_tokenizer
from tokenmask.worlds import (
    Brackets,
    Enumerated,
    Facts,
    Markov,
    Matching,
    Molecules,
    MovingGlyphs,
    NaeSat,
    Pairs,
    Potts,
    Scenes,
    Sudoku4,
    TwinWords,
    World,
    oracle,
)

SMALL: list[World] = [
    Markov(4),
    Markov(3, ((0.0, 1.0), (0.5, 0.5))),
    Pairs(),
    Potts(2, 3),
    Brackets(4, 2),
    TwinWords(("ab", "ba", "bb")),
    NaeSat(3, 2),
    Matching(Markov(4), "a*(b|ca)+"),
    Facts(3),
    Facts(3, turned=True),
]
LARGER: list[World] = [
    Sudoku4(),
    Potts(3, 2),
    Brackets(8, 2),
    Markov(9),
    TwinWords(),
    NaeSat(),
    Scenes(),
    MovingGlyphs(),
    Molecules("C", 2),
    Facts(),
]


def everything(world: World) -> torch.Tensor:
    """int64 [S, N], all codes, possible or not."""
    return torch.tensor(list(itertools.product(*(range(size) for size in world.sizes))))


@pytest.mark.parametrize("world", SMALL, ids=repr)
def test_conditionals_are_sums_over_all_codes(world: World) -> None:
    whole = everything(world)
    law = world.log_prob(whole).exp()
    assert float(law.sum()) == pytest.approx(1.0, abs=1e-9)
    for known in itertools.product((True, False), repeat=len(world.sizes)):
        rows = torch.where(torch.tensor(known), whole, -1).unique(dim=0)
        found = world.conditionals(rows)
        for row, conditional in zip(rows, found, strict=True):
            differ = ((row >= 0) & (whole != row)).sum(1).where(law > 0, 99)
            near = law * (differ == differ.min())  # as many of the known codes as can be
            for slot, size in enumerate(world.sizes):
                sums = torch.stack([near[whole[:, slot] == code].sum() for code in range(size)]) / near.sum()
                if row[slot] >= 0:
                    sums = torch.nn.functional.one_hot(row[slot], size).double()
                assert torch.allclose(conditional[slot, :size], sums, atol=1e-9), (row, slot)
                assert not conditional[slot, size:].any()


@pytest.mark.parametrize("world", [*SMALL, *LARGER], ids=repr)
def test_draws_follow_the_law_and_the_seed(world: World) -> None:
    """Chi-square over all entries, or a code at a place: 4.5 standard deviations, once in 10^5 of other seeds."""
    codes = world.draw(4000, seed=3)
    assert torch.equal(codes[:7], world.draw(7, seed=3)) and not torch.equal(codes, world.draw(4000, seed=4))
    found = world.log_prob(codes)
    assert bool(found.isfinite().all())
    if isinstance(world, Enumerated):
        law = world.probabilities
        counts = world.numbers(codes).bincount(minlength=len(law)).double()
        away = ((counts - 4000 * law) ** 2 / (4000 * law)).sum()
        assert float(away) < len(law) + 4.5 * math.sqrt(2 * len(law)) + 9
    else:
        one_hot = torch.nn.functional.one_hot(codes, max(world.sizes)).double().mean(0)
        law = world.conditionals(torch.full((1, len(world.sizes)), -1))[0]
        assert ((one_hot - law).abs() < 4.6 * (law * (1 - law) / 4000).sqrt() + 1e-12).all()


def test_laws_by_hand() -> None:
    chain = Markov(2, ((0.9, 0.1), (0.3, 0.7)))
    assert chain.start.tolist() == pytest.approx([0.75, 0.25])  # .75 x .1 = .25 x .3
    assert chain.log_prob(torch.tensor([[1, 0]])).exp().tolist() == pytest.approx([0.25 * 0.3])
    assert chain.conditionals(torch.tensor([[-1, 1]]))[0, 0].tolist() == pytest.approx([0.3, 0.7])  # .075, .175
    assert Pairs().conditionals(torch.tensor([[1, -1]]))[0, 1].tolist() == pytest.approx([0.1, 0.6, 0.3])
    ising = Potts(2, 2, coupling=math.log(2), field=math.log(3))
    # All equal: 2^4 x 3^4 and 2^4; a stripe: 2^2 x 3^2, four of them; a diagonal: 3^2, two; one odd: 2^2 x 3^3 or 3.
    whole = 16 * 81 + 16 + 4 * 36 + 2 * 9 + 4 * (4 * 27 + 4 * 3)
    assert ising.log_prob(torch.zeros(1, 4, dtype=torch.int64)).exp().tolist() == pytest.approx([16 * 81 / whole])
    assert len(Sudoku4().support[0]) == 288 and len(Brackets(8, 2).support[0]) == 14 * 2**4
    assert len(Brackets(6, 1).support[0]) == 5
    assert Facts(4).conditionals(torch.tensor([[-1, 6]]))[0, 0].tolist() == [0, 0, 1, 0, 0, 0, 0, 0]  # B2 of A2
    assert Facts(4, True).log_prob(torch.tensor([[6, 2], [2, 6]])).exp().tolist() == [0.25, 0]
    # "C1.C1.C2.CC?": the last digit is the one that waits; a body of one letter or two is as likely.
    open_end = torch.tensor([[0, 1, 3, 0, 1, 3, 0, 2, 3, 0, -1, -1, -1, -1, -1]])
    told = Molecules("C", 2).conditionals(open_end)[0]
    assert told[10].tolist() == [0.5, 0, 0.5, 0, 0] and told[11].tolist() == [0, 0, 0.5, 0, 0.5]
    given = torch.full((1, 16), -1)
    given[0, :4] = torch.tensor([0, 1, 2, 3])
    assert Sudoku4().conditionals(given)[0, 4].tolist() == pytest.approx([0, 0, 0.5, 0.5])
    assert Brackets(4, 2).conditionals(torch.tensor([[2, -1, -1, -1]]))[0, 3].tolist() == [0, 1 / 4, 0, 3 / 4]


def test_pictures_by_hand() -> None:
    scenes = Scenes()
    text = {
        name: one.decode(scenes.streams(scenes.support[0][-1])[name]).text for name, one in scenes.tokenizers.items()
    }
    assert text == {"words": "green ring green ring", "picture": "gggggg\ng.gg.g\ngggggg"}
    assert len(scenes.support[0]) == 2 * 16 - 4 and float(scenes.probabilities[-1]) == pytest.approx(1 / 16)
    words = torch.full((1, 22), -1)
    words[0, :4] = torch.tensor([0, 2, 1, 3])  # red box green ring
    law = scenes.conditionals(words)[0]
    assert law[4].tolist() == pytest.approx([0, 0.7, 0.3, 0]) and law[4 + 6 + 1].tolist() == pytest.approx(
        [0.3, 0.7, 0, 0]
    )
    glyphs = MovingGlyphs()
    assert len(glyphs.support[0]) == 2 * 16 * 9
    film = torch.full((1, 49), -1)
    film[0, 1:17] = torch.tensor([1, 1, 0, 0, 1, 0, 0, 0, *[0] * 8])  # a hook in the corner
    law = glyphs.conditionals(film)[0]
    assert law[0].tolist() == pytest.approx([0, 1]) and law[17].tolist() == pytest.approx([6 / 9, 3 / 9])
    sat = NaeSat(3, 1)
    assert sat.looked_at.tolist() == [[0, 1, 2]]
    assert sat.conditionals(torch.tensor([[0, 0, -1, 1]]))[0, 2].tolist() == [0, 1]
    assert sat.conditionals(torch.full((1, 4), -1))[0, 3].tolist() == pytest.approx([1 / 4, 3 / 4])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Markov(3, ((0.5, 0.4), (0.5, 0.5))), "rows of as many probabilities that add up to 1"),
        (lambda: Markov(0), "a length of 1 or more"),
        (lambda: Pairs(((0.5, 0.5), (0.5,))), "rows of equal length that add up to 1"),
        (lambda: Potts(5, 3), "lists up to 65536 grids, got 3 states on 5 x 5"),
        (lambda: Brackets(7, 2), "an even number of 1 to 4 kinds"),
        (lambda: TwinWords(("cat", "hens")), "different words of equal length"),
        (lambda: Scenes(4), "2 or 3 colours and shapes"),
        (lambda: MovingGlyphs(2), "3 to 16 rows"),
        (lambda: NaeSat(2), "3 to 16 bits and an observation"),
        (lambda: Molecules("C1"), "different letters, no 1, 2, dot or line, and at most 262144 ways to write four"),
        (lambda: Molecules("CNOPS", 2), "got 'CNOPS' up to 2 at a time; take fewer"),
        (lambda: Facts(1), "Facts must be two at the least, got 1; take more"),
    ],
)
def test_worlds_that_cannot_be_listed_are_refused(make: Callable[[], World], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_an_oracle_answers_with_the_law_of_what_it_sees() -> None:
    world = Pairs()
    model, codes = oracle(world), torch.tensor([[1, 2], [0, 0]])
    is_open = torch.tensor([False, True])
    batch = world.batch(codes, is_open)
    assert batch.role[:, 1:, 0].tolist() == [[GIVEN, FILL]] * 2
    hidden = batch.ids.clone()
    hidden[:, 2] = model.layout.range("right").mask_id
    inputs = type(batch)(**{**vars(batch), "ids": hidden})
    asked = Queries(torch.tensor([2, 5]), torch.full((2,), model.layout.head("right")))
    (answer,) = model.logits(inputs, asked)
    law = torch.tensor(world.table)
    assert torch.allclose(answer.logits.exp(), law[[1, 0]] / law[[1, 0]].sum(1, keepdim=True))
    dropped = inputs.drop(torch.tensor([[True, False]] * 2))  # without the condition: the marginal law
    (answer,) = model.logits(dropped, asked)
    assert torch.allclose(answer.logits.exp(), law.sum(0).expand(2, -1))
    (answer,) = oracle(world, pattern=Causal()).logits(inputs, asked)  # what is on the left is seen
    assert torch.allclose(answer.logits.exp(), law[[1, 0]] / law[[1, 0]].sum(1, keepdim=True))
    back = Queries(torch.tensor([1, 4]), torch.full((2,), model.layout.head("left")))
    inputs.ids[:, 1:] = torch.tensor([model.layout.range("left").mask_id, model.layout.range("right").offset + 1])[
        :, None
    ]
    (answer,) = oracle(world, pattern=Causal()).logits(inputs, back)  # and what is on the right is not
    assert torch.allclose(answer.logits.exp(), law.sum(1).expand(2, -1))
    with pytest.raises(ValueError, match=r"an oracle has no layers and no attention, got taps \['attention.0'\]"):
        model(inputs, back, taps=("attention.0",))


def test_records_are_trained_on(tmp_path: Path) -> None:
    world = Markov(8)
    corpus = world.write(tmp_path / "world", 60)
    assert len(Corpus(corpus)) == 60 and len(Corpus(corpus, split=HELD_OUT)) == 6
    names = {name: load_tokenizer(tmp_path / "world" / "tokenizers" / name) for name in world.parts}
    first = next(iter(Corpus(corpus)))
    assert torch.equal(first.streams["chain"].codes[:, 0].long(), world.draw(1)[0])
    text = names["chain"].decode(first.streams["chain"]).text
    assert text == "".join("abc"[code] for code in world.draw(1)[0].tolist())
    recipe = load_recipe("llada", tiny=True, overrides=["training.steps=3"])
    recipe = replace(recipe, streams={"chain": StreamOptions("symbols")})
    run = train(tmp_path / "run", recipe, names, [(corpus, 1.0)], progress=False)
    (made,) = run.generate("chain", steps=4)
    assert len(made.text) == 8 and set(made.text) <= set("abc")


def test_what_must_match_follows_the_law_of_the_others():
    """Of aa, ab, ba, bb those without a double letter: .75 * .1 and .25 * .3 of a stationary chain, so a half each."""
    chain = Markov(2, ((0.9, 0.1), (0.3, 0.7)))
    apart = Matching(chain, "ab|ba")
    assert apart.support[0].tolist() == [[0, 1], [1, 0]] and apart.probabilities.tolist() == pytest.approx([0.5, 0.5])
    assert apart.log_prob(torch.tensor([[0, 0]])).item() == -math.inf
    with pytest.raises(ValueError, match="nothing of the world matches 'c'; write another pattern"):
        Matching(chain, "c").possible()
    with pytest.raises(ValueError, match="Matching needs a regular expression, got"):
        Matching(chain, "(")
    with pytest.raises(ValueError, match="at most 262144, got 531441"):
        Matching(Markov(12))


def test_letters_of_a_chain_may_be_words():
    pieces = Markov(2, ((0.5, 0.5), (0.5, 0.5)), ("ab", "a"))
    assert pieces.parts["chain"].alphabet == ("ab", "a")
    assert Matching(pieces, "aba").support[0].tolist() == [[0, 1]]
    assert Matching(pieces, "a+b?").support[0].tolist() == [[1, 0], [1, 1]]
    with pytest.raises(ValueError, match="a word of its own for each of 2 codes"):
        Markov(2, ((0.5, 0.5), (0.5, 0.5)), ("a", "a"))
