"""Tuning: in a world whose best settings are known they are found, written, and used."""

import copy
import json
import shutil
from dataclasses import dataclass, replace
from functools import partialmethod

import pytest
import torch

import tokenmask as tm
from tests.worlds import tiny_run
from tokenmask.analysis.figures import Figure
from tokenmask.corpus import HELD_OUT, TRAIN, CorpusWriter, Record
from tokenmask.evaluation import Metric
from tokenmask.evaluation.metrics import Generated
from tokenmask.evaluation.part import records_of
from tokenmask.recipes import Budget, StreamOptions, load_recipe, recipe_yaml
from tokenmask.run import Run, prepare
from tokenmask.run.folder import read_recipe
from tokenmask.sampling import Categorical, NoGuidance, Sampler, UniformSchedule
from tokenmask.scores import ConfidenceScore, HaltonScore, RasterScore
from tokenmask.streams import TokenStream
from tokenmask.tuning import Chosen, Found, Space, Trial, _usual, tune
from tokenmask.tuning.kept import Kept
from tokenmask.tuning.race import Track, seconds_of
from tokenmask.tuning.space import settings
from tokenmask.worlds import Markov
from tokenmask.worlds import oracle as law_of

CHAIN = Markov(8, ((0.8, 0.15, 0.05), (0.1, 0.8, 0.1), (0.05, 0.15, 0.8)))


@dataclass(frozen=True)
class Triples(Metric):
    """Total variation between three codes in a row of generated chains and their law, which is known."""

    def __call__(self, part):
        codes = torch.stack([one.codes[:, 0] for one in part.generated(part.chosen)]).long().unfold(1, 3, 1)
        law = CHAIN.start[:, None, None] * CHAIN.matrix[:, :, None] * CHAIN.matrix
        found = torch.zeros_like(law)
        found.index_put_(tuple(codes.flatten(0, 1).T), torch.ones((), dtype=law.dtype), accumulate=True)
        value = float((found / found.sum() - law).abs().sum() / 2)
        return [Figure("triples", value, (value - 0.06, value + 0.06), len(codes), "generated chains")]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory) -> Run:
    """A run in memory whose model knows the law; its own settings are poor."""
    folder = tmp_path_factory.mktemp("chain")
    specs = {"chain": CHAIN.tokenizers["chain"].spec}
    with CorpusWriter(folder / "corpus", specs) as writer:
        for number, codes in enumerate(CHAIN.draw(140)):
            stream = TokenStream(specs["chain"], codes[:, None].int())
            writer.add(Record(f"chain {number}", {"chain": stream}, split=HELD_OUT if number > 10 else TRAIN))
    recipe = replace(
        load_recipe("maskgit"),
        streams={"chain": StreamOptions("symbols")},
        samplers={"chain": Sampler(4, order=RasterScore(), schedule=UniformSchedule(), pick=Categorical(0.3))},
        conditioning=replace(load_recipe("maskgit").conditioning, odds={}),
    )
    models = {"main": law_of(CHAIN)}
    return Run(folder, recipe, CHAIN.layout, models, CHAIN.tokenizers, [(str(folder / "corpus"), 1.0)])


@pytest.fixture(scope="module")
def found(oracle):
    space = Space((UniformSchedule(),), (ConfidenceScore(0.0), RasterScore(), HaltonScore()), (1.0, 0.3), (None, 3.0))
    told = []
    result = oracle.tune(
        "chain", budgets=[8, 2, 4], candidates=None, samples=64, metric=Triples(), space=space, say=told.append
    )
    return result, told


def test_the_best_settings_are_found(found):
    """Every other code first, at temperature 1: the rest then follow from both sides, so four passes are exact."""
    result, told = found
    assert [one.passes for one in result.chosen] == [2, 4, 8]
    four = result.chosen[1]
    assert four.trial.sampler.order == HaltonScore() and four.trial.sampler.pick.temperature == 1.0
    assert four.trial.passes == four.reported.passes == 4
    assert four.reported.value < 0.18 < 0.22 < result.own.value
    assert four.reported.value != four.trial.value  # on other records
    # Six settings (the space) and the run's own, which is one of them: three heats of 16, 32 and 64 records.
    assert told[1:4] == [f"2 passes: {n} settings with {size} records each" for n, size in ((6, 16), (3, 32), (2, 64))]


def test_the_usual_settings_are_the_cheapest_that_are_as_good(found):
    result, _ = found
    two, four, eight = (one.trial for one in result.chosen)
    assert eight.interval[0] <= four.value <= eight.interval[1] < two.value
    assert result.usual == four
    assert result.run.recipe.sampler_of("chain").steps == 4
    assert [one.passes for one in result.run.recipe.budgets["chain"]] == [2, 4, 8]


