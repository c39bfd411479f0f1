"""``tokenmask info`` and ``recipes``."""

from __future__ import annotations

import argparse
import re

from tokenmask.cli.show import say, table


def info(arguments: argparse.Namespace) -> int:
    """What is installed, or what a run is."""
    if arguments.run:
        return _run(arguments.run)
    import torch

    import tokenmask
    from tokenmask.ops import build_info
    from tokenmask.tokenizer import find_tokenizers

    say(f"tokenmask {tokenmask.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name, value in build_info().items():
        say(f"  {name}: {value}")
    say("tokenizers:")
    for name, home in sorted(find_tokenizers().items()):
        say(f"  {name}: {home}")
    return recipes(argparse.Namespace(name=None))


def recipes(arguments: argparse.Namespace) -> int:
    """The list of recipes, or one with every field."""
    if arguments.name:
        from tokenmask.recipes import load_recipe, recipe_yaml

        say(recipe_yaml(load_recipe(arguments.name, tiny=arguments.tiny)).rstrip())
        return 0
    from tokenmask.recipes import list_recipes

    rows = []
    for name, path in list_recipes().items():
        text = path.read_text(encoding="utf-8")
        fields = dict(re.findall(r"^(about|paper): (.+)$", text, re.M))
        rows.append([name, fields["about"], fields["paper"]])
    table(["recipe", "what it does", "paper"], rows)
    return 0


def _run(folder: str) -> int:
    from tokenmask.run import Run

    run = Run.load(folder)
    say(repr(run))
    say(f"recipe: {run.recipe.about} ({run.recipe.paper})")
    rows = [
        [name, spec.modality, " x ".join("any" if n is None else str(n) for n in spec.grid), str(spec.codebook_sizes)]
        for name, spec in run.layout.streams.items()
    ]
    table(["stream", "modality", "grid", "codes"], rows)
    for path, weight in run.corpora:
        say(f"corpus: {path}, weight {weight:g}")
    return 0
