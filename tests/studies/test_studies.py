"""Studies: pages are read or refused, cells are measured once, claims are judged by intervals."""

import json
from pathlib import Path

import pytest
import yaml

from tests.worlds import tiny_run
from tokenmask.analysis.figures import Figure
from tokenmask.evaluation import metrics
from tokenmask.evaluation.metric import Metric
from tokenmask.studies import LawMetric, read_study, run_study, study_of
from tokenmask.studies.measuring import Bench
from tokenmask.studies.results import results_of
from tokenmask.worlds import Potts

PAGES = sorted((Path(__file__).parents[2] / "benchmarks" / "studies").glob("*.yaml"))
PAGE = {
    "about": "which is better",
    "kind": "exact",
    "recipe": "maskgit",
    "world": {"class_path": "Markov"},
    "variants": {"one": {"steps": 1}, "two": {"steps": 2}},
    "metrics": ["TotalVariation"],
}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_page_that_ships_is_read(path):
    study = read_study(path)
    assert study.name == path.stem and study.recipe and study.claims
    if study.kind != "sample":
        Bench(study, Path("nowhere"))._recipe(study.variants[-1], 0)


def test_axes_become_their_product_and_later_ones_count():
    axes = {"order": {"near": {"order": 1, "steps": 9}, "far": None}, "steps": {1: {"steps": 1}, 4: {"steps": 4}}}
    study = study_of("name", {key: value for key, value in PAGE.items() if key != "variants"} | {"axes": axes})
    assert [one.name for one in study.variants] == ["near, steps 1", "near, steps 4", "far, steps 1", "far, steps 4"]
    assert study.variants[1].changes == {"order": 1, "steps": 4} and study.variants[2].changes == {"steps": 1}
    assert study.variants[0].slug == "near-steps-1" and study.axes == ("order", "steps")
    assert [(variant.name[:4], seed) for variant, seed in study.cells()][3:] == [("far,", 0)]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"metric": ["Generated"]}, "got metric; correct it"),
        ({"kind": "guess"}, "kind must be one of sample, exact, train, got 'guess'"),
        ({"about": None}, "a study needs about"),
        ({"axes": {}}, "variants, or axes"),
        ({"variants": {}}, "variants, metrics and seeds"),
        ({"variants": {"a b": {}, "a-b": {}}}, "names of variants must differ, got a-b twice"),
        ({"run": "shipped"}, "of kind exact has no use for run"),
        ({"world": None}, "of kind exact needs world"),
        ({"kind": "sample", "world": None, "stream": "image"}, "of kind sample needs run, data"),
        ({"kind": "train", "data": {"set": "emoji"}}, "a world or data, not both"),
        ({"seeds": [1, 1]}, "seeds must differ"),
        ({"seeds": -1}, "seeds must be in 1..10000, got -1; choose another number"),
        ({"seeds": 10**11}, "seeds must be in 1..10000, got 100000000000"),
        ({"variants": {2: {}, "2": {}}}, "variants must have every key once, got 2 twice, as a word and as a number"),
        ({"claims": [{"says": "a", "lower": "one", "than": float("nan")}]}, "than of a claim must be finite, got nan"),
        ({"claims": [{"says": "a", "alike": "one", "than": 1, "within": "x"}]}, "within of a claim must be a number"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"claims": [{"says": "a", "lower": "one", "than": "three"}]}, r"\(one; two\), got 'three'"),
        ({"claims": [{"says": "a", "lower": "one"}]}, "and than, got says, lower"),
        ({"claims": [{"says": "a", "alike": "one", "than": "two"}]}, "within, the most difference"),
        ({"claims": [{"says": "a", "lower": "one", "thn": 1}]}, "got thn"),
        ({"world": {"class_path": "os.system"}}, "components of tokenmask"),
    ],
)
def test_what_is_no_study_is_refused_in_a_sentence(changes, sentence):
    page = {key: value for key, value in (PAGE | changes).items() if value is not None}
    with pytest.raises((TypeError, ValueError), match=sentence) as caught:
        study_of("name", page)
    assert "\n" not in str(caught.value)


