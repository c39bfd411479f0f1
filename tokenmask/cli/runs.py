"""``tokenmask generate`` and ``demo``: what is made with runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tokenmask.cli.asked import Reading, asked
from tokenmask.cli.device import computing
from tokenmask.cli.drawing import conditions, drawing_options, keep_steps
from tokenmask.cli.prompts import fillable, prompts
from tokenmask.cli.samples import deliver, free_paths
from tokenmask.cli.show import failures
from tokenmask.generation import DrawOptions
from tokenmask.run import Run, complete, load
from tokenmask.run.asked import Wish


def generate(arguments: argparse.Namespace) -> int:
    """Fills a stream and saves or prints what comes out."""
    run = load(arguments.run, computing(arguments))
    name = arguments.stream
    if name not in run.tokenizers:
        raise ValueError(f"{run.folder} has the streams {', '.join(run.tokenizers)}, got {name!r}; name one of them")
    modality = run.tokenizers[name].spec.modality
    _check_size(run, arguments)
    reading = Reading(asked(arguments))
    given: Any = conditions(run, arguments.given, reading)
    held = None if arguments.prompts is None else prompts(Path(arguments.prompts), run, name, given, reading)
    drawing = drawing_options(run, arguments, name, reading)
    reading.check()
    paths = free_paths(arguments, name, modality, None if held is None else len(held.where))
    size: dict[str, Any] = {"length": arguments.length, "grid": arguments.grid, "duration_seconds": arguments.duration}
    if held is not None:
        length, grid, seconds = arguments.length, arguments.grid, arguments.duration
        held = fillable(held, run, Wish(name, None, length, grid, seconds, True, None, {"seed": arguments.seed}))
        given, samples = list(held.given.values()), arguments.num_samples
        if paths is not None:  # one that fails keeps its number
            paths = [path for number in held.given for path in paths[number * samples : (number + 1) * samples]]
    if arguments.backtrack is None:
        media = run.generate(name, given, **size, **drawing)
    else:
        media = _completed(run, arguments, given, drawing)
    keep_steps(drawing, arguments.record)
    deliver(media, paths)
    return 0 if held is None else failures(held.failed, len(held.where))


def _completed(run: Run, arguments: argparse.Namespace, given: Any, drawing: DrawOptions) -> list[Any]:
    """Texts that go on with words that are given, the last codes of which are drawn anew."""
    name = arguments.stream
    if arguments.prompts is not None or name not in given or not isinstance(arguments.length, int):
        raise ValueError(
            f"--backtrack draws the last codes of a beginning anew, so it needs --given {name}=WORDS and --length N "
            "and no --prompts; write these"
        )
    others = {other: value for other, value in given.items() if other != name}
    options = {"stream": name, "backtrack": arguments.backtrack, "given": others}
    return complete(run, given[name], length=arguments.length, **options, **drawing)


def _check_size(run: Run, arguments: argparse.Namespace) -> None:
    """ValueError unless a stream of free size is told one, or has an expected one, and each size once."""
    spec = run.layout.streams[arguments.stream]
    told = {"--length": arguments.length, "--duration": arguments.duration, "--grid": arguments.grid}
    said = [name for name, value in told.items() if value is not None]
    if len(said) > 1:
        raise ValueError(f"the size of {arguments.stream!r} is said once, got {' and '.join(said)}; take one of them")
    continued = any(one.partition("=")[0] == arguments.stream for one in arguments.given)
    if None in spec.grid and not said and (continued or (arguments.stream,) not in run.lengths.seen):
        raise ValueError(
            f"{arguments.stream!r} has no fixed size; say how many codes to add with --length N, or --duration "
            f"SECONDS, or all of its sizes ({', '.join(spec.axes)}) with --grid"
        )
    fits = arguments.grid is None or (
        len(arguments.grid) == len(spec.grid)
        and all(own in (None, size) for own, size in zip(spec.grid, arguments.grid, strict=True))
    )
    if not fits:
        wanted = ",".join("any" if size is None else str(size) for size in spec.grid)
        got = ",".join(map(str, arguments.grid))
        raise ValueError(
            f"--grid of {arguments.stream!r} is its {', '.join(spec.axes)} ({wanted}), got {got}; write these sizes"
        )


def demo(arguments: argparse.Namespace) -> int:
    """The whole arrow on data that ships."""
    from tokenmask.demo import main

    main(Path(arguments.out))
    return 0
