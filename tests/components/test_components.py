"""What a file can name: ours, an installed package's, and what is refused before anything is written."""

import hashlib
import importlib
import json
import shutil
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import tokenmask as tm
from tests.components.outside import install
from tests.models.small import small_batch, small_layout, small_masked
from tests.training import worlds
from tests.worlds import tiny_run, tokenizers
from tokenmask import components
from tokenmask.components import class_path, component, plain
from tokenmask.layout import Arrangement, Flatten, Layout, Parallel
from tokenmask.masking import FixedRate, Masker, ProcessRate
from tokenmask.models import AttentionPattern, Full, MaskedModel, TransformerConfig, Window
from tokenmask.recipes import load_recipe, recipe_yaml, same_recipe
from tokenmask.run import train
from tokenmask.run.folder import write_run
from tokenmask.sampling import Categorical, Sampler
from tokenmask.scores import RandomScore, Score
from tokenmask.tensor_files import load_tensors, save_tensors

TINY = TransformerConfig(width=64, depth=1, heads=2)


@pytest.fixture
def plug(tmp_path, monkeypatch):
    """An installed package that declares its components."""
    name = f"plug_{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]}"
    install(tmp_path / "site", name)
    monkeypatch.syspath_prepend(tmp_path / "site")
    return importlib.import_module(name)


@dataclass(frozen=True)
class Own(Score):
    """Of a test, that is: of no package that a file may name."""

    def __call__(self, context):
        return torch.zeros(context.is_open.shape)


def test_a_value_is_its_class_path_and_its_arguments():
    window = Window(3, streams=(0, 2))
    values = {"class_path": "tokenmask.models.Window", "init_args": {"radius": 3, "streams": [0, 2], "from_group": 0}}
    assert plain(window) == values and component(values, AttentionPattern, "tokenmask.models") == window
    assert component({"name": "Flatten"}, Arrangement, "tokenmask.layout") == Flatten()  # as format 1 had it
    assert plain(FixedRate(0.25), FixedRate)["share"] == 0.25
    assert "class_path" not in plain(FixedRate(0.25), FixedRate) and "class_path" in plain(FixedRate(0.25), object)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"class_path": "os.system"}, "components of tokenmask only, got 'os.system'"),
        (
            {"class_path": "tokenmask.layout.Nothing"},
            "must be a Arrangement, got no such name there; take one of Delay, Flatten, Parallel",
        ),
        ({"class_path": "tokenmask.nowhere.Parallel"}, "can't be imported"),
        ({"class_path": "tokenmask.models.Full"}, "must be a Arrangement"),
        ({"class_path": "tokenmask.layout.Parallel", "init_args": {"fuze": 1}}, "its own arguments"),
        ({"class_path": "tokenmask.files.Path", "init_args": {}}, "must be a Arrangement, got another thing"),
        ({"fuse": "sum"}, "named by its class_path"),
        ("Parallel", "named by its class_path"),
    ],
)
def test_what_a_file_may_not_name(values, sentence, monkeypatch):
    monkeypatch.setattr(components, "homes", lambda: {"tokenmask"})  # whatever else is installed
    with pytest.raises(ValueError, match=sentence) as caught:
        component(values, Arrangement, "tokenmask.layout")
    assert "\n" not in str(caught.value)


def test_the_text_of_a_recipe_does_not_depend_on_what_is_imported():
    recipe = load_recipe("captions")
    before = recipe_yaml(recipe)

    class Sampler2(Sampler):
        pass

    class Categorical2(Categorical):
        pass

    assert Sampler2 in Sampler.__subclasses__() and Categorical2 in Categorical.__subclasses__()
    assert recipe_yaml(recipe) == before
    written = yaml.safe_load(before)  # declared with the class of its value, and with its base
    assert "class_path" not in written["sampler"]
    assert written["sampler"]["pick"]["class_path"] == "tokenmask.sampling.Categorical"


