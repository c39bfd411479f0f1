"""Calls: what was done on a page, as Python that does the same.

Arrow: arguments of a call --**spelled**--> a line; lines --**script**--> a program to copy. Does not know: pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenmask.models.wrapped import WrappedModel
from tokenmask.play.controls import ORDERS, Asked, is_words
from tokenmask.run import Run
from tokenmask.run.folder import SHIPPED

MADE = "made"  # the name of what the last call gave
_WIDTH = 88


def spelled(method: str, first: Sequence[str], arguments: Mapping[str, Any], asked: Asked) -> str:
    """A call of a method of ``run``.

    Args:
        method: its name.
        first: arguments without a name, as Python.
        arguments: those with a name; a path stands as the file's own name, an order as it is asked for.
        asked: whose arguments these are.
    """
    order = f'run.recipe.sampler_of("{asked.stream}").ordered({asked.order}())'
    named = [f"{name}={order if name == 'sampler' else of(value)}" for name, value in arguments.items()]
    parts = [*first, *named]
    line = f"{MADE} = run.{method}({', '.join(parts)})[0]"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{MADE} = run.{method}(", *(f"    {part}," for part in parts), ")[0]"])


def opening(stream: str, value: str | Path) -> str:
    """The line that opens words or a file."""
    return f"{MADE} = run.inputs.media({of(stream)}, {of(value)})"


def script(run: Run, stream: str, calls: Sequence[str]) -> str:
    """A program that does all calls and keeps what the last one gave."""
    text = "\n".join(calls)
    orders = sorted(name for name in ORDERS if f".ordered({name}())" in text)
    wanted = ["from tokenmask.tokenizer import tokenizer_at"] if "tokenizer_at(" in text else []
    if orders:
        wanted.insert(0, f"from tokenmask.scores import {', '.join(orders)}")
    folder = "" if run.folder == SHIPPED else of(str(run.folder))
    kind: Any = run.tokenizers[stream].media
    suffixes = kind.written_suffixes
    last = f"print({MADE})" if is_words(run, stream) or not suffixes else f'{MADE}.save("{stream}{suffixes[0]}")'
    begin = "\n".join(["import tokenmask as tm", *wanted])
    run_line = f"run = tm.load({folder})"
    if isinstance(run.models["main"], WrappedModel):  # it stands in no folder
        run_line = "run = tm.wrap(...)  # what you wrapped"
    return "\n".join([begin, "", run_line, text, last])


def of(value: Any) -> str:
    """Python of strings, numbers, paths and lists, tuples and dicts of them."""
    if isinstance(value, Path):
        return of(value.name)
    if isinstance(value, str):
        text = repr(value)
        return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{of(name)}: {of(one)}" for name, one in value.items()) + "}"
    if isinstance(value, tuple):
        return f"({', '.join(map(of, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(of, value))}]"
    return repr(value)
