"""``tokenmask generate``, ``evaluate`` and ``demo``: what is done with runs."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tokenmask.cli.learning import read_report
from tokenmask.cli.media import SUFFIXES, suffix_of
from tokenmask.cli.show import figures, say, table, waiting
from tokenmask.cli.tokens import SUFFIX, check_new
from tokenmask.fitting import write_text_atomic
from tokenmask.run import Run, load
from tokenmask.streams import TokenStream
from tokenmask.training import StreamScore


def generate(arguments: argparse.Namespace) -> int:
    """Fills a stream and saves or prints what comes out."""
    run = load(arguments.run)
    if arguments.stream not in run.tokenizers:
        raise ValueError(f"{run.folder} has the streams {', '.join(run.tokenizers)}, got {arguments.stream!r}")
    given = conditions(run, arguments.given)
    modality = run.tokenizers[arguments.stream].spec.modality
    if None in run.layout.streams[arguments.stream].grid and arguments.length is None and arguments.duration is None:
        raise ValueError(
            f"{arguments.stream!r} has no fixed size; say how many codes to add with --length N, or --duration SECONDS"
        )
    spoken = arguments.out is None and modality == "text"
    paths = [] if spoken else sample_paths(arguments, arguments.stream, modality)
    for path in paths:
        check_new(path, arguments.force)
    media = run.generate(
        arguments.stream,
        given=given,
        negative=conditions(run, arguments.negative),
        also=[_weighted(run, word) for word in arguments.also],
        length=arguments.length,
        duration_seconds=arguments.duration,
        steps=arguments.steps,
        guidance=arguments.guidance,
        temperature=arguments.temperature,
        seed=arguments.seed,
        num_samples=arguments.num_samples,
        progress=True,
    )
    for one in media if spoken else ():
        say(one.text)
    for path, one in zip(paths, media, strict=not spoken):
        path.parent.mkdir(parents=True, exist_ok=True)
        one.save(path)
        say(str(path))
    return 0


def evaluate(arguments: argparse.Namespace) -> int:
    """Prints and saves held-out masked cross-entropy beside a unigram."""
    run = Run.load(arguments.run)
    with waiting("scoring held-out records"):
        scores = run.held_out_scores(draws=arguments.draws, seed=arguments.seed)
    head = ["stream", "level", "in records of", "given", "nats", "bits", "unigram nats", "unigram bits"]
    table([*head, "margin nats", "codes", "records"], [_row(score) for score in scores])
    say(
        "Masked cross-entropy a hidden code, on held-out records, beside a unigram of the training codes on the same "
        "codes; margin: unigram less model, mean over records +- its standard error."
    )
    tokenizers = {name: read_report(run.folder / "tokenizers" / name) for name in run.tokenizers}
    for name, kept in tokenizers.items():
        if kept is not None:
            say(f"tokenizer of {name}:")
            figures(kept["figures"], f"{kept['held_out_items']} held-out items")
    path = run.folder / "evaluation.json"
    values = {
        "draws": arguments.draws,
        "seed": arguments.seed,
        "scores": [_finite(asdict(score)) for score in scores],
        "tokenizers": {name: kept for name, kept in tokenizers.items() if kept is not None},
    }
    write_text_atomic(path, json.dumps(values, indent=2, allow_nan=False) + "\n")
    say(f"saved: {path}")
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """The whole arrow on data that ships."""
    from tokenmask.demo import main

    main(Path(arguments.out))
    return 0


def conditions(run: Run, words: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE words as what is given of each stream."""
    given: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise ValueError(f"what is given has the form NAME=VALUE, got {word!r}")
        if name in given:
            raise ValueError(f"a stream is given once, got two values for {name!r}")
        given[name] = _given(run, name, value)
    return given


def _weighted(run: Run, word: str) -> tuple[dict[str, Any], float]:
    """WEIGHT:NAME=VALUE as a further condition."""
    weight, colon, rest = word.partition(":")
    try:
        number = float(weight)
    except ValueError:
        number = math.nan
    if not colon or not math.isfinite(number):
        raise ValueError(f"a further condition has the form WEIGHT:NAME=VALUE, got {word!r}")
    return conditions(run, [rest]), number


def _given(run: Run, name: str, value: str) -> Any:
    """Words or @FILE for text, a path of media or of a token file for the others."""
    if name not in run.tokenizers:
        raise ValueError(f"{run.folder} has the streams {', '.join(run.tokenizers)}, got something given for {name!r}")
    tokenizer = run.tokenizers[name]
    kind: Any = tokenizer.media
    if tokenizer.spec.modality != "text":
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
    if out.suffix.lower() not in SUFFIXES.get(modality, (out.suffix.lower(),)):
        raise ValueError(f"a file of {modality} ends in {', '.join(SUFFIXES[modality])}, got {out.name!r}")
    if count == 1:
        return [out]
    return [out.with_name(f"{out.stem}-{sample}{out.suffix}") for sample in range(count)]


def _row(score: StreamScore) -> Sequence[str]:
    bits = 1 / math.log(2)
    return [
        score.stream,
        str(score.level),
        " + ".join(score.record),
        ", ".join(score.given) or "-",
        f"{score.cross_entropy:.3f}",
        f"{score.cross_entropy * bits:.3f}",
        f"{score.unigram:.3f}",
        f"{score.unigram * bits:.3f}",
        f"{score.margin:.3f} +- {score.margin_error:.3f}",
        str(score.num_codes),
        str(score.num_records),
    ]


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """Without a NaN, which JSON does not know: a standard error of one record is null."""
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}
