"""A run of verses whose recipe names parts of examples/plugin: trained, saved, reopened, with the same results."""

from pathlib import Path

from tests.worlds import tokenizers
from tokenmask.components import same
from tokenmask.recipes import load_recipe, recipe_yaml
from tokenmask.run import Run, train

RECIPE = """
about: {about}
paper: {paper}
streams: {{text: {{tokenizer: text}}}}
packing: {{max_positions: 64, end_multiple: 8}}
conditioning: {{drop: 0.0}}
model: {{width: 64, depth: 2, heads: 2, absolute: false}}
training: {{steps: {steps}, batch_size: 8, warmup_steps: 2, peak_lr: 6.0e-3, checkpoint_every: 1000, muon: true}}
{parts}
"""
DUS = """
sampler:
  order: {class_path: tokenmask_example.dilated.Dilated, init_args: {block: 8}}
  schedule: {class_path: tokenmask_example.dilated.Dilated, init_args: {block: 8}}
  pick: {temperature: 0.0}
"""
GIDD = """
masker:
  rate:
    class_path: ProcessRate
    init_args:
      process: {class_path: tokenmask_example.gidd.Hybrid, init_args: {p_uniform: 0.2}}
      low: 1.0e-4
      high: 0.9999
      rounding: bernoulli
objective: {class_path: tokenmask_example.gidd.GiddBound}
sampler: {steps: 8, pick: {class_path: tokenmask_example.gidd.Ancestral}}
"""


def trained(place: Path, corpus: Path, parts: str, steps: int) -> Run:
    file = place / "recipe.yaml"
    file.write_text(RECIPE.format(about="a test", paper="arXiv:0000.00000", steps=steps, parts=parts))
    recipe = load_recipe(file)
    run = train(place / "run", recipe, {"text": tokenizers()["text"]}, [(corpus, 1.0)], progress=False)
    assert same(run.recipe, recipe) and recipe_yaml(run.recipe) == recipe_yaml(recipe)
    saved = run.save(place / "saved")
    assert same(Run.load(place / "saved").recipe, recipe)
    one, two = (each.generate("text", length=12, seed=3)[0] for each in (run, saved))
    assert one.stream.codes.tolist() == two.stream.codes.tolist() and len(one.stream.codes) <= 12
    return run
