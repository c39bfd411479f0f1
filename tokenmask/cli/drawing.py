"""Drawing: what is given and how codes are drawn, out of the words of a command.

Arrow: arguments + Run --**drawing_options**--> DrawOptions. Does not know: what is drawn, where it goes.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenmask.cli.asked import Reading
from tokenmask.cli.media import Loader
from tokenmask.cli.names import SUFFIX, by_name, check_set
from tokenmask.components import component
from tokenmask.generation import DrawOptions, Recording
from tokenmask.medium import said
from tokenmask.run import Run
from tokenmask.run.folder import read_recipe
from tokenmask.sampling import Sampler
from tokenmask.scores import Score
from tokenmask.streams import TokenStream


def drawing_options(run: Run, arguments: argparse.Namespace, stream: str, reading: Reading) -> DrawOptions:
    """How codes of a stream are drawn."""
    sampler = _sampler(run, arguments, stream)
    return {
        "budget": arguments.budget if sampler is None else None,
        "negative": conditions(run, arguments.negative, reading),
        "also": [_weighted(run, word, reading) for word in arguments.also],
        "steps": arguments.steps,
        "guidance": arguments.guidance,
        "temperature": arguments.temperature,
        "top_k": arguments.top_k,
        "top_p": arguments.top_p,
        "min_p": arguments.min_p,
        "order": _order(arguments.order),
        "matches": arguments.matches,
        "particles": arguments.particles,
        "window": arguments.window,
        "seed": arguments.seed,
        "num_samples": arguments.num_samples,
        "sampler": sampler,
        "progress": True,
        "on_step": None if arguments.record is None else Recording(),
    }


def keep_steps(options: DrawOptions, path: str | None) -> None:
    """Writes what was recorded of a generation, where that was asked for."""
    recording = options.get("on_step")
    if path is not None and isinstance(recording, Recording):
        recording.save(path)


def conditions(run: Run, words: Sequence[str], reading: Reading) -> dict[str, Any]:
    """NAME=VALUE words as what is given of each stream."""
    found = by_name(words, "what is given of a stream", "NAME=VALUE", empty=True)
    return {name: loaded(condition(run, name, value, reading)) for name, value in found.items()}


def loaded(value: Any) -> Any:
    """What a loader reads; all else as it is."""
    return value() if isinstance(value, Loader) else value


def condition(run: Run, name: str, value: str, reading: Reading) -> Any:
    """Words or @FILE for media that are words, a path of media or of a token file for the others, or a loader of media
    that are to be read in a way of their own."""
    if name not in run.tokenizers:
        raise ValueError(
            f"{run.folder} has the streams {', '.join(run.tokenizers)}, got something given for {name!r}; "
            "name one of these streams"
        )
    tokenizer = run.tokenizers[name]
    kind: Any = tokenizer.media
    if not said(kind, "words"):
        return TokenStream.load(value) if value.endswith(SUFFIX) else reading.of(kind, Path(value))
    if value.startswith("@@"):
        return value[1:]
    return kind.load(value[1:]) if value.startswith("@") else value


def _weighted(run: Run, word: str, reading: Reading) -> tuple[dict[str, Any], float]:
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
    return conditions(run, [rest], reading), number


# The sampler ----------------------------------------------------------------------------------------------------------


def _sampler(run: Run, arguments: argparse.Namespace, stream: str) -> Sampler | None:
    """The run's own with fields set anew; None if nothing is set."""
    if not arguments.set:
        return None
    recipe = run.recipe
    if arguments.budget is not None:
        raise ValueError("--budget takes settings that were found, --set says other ones; write one of the two")
    flags = {"steps": arguments.steps, "guidance": arguments.guidance, "pick.temperature": arguments.temperature}
    flags |= {"pick.top_k": arguments.top_k, "pick.top_p": arguments.top_p, "pick.min_p": arguments.min_p}
    flags["order"] = arguments.order or None
    said = {name: f"--{name.removeprefix('pick.').replace('_', '-')}" for name, one in flags.items() if one is not None}
    check_set(arguments.set, "the sampler", said)
    own = stream in recipe.samplers
    others = [] if own else [f"samplers.{other}={{}}" for other in recipe.samplers]  # which keep their own
    home = f"samplers.{stream}" if own else "sampler"
    overrides = [*others, *(f"{home}.{word}" for word in arguments.set)]
    try:
        recipe = read_recipe(run.folder, overrides)
    except ValueError as error:
        raise ValueError(f"--set {' '.join(arguments.set)} does not fit: {error}") from error
    return recipe.sampler_of(stream)


def _order(name: str | None) -> Score | None:
    """The order of a name, or of a class path."""
    if not name:
        return None
    path = {"class_path": name if "." in name else f"tokenmask.scores.{name}"}
    return component(path, Score, "tokenmask.scores")  # type: ignore[type-abstract]
