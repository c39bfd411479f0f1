"""Watching: a drawing in a thread of its own, whose steps are handed over while it goes on.

Arrow: work that calls back --**watched**--> steps one by one, then what it gave. Does not know: pages, media.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import TypeVar

from tokenmask.generation import Filling
from tokenmask.play.codes import MOST_FRAMES

Result = TypeVar("Result")


class _Stopped(Exception):
    """Nobody looks any more."""


def watched(
    work: Callable[[Callable[[Filling], None]], Result], stop: threading.Event | None = None
) -> Iterator[Filling | Result]:
    """Steps of some work as they are done, at most about ``MOST_FRAMES`` of them, and last what the work gives.

    Args:
        work: called in a thread with what is to be called after each step. It ends at its next step where the iterator
            is closed before.
        stop: when it is set, the work ends at its next step, and the iterator without what it gives.

    Raises:
        Exception: what the work raised.
    """
    said: SimpleQueue[tuple[str, object]] = SimpleQueue()
    closed = threading.Event()

    def on_step(now: Filling) -> None:
        if closed.is_set() or (stop is not None and stop.is_set()):
            raise _Stopped
        every = -(-now.steps // MOST_FRAMES)
        if now.step % every == 0 or now.step in (1, now.steps):
            said.put(("step", now))

    def run() -> None:
        try:
            said.put(("done", work(on_step)))
        except _Stopped:
            said.put(("stopped", None))
        except BaseException as error:  # noqa: BLE001 - it is raised again where somebody waits
            said.put(("error", error))

    worker = threading.Thread(target=run, name="tokenmask-play", daemon=True)
    worker.start()
    try:
        while True:
            kind, value = said.get()
            if kind == "error":
                assert isinstance(value, BaseException)
                raise value
            if kind == "stopped":
                return
            yield value  # type: ignore[misc]
            if kind == "done":
                return
    finally:
        closed.set()
        worker.join()
