"""``tokenmask train --dry-run``: what a training would take, before it is started.

Arrow: Recipe + data --> numbers. Does not know: how anything is computed; leaves nothing on the disk.
"""

from __future__ import annotations

import inspect
import itertools
import resource
import statistics
import sys
import tempfile
import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from tokenmask.cli.learning import learn_for, media_of
from tokenmask.cli.on_machines import Asked, lines
from tokenmask.cli.show import say, waiting
from tokenmask.corpus import TRAIN, Corpus, CorpusWriter, Item, Record, encode_items, usual_workers
from tokenmask.models import MaskedModel, TransformerConfig
from tokenmask.recipes import Recipe
from tokenmask.recipes.learners import learner_of
from tokenmask.run import prepare
from tokenmask.threads import steady_threads
from tokenmask.tokenizer import Tokenizer

FEW = 256  # items that are looked at where their number does not matter
FIT_TRIALS = (2, 2, 12)  # steps of a tokenizer
TRIALS, TRIAL_SECONDS = 5, 20.0  # steps of the model that are timed, fewer where they take long
MOST_TRIED = 4096  # records of the batch that tells how long they are
TRIAL_OPERATIONS = 3e11  # a step of up to so many is tried
Corpora = Sequence[tuple[str | Path, float]]


def dry_run(
    recipe: Recipe,
    given: Mapping[str, Tokenizer],
    corpora: Corpora,
    found: Sequence[Item],
    start: Path | None = None,
    workers: int | None = None,
    machines: Asked | None = None,
) -> int:
    """Prints parameters, positions a step, memory, steps and, for a small model, time; also of tokenizers to be fitted
    and of data to be encoded.

    Args:
        recipe: to be trained.
        given: tokenizers by stream name; those that are missing are sketched from ``found``.
        corpora: (folder, weight).
        found: items of the user's own data, or none.
        start: a run whose weights are to be started from.
        workers: processes that would encode the items; as many as usual if None.
        machines: on which it would run, if not on this one; then no step is tried here.
    """
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        tokenizers, before = dict(given), corpora
        if found:
            for name, options in recipe.streams.items():
                if name not in tokenizers and options.shares is None:
                    tokenizers[name] = _sketch(recipe, name, found)
            tokenizers = {name: tokenizers[options.shares or name] for name, options in recipe.streams.items()}
            _encode(found, {name: tokenizers[name] for name in recipe.streams}, scratch / "corpus", workers)
            corpora = [*corpora, (scratch / "corpus", 1.0)]
        if recipe.training.epochs:  # of all items, not of the few that were encoded
            count = sum(len(Corpus(place, TRAIN)) for place, _ in before) + sum(item.split == TRAIN for item in found)
            training = replace(recipe.training.of_records(count), epochs=0.0)
            recipe = replace(recipe, training=training)
        _estimate(recipe, tokenizers, corpora, scratch, start, machines)
    return 0


def _sketch(recipe: Recipe, name: str, found: Sequence[Item]) -> Tokenizer:
    """A tokenizer with the sizes of the real one, hardly fitted if it learns in steps; says how long they will take."""
    kind, options = learner_of(recipe, name)
    parameters = inspect.signature(kind.fit).parameters
    if "steps" not in parameters:
        return learn_for(recipe, name, media_of(name, found, recipe)[0])
    having = (item for item in found if name in item.media and item.split == TRAIN)
    media = media_of(name, list(itertools.islice(having, FEW)), recipe)[0]
    seconds: list[float] = []
    with waiting(f"trying a few steps of the {name} tokenizer"):
        for count in FIT_TRIALS:  # the first finds memory; all start the codebooks, so that the rest differ by steps
            started = time.monotonic()
            tokenizer = learn_for(recipe, name, media, changes={"steps": count}, progress=False)
            seconds.append(time.monotonic() - started)
    _, short, long = FIT_TRIALS
    each = max(seconds[2] - seconds[1], 0.0) / (long - short)
    steps = int(options.get("steps", parameters["steps"].default))
    say(f"tokenizer of {name}: {steps:,} steps, about {_duration(seconds[1] + each * steps)}")
    return tokenizer


