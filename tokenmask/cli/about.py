"""``tokenmask info`` and ``recipes``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tokenmask.cli.show import say, table

RECIPES = Path(__file__).parents[1] / "recipes"  # read here without importing what needs torch


def info(arguments: argparse.Namespace) -> int:
    """What is installed, or what a run is."""
    if arguments.run:
        return _run(Path(arguments.run))
    import tokenmask

    say(f"tokenmask {tokenmask.__version__}")
    import torch

    from tokenmask.tokenizer import find_tokenizers

    say(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    _kernels()
    say("tokenizers:")
    for name, home in sorted(find_tokenizers().items()):
        say(f"  {name}: {home}")
    say("recipes:")
    for name, fields in recipe_headers().items():
        say(f"  {name}: {fields['paper']}")
    return 0


def recipes(arguments: argparse.Namespace) -> int:
    """The list of recipes, or one with every field."""
    if arguments.name:
        from tokenmask.recipes import load_recipe, recipe_yaml

        say(recipe_yaml(load_recipe(arguments.name, tiny=arguments.tiny)).rstrip())
        return 0
    rows = [[name, fields["about"], fields["paper"]] for name, fields in recipe_headers().items()]
    table(["recipe", "what it does", "paper"], rows)
    return 0


def _kernels() -> None:
    """Which kernels run, or why none can."""
    import torch

    try:
        from tokenmask.ops import build_info
    except ImportError as error:
        say(f"kernels: none can be used: {error}")
        return
    facts = build_info()
    if facts["implementation"] == "reference":
        say("kernels: Python references, because TOKENMASK_OPS=reference is set")
        return
    threads = f"{facts['cpu_threads']} thread{'' if facts['cpu_threads'] == 1 else 's'}"
    say(f"CPU kernels: {facts['cpu_capability']} on {threads}, built for torch {facts['built_for_torch']}")
    if not facts["cuda"]:
        say(f"CUDA kernels: none ({facts['cuda_note']})")
    elif torch.cuda.is_available():
        say(f"CUDA kernels: built ({facts['cuda_note']}), device {torch.cuda.get_device_name()}")
    else:
        say(f"CUDA kernels: built ({facts['cuda_note']}), but torch sees no device")


def recipe_headers() -> dict[str, dict[str, str]]:
    """Name -> "about" and "paper" of each recipe that ships."""
    import yaml

    values = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(RECIPES.glob("*.yaml"))}
    return {name: {"about": str(value["about"]), "paper": str(value["paper"])} for name, value in values.items()}


def _run(folder: Path) -> int:
    from tokenmask.cli.corpora import shape_of
    from tokenmask.run import Run

    if (folder / "run.json").is_file() and not (folder / "models/main.safetensors").is_file():
        return _unfinished(folder)
    run = Run.load(folder)
    say(f"{folder}: {run.recipe.about}")
    say(f"paper: {run.recipe.paper}")
    for name, model in run.models.items():
        size = sum(parameter.numel() for parameter in model.parameters())
        say(f"model {name}: {size:,} parameters, {model.config.describe()}")
    rows = [
        [name, spec.modality, shape_of(spec), " x ".join(map(str, spec.codebook_sizes)), spec.fingerprint[:12] or "-"]
        for name, spec in run.layout.streams.items()
    ]
    table(["stream", "modality", "places", "codes", "tokenizer"], rows)
    say(f"trained for {run.recipe.training.steps:,} steps, at most {run.recipe.packing.max_positions} positions")
    for path, weight in run.corpora:
        say(f"corpus: {path}, weight {weight:g}")
    return 0


def _unfinished(folder: Path) -> int:
    """A run whose training was stopped."""
    from tokenmask.run.folder import read_recipe

    recipe = read_recipe(folder)
    metrics = folder / "metrics.jsonl"
    # After a kill the last line may be cut short.
    lines = metrics.read_text(encoding="utf-8").split("\n")[:-1] if metrics.is_file() else []
    say(f"{folder}: {recipe.about}")
    say(f"paper: {recipe.paper}")
    say(f"not trained to the end: {len(lines):,} of {recipe.training.steps:,} steps; run the same train command again")
    if lines:
        last = json.loads(lines[-1])
        say(f"last loss: {last['loss']:.4g}")
    return 0
