"""Every recipe that ships: its tiny variant trains, its loss falls, it reloads and generates."""

import json

import pytest

import tokenmask as tm
from tests.worlds import tiny_run
from tokenmask.recipes import list_recipes, load_recipe, recipe_as_written, recipe_yaml, same_recipe


@pytest.mark.parametrize("name", list_recipes())
def test_tiny_variant_trains_and_generates(name, tmp_path):
    run = tiny_run(tmp_path / name, name)
    steps = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert len(steps) == run.recipe.training.steps <= 20
    losses = [step["loss"] for step in steps]
    assert sum(losses[-5:]) < sum(losses[:5])
    for stream, spec in run.layout.streams.items():
        length = None if None not in spec.grid else 6
        media = tm.load(run.folder).generate(stream, length=length, steps=3)[0]
        assert media.stream.spec == run.layout.streams[stream]


@pytest.mark.parametrize("name", list_recipes())
def test_resolved_yaml_reads_back_to_an_equal_recipe(name, tmp_path):
    recipe = load_recipe(name)
    assert "arXiv:" in recipe.paper and recipe.about
    (tmp_path / "resolved.yaml").write_text(recipe_yaml(recipe))
    assert load_recipe(tmp_path / "resolved.yaml") == recipe
    again = recipe_as_written(tmp_path / "resolved.yaml")
    assert again is not None and same_recipe(again, recipe)


def test_only_a_page_that_would_be_written_so_is_read_quickly(tmp_path):
    text, page = recipe_yaml(load_recipe("llada")), tmp_path / "page.yaml"
    for lacking in ("  seed: 0\n", "\n"):  # a field that came later
        page.write_text("# as it was\n" + text.replace(lacking, lacking[-1], 1))
        again = recipe_as_written(page)
        assert again is not None and same_recipe(again, load_recipe(page)) and again == load_recipe("llada")
    for old, new in (("about:", "abuot:"), ("tokenmask.", "os."), ("  steps: ", "  paces: ")):
        assert old in text
        page.write_text(text.replace(old, new, 1))
        assert recipe_as_written(page) is None


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["masker.rat=3"], "'rat'"),
        (["training.stepz=3"], "'stepz'"),
        (["training.steps=many"], "training.steps"),
        (["model.width=7"], "multiple of 64"),
        (["training.steps"], "field.sub=value"),
        (["masker.strategy.class_path=os.system"], "components of tokenmask only, got 'os.system'"),
        (["masker.strategy.class_path=subprocess.Popen"], "components of tokenmask only"),
        (["samplers.video.steps=3"], "got 'video'"),
    ],
)
def test_a_wrong_field_is_named(overrides, sentence):
    with pytest.raises(ValueError, match=sentence):
        load_recipe("captions", overrides=overrides)


@pytest.mark.parametrize("text", ["[1, 2", "- a\n- b", "just words", "streams: {}\nabout: a\npaper: b", "\x00"])
def test_a_file_that_is_no_recipe_is_refused(text, tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match="recipe") as caught:
        load_recipe(path)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(ValueError, match="a recipe is one of adaptive, aligned"):
        load_recipe("no-such-recipe")


def test_another_component_replaces_the_old_one_whole():
    recipe = load_recipe("captions", overrides=["masker.rate={class_path: FixedRate, init_args: {share: 0.3}}"])
    assert type(recipe.masker.rate).__name__ == "FixedRate" and recipe.masker.rate.share == 0.3
    deeper = load_recipe("captions", overrides=["samplers.image.order.noise=0.5"])
    assert deeper.samplers["image"].order.noise == 0.5 and deeper.samplers["image"].steps == 12


def test_another_tokenizer_of_a_stream_brings_its_own_options():
    changed = load_recipe("own", overrides=["streams.audio.tokenizer=dac", "streams.audio.fit.levels=2"])
    assert dict(changed.streams["audio"].fit) == {"levels": 2}
    same = load_recipe("own", overrides=["streams.audio.tokenizer=audio", "streams.audio.fit.seed=2"])
    assert dict(same.streams["audio"].fit) == {"steps": 1000, "seed": 2}
