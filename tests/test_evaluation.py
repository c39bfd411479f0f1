"""Evaluation of a small run: every figure has a size and an interval, repeats, and judges what it should."""

import json
import math
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest
import torch

from tests.worlds import emoji, tiny_run
from tokenmask.analysis import Evaluation, Figure, StreamFigures
from tokenmask.analysis.figures import figures_of_json
from tokenmask.evaluation import Metric, evaluate, metric
from tokenmask.modalities.image import Image


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("run"), "captions", steps=4)


@pytest.fixture(scope="module")
def pictures():
    return [Image(torch.from_numpy(e.pixels)) for e in emoji() if e.split != "train"]


@pytest.fixture(scope="module")
def found(run, pictures) -> Evaluation:
    return evaluate(run, media={"image": pictures}, samples=8, draws=1)


def figures(table: StreamFigures) -> dict[str, Figure]:
    assert len({figure.name for figure in table.figures}) == len(table.figures)
    return {figure.name: figure for figure in table.figures}


def test_every_number_has_a_size_and_an_interval_that_holds_it(found):
    assert [table.stream for table in found.streams] == ["text", "image"]
    for table in found.streams:
        assert table.features
        for figure in table.figures:
            if figure.value is None:
                assert figure.note
                continue
            assert figure.count > 0 and figure.of
            low, high = figure.interval
            assert low - 1e-9 <= figure.value <= high + 1e-9, figure


def test_tables_hold_what_was_asked_for(found, run, pictures):
    text, image = map(figures, found.streams)
    for score in found.scores:
        given = f"given {score.given[0]}" if score.given else "nothing given"
        figure = figures(next(t for t in found.streams if t.stream == score.stream))[f"bits a hidden code, {given}"]
        assert figure.value == pytest.approx(score.cross_entropy / math.log(2)) and figure.count == score.num_records
        assert f"unigram {score.unigram / math.log(2):.4g}" in figure.beside
    assert {"Fréchet distance", "diversity, mean distance of two", "reconstruction: psnr_db"} <= set(image)
    assert "own text first of 8, training conditions" in image and "own image first of 8, held-out conditions" in text
    assert not any(name.startswith("bits a second") for name in image)  # pictures have no clock
    assert text["reconstruction"].value is None and "no held-out media" in text["reconstruction"].note
    each = [run.tokenizers["image"].evaluate([picture])["psnr_db"] for picture in pictures[:8]]
    some = evaluate(run, media={"image": pictures[:8]}, samples=8, draws=1).streams[1].figures
    assert some[-1].value == pytest.approx(sum(each) / 8) and some[-1].count == 8


def test_figures_repeat_and_follow_the_seed(found, run, pictures):
    again = evaluate(run, media={"image": pictures}, samples=8, draws=1)
    assert again.to_json() == found.to_json()
    other = evaluate(run, media={"image": pictures}, samples=8, draws=1, seed=1)
    assert other.to_json() != found.to_json()


def test_a_model_that_always_says_the_same_is_caught(found, run):
    """Without temperature and conditions all pictures are alike: less diverse and further from the data."""
    sampler = run.recipe.sampler_of("image")
    dull = replace(sampler, pick=replace(sampler.pick, temperature=0.0), order=replace(sampler.order, noise=0.0))
    recipe = replace(run.recipe, samplers={**run.recipe.samplers, "image": dull})
    one, other = (
        figures(found.streams[1]),
        figures(evaluate(replace(run, recipe=recipe), samples=8, draws=1).streams[1]),
    )
    for name, factor in (("diversity, mean distance of two", -1), ("Fréchet distance", 1)):
        assert factor * other[name].value > factor * one[name].value


def test_saved_tables_come_back(found, tmp_path):
    found.save(tmp_path / "evaluation.json")
    values = json.loads((tmp_path / "evaluation.json").read_text())
    assert figures_of_json(values["streams"]) == list(found.streams)
    assert values["samples"] == 8 and len(values["scores"]) == len(found.scores)
    with pytest.raises(ValueError, match="must hold tables of figures"):
        figures_of_json([{"stream": "image"}])


def test_tables_print(found):
    text = str(found)
    assert "image (image)" in text and "95 % interval" in text and "chance 0.125" in text


class Neighbours(Metric):
    """How often two codes side by side are equal: of data, and of what is generated."""

    def __call__(self, part):
        made = [stream.codes.flatten() for stream in part.generated(part.chosen)]
        equal = torch.cat([codes[1:] == codes[:-1] for codes in made]).double()
        return [Figure("equal neighbours", float(equal.mean()), (0.0, 1.0), len(made), "generated streams")]


def test_a_metric_of_a_package_is_in_the_table(run, monkeypatch):
    """By its entry point; a package that only names its components is none, and a broken one is named."""

    def install(*points):
        monkeypatch.setattr(metric, "entry_points", lambda group: [EntryPoint(*point, group) for point in points])

    module = __name__
    monkeypatch.setitem(sys.modules, module, sys.modules[module])
    install(("neighbours", f"{module}:Neighbours"), ("mine", "some_package"), ("other", "json:JSONDecoder"))
    assert [type(one).__name__ for one in metric.installed_metrics()] == ["Neighbours"]
    table = evaluate(run, samples=8, draws=1, metrics=metric.installed_metrics()).streams[1]
    codes = [stream.codes.flatten() for stream in _generated(run)]
    pairs = [(int((one[1:] == one[:-1]).sum()), len(one) - 1) for one in codes]
    assert table.figures[0].value == pytest.approx(sum(a for a, _ in pairs) / sum(b for _, b in pairs))
    install(("gone", "no_such_package:Metric"))
    with pytest.raises(ValueError, match=r"but gone = no_such_package:Metric does not .*uninstall its package"):
        metric.installed_metrics()


def test_a_table_names_the_space_that_a_figure_asked_for(run):
    told = []
    found = evaluate(run, samples=8, draws=1, metrics=[lambda part: told.append((part.compared_in, part)) or []])
    assert [table.features for table in found.streams] == ["", ""]
    for before, part in told:
        assert before == part.compared_in == ""
        assert part.space.name and part.compared_in == part.space.name


def _generated(run):
    found = []
    evaluate(run, samples=8, draws=1, metrics=[lambda part: found.append(part) or []])
    return found[1].generated(found[1].chosen)


def test_a_run_without_records_is_refused(run):
    with pytest.raises(ValueError, match="names no corpus"):
        evaluate(replace(run, corpora=()))
