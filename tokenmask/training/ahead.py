"""Ahead: what a thread makes before it is asked for, in order.

Arrow: a function that makes the next item --**Ahead**--> items, and errors as they were raised.
Does not know: what is made.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
_PATIENCE_SECONDS = 10.0  # for an item that is being made while the program ends


@dataclass(eq=False)
class _Shelf(Generic[Item]):
    """What both threads see; the maker holds nothing else, so that an Ahead which nobody holds ends it."""

    room: int
    changed: threading.Condition = field(default_factory=threading.Condition)
    items: deque[Item | BaseException] = field(default_factory=deque)
    closed: bool = False


class Ahead(Generic[Item]):
    """An iterator over what a function makes, up to ``room`` items before they are wanted.

    The function runs in one thread of its own, one call after the other. What it raises (StopIteration, too) is raised
    here when its turn comes, and ends it. The thread ends with :meth:`close`, with the last reference, or with the
    program.

    Args:
        make: makes the next item; it must not hold the Ahead.
        room: items that may wait; at least 1.
    """

    def __init__(self, make: Callable[[], Item], room: int) -> None:
        self._shelf: _Shelf[Item] = _Shelf(room)
        thread = threading.Thread(target=_fill, args=(self._shelf, make), name="tokenmask-ahead", daemon=True)
        self._end, self._thread = weakref.finalize(self, _close, self._shelf, thread), thread
        thread.start()

    def __iter__(self) -> Ahead[Item]:
        return self

    def __next__(self) -> Item:
        shelf = self._shelf
        with shelf.changed:
            while not shelf.items and not shelf.closed:
                shelf.changed.wait()
            if not shelf.items:
                raise StopIteration
            item = shelf.items.popleft()
            shelf.closed |= isinstance(item, BaseException)
            shelf.changed.notify_all()
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """Ends the thread, after the item that it is making; what waits is dropped. Nothing is made any more then."""
        self._end()
        self._thread.join()


def _fill(shelf: _Shelf[Item], make: Callable[[], Item]) -> None:
    item: Item | BaseException
    while True:
        try:
            item = make()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised where the item is wanted
            item = error
        with shelf.changed:
            while len(shelf.items) >= shelf.room and not shelf.closed:
                shelf.changed.wait()
            if shelf.closed:
                return
            shelf.items.append(item)
            shelf.changed.notify_all()
        if isinstance(item, BaseException):
            return


def _close(shelf: _Shelf[Item], thread: threading.Thread) -> None:
    with shelf.changed:
        shelf.closed = True
        shelf.items.clear()
        shelf.changed.notify_all()
    if thread is not threading.current_thread():
        thread.join(_PATIENCE_SECONDS)
