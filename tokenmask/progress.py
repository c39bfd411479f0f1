"""Progress of long work, on stderr.

Arrow: steps done --> a bar on a terminal, a line for each tenth elsewhere. Does not know: what is being done.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import random
import sys
from collections.abc import Callable, Iterator


def import_rich() -> None:
    """Imports rich's styles and leaves Python's global generator alone, from which they draw a number at import."""
    state = random.getstate()
    importlib.import_module("rich.style")
    random.setstate(state)


@contextlib.contextmanager
def progress_bar(
    label: str, steps: int, done: int, wanted: bool, unit: str = "step"
) -> Iterator[Callable[[int, float | None], None]]:
    """Yields ``show(steps done, loss)``: a bar on a terminal, else a line for each tenth; nothing if not wanted."""
    if not wanted or done >= steps:
        yield lambda _step, _loss: None
        return
    if not sys.stderr.isatty():
        tenths = done * 10 // steps

        def line(step: int, loss: float | None) -> None:
            nonlocal tenths
            if step * 10 // steps > tenths:
                tenths = step * 10 // steps
                shown = "" if loss is None else f"  loss {loss:.4g}"
                sys.stderr.write(f"{label}: {unit} {step} of {steps}{shown}\n")
                sys.stderr.flush()

        yield line
        return
    import_rich()
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        row = bar.add_task(label, total=steps, completed=done, loss="")

        def advance(step: int, loss: float | None) -> None:
            bar.update(row, completed=step, loss="" if loss is None else f"loss {loss:.4g}")

        yield advance


@contextlib.contextmanager
def seconds_shown(label: str) -> Iterator[Callable[[float, float], None]]:
    """Yields ``show(seconds done, seconds in all)`` of one file; a new bar begins where it begins anew."""
    with contextlib.ExitStack() as stack:
        bar: Callable[[int, float | None], None] | None = None
        last = 0.0

        def show(done: float, whole: float) -> None:
            nonlocal bar, last
            if bar is None or done < last:
                stack.close()
                bar = stack.enter_context(progress_bar(label, max(1, math.ceil(whole)), 0, True, "second"))
            bar(math.ceil(done), None)
            last = done

        yield show
