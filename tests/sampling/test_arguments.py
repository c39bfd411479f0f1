"""What a user says wrong is named in one sentence, from Python and on the command line alike."""

import math

import numpy
import pytest

import tokenmask as tm
from tokenmask.cli import main
from tokenmask.sampling import (
    Categorical,
    ClassifierFree,
    ConfidenceAbove,
    ProcessSchedule,
    RevokeDrawn,
    RevokeLeastLikely,
    Sampler,
    Stage,
)
from tokenmask.scores import ConfidenceScore, RandomScore, RasterScore, SpanScore, SumScore
from tokenmask.scores.arguments import MOST

NAN, INF = math.nan, math.inf


@pytest.fixture(scope="module")
def run():
    return tm.load()


@pytest.mark.parametrize(
    ("options", "kind", "sentence"),
    [
        ({"steps": 2.5}, TypeError, "steps must be a whole number, got 2.5; write an int"),
        ({"steps": True}, TypeError, "steps must be a whole number, got True; write an int"),
        ({"steps": "4"}, TypeError, "steps must be a whole number, got '4'; write an int"),
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0; choose another number"),
        ({"seed": 1.5}, TypeError, "seed must be a whole number, or one for each request, got 1.5; write ints"),
        ({"seed": [1.5]}, TypeError, "seed must be a whole number, got 1.5; write an int"),
        ({"seed": "0"}, TypeError, "seed must be a whole number, or one for each request, got '0'; write ints"),
        ({"seed": True}, TypeError, "seed must be a whole number, got True; write an int"),
        (
            {"seed": 1 << 63},
            ValueError,
            f"seed must be in {-(1 << 63)}..{MOST}, got {1 << 63}; choose another number",
        ),
        ({"guidance": NAN}, ValueError, "guidance must be finite, got nan; choose another number"),
        ({"guidance": "2"}, TypeError, "guidance must be a number, got '2'; write a float"),
        ({"temperature": NAN}, ValueError, "temperature must be finite and at least 0, got nan; choose another number"),
        ({"temperature": INF}, ValueError, "temperature must be finite and at least 0, got inf; choose another number"),
        ({"temperature": -1}, ValueError, "temperature must be finite and at least 0, got -1; choose another number"),
        ({"temperature": True}, TypeError, "temperature must be a number, got True; write a float"),
        ({"num_samples": 1.0}, TypeError, "num_samples must be a whole number, got 1.0; write an int"),
        ({"num_samples": 0}, ValueError, "num_samples must be in 1..8388608, got 0; choose another number"),
        (
            {"num_samples": 1 << 24},
            ValueError,
            "num_samples must be in 1..8388608, got 16777216; choose another number",
        ),
        (
            {"negative": "sun"},
            TypeError,
            "negative must be a mapping of stream names to what is given, got 'sun'; write a dict",
        ),
        (
            {"also": {"text": "sun"}},
            TypeError,
            "also must be pairs (what is given, weight), got {'text': 'sun'}; write [({...}, 1.0)]",
        ),
        (
            {"also": [{"text": "sun"}]},
            TypeError,
            "also must be pairs (what is given, weight), got [{'text': 'sun'}]; write [({...}, 1.0)]",
        ),
        (
            {"also": [({"text": "sun"}, NAN)]},
            ValueError,
            "each weight of also must be finite, got nan; choose another number",
        ),
        (
            {"also": [("sun", 1.0)]},
            TypeError,
            "each condition of also must be a mapping of stream names to what is given, got 'sun'; write a dict",
        ),
        ({"sampler": Sampler}, TypeError, "sampler must be a Sampler, got the class Sampler; write Sampler()"),
        ({"sampler": 4}, TypeError, "sampler must be a Sampler, got 4; give one"),
        ({"progress": 1}, TypeError, "progress must be True or False, got 1; write one of these"),
        ({"invariant": 1}, TypeError, "invariant must be True or False, got 1; write one of these"),
        (
            {"given": "sun"},
            TypeError,
            "given must be a mapping of stream names, or a list of them, got 'sun'; write a dict",
        ),
        (
            {"given": ["sun"]},
            TypeError,
            "given must be a mapping of stream names to what is given, got 'sun'; write a dict",
        ),
        (
            {"grid": 8},
            ValueError,
            "grid must hold a size for each of the axes row, column of 'image', got 8; write a tuple",
        ),
        (
            {"grid": (8,)},
            ValueError,
            "grid must hold a size for each of the axes row, column of 'image', got (8,); write a tuple",
        ),
        ({"grid": (8, 2.5)}, TypeError, "each size of grid must be a whole number, got 2.5; write an int"),
        ({"grid": (8, 0)}, ValueError, "each size of grid must be at least 1, got 0; choose another number"),
    ],
    ids=str,
)
def test_options_of_a_drawing(run, options, kind, sentence):
    with pytest.raises(kind) as told:
        run.generate_tokens("image", **options)
    assert str(told.value) == sentence


