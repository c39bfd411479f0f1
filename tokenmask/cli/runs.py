"""``tokenmask generate`` and ``demo``: what is made with runs."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenmask.cli.corpora import by_name
from tokenmask.cli.media import check_written, is_words, suffix_of
from tokenmask.cli.show import say
from tokenmask.cli.tokens import SUFFIX, check_new
from tokenmask.generation import DrawOptions
from tokenmask.medium import said
from tokenmask.run import Run, load
from tokenmask.streams import TokenStream


def generate(arguments: argparse.Namespace) -> int:
    """Fills a stream and saves or prints what comes out."""
    run = load(arguments.run)
    if arguments.stream not in run.tokenizers:
        raise ValueError(
            f"{run.folder} has the streams {', '.join(run.tokenizers)}, got {arguments.stream!r}; name one of them"
        )
    given, drawing = conditions(run, arguments.given), drawing_options(run, arguments)
    modality = run.tokenizers[arguments.stream].spec.modality
    if None in run.layout.streams[arguments.stream].grid and arguments.length is None and arguments.duration is None:
        raise ValueError(
            f"{arguments.stream!r} has no fixed size; say how many codes to add with --length N, or --duration SECONDS"
        )
    paths = free_paths(arguments, arguments.stream, modality)
    media = run.generate(
        arguments.stream,
        given,
        length=arguments.length,
        duration_seconds=arguments.duration,
        **drawing,
    )
    deliver(media, paths)
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """The whole arrow on data that ships."""
    from tokenmask.demo import main

    main(Path(arguments.out))
    return 0


def drawing_options(run: Run, arguments: argparse.Namespace) -> DrawOptions:
    """How codes are drawn."""
    return {
        "negative": conditions(run, arguments.negative),
        "also": [_weighted(run, word) for word in arguments.also],
        "steps": arguments.steps,
        "guidance": arguments.guidance,
        "temperature": arguments.temperature,
        "seed": arguments.seed,
        "num_samples": arguments.num_samples,
        "progress": True,
    }


def free_paths(arguments: argparse.Namespace, stream: str, modality: str) -> list[Path] | None:
    """Where samples will be saved, none of which is there yet unless --force; None prints them, as text without --out.

    Raises:
        ValueError: a file is in the way, or its ending cannot be written.
    """
    if arguments.out is None and is_words(modality):
        return None
    paths = sample_paths(arguments, stream, modality)
    for path in paths:
        check_new(path, arguments.force)
    return paths


def deliver(media: Sequence[Any], paths: Sequence[Path] | None) -> None:
    """Saves samples and names the files, or prints what they say."""
    if paths is None:
        for one in media:
            say(str(one))
        return
    for path, one in zip(paths, media, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        one.save(path)
        say(str(path))


def conditions(run: Run, words: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE words as what is given of each stream."""
    found = by_name(words, "what is given of a stream", "NAME=VALUE", empty=True)
    return {name: _given(run, name, value) for name, value in found.items()}


def _weighted(run: Run, word: str) -> tuple[dict[str, Any], float]:
    """WEIGHT:NAME=VALUE as a further condition."""
    weight, colon, rest = word.partition(":")
    try:
        number = float(weight)
    except ValueError:
        number = math.nan
    if not colon or not math.isfinite(number):
        raise ValueError(
            f"a further condition has the form WEIGHT:NAME=VALUE, got {word!r}; write a number and a condition"
        )
    return conditions(run, [rest]), number


def _given(run: Run, name: str, value: str) -> Any:
    """Words or @FILE for media that are words, a path of media or of a token file for the others."""
    if name not in run.tokenizers:
        raise ValueError(
            f"{run.folder} has the streams {', '.join(run.tokenizers)}, got something given for {name!r}; "
            "name one of these streams"
        )
    tokenizer = run.tokenizers[name]
    kind: Any = tokenizer.media
    if not said(kind, "words"):
        return TokenStream.load(value) if value.endswith(SUFFIX) else Path(value)
    if value.startswith("@@"):
        return value[1:]
    return kind.load(value[1:]) if value.startswith("@") else value


def sample_paths(arguments: argparse.Namespace, stream: str, modality: str) -> list[Path]:
    """A file for each sample; several are numbered."""
    count = arguments.num_samples
    text = arguments.out or "."
    out = Path(text)
    if out.is_dir() or not out.suffix or text.endswith(os.sep):
        suffix = suffix_of(modality)
        return [out / f"{stream}-{arguments.seed}-{sample}{suffix}" for sample in range(count)]
    check_written(out, modality)
    if count == 1:
        return [out]
    return [out.with_name(f"{out.stem}-{sample}{out.suffix}") for sample in range(count)]