def test_a_package_names_its_components_without_a_tokenizer(plug, tmp_path):
    name = plug.__name__
    path = tmp_path / "own.yaml"
    path.write_text(
        "base: captions\n"
        f"masker: {{strategy: {{class_path: {name}.Backwards, init_args: {{slope: 2.0}}}}}}\n"
        f"pattern: {{class_path: {name}.Near, init_args: {{reach: 9}}}}\n"
        f"sampler: {{order: {{class_path: {name}.Backwards}}, pick: {{class_path: {name}.Mild}}}}\n"
        "samplers: {image: null, text: {}}\n"
    )
    recipe = load_recipe(path)
    assert recipe.masker.strategy == plug.Backwards(2.0) and recipe.pattern == plug.Near(9)
    assert recipe.sampler.order == plug.Backwards() and recipe.sampler.pick == plug.Mild()
    assert recipe.sampler_of("image").pick == plug.Mild() and recipe.sampler_of("text").steps == 24
    (tmp_path / "resolved.yaml").write_text(recipe_yaml(recipe))
    assert load_recipe(tmp_path / "resolved.yaml") == recipe
    assert same_recipe(load_recipe(tmp_path / "resolved.yaml"), recipe)
    assert not same_recipe(recipe, replace(recipe, pattern=plug.Near(8)))


def test_a_package_that_declares_nothing_is_refused(tmp_path, monkeypatch):
    install(tmp_path / "site", "undeclared_plug", declared=False)
    monkeypatch.syspath_prepend(tmp_path / "site")
    score = importlib.import_module("undeclared_plug").Backwards()
    recipe = load_recipe("captions")
    with pytest.raises(ValueError, match=r"entry point of the group tokenmask\.components") as caught:
        recipe_yaml(replace(recipe, masker=replace(recipe.masker, strategy=score)))
    assert "Backwards" in str(caught.value) and "undeclared_plug" in str(caught.value)


def test_a_layout_and_a_model_of_a_package_come_back(plug, tmp_path):
    layout = small_layout(4, arrangements={"audio": plug.Pairs("concat")})
    assert Layout.from_json(json.loads(json.dumps(layout.to_json()))) == layout
    assert layout != small_layout(4, arrangements={"audio": Parallel("concat")})
    model = MaskedModel.create(TINY, layout, pattern=plug.Near(3), seed=1)
    model.save(tmp_path / "model.safetensors")
    again = MaskedModel.load(tmp_path / "model.safetensors")
    assert again.pattern == plug.Near(3) and again.layout == layout and again.config == TINY
    masked = small_masked(layout, small_batch(layout))
    ours, theirs = (each.logits(masked.inputs, masked.queries) for each in (model, again))
    assert all(torch.equal(a.logits, b.logits) for a, b in zip(ours, theirs, strict=True))


def test_what_could_not_be_opened_is_not_written(tmp_path):
    @dataclass(frozen=True)
    class Mine(AttentionPattern):
        def allows(self, query, key):
            return key.valid | query.valid

    layout = small_layout()
    model = MaskedModel.create(TINY, layout, pattern=Mine())
    masked = small_masked(layout, small_batch(layout))
    assert model.logits(masked.inputs, masked.queries)[0].logits.isfinite().all()
    with pytest.raises(ValueError, match="to be named in a file"):
        model.save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_class_of_a_notebook_trains_and_generates_and_is_refused_at_save(tmp_path):
    source = "from tokenmask.masking import RandomScore\nclass Late(RandomScore):\n    pass\n"
    notebook = {"__name__": "__main__"}
    exec(source, notebook)
    worlds.write_corpus(tmp_path / "corpus", 40)
    late = notebook["Late"]()
    trainer = worlds.make_trainer(tmp_path / "corpus", steps=2, masker=Masker(ProcessRate(), strategy=late))
    assert len(trainer.fit(progress=False)) == 2

    run = tm.load()
    sampler = replace(run.recipe.sampler_of("image"), order=Own())
    assert run.generate_tokens("image", steps=2, sampler=sampler)[0].codes.shape == (8, 8, 1)
    for own in (late, Own()):
        recipe = replace(run.recipe, masker=replace(run.recipe.masker, strategy=own))
        with pytest.raises(ValueError, match="to be named in a file") as caught:
            replace(run, recipe=recipe).save(tmp_path / "saved")
        assert "\n" not in str(caught.value) and type(own).__name__ in str(caught.value)
        with pytest.raises(ValueError, match="to be named in a file"):
            write_run(tmp_path / "trained", recipe, run.layout, run.tokenizers, [], {})
    assert not (tmp_path / "saved").exists() and not (tmp_path / "trained").exists()


