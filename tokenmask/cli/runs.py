"""``tokenmask train``, ``generate``, ``evaluate`` and ``demo``: runs."""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tokenmask.cli.corpora import build, named_tokenizers
from tokenmask.cli.show import say, table
from tokenmask.cli.sources import items
from tokenmask.cli.tokens import MEDIA_SUFFIX, check_new
from tokenmask.corpus import TRAIN
from tokenmask.fitting import write_text_atomic
from tokenmask.recipes import Recipe, load_recipe
from tokenmask.run import Run, prepare
from tokenmask.run import train as train_run
from tokenmask.tokenizer import Tokenizer, load_tokenizer, load_tokenizer_class

Corpora = list[tuple[str | Path, float]]


def train(arguments: argparse.Namespace) -> int:
    """Trains a run from corpora, or from data whose tokenizers are fitted first."""
    recipe = load_recipe(arguments.recipe, overrides=arguments.set, tiny=arguments.tiny)
    out, code = Path(arguments.out), 0
    tokenizers = named_tokenizers(arguments.tokenizer)
    corpora: Corpora = [_weighted(word) for word in arguments.corpus]
    if arguments.data:
        for name, options in recipe.streams.items():
            if name not in tokenizers:
                tokenizers[name] = _fitted(name, recipe, arguments.data, out, options.tokenizer)
        code = build(arguments.data, {name: tokenizers[name] for name in recipe.streams}, out / "corpus")
        if code == 2:
            return code
        corpora.append((out / "corpus", 1.0))
    if arguments.dry_run:
        return _estimate(out, recipe, tokenizers, corpora)
    run = train_run(out, recipe, tokenizers, corpora)
    say(f"{run!r}; try: tokenmask generate {list(run.layout.names)[-1]} --run {out}")
    return code


def generate(arguments: argparse.Namespace) -> int:
    """Fills a stream and saves or prints what comes out."""
    run = Run.load(arguments.run)
    given = {}
    for word in arguments.given:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise ValueError(f"what is given has the form NAME=VALUE, got {word!r}")
        given[name] = value
    modality = run.tokenizers[arguments.stream].spec.modality if arguments.stream in run.tokenizers else ""
    spoken = arguments.out is None and modality == "text"
    paths = [] if spoken else _names(arguments, modality)
    for path in paths:
        check_new(path, arguments.force)
    media = run.generate(
        arguments.stream,
        given=given,
        length=arguments.length,
        duration_seconds=arguments.duration,
        steps=arguments.steps,
        guidance=arguments.guidance,
        temperature=arguments.temperature,
        seed=arguments.seed,
        num_samples=arguments.num_samples,
        progress=True,
    )
    if spoken:
        for one in media:
            say(one.text)
    for path, one in zip(paths, media, strict=not spoken):
        path.parent.mkdir(parents=True, exist_ok=True)
        one.save(path)
        say(str(path))
    return 0


def evaluate(arguments: argparse.Namespace) -> int:
    """Prints and saves held-out masked cross-entropy beside a unigram."""
    run = Run.load(arguments.run)
    scores = run.held_out_scores(draws=arguments.draws, seed=arguments.seed)
    rows = [
        [
            score.stream,
            str(score.level),
            " + ".join(score.record),
            ", ".join(score.given) or "-",
            f"{score.cross_entropy:.3f}",
            f"{score.cross_entropy / math.log(2):.3f}",
            f"{score.unigram:.3f}",
            f"{score.margin:.3f} +- {score.margin_error:.3f}",
            str(score.num_codes),
            str(score.num_records),
        ]
        for score in scores
    ]
    head = ["stream", "level", "records of", "given", "nats", "bits", "unigram", "margin", "codes", "records"]
    table(head, rows)
    path = run.folder / "evaluation.json"
    write_text_atomic(path, json.dumps([asdict(score) for score in scores], indent=2) + "\n")
    say(
        f"\nmasked cross-entropy of a hidden code, held out; margin: unigram - model in nats, mean over records: {path}"
    )
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """The whole job on data that ships."""
    from tokenmask import demo as job

    job.main(Path(arguments.out))
    return 0


def _weighted(word: str) -> tuple[str | Path, float]:
    folder, equals, weight = word.rpartition("=")
    if not equals:
        return word, 1.0
    try:
        return folder, float(weight)
    except ValueError as error:
        raise ValueError(f"a corpus is given as FOLDER or FOLDER=WEIGHT, got {word!r}") from error


def _fitted(name: str, recipe: Recipe, sources: list[str], out: Path, modality: str) -> Tokenizer:
    """The tokenizer of a stream in the run folder; fitted on the training items of the sources if it is not there."""
    folder = out / "tokenizers" / name
    if (folder / "tokenizer.json").is_file():
        return load_tokenizer(folder)
    kind: Any = load_tokenizer_class(modality)
    modalities = {stream: options.tokenizer for stream, options in recipe.streams.items()}
    found = [item.media[name] for item in items(sources, modalities) if name in item.media and item.split == TRAIN]
    media = []
    for load in found:
        try:
            media.append(load())
        except (ValueError, TypeError):  # build() meets the same item again and lists it with its reason
            continue
    if not media:
        raise ValueError(f"the recipe fills {name!r}, but the data hold no readable {modality}")
    tokenizer: Tokenizer = kind.fit(media, folder=out / f"fit-{name}", **recipe.streams[name].fit)
    tokenizer.save(folder)
    return tokenizer


def _estimate(out: Path, recipe: Recipe, tokenizers: dict[str, Tokenizer], corpora: Corpora) -> int:
    """Sizes, and the time that two real steps suggest; nothing is kept of them."""
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        trainer = prepare(Path(scratch) / "run", recipe, tokenizers, corpora)
        size = sum(parameter.numel() for parameter in trainer.model.parameters())
        trainer.step(0)
        started = time.monotonic()
        trainer.step(1)
        seconds = time.monotonic() - started
        batch = trainer.batch(next(trainer.mixture))
    steps = recipe.training.steps
    say(f"{out}: {size / 1e6:.2f} M parameters, {16 * size / 1e6:.0f} MB with gradients and optimiser")
    say(f"a batch: {batch.shape[0]} records, {batch.shape[1]} positions, {batch.shape[2]} levels")
    say(f"{steps} steps of about {seconds:.2f} s here: {steps * seconds / 60:.1f} minutes")
    return 0


def _names(arguments: argparse.Namespace, modality: str) -> list[Path]:
    """A file for each sample."""
    count = arguments.num_samples
    suffix = MEDIA_SUFFIX.get(modality, ".bin")
    out = Path(arguments.out or ".")
    if arguments.out is None or out.is_dir() or not out.suffix:
        return [out / f"{arguments.stream}-{arguments.seed}-{sample}{suffix}" for sample in range(count)]
    if count == 1:
        return [out]
    return [out.with_name(f"{out.stem}-{sample}{out.suffix}") for sample in range(count)]
