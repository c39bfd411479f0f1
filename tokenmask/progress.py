"""Progress of long work, on stderr or in a cell of a notebook.

Arrow: steps done --> a bar on a terminal and in a notebook, a line for each tenth elsewhere. Does not know: what is
being done.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

_EVERY_SECONDS = 0.2  # a bar of a notebook is drawn anew at most so often


def import_rich() -> None:
    """Imports rich's styles and leaves Python's global generator alone, from which they draw a number at import."""
    state = random.getstate()
    importlib.import_module("rich.style")
    random.setstate(state)


@contextlib.contextmanager
def progress_bar(
    label: str, steps: int, done: int, wanted: bool, unit: str = "step"
) -> Iterator[Callable[[int, float | None], None]]:
    """Yields ``show(steps done, loss)``: a bar on a terminal or in a notebook, else a line for each tenth.

    Nothing is shown if it is not wanted.
    """
    if not wanted or done >= steps:
        yield lambda _step, _loss: None
        return
    if in_notebook():
        yield _cell_bar(label, steps, done, unit)
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


def in_notebook() -> bool:
    """Whether the kernel of a notebook runs this program; IPython is asked only where it is there already."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def _cell_bar(label: str, steps: int, done: int, unit: str) -> Callable[[int, float | None], None]:
    """A bar below the cell that runs; where a notebook shows no HTML, the words of it."""
    display: Any = importlib.import_module("IPython.display").display
    began, drawn = time.monotonic(), time.monotonic()

    def bundle(step: int, loss: float | None) -> dict[str, str]:
        words = f"{label}: {unit} {step} of {steps}" + ("" if loss is None else f", loss {loss:.4g}")
        gone = time.monotonic() - began
        if step >= steps:
            words += f", {_clock(gone)}"
        elif step > done:
            words += f", {_clock(gone * (steps - step) / (step - done))} left"
        bar = f'<progress value="{step}" max="{steps}" style="width:16rem;vertical-align:middle"></progress>'
        return {"text/plain": words, "text/html": f"<div>{bar} <code>{escape(words)}</code></div>"}

    handle = display(bundle(done, None), raw=True, display_id=True)

    def advance(step: int, loss: float | None) -> None:
        nonlocal drawn
        now = time.monotonic()
        if step >= steps or now - drawn >= _EVERY_SECONDS:
            drawn = now
            handle.update(bundle(step, loss), raw=True)

    return advance


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


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