def test_the_name_of_the_file_is_said(tmp_path):
    (tmp_path / "bad.yaml").write_text("about: [1\n")
    with pytest.raises(ValueError, match=r"a readable YAML file, but .*bad\.yaml is not"):
        read_study(tmp_path / "bad.yaml")
    (tmp_path / "bad.yaml").write_text("about: a\nkind: exact\nabout: b\n")
    with pytest.raises(ValueError, match=r"bad\.yaml is not \(a mapping .* in line 1 has about twice; leave one out"):
        read_study(tmp_path / "bad.yaml")
    (tmp_path / "bad.yaml").write_text("about: a\nkinds: b\n")
    with pytest.raises(ValueError, match=r"study .*bad\.yaml: a study has the keys about, asked, axes, .* got kinds"):
        read_study(tmp_path / "bad.yaml")
    for path, reason in ((tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ValueError, match=rf"but {path} is not \({reason}\); check the path, or begin one with"):
            read_study(path)
    page = PAGE | {"figures": ["nonsense"]}
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump(page))
    read = read_study(tmp_path / "odd.yaml")
    assert read == study_of("odd", page)  # but for the file
    with pytest.raises(ValueError, match=rf"^study {tmp_path}/odd\.yaml: figures must name what the metrics"):
        run_study(read, tmp_path / "work", tmp_path)


class Foreign(LawMetric):
    """One that does not say what its figures are called."""

    def __call__(self, drawn):
        return [Figure("of others", 1.0)]


def test_figures_of_a_metric_that_does_not_say_its_names_are_told_before(tmp_path, monkeypatch):
    """Ours all say them, so that a wrong name is refused before anything is trained."""
    found = [one for one in vars(metrics).values() if isinstance(one, type) and issubclass(one, Metric)]
    assert len(found) > 5 and all(one.begins for one in found if one is not Metric)
    monkeypatch.setattr("tokenmask.studies.measuring.metric_of", lambda *_: Foreign())
    bench = Bench(study_of("name", PAGE | {"figures": ["of others"]}), tmp_path)
    with pytest.warns(UserWarning, match=r"figures names 'of others', which is looked for when all is measured"):
        bench._check_figures()


def test_a_law_without_numbers_is_refused():
    with pytest.raises(ValueError, match=r"probabilities must be finite, but those of Potts\(.*coupling=nan"):
        Potts(coupling=float("nan")).draw(1)