def test_generate_takes_the_settings_of_a_budget(found):
    run = found[0].run
    recipe = run.recipe
    assert recipe.sampler_of("chain", 3).steps == 2 and recipe.sampler_of("chain", 100) == recipe.sampler_of("chain", 8)
    steps = []
    run.generate_tokens("chain", budget=3, on_step=lambda now: steps.append(now.step))
    assert steps == [1, 2]
    steps.clear()
    run.generate_tokens("chain", budget=3, steps=5, on_step=lambda now: steps.append(now.step))
    assert steps == [1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match=r"which has settings for 2, 4, 8 passes, got a budget of 1; .* --budgets 1`"):
        run.generate("chain", budget=1)
    with pytest.raises(ValueError, match="a sampler says all"):
        run.generate("chain", budget=2, sampler=Sampler(1))


def test_a_recipe_says_its_budgets(found, tmp_path):
    recipe = found[0].run.recipe
    (tmp_path / "tuned.yaml").write_text(recipe_yaml(recipe))
    assert load_recipe(tmp_path / "tuned.yaml").budgets == recipe.budgets
    with pytest.raises(ValueError, match=r"budgets\.chain must grow, got passes \[4, 4\]"):
        replace(recipe, budgets={"chain": (Budget(4, Sampler()), Budget(4, Sampler()))})
    assert recipe.of(["chain"]).budgets == recipe.budgets
    assert not recipe.with_streams(CHAIN.layout, {"chain": "symbols"}).budgets  # of other codes


def trial(said, value, passes, reach=0.1, seconds=0.0):
    return Trial(said, Sampler(), value, (value - reach, value + reach), passes, seconds, 32)


def test_the_run_s_own_settings_stay_where_nothing_holds_on_both_halves():
    """Cheap ones that looked as good on one half and were worse on the other are not what `generate` takes."""
    track, own, was = Track(None, "", {}, None, "", False, 0), trial("own", 0.3, 24), trial("own", 0.3, 24)
    lucky = Chosen(4, trial("lucky", 0.28, 4), trial("lucky", 0.35, 4))
    sound = Chosen(8, trial("sound", 0.27, 8), trial("sound", 0.29, 8))
    assert _usual(track, own, [lucky], was) is own
    assert _usual(track, own, [lucky, sound], was) is sound.trial
    poor = trial("own", 0.9, 2)
    assert _usual(track, poor, [sound], trial("own", 0.9, 2)) is sound.trial  # though own settings take fewer passes
    found = Found(None, "x", (lucky, sound), was, own, (), "", False)
    assert not found.told_apart and replace(found, own=trial("own", 0.9, 24)).told_apart


def test_the_wait_is_counted_from_the_first_measurement():
    """Six settings with 16 records, three with 32, two with 64, one report: 12 figures and 16 * 6 + 32 * 3 + 64 * 3
    records a budget."""
    first = replace(trial("own", 0.3, 5, seconds=0.5), records=64)
    wait = seconds_of(first, 33.0, [2, 4], candidates=6, samples=64)
    assert wait == pytest.approx(33 + 2 * 12 * 1.0 + (96 + 96 + 192) * 0.1 * 6)


@pytest.fixture
def run(tmp_path):
    return tiny_run(tmp_path / "run", "maskgit")


def test_what_is_found_is_written_into_the_run(run):
    before = (run.folder / "recipe.yaml").read_bytes()
    plain = run.generate_tokens("image", seed=1)[0].codes
    result = tune(run, "image", budgets=[2, 3], candidates=2, samples=6)
    again = tm.load(run.folder)
    assert again.recipe.budgets == result.run.recipe.budgets and len(again.recipe.budgets["image"]) == 2
    assert again.recipe.sampler_of("image") == result.run.recipe.sampler_of("image")
    codes = again.generate_tokens("image", seed=1, budget=2)[0].codes
    assert torch.equal(codes, result.run.generate_tokens("image", seed=1, budget=2)[0].codes)
    table = json.loads((run.folder / "tuning" / "image.json").read_text())
    assert [one["passes"] for one in table["budgets"]] == [2, 3] and table["as_it_was"]["records"] == 6
    assert (run.folder / "tuning" / "image.svg").read_bytes().startswith(b"<?xml")
    assert (run.folder / "recipe.yaml").read_bytes() == before  # by which its training would be resumed
    prepare(run.folder, read_recipe(run.folder, tuned=False), run.tokenizers, run.corpora)  # is not refused
    (run.folder / "tuned.yaml").unlink()
    assert torch.equal(tm.load(run.folder).generate_tokens("image", seed=1)[0].codes, plain)


def bare(trials):
    """What does not depend on how busy the machine is."""
    return [replace(one, seconds=0.0) for one in trials]


