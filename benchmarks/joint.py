"""One model for all against a model for each: python benchmarks/joint.py --weights runs/weights --out runs/joint.

Trains recipe ``five`` with the settings below on all five corpora, and on each alone for as many steps, and writes
results/joint.json: held-out masked cross-entropy of every stream and level; a table of it is printed. A joint run
spreads its steps over all corpora, so at equal steps it sees less of each; what it gives up or gains for that is the
question. Killed at any moment, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenmask.corpus import HELD_OUT, TRAIN, Corpus, statistics
from tokenmask.files import write_text_atomic
from tokenmask.recipes import Recipe, load_recipe
from tokenmask.run import Run, load_tokenizer, train
from tokenmask.training import held_out_scores

RESULTS = Path(__file__).parent / "results"
WEIGHTS = {"emoji": 4.0, "speech": 4.0, "motion": 2.0, "eeg": 3.0, "verses": 1.0}
SETTINGS = (
    "conditioning={drop: 0.2, joint: 0.2, odds: {image: 2, audio: 2, motion: 3, eeg: 3, label: 1, text: 1}}",
    *("training.batch_size=32", "training.peak_lr=3e-3", "training.warmup_steps=20", "training.decay_share=1.0"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--weights", type=Path, default=Path("runs/weights"), help="where weights.py left its corpora")
    parser.add_argument("--out", type=Path, default=Path("runs/joint"))
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()
    recipe = load_recipe("five", overrides=[*SETTINGS, f"training.steps={arguments.steps}"])
    joint = run(recipe, dict(WEIGHTS), arguments.weights, arguments.out / "all")
    rows = []
    for name in WEIGHTS:
        alone = run(recipe, {name: 1.0}, arguments.weights, arguments.out / name)
        for trained_on, model in (("all", joint), (name, alone)):
            rows += [{"trained_on": trained_on, **row} for row in scores(model, arguments.weights / "corpus" / name)]
    about = {"steps": arguments.steps, "weights": WEIGHTS, "scores": rows}
    write_text_atomic(RESULTS / "joint.json", json.dumps(about, indent=1) + "\n")
    print("\n".join(table(rows)))


def scores(run: Run, corpus: Path) -> list[dict[str, Any]]:
    """Of the held-out records of one corpus, beside the unigram of its own training codes."""
    specs = dict(run.layout.streams)
    counts = statistics(Corpus(corpus, split=TRAIN, specs=specs))
    records = list(Corpus(corpus, split=HELD_OUT, specs=specs))
    found = held_out_scores(run.models["main"], run.recipe.packing, records, counts, draws=2)
    starts = {name: {group[0] for group in spec.level_groups} for name, spec in specs.items()}
    return [{"first": score.level in starts[score.stream], **score.to_json()} for score in found]


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: means over the first levels and over the finer levels of each stream, nats a hidden code."""
    lines = ["| stream (of a record of) | levels | given | unigram | trained on all | on this kind alone |"]
    lines.append("|" + "---|" * 6)
    kinds: dict[tuple[Any, ...], dict[bool, list[dict[str, Any]]]] = {}
    for row in rows:
        key = (row["stream"], tuple(row["record"]), not row["first"], tuple(row["given"]))
        kinds.setdefault(key, {True: [], False: []})[row["trained_on"] == "all"].append(row)
    for (stream, record, finer, given), found in sorted(kinds.items()):
        unigram, joint = (mean([row[key] for row in found[True]]) for key in ("unigram", "cross_entropy"))
        alone = mean([row["cross_entropy"] for row in found[False]])
        cells = [f"{stream} ({' + '.join(record)})", "finer" if finer else "first", ", ".join(given) or "nothing"]
        lines.append("| " + " | ".join([*cells, *(f"{value:.3f}" for value in (unigram, joint, alone))]) + " |")
    return lines


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


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
