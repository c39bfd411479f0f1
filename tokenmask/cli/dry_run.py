"""``tokenmask train --dry-run``: what a training would take, before it is started.

Arrow: Recipe + data --> numbers. Does not know: how anything is computed; leaves nothing on the disk.
"""

from __future__ import annotations

import inspect
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from tokenmask.cli.learning import learn_for, media_of
from tokenmask.cli.show import say, waiting
from tokenmask.corpus import TRAIN, Item, build_corpus
from tokenmask.models import MaskedModel, TransformerConfig
from tokenmask.recipes import Recipe
from tokenmask.recipes.learners import learner_of
from tokenmask.run import prepare
from tokenmask.tokenizer import Tokenizer

FEW = 256  # items that are looked at where their number does not matter
TRIAL_OPERATIONS = 3e11  # a step of up to so many is tried
Corpora = Sequence[tuple[str | Path, float]]


def dry_run(recipe: Recipe, given: Mapping[str, Tokenizer], corpora: Corpora, found: Sequence[Item]) -> int:
    """Prints parameters, positions a step, memory, steps and, for a small model, time.

    Args:
        recipe: to be trained.
        given: tokenizers by stream name; those that are missing are sketched from ``found``.
        corpora: (folder, weight).
        found: items of the user's own data, or none.
    """
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        tokenizers = dict(given)
        if found:
            for name in recipe.streams:
                if name not in tokenizers:
                    tokenizers[name] = _sketch(recipe, name, found)
            some = [item for item in found if item.split == TRAIN][:FEW]
            used = {name: tokenizers[name] for name in recipe.streams}
            build_corpus(some, used, scratch / "corpus", progress=False)
            corpora = [*corpora, (scratch / "corpus", 1.0)]
        _estimate(recipe, tokenizers, corpora, scratch)
    return 0


def _sketch(recipe: Recipe, name: str, found: Sequence[Item]) -> Tokenizer:
    """A tokenizer with the sizes of the real one, hardly fitted if it learns in steps."""
    kind, _ = learner_of(recipe, name)
    if "steps" not in inspect.signature(kind.fit).parameters:
        return learn_for(recipe, name, media_of(name, found, recipe)[0])
    having = [item for item in found if name in item.media and item.split == TRAIN]
    return learn_for(recipe, name, media_of(name, having[:FEW], recipe)[0], changes={"steps": 1})


def _estimate(recipe: Recipe, tokenizers: Mapping[str, Tokenizer], corpora: Corpora, scratch: Path) -> None:
    """A small model finds out about batches; the real one is only counted, unless a step of it takes a moment."""
    small = replace(recipe, model=TransformerConfig(width=64, depth=1, heads=1))
    trainer = prepare(scratch / "small", small, tokenizers, corpora)
    records, positions, levels = trainer.batch(next(trainer.mixture)).shape
    with torch.device("meta"):
        model = MaskedModel(recipe.model, trainer.layout, recipe.pattern)
    size = sum(parameter.numel() for parameter in model.parameters())
    state = 16 * size
    # float32 values that the blocks keep for the backward pass: counted for this transformer, within 5 %.
    kept = 4 * records * positions * recipe.model.depth * recipe.model.width * (13 + 3 * recipe.model.ffn)
    operations, steps = 6.0 * size * records * positions, recipe.training.steps
    say(f"parameters: {size:,}")
    say(f"positions a step: {records * positions:,} ({records} records x {positions}, {levels} level(s) each)")
    say(
        f"memory: about {_bytes(state + kept)} in float32 ({_bytes(state)} for weights, gradients and optimiser, "
        f"{_bytes(kept)} for activations)"
    )
    say(f"steps: {steps:,}, each of about {operations:.1e} operations")
    if operations > TRIAL_OPERATIONS:
        say("time: not tried here, a step of this size would take too long")
        return
    with waiting("trying two steps"):
        trial = prepare(scratch / "trial", recipe, tokenizers, corpora)
        trial.step(0)
        started = time.monotonic()
        trial.step(1)
        seconds = time.monotonic() - started
    say(f"time: a step took {seconds:.2f} s here, all steps about {_duration(seconds * steps)}")


def _bytes(number: float) -> str:
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while number >= 1000 and len(units) > 1:
        number, units = number / 1000, units[1:]
    return f"{number:.3g} {units[0]}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