def test_what_stands_in_the_way_of_cells_is_said(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file"):
        run_study(study_of("name", PAGE | {"samples": 8}), tmp_path / "file", tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "mine"


def claimed(values, **claim):
    """The verdict on a claim about "one" (and "two"), whose figures have these values, seed by seed."""
    study = study_of("name", PAGE | {"seeds": len(values[0]), "claims": [{"says": "so", **claim}]})
    cells = {
        (name, seed): [Figure("error", value, (value - 0.1, value + 0.1), 10, "samples")]
        for name, own in zip(("one", "two"), values, strict=True)
        for seed, value in enumerate(own)
    }
    return results_of(study, cells).verdicts[0].verdict


@pytest.mark.parametrize(
    ("one", "two", "claim", "verdict"),
    [
        # One seed: 95 % intervals of +- 0.1 must not overlap.
        ([1.0], [1.3], {"lower": "one", "than": "two"}, "shown"),
        ([1.0], [1.15], {"lower": "one", "than": "two"}, "not shown"),
        ([1.0], [1.3], {"higher": "one", "than": "two"}, "contradicted"),
        ([1.0], [1.0], {"alike": "one", "than": "two", "within": 0.3}, "shown"),
        ([1.0], [1.0], {"alike": "one", "than": "two", "within": 0.1}, "not shown"),
        # Three seeds: their differences decide. Of -0.1, -0.12, -0.08 the interval is -0.1 +- 4.303 * 0.02 / sqrt(3).
        ([1.0, 2.0, 3.0], [1.1, 2.12, 3.08], {"lower": "one", "than": "two"}, "shown"),
        ([1.0, 2.0, 3.0], [1.1, 2.12, 3.08], {"alike": "one", "than": "two", "within": 0.151}, "shown"),
        ([1.0, 2.0, 3.0], [1.1, 2.12, 3.08], {"alike": "one", "than": "two", "within": 0.149}, "not shown"),
        ([1.0, 2.0, 3.0], [1.1, 2.12, 3.08], {"alike": "one", "than": "two", "within": 0.049}, "contradicted"),
        ([1.0, 2.0, 3.0], [1.5, 1.5, 3.5], {"lower": "one", "than": "two"}, "not shown"),
        ([1.0, 1.1, 0.9], [0.0, 0.0, 0.0], {"higher": "one", "than": 0.5}, "shown"),
    ],
)
def test_claims_are_judged_by_intervals(one, two, claim, verdict):
    assert claimed([one, two], **claim) == verdict


def test_a_figure_that_was_not_measured_is_named():
    with pytest.raises(ValueError, match=r"\(error\), got 'bits'"):
        claimed([[1.0], [2.0]], lower="one", than="two", figure="bits")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    run = tiny_run(tmp_path_factory.mktemp("run"), "maskgit")
    return {
        "about": "how many steps",
        "kind": "sample",
        "run": str(run.folder),
        "stream": "image",
        "axes": {"steps": {"1": {"steps": 1}, "3": {"steps": 3}}},
        "metrics": ["Generated"],
        "figures": ["passes", "Fréchet"],
        "samples": 6,
        "claims": [{"says": "three steps are three passes", "alike": "steps 3", "than": 3, "within": 0.0}],
    }


def test_cells_are_measured_once_and_what_changed_again(page, tmp_path):
    told = []
    results = run_study(study_of("steps", page), tmp_path / "work", tmp_path / "out", told.append)
    assert told == ["steps 1 of 2: steps 1, seed 0", "steps 2 of 2: steps 3, seed 0"]
    assert [row.value for row in results.rows if row.figure == "passes"] == [1, 3]
    assert results.verdicts[0].verdict == "shown"
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert files.keys() == {"steps.json", "steps.svg"} and b"<svg" in files["steps.svg"]
    assert len(list((tmp_path / "work" / "cells").iterdir())) == 2

    again = run_study(study_of("steps", page), tmp_path / "work", tmp_path / "out", told.append)
    assert len(told) == 2 and again.rows == results.rows  # nothing was measured
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == files

    changed = page | {"axes": {"steps": {"1": {"steps": 1}, "3": {"steps": 2}}}}
    changed["claims"] = [{"says": "two now", "alike": "steps 3", "than": 2, "within": 0.0}]
    third = run_study(study_of("steps", changed), tmp_path / "work", tmp_path / "out", told.append)
    assert told[2:] == ["steps 2 of 2: steps 3, seed 0"] and third.verdicts[0].verdict == "shown"
    assert json.loads((tmp_path / "out" / "steps.json").read_text())["claims"][0]["verdict"] == "shown"


def test_a_damaged_cell_is_named(page, tmp_path):
    run_study(study_of("steps", page), tmp_path, tmp_path)
    (tmp_path / "cells" / "steps-1-seed-0.json").write_text("{}")
    with pytest.raises(ValueError, match=r"steps-1-seed-0\.json is damaged"):
        run_study(study_of("steps", page), tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"variants": {"one": {"stepz": 1}}}, "variant 'one': .*stepz"),
        ({"variants": {"one": {"order.class_path": "Nothing"}}}, "variant 'one'"),
        ({"figures": ["smells"]}, r"figures must name what the metrics measure \(.*; passes; seconds\), got 'smells'"),
        ({"metrics": ["Nothing"]}, r"tokenmask\.evaluation\.metrics\.Nothing must be a Metric"),
        ({"stream": "smell"}, "smell"),
        ({"data": {"set": "smells"}}, r"a set that ships \(emoji, .*\), got \{'set': 'smells'\}"),
    ],
)
def test_nothing_is_measured_where_a_variant_is_wrong(page, changes, sentence, tmp_path):
    wrong = {key: value for key, value in (page | changes).items() if key not in ("axes", "claims")}
    wrong.setdefault("variants", {"one": {"steps": 1}})
    with pytest.raises(ValueError, match=sentence):
        run_study(study_of("steps", wrong), tmp_path, tmp_path)
    assert not (tmp_path / "cells").exists()
