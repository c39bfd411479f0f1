"""Patterns and particles as words of a drawing: what comes out matches, and with particles by the model's own law."""

import itertools
import re
from dataclasses import replace

import pytest
import torch

import tokenmask as tm
from tests.exact.law import total_variation
from tokenmask.masking import Conditioning
from tokenmask.modalities.symbols import Symbols
from tokenmask.recipes import StreamOptions, load_recipe
from tokenmask.run import Run, complete
from tokenmask.sampling import Categorical, Rejection, Sampler
from tokenmask.scores import ConfidenceScore, RasterScore
from tokenmask.worlds import Markov, oracle

CHAIN = Markov(4, ((0.7, 0.2, 0.1), (0.3, 0.5, 0.2), (0.1, 0.3, 0.6)))
LETTERS = "abc"
PATTERN = "[ab]*c[ac]*a"


@pytest.fixture(scope="module")
def law(tmp_path_factory) -> Run:
    """A run in memory whose model knows a chain of four letters."""
    plain = load_recipe("maskgit")
    recipe = replace(
        plain,
        streams={"chain": StreamOptions("symbols")},
        samplers={"chain": Sampler(4, pick=Categorical(), order=ConfidenceScore(0.0))},
        conditioning=replace(plain.conditioning, odds={}),
    )
    assert isinstance(recipe.conditioning, Conditioning)
    folder = tmp_path_factory.mktemp("chain")
    return Run(folder, recipe, CHAIN.layout, {"main": oracle(CHAIN)}, CHAIN.tokenizers, [])


@pytest.fixture(scope="module")
def run():
    return tm.load()


def shares(found):
    rows, counts = torch.unique(torch.stack([one.codes[:, 0] for one in found]), dim=0, return_counts=True)
    return {tuple(row): count / len(found) for row, count in zip(rows.tolist(), counts.tolist(), strict=True)}


def matching() -> dict[tuple[int, ...], float]:
    """The law of the chain given the pattern, by listing."""
    every = list(itertools.product(range(3), repeat=4))
    good = [codes for codes in every if re.fullmatch(PATTERN, "".join(LETTERS[code] for code in codes))]
    weights = CHAIN.log_prob(torch.tensor(good)).exp()
    return dict(zip(good, (weights / weights.sum()).tolist(), strict=True))


def test_particles_go_to_the_law_given_the_pattern(law):
    """Each letter is drawn among those that fit, which is another law; eight that are weighed are half as far away.

    In 600 draws: 0.50 without, 0.33 with 4, 0.15 with 16, 0.07 with 64, of which 0.05 is chance.
    """
    truth, found = matching(), {}
    own = replace(law.recipe.sampler_of("chain"), order=RasterScore())
    for particles in (None, 8):
        options = {"matches": PATTERN, "particles": particles, "num_samples": 150, "seed": 3}
        found[particles] = shares(law.generate_tokens("chain", sampler=own, **options))
        assert set(found[particles]) <= set(truth)
    assert total_variation(found[8], truth) < 0.33 < 0.42 < total_variation(found[None], truth)


def test_an_edit_matches_as_a_whole(law):
    made = law.edit(
        Symbols("abca"), [(0, 2)], stream="chain", matches="(ab|ca|bb)ca", particles=8, num_samples=40, seed=1
    )
    assert {str(one) for one in made} == {"abca", "caca", "bbca"}


def test_texts_match_and_go_on_where_they_were_cut(run):
    for one in run.generate("text", length=(1, 4), matches="(red|blue) [a-z]+", num_samples=3, seed=0):
        assert re.fullmatch("(red|blue) [a-z]+", one.text)
    line = run.edit(
        "the sun and the moon", [(4, 7)], stream="text", length=2, matches="the [b-d][a-z]+ and .*", seed=1
    )[0]
    assert re.fullmatch("the [b-d][a-z]+ and the moon", line.text)
    cut = run.edit("the sunny moon", [(5, 9)], stream="text", length=3, matches="the s.*y? moon", seed=1)[0].text
    assert cut.startswith("the s") and cut.endswith(" moon")  # regions that end inside of codes
    said = complete(run, "in the beginn", length=2, particles=2, given={"label": "rest"}, budget=None, seed=0)[0]
    assert said.text.startswith("in the beginn")


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda run: run.generate("image", matches="a"), TypeError, "codes must stand for pieces of text, but Image"),
        (lambda run: run.generate("text", length=4, matches="(a"), ValueError, "a bracket that closes the group"),
        (lambda run: run.generate("text", length=4, matches="é+"), ValueError, "must be a pattern of ASCII, got 'é"),
        (lambda run: run.generate("text", length=4, matches=3), TypeError, "matches must be a string, got 3"),
        (
            lambda run: run.generate("text", length=4, particles=2),
            ValueError,
            "weighed by what a constraint leaves, got",
        ),
        (lambda run: run.generate("text", length=4, particles=0), ValueError, "particles must be at least 1, got 0"),
        (
            lambda run: run.generate("text", length=400, matches="a*"),
            ValueError,
            "'text' is longer here than what is filled at once",
        ),
        (
            lambda run: run.generate("text", length=2, matches="a{90}"),
            ValueError,
            "but no 2 codes beside what is given",
        ),
        (
            lambda run: run.generate("text", {"text": "the"}, length=2, matches="x.*"),
            ValueError,
            "must match 'x.*' as a whole, but",
        ),
        (lambda run: complete(run, "the", length=(1, 2)), TypeError, "length must be a whole number"),
    ],
)
def test_wrong_input_gets_one_sentence(run, call, error, sentence):
    with pytest.raises(error, match=sentence):
        call(run)


def test_a_pick_that_weighs_stays(law):
    sampler = replace(law.recipe.sampler_of("chain"), pick=Rejection(), order=RasterScore())
    made = law.generate("chain", sampler=sampler, matches=PATTERN, particles=2, num_samples=5, seed=2)
    assert all(re.fullmatch(PATTERN, str(one)) for one in made)
