"""Studies in exactly known worlds: distances are those that a person can compute, trainings are shared."""

import pytest
import torch

from tokenmask.studies import run_study, study_of
from tokenmask.studies.law import BestWorth, Drawn, ExcessNats, Impossible, TotalVariation
from tokenmask.worlds import Molecules, Pairs, Sudoku4

TABLE = [[0.4, 0.1], [0.1, 0.4]]
WORLD = {"class_path": "Pairs", "init_args": {"table": TABLE}}
PAGE = {
    "about": "pairs",
    "kind": "exact",
    "recipe": "maskgit",
    "world": WORLD,
    "set": {"order": {"class_path": "RandomScore"}},
    "axes": {"steps": {1: {"steps": 1}, 2: {"steps": 2}}},
    "metrics": ["TotalVariation", "ExcessNats", "Impossible"],
    "samples": 3000,
}


def values(results, figure):
    return {row.variant: row.value for row in results.rows if row.figure == figure}


def test_one_step_draws_both_codes_of_a_pair_alone(tmp_path):
    """Then the law is the product of the marginals, .25 each: 4 * .15 / 2 from the true one. Two steps are exact."""
    results = run_study(study_of("pairs", PAGE), tmp_path, tmp_path)
    distances = values(results, "total variation above the floor")
    assert distances["steps 1"] == pytest.approx(0.3, abs=0.03) and distances["steps 2"] == pytest.approx(0, abs=0.02)
    # -ln p of the product's draws: (ln 2.5 + ln 10) / 2; of the law's: .8 ln 2.5 + .2 ln 10.
    nats = values(results, "excess nats")
    assert nats["steps 1"] == pytest.approx(0.3 * 1.386294, abs=0.04) and nats["steps 2"] == pytest.approx(0, abs=0.04)
    assert values(results, "passes") == {"steps 1": 1, "steps 2": 2}
    assert set(values(results, "impossible samples").values()) == {0.0}


def test_what_is_given_follows_the_law(tmp_path):
    """The left code is a draw of the law: one step for the right one is exact."""
    results = run_study(study_of("pairs", PAGE | {"given": ["left"]}), tmp_path, tmp_path)
    assert all(abs(value) < 0.02 for value in values(results, "total variation above the floor").values())
    with pytest.raises(ValueError, match="given may name some of the streams left, right, not all, got middle"):
        run_study(study_of("pairs", PAGE | {"given": ["middle"]}), tmp_path, tmp_path)


def test_places_may_be_given_and_variants_say_which_and_what_is_asked(tmp_path):
    """An exact model of the facts knows both names from either; it does not know facts that are turned round."""
    other = {"class_path": "Facts", "init_args": {"count": 5, "turned": True}}
    page = PAGE | {
        "world": {"class_path": "Facts", "init_args": {"count": 5}},
        "given": ["fact[:1]"],
        "variants": {"behind": {}, "before": {"given": ["fact[1:]"]}, "turned": {"asked": other}, "no": {"given": []}},
        "set": {"steps": 1, "order": {"class_path": "RandomScore"}},
        "metrics": ["Impossible"],
        "samples": 500,
    }
    del page["axes"]
    found = values(run_study(study_of("facts", page), tmp_path, tmp_path), "impossible samples")
    assert (found["behind"], found["before"]) == (0, 0) and found["turned"] > 0.7
    assert found["no"] == pytest.approx(0.8, abs=0.06)  # both at once, each alone
    for given, got in (["fact[0]"], r"fact\[0\]"), (["fact"], "fact"):
        with pytest.raises(
            ValueError, match=f"given may name some of the streams fact, not all, got {got}; correct it"
        ):
            run_study(study_of("facts", page | {"given": given}), tmp_path, tmp_path)
    with pytest.raises(ValueError, match="variant 'turned': asked must be a world of the streams of Facts"):
        lost = {"turned": {"asked": {"class_path": "Facts"}}}
        run_study(study_of("facts", page | {"variants": lost}), tmp_path, tmp_path)