def test_a_value_that_no_file_could_hold_is_refused():
    recipe = load_recipe("captions")
    options = replace(recipe.streams["text"], fit={"vocab": torch.zeros(3)})
    with pytest.raises(ValueError, match="Tensor"):
        recipe_yaml(replace(recipe, streams={**recipe.streams, "text": options}))


def test_components_within_components_come_back(plug):
    """Whatever they stand in: a field of their own class, of a base, a mapping, a list."""
    own = plug.Nest(Window(3), {"a": Window(4), "b": Full()}, [Window(5)], [1, 2], "wide", 7)
    assert plain(own)["init_args"]["window"] == {"radius": 3, "streams": None, "from_group": 0}  # no path: declared
    again = component(json.loads(json.dumps(plain(own))), AttentionPattern, "tokenmask.models")
    assert again == own and type(again.window) is Window and again.listed == [1, 2] and again.many == (Window(5),)
    model = MaskedModel.create(TINY, small_layout(), pattern=own)
    assert component(model.about()["pattern"], AttentionPattern, "tokenmask.models") == own
    pick = plug.Pair(Categorical(0.3))
    recipe = load_recipe("captions")
    recipe = replace(recipe, sampler=replace(recipe.sampler, pick=pick))
    assert type(pick.inner) is Categorical
    written = yaml.safe_load(recipe_yaml(recipe))["sampler"]["pick"]
    assert written["class_path"] == f"{plug.__name__}.Pair" and written["init_args"]["inner"]["temperature"] == 0.3


def test_a_class_keeps_its_own_defaults(plug, tmp_path):
    """Not those of the class that stands there without it, where arguments have the same name."""
    path = tmp_path / "own.yaml"
    path.write_text(f"base: maskgit\nsampler: {{pick: {{class_path: {plug.__name__}.Cool}}}}\n")
    assert load_recipe(path).sampler.pick == plug.Cool(temperature=0.5, top_k=7)


def test_arguments_of_a_plain_subclass_of_a_dataclass_are_its_own(plug):
    near, far = plug.Boost(boost=5.0), plug.Boost(boost=2.0)
    assert plain(near)["init_args"] == {"noise": 0.0, "boost": 5.0}
    assert component(plain(near), Score, "tokenmask.masking").boost == 5.0
    recipe = load_recipe("maskgit")
    one, other = (replace(recipe, sampler=replace(recipe.sampler, order=order)) for order in (near, far))
    assert same_recipe(one, one) and not same_recipe(one, other)


def test_numbers_of_numpy_are_numbers_and_members_of_an_enum_are_refused():
    recipe = load_recipe("captions")
    training = replace(recipe.training, peak_lr=np.float64(0.25), steps=np.int64(7))
    written = yaml.safe_load(recipe_yaml(replace(recipe, training=training)))["training"]
    assert (written["peak_lr"], written["steps"]) == (0.25, 7)
    for value in (Word.one, Path("a"), torch.float32):
        with pytest.raises(ValueError, match="a file holds words, numbers, lists, mappings and components, got"):
            plain(value)


class Word(StrEnum):
    one = "one"


def test_paths_are_those_of_the_public_package():
    assert class_path(RandomScore) == "tokenmask.scores.RandomScore"
    assert class_path(Full) == "tokenmask.models.Full"
    with pytest.raises(ValueError, match="to be named in a file"):
        class_path(type("Local", (Full,), {"__module__": "tokenmask.models.transformer"}))


