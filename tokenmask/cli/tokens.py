"""``tokenmask fit``, ``encode`` and ``decode``: tokenizers and token files."""

from __future__ import annotations

import argparse
import inspect
from pathlib import Path
from typing import Any

import yaml

from tokenmask.cli.show import failures, say
from tokenmask.cli.sources import files, lines
from tokenmask.fitting import progress_bar
from tokenmask.streams import TokenStream
from tokenmask.tokenizer import Tokenizer, load_tokenizer, load_tokenizer_class

SUFFIX = ".tokens"
MEDIA_SUFFIX = {"text": ".txt", "image": ".png"}


def fit(arguments: argparse.Namespace) -> int:
    """Trains a tokenizer and prints its figures on the items that were held out."""
    out = Path(arguments.out)
    kind: Any = load_tokenizer_class(arguments.modality)
    paths = files(arguments.data, arguments.modality)
    if arguments.modality == "text":
        media = [kind.media(line) for path in paths for line in lines(path)]
    else:
        media = [kind.media.load(path) for path in paths]
    held_out = media[9::10]
    training = [item for index, item in enumerate(media) if index % 10 != 9]
    options = dict(_option(kind, text) for text in arguments.option)
    if arguments.steps is not None:
        options |= dict([_option(kind, f"steps={arguments.steps}")])
    tokenizer: Tokenizer = kind.fit(training, seed=arguments.seed, folder=out / "fit", **options)
    tokenizer.save(out)
    say(f"{out}: {arguments.modality} tokenizer of {tokenizer.spec.codebook_sizes} codes, from {len(training)} items")
    if held_out:
        for name, value in tokenizer.evaluate(held_out, training).items():
            say(f"  {name} {value:.4g}  ({len(held_out)} held-out items)")
    return 0


def encode(arguments: argparse.Namespace) -> int:
    """Encodes files one by one; what fails is listed at the end."""
    tokenizer, out = load_tokenizer(arguments.tokenizer), Path(arguments.out)
    paths = files(arguments.paths, tokenizer.spec.modality)
    kind: Any = tokenizer.media
    targets = _targets(paths, out, SUFFIX)
    todo = [(path, target) for path, target in zip(paths, targets, strict=True) if not target.exists()]
    failed = []
    out.mkdir(parents=True, exist_ok=True)
    with progress_bar("encoding", len(todo), 0, True) as show:
        for number, (path, target) in enumerate(todo, 1):
            try:
                stream = tokenizer.encode(kind.load(path))
            except (ValueError, TypeError) as error:
                failed.append((str(path), " ".join(str(error).split())))
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                stream.save(target)
            show(number, None)
    say(f"{len(todo) - len(failed)} encoded, {len(paths) - len(todo)} done before, {len(failed)} failed: {out}")
    return failures(failed, len(paths))


def decode(arguments: argparse.Namespace) -> int:
    """Decodes token files one by one; what fails is listed at the end."""
    tokenizer, out = load_tokenizer(arguments.tokenizer), Path(arguments.out)
    paths = files(arguments.paths, "tokens")
    failed = []
    out.mkdir(parents=True, exist_ok=True)
    for path in paths:
        target = out / (path.stem + MEDIA_SUFFIX.get(tokenizer.spec.modality, ".bin"))
        try:
            check_new(target, arguments.force)
            tokenizer.decode(TokenStream.load(path)).save(target)
        except (ValueError, TypeError) as error:
            failed.append((str(path), " ".join(str(error).split())))
        else:
            say(str(target))
    return failures(failed, len(paths))


def check_new(path: Path, force: bool) -> None:
    """ValueError if the file exists and may not be overwritten."""
    if path.exists() and not force:
        raise ValueError(f"{path} exists; choose another name or add --force")


def _option(kind: Any, text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    known = [key for key, p in inspect.signature(kind.fit).parameters.items() if p.kind is p.KEYWORD_ONLY]
    if not equals or name not in known:
        raise ValueError(f"options of {kind.__name__}.fit are {', '.join(known)}, got {text!r}")
    return name, yaml.safe_load(value)


def _targets(paths: list[Path], out: Path, suffix: str) -> list[Path]:
    """One name for each file; the folders above tell files of one name apart."""
    names = [path.stem for path in paths]
    twins = {name for name in names if names.count(name) > 1}
    return [out / ((f"{p.parent.name}-{p.name}" if p.stem in twins else p.stem) + suffix) for p in paths]