def test_a_tuning_that_was_killed_goes_on_with_what_it_had_measured(run, tmp_path, monkeypatch):
    asked = {"budgets": [2, 3], "candidates": 2, "samples": 4}
    folder = tmp_path / "other"
    shutil.copytree(run.folder, folder)
    whole = tune(run, "image", **asked)
    other, measured, plainly = tm.load(folder), [], Track._measured

    def counted(self, said, sampler, trial_run, samples, most):
        if len(measured) == most:
            raise KeyboardInterrupt  # as sudden as a kill for everything here
        measured.append((self.seed, said, sampler.steps, samples))
        return plainly(self, said, sampler, trial_run, samples)

    monkeypatch.setattr(Track, "_measured", partialmethod(counted, most=3))
    with pytest.raises(KeyboardInterrupt):
        tune(other, "image", **asked)
    path = folder / "tuning" / "image.measured.json"
    assert len(json.loads(path.read_text())) == 3 and not (folder / "tuned.yaml").exists()
    other, told = tm.load(folder), []
    monkeypatch.setattr(Track, "_measured", partialmethod(counted, most=100))
    again = tune(other, "image", say=told.append, **asked)
    assert len(measured) == len(set(measured)) > 6  # nothing twice
    assert told[0] == f"what {path} holds is not measured again"
    assert bare(again.trials) == bare(whole.trials) and again.usual.said == whole.usual.said
    assert [bare([one.trial, one.reported]) for one in again.chosen] == [
        bare([one.trial, one.reported]) for one in whole.chosen
    ]
    assert (folder / "tuned.yaml").read_bytes() == (run.folder / "tuned.yaml").read_bytes()
    assert not path.exists() and not (run.folder / "tuning" / "image.measured.json").exists()


def test_what_was_measured_counts_for_the_very_same_question_alone(run, tmp_path):
    records = records_of(run)
    kept = Kept(tmp_path / "measured.json")
    track = Track(run, "image", records, Generated(), "", False, 0, kept)
    sampler = run.recipe.sampler_of("image")
    first = track.measure("own", sampler, 4)
    assert track.measure("in other words", sampler, 4) == replace(first, said="in other words")
    changed = copy.deepcopy(run.models)
    with torch.no_grad():
        next(changed["main"].parameters()).mul_(2)
    others = [
        replace(track, seed=1),
        replace(track, run=replace(run, models=changed)),
        replace(track, records={**records, HELD_OUT: records[HELD_OUT][::-1]}),
    ]
    for number, other in enumerate(others, 2):
        other.measure("own", sampler, 4)
        assert len(json.loads(kept.path.read_text())) == number
    track.measure("own", sampler, 5)
    track.measure("own", replace(sampler, steps=2), 4)
    assert len(json.loads(kept.path.read_text())) == 6
    assert Kept(kept.path).begun and not Kept(tmp_path / "none.json").begun
    kept.path.write_text('{"1": ')
    with pytest.raises(ValueError, match=r"measured\.json is damaged .*; remove it, and settings are measured again"):
        Kept(kept.path)


def test_a_metric_that_no_file_can_name_is_said(run):
    class Local(Generated):
        pass

    told = []
    tune(run, "image", budgets=[2], candidates=1, samples=4, metric=Local(), say=told.append)
    assert told[0].startswith("what is measured is not kept, so that a tuning that is stopped begins anew: ")


def test_a_saved_run_keeps_them_and_a_damaged_file_is_named(run, tmp_path):
    tune(run, "image", budgets=[2], candidates=1, samples=4)
    saved = tm.load(run.folder).save(tmp_path / "saved", run.corpora)
    assert saved.recipe.budgets["image"][0].passes == 2 and not (tmp_path / "saved" / "tuned.yaml").exists()
    (run.folder / "tuned.yaml").write_text("budgets: {image: [{passes: none}]}")
    with pytest.raises(ValueError, match=r"tuned\.yaml"):
        tm.load(run.folder)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"budgets": [1], "candidates": 1, "space": Space(guidances=(3.0,))}, None),
        ({"budgets": [0]}, "each budget must be at least 1"),
        ({"samples": 2}, "samples must be at least 4"),
        ({"figure": "smell"}, r"Generated has the figures Fréchet distance; .* got 'smell'"),
    ],
)
def test_what_cannot_be_tuned_is_refused(run, options, sentence):
    if sentence is None:  # one pass, unguided, is what MaskGIT's own settings allow
        assert tune(run, "image", samples=4, **options).chosen[0].trial.passes == 1
        return
    with pytest.raises(ValueError, match=sentence):
        tune(run, "image", **options)


def test_settings_differ_and_begin_with_the_run_s_own():
    own = Sampler(6, guidance=NoGuidance())
    tried = settings(own, Space(), 9, conditional=True, seed=0)
    assert len(tried) == 9 and tried[0].sampler == own and tried == settings(own, Space(), 9, conditional=True, seed=0)
    assert all(a.sampler != b.sampler for at, a in enumerate(tried) for b in tried[:at])
    guided = next(one for one in tried if one.sampler.guidance.pushes_away)
    assert guided.within(7, levels=1).steps == 3 and guided.within(7, levels=4) is None
    assert tried[0].within(7, levels=1).steps == 7 and tried[0].within(7, levels=3).steps == 2
    alone = settings(own, Space(), None, conditional=False, seed=0)
    assert not any(one.sampler.guidance.pushes_away for one in alone)
    # The run has the cosine and temperature 1 of the space, and an order of its own: 3 schedules, 7 orders, 3 more.
    assert len(alone) == 3 * 7 * 3