@pytest.mark.parametrize(
    ("sizes", "kind", "sentence"),
    [
        (
            {"duration_seconds": NAN},
            ValueError,
            "duration_seconds must be finite and at least 0, got nan; choose another number",
        ),
        (
            {"duration_seconds": INF},
            ValueError,
            "duration_seconds must be finite and at least 0, got inf; choose another number",
        ),
        (
            {"duration_seconds": -1},
            ValueError,
            "duration_seconds must be finite and at least 0, got -1; choose another number",
        ),
        ({"duration_seconds": "1"}, TypeError, "duration_seconds must be a number, got '1'; write a float"),
        (
            {"duration_seconds": 0.001},
            ValueError,
            "duration_seconds must be at least 0.02, one place of 'audio', got 0.001; ask for more",
        ),
        ({"length": 2.5}, TypeError, "length must be a whole number, got 2.5; write an int"),
        ({"length": -3}, ValueError, "length must be at least 1, got -3; choose another number"),
    ],
    ids=str,
)
def test_sizes_of_a_new_stream(run, sizes, kind, sentence):
    with pytest.raises(kind) as told:
        run.generate_tokens("audio", **sizes)
    assert str(told.value) == sentence


@pytest.mark.parametrize(
    ("options", "kind", "sentence"),
    [
        ({"seed": [1, 2]}, ValueError, "an edit has one seed, got [1, 2]; write one whole number"),
        ({"levels": [0.5]}, TypeError, "each of levels must be a whole number, got 0.5; write an int"),
        ({"levels": 0}, TypeError, "levels must be a list, got 0; write [0]"),
        ({"channels": "Cz"}, TypeError, "channels must be a list, got 'Cz'; write ['Cz']"),
        ({"length": 1.5, "regenerate": [(0, 2)]}, TypeError, "length must be a whole number, got 1.5; write an int"),
        ({"regenerate": 3}, TypeError, "regenerate must be a list, got 3; write [(0.1, 0.2)]"),
        ({"regenerate": (0, 2)}, TypeError, "a region must be a list or tuple of numbers, got 0; write [(0, 2)]"),
        (
            {"regenerate": (1, 2, 3)},
            TypeError,
            "a region must be a list or tuple of numbers, got 1; write [(start, end)]",
        ),
        (
            {"regenerate": [None]},
            TypeError,
            "a region must be a list or tuple of numbers, got None; write regenerate=None for all of it",
        ),
        (
            {"regenerate": [(0, NAN)]},
            ValueError,
            "each number of a region must be finite, got nan; choose another number",
        ),
        ({"regenerate": [(0, "2")]}, TypeError, "each number of a region must be a number, got '2'; write a float"),
        ({"keep_original": 1}, TypeError, "keep_original must be True, False or None, got 1; write one of these"),
        (
            {"temperature": -0.5},
            ValueError,
            "temperature must be finite and at least 0, got -0.5; choose another number",
        ),
        ({"top_k": 0}, ValueError, "top_k must be at least 1, got 0; choose another number"),
        ({"top_p": 1.5}, ValueError, "top_p must be in 0..1, got 1.5; choose another number"),
        ({"min_p": "a"}, TypeError, "min_p must be a number, got 'a'; write a float"),
    ],
    ids=str,
)
def test_options_of_an_edit(run, options, kind, sentence):
    with pytest.raises(kind) as told:
        run.edit("in the beginning", stream="text", **options)
    assert str(told.value) == sentence


