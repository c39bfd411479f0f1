"""One model for all against a model for each: python benchmarks/joint.py --weights runs/weights --out runs/joint.

Trains recipe ``demo`` on all five corpora, and on each corpus alone for the same number of steps, and writes
results/joint.json: held-out masked cross-entropy of every stream and level. A joint run spreads its steps over
all corpora, so at equal steps it sees less of each; what it gives up or gains for that is the question.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from tokenmask.demo import WEIGHTS
from tokenmask.fitting import write_text_atomic
from tokenmask.recipes import Recipe, load_recipe
from tokenmask.run import Run, load_tokenizer, train

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--weights", type=Path, default=Path("runs/weights"), help="where weights.py left its corpora")
    parser.add_argument("--out", type=Path, default=Path("runs/joint"))
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()
    recipe = load_recipe("demo", overrides=[f"training.steps={arguments.steps}"])
    joint = run(recipe, dict(WEIGHTS), arguments.weights, arguments.out / "all")
    rows = [{"trained_on": "all", **score.to_json()} for score in joint.held_out_scores(draws=2)]
    for name in WEIGHTS:
        alone = run(recipe, {name: 1.0}, arguments.weights, arguments.out / name)
        rows += [{"trained_on": name, **score.to_json()} for score in alone.held_out_scores(draws=2)]
    for row in rows:
        row.pop("gain_error")
        print(row["trained_on"], row["stream"], row["level"], row["given"], f"{row['cross_entropy']:.3f}")
    RESULTS.mkdir(exist_ok=True)
    write_text_atomic(RESULTS / "joint.json", json.dumps({"steps": arguments.steps, "scores": rows}, indent=1) + "\n")


def run(recipe: Recipe, weights: dict[str, float], made: Path, folder: Path) -> Run:
    """A run on some of the corpora, with the streams that they hold."""
    corpora = [(made / "corpus" / name, weight) for name, weight in weights.items()]
    held = {"emoji": {"text", "image"}, "speech": {"text", "audio"}, "motion": {"text", "motion"}}
    held |= {"eeg": {"text", "label", "eeg"}, "verses": {"text"}}  # labels share the codes of text
    wanted = set().union(*(held[name] for name in weights))
    streams = {name: options for name, options in recipe.streams.items() if name in wanted}
    odds = {name: value for name, value in recipe.conditioning.odds.items() if name in wanted}
    budgets = {name: value for name, value in recipe.packing.budgets.items() if name in wanted}
    recipe = replace(
        recipe,
        streams=streams,
        samplers={name: sampler for name, sampler in recipe.samplers.items() if name in wanted},
        conditioning=replace(recipe.conditioning, odds=odds),
        packing=replace(recipe.packing, budgets=budgets),
    )
    tokenizers = {
        name: load_tokenizer(options.tokenizer, made / "tokenizers" / options.tokenizer)
        for name, options in streams.items()
        if options.shares is None
    }
    return train(folder, recipe, tokenizers, corpora)


if __name__ == "__main__":
    main()
