"""Evolution: fragments, proposals and what is kept, by hand; and better molecules than whole ones that are drawn."""

from dataclasses import replace
from functools import partial

import pytest

import tokenmask as tm
from tokenmask.generation import FragmentRemask, Fragments, RemaskEvolution, fill
from tokenmask.generation.evolution import _draws, segments
from tokenmask.recipes import StreamOptions, load_recipe
from tokenmask.run import Run, drawing, evolve
from tokenmask.worlds import Molecules, oracle

DOT = 9
REMASK = FragmentRemask(DOT, 2, 4)


def test_a_segment_becomes_open_places():
    codes = [1, 2, DOT, 3, DOT, 4, 5, 6]
    assert segments(codes, DOT) == [[1, 2], [3], [4, 5, 6]] and segments([DOT], DOT) == [[], []]
    assert REMASK(codes, 0.0, 0.0) == [-1, -1, DOT, 3, DOT, 4, 5, 6]
    assert REMASK(codes, 0.34, 0.99) == [1, 2, DOT, -1, -1, -1, -1, DOT, 4, 5, 6]
    assert REMASK(codes, 0.99, 0.34) == [1, 2, DOT, 3, DOT, -1, -1, -1]
    assert REMASK(codes, 0.34, 0.99, longest=10) == [1, 2, DOT, -1, -1, -1, DOT, 4, 5, 6]
    full = [1, 2, DOT, DOT, 3]  # its second segment has no code, so no place fits there: only the others are drawn
    assert REMASK(full, 0.4, 0.0) == [1, 2, DOT, -1, -1, DOT, 3]
    assert REMASK(full, 0.4, 0.0, longest=5) == [-1, -1, DOT, DOT, 3]
    assert REMASK(full, 0.5, 0.0, longest=5) == [1, 2, DOT, DOT, -1]
    assert REMASK([DOT, DOT], 0.9, 0.99, longest=2) == [DOT, -1]
    assert [FragmentRemask(DOT).places(draw / 11 + 0.01) for draw in range(11)] == list(range(5, 16))


def test_two_fragments_are_put_together_and_one_segment_is_opened():
    kept = Fragments(RemaskEvolution(REMASK), 0)
    with pytest.raises(ValueError, match="two fragments are put together, but only 0 scored; begin with more"):
        kept.evolution.proposal(kept, 0, 0)
    kept._best += [(-1.0, 0, (1, DOT, 2)), (-0.5, 1, (3, 3)), (-0.1, 2, (4,))]
    found = set()
    for number in range(60):
        whole = replace(kept.evolution, warmup=60).proposal(kept, number, 7)
        made, draws = kept.evolution.proposal(kept, number, 7), _draws(number, 7)
        assert made == REMASK(whole, draws[2], draws[3]) != whole
        found.add(tuple(whole))
    one, two, three = (1, DOT, 2), (3, 3), (4,)
    pairs = [(one, two), (one, three), (two, one), (two, three), (three, one), (three, two)]
    assert found == {(*a, DOT, *b) for a, b in pairs}
    made = [[kept.evolution.proposal(kept, number, seed) for number in range(9)] for seed in (7, 8)]
    assert made[0] != made[1]


def test_what_is_short_is_extended_and_what_is_long_loses_segments():
    kept = Fragments(RemaskEvolution(FragmentRemask(DOT, 3, 3), shortest=9, longest=9), 0)
    kept._best += [(-1.0, 0, (1, 1)), (-0.5, 1, (2, 2))]
    assert set(map(tuple, (kept.evolution.proposal(kept, number, 0) for number in range(20)))) == {
        (1, 1, DOT, 2, 2, DOT, -1, -1, -1),
        (2, 2, DOT, 1, 1, DOT, -1, -1, -1),
    }
    kept.evolution = replace(kept.evolution, shortest=0, longest=4, warmup=9)
    assert {tuple(kept.evolution.proposal(kept, number, 0)) for number in range(9)} == {(1, 1), (2, 2)}


def test_the_best_fragments_are_kept_once():
    kept = Fragments(RemaskEvolution(REMASK, population=3, cuts=4), 0)
    kept.take([1, DOT, 2], 0.5, 0)
    kept.take([1, DOT, 2], None, 1)
    assert list(zip(kept.codes, kept.scores, strict=True)) == [((1,), 0.5), ((2,), 0.5)]  # four cuts, one place
    kept.take([3], 0.1, 2)
    kept.take([2, DOT, 4], 0.1, 3)  # no better than the worst of three
    assert kept.codes == [(1,), (2,), (3,)]
    kept.take([2, DOT, 4], 0.7, 4)
    assert list(zip(kept.codes, kept.scores, strict=True)) == [((2,), 0.7), ((4,), 0.7), ((1,), 0.5)]
    kept.take([4], 0.6, 5)
    assert kept.scores == [0.7, 0.7, 0.5]
    wide = RemaskEvolution(REMASK, cuts=40).fragments_of([1, DOT, 2, DOT, 3], 0, 0)
    assert set(wide) == {(1,), (2, DOT, 3), (1, DOT, 2), (3,)}