# Runs of before -------------------------------------------------------------------------------------------------------


def test_a_run_as_it_shipped_in_the_first_format_opens_and_is_saved_in_the_last(tmp_path):
    """``format-1`` holds the files of the model that shipped before, word for word; its weights are today's."""
    shipped, folder = tm.load(), tmp_path / "old"
    shutil.copytree(Path(__file__).parent / "format-1", folder)
    shutil.copytree(shipped.folder / "tokenizers", folder / "tokenizers")
    tensors, _ = load_tensors(shipped.folder / "models" / "main.safetensors")
    about = json.loads((folder / "model.json").read_text())
    save_tensors(folder / "models" / "main.safetensors", tensors, about)
    assert json.loads((folder / "run.json").read_text())["format"] == 1
    assert "format" not in json.loads((folder / "layout.json").read_text())
    assert about["model"]["pattern"] == {"name": "Full"} and "format" not in about["model"]
    run = tm.load(folder)
    saved = run.save(tmp_path / "again")
    _, about = load_tensors(tmp_path / "again" / "models" / "main.safetensors")
    assert about["model"]["format"] == 3 and about["model"]["pattern"]["class_path"] == "tokenmask.models.Full"
    assert json.loads((tmp_path / "again" / "run.json").read_text())["format"] == 2
    assert saved.layout == run.layout == shipped.layout and saved.recipe == run.recipe
    assert saved.generate_tokens("image", steps=2, seed=5) == run.generate_tokens("image", steps=2, seed=5)


def as_format_1(folder: Path) -> None:
    """Writes the text files of a run folder as the version before wrote them."""
    layout = json.loads((folder / "layout.json").read_text())
    del layout["format"]
    arrangements = layout["arrangements"]
    for name, value in arrangements.items():
        arrangements[name] = {"name": value["class_path"].rpartition(".")[2], **value["init_args"]}
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    for name in ("objective", "model"):
        recipe[name] = recipe[name]["init_args"]
    recipe["model"] |= {"tied": True, "head_transform": False}
    recipe["training"] |= recipe["training"].pop("optimiser")["init_args"]
    for name in ("recompute", "ema", "products", "iteration"):
        del recipe["training"][name]
    for name in ("procedure", "head"):
        del recipe[name]
    run = json.loads((folder / "run.json").read_text())
    for name, text in {
        "layout.json": json.dumps(layout, indent=2),
        "recipe.yaml": yaml.safe_dump(recipe, sort_keys=False),
    }.items():
        (folder / name).write_text(text)
        run["sha256"][name] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "run.json").write_text(json.dumps({**run, "format": 1}, indent=2))


def test_a_run_of_the_first_format_is_resumed_whatever_is_imported(tmp_path):
    folder = tmp_path / "run"
    run = tiny_run(folder, "captions", steps=3)
    as_format_1(folder)
    kept = {name: (folder / name).read_text() for name in ("recipe.yaml", "layout.json", "run.json")}

    class Imported(Categorical):
        pass

    corpora = [(folder / "corpus" / "emoji", 1.0)]
    again = train(folder, run.recipe, tokenizers(), corpora, progress=False)
    assert again.recipe == run.recipe and again.layout == run.layout and Imported.__mro__[1] is Categorical
    assert {name: (folder / name).read_text() for name in kept} == kept
    other = replace(run.recipe, training=replace(run.recipe.training, batch_size=5))
    with pytest.raises(
        ValueError, match=r"holds another run \(recipe.yaml differs: training.batch_size is \d+ there and 5 here\)"
    ):
        train(folder, other, tokenizers(), corpora, progress=False)
    with pytest.raises(ValueError, match=r"holds another run \(run.json differs\)"):
        train(folder, run.recipe, tokenizers(), [(folder / "corpus" / "emoji", 2.0)], progress=False)