@pytest.mark.parametrize(
    ("make", "kind", "sentence"),
    [
        (lambda: Categorical(NAN), ValueError, "Categorical.temperature must be finite and at least 0, got nan"),
        (
            lambda: Categorical(1.0, -2.0),
            ValueError,
            "Categorical.temperature_end must be finite and at least 0, got -2.0",
        ),
        (lambda: Categorical(top_k=1.5), TypeError, "Categorical.top_k must be a whole number, got 1.5"),
        (lambda: Categorical(top_p=2), ValueError, "Categorical.top_p must be in 0..1, got 2"),
        (lambda: Categorical(top_p=0), ValueError, "Categorical.top_p must be above 0, got 0"),
        (lambda: Categorical(min_p=NAN), ValueError, "Categorical.min_p must be in 0..1, got nan"),
        (
            lambda: Categorical(grid="middle"),
            ValueError,
            "Categorical.grid must be one of before, after, ends, got 'middle'",
        ),
        (lambda: ClassifierFree(NAN), ValueError, "ClassifierFree.start must be finite, got nan"),
        (lambda: ClassifierFree(2.0, INF), ValueError, "ClassifierFree.end must be finite, got inf"),
        (
            lambda: ClassifierFree(law="sine"),
            ValueError,
            "ClassifierFree.law must be one of linear, cosine, power_cosine, got 'sine'",
        ),
        (lambda: ClassifierFree(weights=(NAN,)), ValueError, "each of ClassifierFree.weights must be finite, got nan"),
        (lambda: ConfidenceScore(NAN), ValueError, "ConfidenceScore.noise must be finite and at least 0, got nan"),
        (lambda: SpanScore(2.5), TypeError, "SpanScore.span must be a whole number, got 2.5"),
        (lambda: RasterScore(0), ValueError, "RasterScore.block must be at least 1, got 0"),
        (lambda: SumScore((RandomScore(),), (NAN,)), ValueError, "each of SumScore.weights must be finite, got nan"),
        (
            lambda: SumScore((RandomScore,), (1.0,)),
            TypeError,
            "each of SumScore.terms must be a Score, got the class RandomScore",
        ),
        (lambda: RevokeLeastLikely(1.5), ValueError, "RevokeLeastLikely.share must be in 0..1, got 1.5"),
        (lambda: RevokeDrawn(NAN), ValueError, "RevokeDrawn.cap must be finite, got nan"),
        (lambda: ConfidenceAbove("x"), TypeError, "ConfidenceAbove.threshold must be a number, got 'x'"),
        (
            lambda: ProcessSchedule(rounding="up"),
            ValueError,
            "ProcessSchedule.rounding must be one of floor, round, ceil",
        ),
        (lambda: Sampler(2.5), TypeError, "Sampler.steps must be a whole number, got 2.5"),
        (
            lambda: Sampler(order=RandomScore),
            TypeError,
            "Sampler.order must be a Score, got the class RandomScore; write Ra",
        ),
        (lambda: Sampler(pick="Categorical"), TypeError, "Sampler.pick must be a Pick, got 'Categorical'; give one"),
        (lambda: Sampler(stages=(3,)), TypeError, "each of Sampler.stages must be a Stage, got 3; give one"),
        (lambda: Stage(True), TypeError, "Stage.steps must be a whole number, got True"),
        (lambda: Stage(2, (0.5,)), TypeError, "each of Stage.levels must be a whole number, got 0.5"),
        (lambda: Stage(2, order=Categorical()), TypeError, "Stage.order must be a Score, got Categorical("),
    ],
)
def test_fields_of_a_sampler(make, kind, sentence):
    with pytest.raises(kind) as told:
        make()
    assert str(told.value).startswith(sentence) and "; " in str(told.value)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--steps", "2.5"], "--steps: must be a whole number, at least 1, got '2.5'"),
        (["--seed", "1.5"], "--seed: must be a whole number from 0"),
        (["--guidance", "nan"], "--guidance: must be a number, got 'nan'"),
        (["--temperature", "inf"], "--temperature: must be a number, got 'inf'"),
        (["--temperature", "-1"], "--temperature: must be at least 0, got '-1'"),
        (["--num-samples", "0"], "--num-samples: must be a whole number, at least 1, got '0'"),
        (["--length", "2.5"], "--length: must be a whole number, at least 1, got '2.5'"),
        (["--duration", "nan"], "--duration: must be a number, got 'nan'"),
        (["--duration", "-1"], "--duration: must be above 0, got '-1'"),
        (["--also", "nan:text=sun"], "a further condition has the form WEIGHT:NAME=VALUE, got 'nan:text=sun'"),
    ],
)
def test_the_command_line_says_it_too(words, sentence, capsys):
    size = [] if {"--length", "--duration"} & {*words} else ["--length", "5"]
    assert main(["generate", "audio", *size, *words]) != 0
    assert sentence in capsys.readouterr().err


def test_numbers_of_numpy_are_numbers(run):
    """What arrays hold is taken, and draws the same."""
    plain = run.generate_tokens("audio", length=4, steps=2, seed=3, temperature=0.5)
    other = {
        "length": numpy.int64(4),
        "steps": numpy.int32(2),
        "seed": numpy.int64(3),
        "temperature": numpy.float32(0.5),
    }
    assert run.generate_tokens("audio", **other) == plain
    assert run.generate_tokens("audio", **{**other, "seed": numpy.array([3])}) == plain


def test_another_temperature_keeps_the_last_one_where_there_is_no_ratio():
    assert Categorical(3.0, 0.3).at(1.5) == Categorical(1.5, 0.15)
    assert Categorical(0.0, 1.0).at(0.5) == Categorical(0.5, 1.0)  # rises to what the recipe says
    assert Categorical(0.0, 1.0).at(0.0) == Categorical(0.0) and Categorical(0.0, 1.0).at(0.0).is_greedy
    assert Categorical(2.0).at(0.5) == Categorical(0.5)


@pytest.mark.parametrize(
    ("part", "none"),
    [("reuse", "NoReuse"), ("guidance", "NoGuidance"), ("revoke", "NeverRevoke"), ("constraint", "AllowAll")],
)
def test_a_part_that_is_none_is_told_what_none_is_called(part, none):
    with pytest.raises(TypeError, match=rf"Sampler\.{part} must be .*, got None; write {none}\(\) for none"):
        Sampler(**{part: None})
    with pytest.raises(TypeError, match=r"Sampler\.order must be a Score, got None; give one"):
        Sampler(order=None)