WORLD = Molecules()


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A run in memory whose model knows the molecules."""
    recipe = replace(load_recipe("genmol"), streams={"molecule": StreamOptions("symbols")})
    return Run(tmp_path_factory.mktemp("m"), recipe, WORLD.layout, {"main": oracle(WORLD)}, WORLD.tokenizers)


ASKED = {"delimiter": ".", "masks": (2, 3), "pad": "_", "shortest": 10, "together": 10}
SOME = ["C1.N2.CC1.N2___", "NN1.N1.CN2.C2__", "C2.C1.NC2.CN1__"]


def worth(media):
    return WORLD.worth(media.text)


def test_molecules_are_worth_the_sum_of_their_segments():
    each = [WORLD.worth(f"{one}1.C2.C2.C1") - WORLD.worth("C1.C2.C2.C1") for one in ("N", "CC", "C")]
    assert WORLD.worth("N1.C2.C2.CC1") == pytest.approx(WORLD.worth("C1.C2.C2.C1") + each[0] + each[1]) and each[2] == 0
    assert WORLD.worth("C1.C2.C2.C2") is WORLD.worth("C1.C2.C1") is WORLD.worth("CCC1.C2.C2.C1") is None
    texts = ["".join(WORLD.parts["molecule"].alphabet[code] for code in row) for row in WORLD.support[0].tolist()]
    assert len(texts) == 6**4 * 6 and WORLD.best == pytest.approx(max(map(WORLD.worth, texts)))


def test_what_is_tried_does_not_depend_on_rows_and_counts_calls(run, monkeypatch):
    asked = []

    def counted(media):
        asked.append(media.text)
        return worth(media)

    found = evolve(run, "molecule", counted, SOME, calls=23, seed=3, **ASKED)
    assert asked == [one.text for one in found.media] and asked[:3] == SOME and len(asked) == 23
    assert found.scores == list(map(WORLD.worth, asked))
    assert found.best.text == max(filter(WORLD.worth, asked), key=WORLD.worth)
    assert len({one.text for one in found.top(3)}) == 3
    monkeypatch.setattr(drawing, "fill", partial(fill, max_rows=1))
    assert [one.text for one in evolve(run, "molecule", worth, SOME, calls=23, seed=3, **ASKED).media] == asked
    other = evolve(run, "molecule", worth, SOME, calls=23, seed=4, **ASKED)
    assert [one.text for one in other.media][3:] != asked[3:]


@pytest.mark.slow
def test_500_calls_find_better_molecules_than_500_that_are_drawn_whole(run):
    begin = run.generate("molecule", num_samples=50, seed=0)
    found = evolve(run, "molecule", worth, begin, calls=500, seed=0, **ASKED)
    drawn = [worth(one) for one in run.generate("molecule", num_samples=500, seed=0)]
    assert worth(found.best) > max(one for one in drawn if one is not None) + 0.1


def test_words_of_a_text_of_any_length_evolve(run):
    """A stream that grows has no pad."""
    shipped = tm.load()
    begin = ["cat dog", "sun moon"]
    found = evolve(
        shipped,
        "text",
        lambda text: text.text.count("e"),
        begin,
        delimiter=" ",
        calls=12,
        masks=(1, 2),
        steps=1,
        seed=0,
    )
    assert len(found.media) == 12 and [one.text for one in found.media[:2]] == begin
    assert all(" " in one.text for one in found.media[2:])
    end = shipped.layout.streams["text"].end_code
    assert not any((one.stream.codes == end).any() for one in found.media)
    with pytest.raises(ValueError, match="count must be at least 1, got -1"):
        found.top(-1)


@pytest.mark.parametrize(
    ("stream", "changes", "error", "sentence"),
    [
        (
            "molecule",
            {"delimiter": ".."},
            ValueError,
            "delimiter must be what one code of 'molecule' says, got '..', which",
        ),
        ("molecule", {"pad": None}, ValueError, "but 'molecule' always has 15 places: say with what in pad"),
        ("molecule", {"calls": 2}, ValueError, "calls must be at least the 3 of what is begun with, got 2; raise it"),
        ("molecule", {"seed": [1]}, ValueError, r"an evolution has one seed and one sample of each, got \[1\] and 1"),
        (
            "molecule",
            {"masks": (3, 2)},
            ValueError,
            "FragmentRemask.most must be at least the least, 3, got 2; swap them",
        ),
        ("molecule", {"masks": (1, 2, 3)}, TypeError, r"masks must be the least and the most places, got \(1, 2, 3\)"),
        ("molecule", {"longest": 0}, ValueError, "longest must be at least 1, got 0"),
        ("molecule", {"begin": "CC"}, TypeError, "begin must be a list of media, got 'CC'; write"),
        ("molecule", {"score": lambda media: "good"}, TypeError, "a score must be a number, or None for what is none"),
        ("molecule", {"score": lambda media: float("nan")}, ValueError, "a score must be a number, got NaN"),
        ("molecule", {"score": lambda media: None}, ValueError, "two fragments are put together, but only 0 scored"),
    ],
)
def test_what_cannot_evolve_is_refused_in_a_sentence(run, stream, changes, error, sentence):
    asked = {**ASKED, "calls": 9, "score": worth, **changes}
    with pytest.raises(error, match=sentence):
        evolve(run, stream, asked.pop("score"), asked.pop("begin", SOME), **asked)


def test_streams_of_several_levels_and_without_words_are_refused():
    shipped = tm.load()
    with pytest.raises(
        ValueError, match="codes of one level in a row, but 'image' has 1 along row, column; name another"
    ):
        evolve(shipped, "image", lambda media: 0.0, [], delimiter=".", calls=1)
    with pytest.raises(ValueError, match="is filled up, but 'text' grows: leave pad out"):
        evolve(shipped, "text", lambda media: 0.0, [], delimiter=" ", pad=" ", calls=1)