def test_what_an_evolution_tries_are_the_samples_of_a_cell(tmp_path):
    search = {"begin": 6, "delimiter": ".", "masks": [2, 3], "pad": "_", "together": 4}
    page = PAGE | {
        "recipe": "genmol",
        "world": {"class_path": "Molecules", "init_args": {"letters": "C"}},
        "search": search,
        "variants": {"anew": {}, "joined": {"search.warmup": 20}, "whole": {"search": None}},
        "metrics": ["BestWorth", "Impossible"],
        "samples": 20,
    }
    del page["axes"], page["set"]
    results = run_study(study_of("m", page), tmp_path, tmp_path)
    broken = values(results, "impossible samples")
    assert 0 < broken["anew"] < broken["joined"] < 0.71 and broken["whole"] == 0  # six whole ones are begun with
    assert max(values(results, "best worth").values()) <= Molecules("C").best
    assert results.row("whole", "passes") and not results.row("anew", "passes")
    for changes, sentence in (
        ({"search": {**search, "mask": 3}}, "search has the keys begin, delimiter, masks, .*, got mask; correct it"),
        ({"search": {"begin": 6}}, "where begin and delimiter must be said; correct it"),
        ({"world": WORLD, "recipe": "maskgit"}, "search needs a world of one stream, got left, right; take another"),
    ):
        with pytest.raises(ValueError, match=sentence):
            run_study(study_of("m", page | changes), tmp_path, tmp_path)


def test_the_best_samples_are_counted_once():
    world = Molecules("C")
    alphabet = "".join(world.parts["molecule"].alphabet)
    texts = ["C1.C1.C2.C2____", "C1.C1.C2.C2____", "CC1.CC1.CC2.CC2", "C1.C1.C1.C2____"]
    codes = torch.tensor([[alphabet.index(one) for one in text] for text in texts])
    figures = {one.name: one.value for one in BestWorth()(Drawn(world, codes, 0))}
    worths = [world.worth(texts[0]), world.worth(texts[2])]
    assert figures == {"best worth": max(worths), "ten best, mean worth": pytest.approx(sum(worths) / 2)}
    with pytest.raises(ValueError, match="knows no better and worse; take Molecules"):
        BestWorth()(Drawn(Pairs(((0.5, 0.0), (0.25, 0.25))), torch.tensor([[0, 0]]), 0))
    assert [one.value for one in BestWorth()(Drawn(world, codes[3:], 0))] == [None, None]


def test_figures_of_samples_that_were_counted_by_hand():
    world = Pairs(((0.5, 0.0), (0.25, 0.25)))
    drawn = Drawn(world, torch.tensor([[0, 0]] * 6 + [[1, 0]] * 2 + [[0, 1]] * 2), 0)
    figures = {one.name: one.value for metric in (TotalVariation(), Impossible()) for one in metric(drawn)}
    # Shares .6, .2, .2 and none: |.6 - .5| + |.2 - .25| + .2 + .25, halved.
    assert figures["total variation"] == pytest.approx(0.3) and figures["impossible samples"] == pytest.approx(0.2)
    (nats,) = ExcessNats()(drawn)
    entropy = 0.5 * 0.693147 + 0.5 * 1.386294
    assert nats.value == pytest.approx((6 * 0.693147 + 2 * 1.386294) / 8 - entropy, abs=1e-5) and nats.count == 8


def test_one_slot_a_step_never_leaves_what_is_possible(tmp_path):
    steps = {"variants": {"one": {"steps": 1}, "sixteen": {"steps": 16}}, "samples": 64}
    page = {key: value for key, value in (PAGE | steps).items() if key != "axes"}
    results = run_study(study_of("grids", page | {"world": {"class_path": "Sudoku4"}}), tmp_path, tmp_path)
    shares = values(results, "impossible samples")
    assert shares["sixteen"] == 0 and shares["one"] > 0.95  # 288 of 4^16 are possible
    assert len(Sudoku4().support[0]) == 288


def test_variants_that_differ_in_the_sampler_alone_share_a_training(tmp_path):
    page = PAGE | {
        "kind": "train",
        "tiny": True,
        "records": 200,
        "samples": 500,
        "set": {"training.steps": 3, "training.warmup_steps": 1},
        "axes": {
            "width": {"64": {}, "128": {"model.width": 128}},
            "steps": {1: {"sampler.steps": 1}, 2: {"sampler.steps": 2}},
        },
        "metrics": ["TotalVariation"],
    }
    told = []
    results = run_study(study_of("trained", page), tmp_path, tmp_path, told.append)
    assert len(told) == 4 and len([one for one in (tmp_path / "trained").iterdir() if one.is_dir()]) == 2
    assert values(results, "passes") == {
        "width 64, steps 1": 1,
        "width 64, steps 2": 2,
        "width 128, steps 1": 1,
        "width 128, steps 2": 2,
    }
    distances = values(results, "total variation")
    assert distances["width 64, steps 2"] != distances["width 128, steps 2"]  # two models