def _encode(found: Sequence[Item], tokenizers: Mapping[str, Tokenizer], folder: Path, workers: int | None) -> None:
    """A corpus of a few items of training, from all over the data; says how long all items will take to encode.

    They go through as many processes as the real ones will, which start first: what counts for the others is the time
    between two results.
    """
    learned = array("q", (number for number, item in enumerate(found) if item.split == TRAIN))
    some = [found[number] for number in learned[:: -(-len(learned) // FEW)]] if learned else []
    workers = usual_workers(len(found)) if workers is None else workers
    specs = {name: tokenizer.spec for name, tokenizer in tokenizers.items()}
    with waiting("encoding a few items"), CorpusWriter(folder, specs) as writer:
        started, stamps = time.monotonic(), list[float]()
        for item, result in encode_items(some, tokenizers, workers=workers):
            stamps.append(time.monotonic())
            if not isinstance(result, Exception):
                writer.add(Record(item.key, result, item.metadata, item.split))
    if not stamps:
        return
    first = sum(stamp - stamps[0] < 0.5 * (stamps[-1] - stamps[0]) for stamp in stamps)  # half of the time is behind
    each = (stamps[-1] - stamps[0]) / max(1, len(stamps) - 1)
    if 0 < first < len(stamps):
        each = (stamps[-1] - stamps[first - 1]) / (len(stamps) - first)
    seconds = stamps[0] - started + each * (len(found) - 1)
    many = f"{workers} processes" if workers > 1 else "one process"
    say(f"corpus: {len(found):,} items, about {_duration(seconds)} to encode ({many}, told by {len(some)} of them)")


def _estimate(
    recipe: Recipe,
    tokenizers: Mapping[str, Tokenizer],
    corpora: Corpora,
    scratch: Path,
    start: Path | None,
    machines: Asked | None,
) -> None:
    """A small model finds out about batches; the real one is only counted, unless a step of it takes a moment."""
    asked, tried = recipe.training.batch_size, min(recipe.training.batch_size, MOST_TRIED)
    training = replace(recipe.training, batch_size=tried, accumulate=min(recipe.training.accumulate, tried))
    small = replace(recipe, model=TransformerConfig(width=64, depth=1, heads=1), head=None, training=training)
    trainer = prepare(scratch / "small", small, tokenizers, corpora)
    records, positions, levels = trainer.batch(next(trainer.mixture)).shape
    records = records * asked // tried
    with torch.device("meta"):
        model = MaskedModel(recipe.model, trainer.layout, recipe.pattern, recipe.head)
    size = sum(parameter.numel() for parameter in model.parameters())
    state = 16 * size
    floats = recipe.training.kept_floats(recipe.model, records * positions)
    operations, steps = 6.0 * size * records * positions, recipe.training.steps
    say(f"parameters: {size:,}")
    say(f"positions a step: {records * positions:,} ({records} records x {positions}, {levels} level(s) each)")
    if machines is not None:
        say(f"steps: {steps:,}, each of about {operations:.1e} operations")
        for line in lines(machines, recipe, model, records, positions):
            say(line)
        return
    if floats is None:
        unsaid = f"{type(recipe.model).__name__} does not say what else it keeps"
        say(f"memory: about {_bytes(state)} for weights, gradients and optimiser; {unsaid}")
    else:
        kept = 4 * floats
        say(
            f"memory: about {_bytes(state + kept)} in float32 ({_bytes(state)} for weights, gradients and optimiser, "
            f"{_bytes(kept)} for activations)"
        )
    say(f"beside that: libraries and data, with which this process has {_bytes(_peak())} now")
    say(f"steps: {steps:,}, each of about {operations:.1e} operations")
    if operations > TRIAL_OPERATIONS:
        say("time: not tried here, a step of this size would take too long")
        return
    trial = prepare(scratch / "trial", recipe, tokenizers, corpora, start=start)
    with waiting("trying a few steps"), trial.threads(), steady_threads():  # as in training
        trial.step(0)  # memory is taken and batches are found: slower than all that follow
        seconds: list[float] = []
        while len(seconds) < TRIALS and sum(seconds) < TRIAL_SECONDS:
            started = time.monotonic()
            trial.step(1 + len(seconds))
            seconds.append(time.monotonic() - started)
    usual = statistics.median(seconds)
    say(f"time: a step took {usual:.2g} s here (median of {len(seconds)}), all steps about {_duration(usual * steps)}")


def _peak() -> float:
    """Bytes that this process had at most."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most if sys.platform == "darwin" else 1024 * most)  # kB, but on macOS


def _bytes(number: float) -> str:
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while number >= 1000 and len(units) > 1:
        number, units = number / 1000, units[1:]
    return f"{number:.3g} {units[0]}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
