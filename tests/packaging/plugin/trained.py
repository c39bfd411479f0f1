"""A recipe of examples/plugin on verses: trained tiny, saved, reopened, with the same results."""

from pathlib import Path

from tests.worlds import tokenizers
from tokenmask.components import same
from tokenmask.recipes import load_recipe, recipe_yaml
from tokenmask.run import Run, train

RECIPES = Path(__file__).parents[3] / "examples" / "plugin" / "recipes"


def trained(place: Path, corpus: Path, recipe: str, steps: int, overrides: tuple[str, ...] = ()) -> Run:
    """The run, with its tiny part; recipe, results and codes are those of what was saved and opened again."""
    file = RECIPES / f"{recipe}.yaml"
    asked = load_recipe(file, tiny=True, overrides=[f"training.steps={steps}", *overrides])
    run = train(place / "run", asked, {"text": tokenizers()["text"]}, [(corpus, 1.0)], progress=False)
    assert same(run.recipe, asked) and recipe_yaml(run.recipe) == recipe_yaml(asked)
    saved = run.save(place / "saved")
    assert same(Run.load(place / "saved").recipe, asked)
    one, two = (each.generate("text", length=12, steps=8, seed=3)[0] for each in (run, saved))
    assert one.stream.codes.tolist() == two.stream.codes.tolist() and len(one.stream.codes) <= 12
    return run
