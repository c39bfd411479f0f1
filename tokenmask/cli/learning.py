"""Tokenizers that learn: options of ``fit``, and figures on what was held out.

Arrow: media --Tokenizer.fit--> tokenizer folder. Does not know: any modality, corpora on disk, models.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tokenmask.cli.media import LazyMedia, Loader, readable
from tokenmask.cli.show import failures, figures, say
from tokenmask.cli.spool import Spool
from tokenmask.corpus import TRAIN, Item
from tokenmask.corpus.keys import Keys
from tokenmask.files import write_text_atomic
from tokenmask.recipes import Recipe
from tokenmask.recipes.learners import learner_of
from tokenmask.tokenizer import Selects, Tokenizer

FIGURES_FILE = "evaluation.json"
_BASELINES = ("pca_", "mean_", "mean_pose_")  # what figures of other coders begin with


def media_of(name: str, found: Sequence[Item], recipe: Recipe) -> tuple[Sequence[Loader], Sequence[Loader]]:
    """Loaders of a stream's usable media, those of training and those held out; each file once, few in memory.

    What cannot be read is passed over: building the corpus meets it again and lists it with its reason. What can be
    read and not be learned from is listed here.

    Raises:
        ValueError: nothing is left to learn from.
    """
    learned, seen = Keys(str(item.media[name]) for item in found if item.split == TRAIN and name in item.media), Keys()
    files, held = Spool[Loader](), bytearray()
    for loader in (item.media[name] for item in found if name in item.media):
        if (key := str(loader)) not in seen:
            seen.add(key)
            files.append(loader)
            held.append(key not in learned)
    modality = recipe.streams[name].tokenizer
    good, failed = readable(((loader.source, loader) for loader in files), len(files), f"reading {modality}")
    training, held_out = split_in_two(files, held, good)
    if training:
        kind, options = learner_of(recipe, name)
        odd = unusable(kind, files, good, training, options)
        told = [(files[number].source, reason) for number, reason in odd.items()]
        failures(told, len(told))
        failed += told
        training, held_out = split_in_two(files, held, (number for number in good if number not in odd))
    if len(training) < 2:  # too few for most, and then a corpus that would list them is not built
        failures(failed[:5], len(failed))
    if not training:
        raise ValueError(
            f"the recipe has a stream {name!r}, but the training part of the data holds no {modality}; "
            "add such data, or name a tokenizer folder with --tokenizer NAME=FOLDER"
        )
    return training, held_out


def split_in_two(
    loaders: Sequence[Loader], held: Sequence[int], numbers: Iterable[int]
) -> tuple[Spool[Loader], Spool[Loader]]:
    """Loaders of some numbers, in their order: those of training, and those that are ``held`` out; few in memory."""
    training, held_out = Spool[Loader](), Spool[Loader]()
    for number in numbers:
        (held_out if held[number] else training).append(loaders[number])
    return training, held_out


def unusable(
    kind: Any,
    loaders: Sequence[Loader],
    numbers: Sequence[int],
    training: Sequence[Loader],
    options: Mapping[str, Any],
) -> dict[int, str]:
    """Which of some numbers of loaders ``kind.fit`` cannot learn from with its options, and why.

    Those of training choose the configuration if none is given, as ``fit`` will.
    """
    if not training or not isinstance(kind, Selects):
        return {}
    config = options.get("config") or kind.chosen_config(LazyMedia(training))
    odd: dict[int, str] = kind.unusable(LazyMedia(Spool(loaders[number] for number in numbers)), config)
    return {numbers[place]: f"not learned from: {reason}" for place, reason in odd.items()}


def parse_options(words: Sequence[str]) -> dict[str, Any]:
    """ "KEY=VALUE" words -> options; KEY may be dotted, VALUE is YAML.

    Raises:
        ValueError: not of that form.
    """
    options: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(
                f"the value of an option must be YAML, got {word!r}; put quotes around words with special signs"
            ) from error
        if not (name and equals):
            raise ValueError(f"an option is given as KEY=VALUE, got {word!r}; write it so")
        *path, last = name.split(".")
        inner = options
        for key in path:
            inner = inner.setdefault(key, {})
            if not isinstance(inner, dict):
                raise ValueError(f"{key!r} cannot be both a value and a group of options, got {word!r}; leave one out")
        inner[last] = value
    return options


def learn(
    kind: Any,
    training: Sequence[Loader],
    options: Mapping[str, Any],
    *,
    seed: int,
    folder: Path | None = None,
    progress: bool = True,
) -> Tokenizer:
    """Fits a tokenizer, from its checkpoint in ``folder`` if one is there."""
    tokenizer: Tokenizer = kind.fit(LazyMedia(training), seed=seed, folder=folder, progress=progress, **options)
    return tokenizer


def learn_for(
    recipe: Recipe,
    name: str,
    training: Sequence[Loader],
    *,
    folder: Path | None = None,
    changes: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Tokenizer:
    """Fits the tokenizer of a recipe's stream, with its options and ``changes`` of them.

    Raises:
        ValueError: it cannot be fitted; the sentence says where its options stand.
    """
    kind, options = learner_of(recipe, name)
    try:
        merged = options | dict(changes or {})
        return learn(kind, training, merged, seed=recipe.training.seed, folder=folder, progress=progress)
    except ValueError as error:
        raise ValueError(f"{error} (with --set streams.{name}.fit.OPTION=VALUE)") from error


def report(folder: Path, tokenizer: Tokenizer, training: Sequence[Loader], held_out: Sequence[Loader]) -> None:
    """Prints the figures of a tokenizer on held-out items and keeps them in its folder, where it is saved already."""
    sizes = " x ".join(map(str, tokenizer.spec.codebook_sizes))
    say(f"{folder}: {tokenizer.spec.modality} tokenizer with {sizes} codes, from {len(training)} items")
    if not held_out:
        say(f"  about every tenth item is held out, by a hash of its name, but none of {len(training)} was: no figures")
        return
    values = _figures(tokenizer, held_out, training)
    figures(values, f"{len(held_out)} held-out items")
    if worse := worse_than_baseline(values):
        say(f"  {worse}")
    kept = {"held_out_items": len(held_out), "training_items": len(training), "figures": values}
    write_text_atomic(folder / FIGURES_FILE, json.dumps(kept, indent=2) + "\n")


def keep_figures(source: Path, target: Path) -> None:
    """The figures of a tokenizer go with it from one folder into another, where it has been saved."""
    if target.is_dir() and (source / FIGURES_FILE).is_file() and not (target / FIGURES_FILE).exists():
        write_text_atomic(target / FIGURES_FILE, (source / FIGURES_FILE).read_text(encoding="utf-8"))


def worse_than_baseline(values: Mapping[str, float]) -> str:
    """A sentence on the first figure that is worse than that of a baseline (pca_, mean_, mean_pose_), or ""."""
    for name, value in values.items():
        more_is_better = any(word in name for word in ("psnr", "correlation"))
        for other in (f"{prefix}{name}" for prefix in _BASELINES):
            if other in values and (value < values[other] if more_is_better else value > values[other]):
                return (
                    f"worse than its baseline: {name} is {value:.4g}, {other} {values[other]:.4g}; "
                    "fit with more steps (fit --steps, train --set streams.NAME.fit.steps=N) or on more items"
                )
    return ""


def _figures(tokenizer: Tokenizer, held_out: Sequence[Loader], training: Sequence[Loader]) -> dict[str, float]:
    """The figures that can be computed; what cannot is said: a tokenizer that was fitted stays, whatever they are."""
    reasons: list[str] = []
    values: dict[str, float] = {}
    for known in (training, ()):  # without training items there is no baseline, and less to fail
        try:
            values = tokenizer.evaluate(LazyMedia(held_out), LazyMedia(known))
            break
        except (ArithmeticError, LookupError, RuntimeError, ValueError) as error:
            reasons.append(f"{'those of baselines' if known else 'all others'} ({' '.join(str(error).split())})")
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    reasons += [name for name in values if name not in finite]
    if reasons:
        say(f"  figures that cannot be computed are left out: {', '.join(reasons)}")
    return finite


def read_report(folder: Path) -> dict[str, Any] | None:
    """What :func:`report` kept, or None.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / FIGURES_FILE
    if not path.is_file():
        return None
    try:
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        {name: float(value) for name, value in kept["figures"].items()}
        int(kept["held_out_items"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it or fit the tokenizer again") from error
    return kept
