"""Threads: what they do where other processes want the cores, so that a busy machine stays usable.

A small model is thousands of short parallel regions, and at the end of each the threads wait for the last, spinning.
That is the quickest on an idle machine. Where another process wants a core, who waits keeps the one that all wait for
from running: a second becomes half a minute. So while the machine is busy

- codes are made by as many threads as cores are free: they don't depend on the number (:mod:`tokenmask.generation`);
- small networks are fitted and trained by one thread on an idle machine, too, where more would hardly help: sums of
  gradients depend on the number of threads, so it must not follow from what others do;
- large ones are fitted by the usual number, and threads that wait soon sleep. GNU OpenMP does that once its threads
  outnumber the cores (libgomp, gomp_throttled_spin_count_var in env.c), so some that only sleep are added. On an idle
  machine that would cost up to half of the speed.

Settings in the environment for how threads wait are read once, when torch is imported. Does not know: models, data.
"""

from __future__ import annotations

import ctypes
import functools
import math
import os
import statistics
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

WAITS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")  # a user who sets one has said how threads wait
SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", *WAITS)  # or how many there are; the command line sets a wait too
EVERY_SECONDS = 0.02  # between two looks at the machine
STALE_SECONDS = 0.2  # looks older than this say nothing
_TO_LOWER, _TO_RAISE = 2, 5  # looks that must agree
_STAT, _TASKS, _MAPS = Path("/proc/stat"), Path("/proc/self/task"), Path("/proc/self/maps")


def usable_cores() -> int:
    """Cores that this process may use; all of the machine where the system doesn't tell (outside Linux)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def busy_elsewhere() -> int | None:
    """Threads of other processes that run or wait for a core; None where the system doesn't tell (outside Linux)."""
    try:
        running = next(line for line in _STAT.read_text().splitlines() if line.startswith("procs_running"))
        own = 0
        for task in _TASKS.iterdir():
            with suppress(OSError):  # it ended meanwhile
                own += (task / "stat").read_text().rpartition(")")[2].split()[0] == "R"
    except (OSError, StopIteration):
        return None
    return max(0, int(running.split()[1]) - own)


@contextmanager
def free_cores() -> Iterator[None]:
    """While open, torch has no more threads than there are free cores, at least one; also a decorator.

    For work whose result doesn't depend on that; long work calls :func:`look_again` now and then. The number is never
    above that at the beginning, and is back in the end. Nothing is done inside another use, where the number or the
    waiting of threads is the user's (``SETTINGS`` in the environment, or ``torch.set_num_threads`` with another number
    than torch's own), and outside Linux. A call of ``torch.set_num_threads`` while open is obeyed from then on.
    Processes are counted on the whole machine: others on a set of cores that this one is bound to may be missed.
    """
    usual = torch.get_num_threads()
    with _open(_Number(usual) if _is_default(usual) else None):
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """While open, torch has one thread; also a decorator. :func:`all_threads` gives the others back for a part of it.

    For work whose result may depend on the number of threads, and whose parallel regions are so short that several wait
    for each other as long as they work: it is about as fast, the same with any number of cores, and nobody is waited
    for on a busy machine. Nothing is done where the number is the user's, see :func:`free_cores`.
    """
    usual = torch.get_num_threads()
    if not _is_default(usual):
        yield
        return
    _HERE.usual = usual
    try:
        torch.set_num_threads(1)
        yield
    finally:
        _HERE.usual = None
        if torch.get_num_threads() == 1:  # else somebody else has set it since
            torch.set_num_threads(usual)


@contextmanager
def all_threads() -> Iterator[None]:
    """While open, torch has the threads that it had before :func:`one_thread`; elsewhere nothing is done."""
    usual: int | None = getattr(_HERE, "usual", None)
    if usual is None or torch.get_num_threads() != 1:
        yield
        return
    torch.set_num_threads(usual)
    try:
        yield
    finally:
        if torch.get_num_threads() == usual:
            torch.set_num_threads(1)


@contextmanager
def steady_threads() -> Iterator[None]:
    """While open, threads that wait for each other soon sleep whenever the machine is busy; also a decorator.

    For work whose result may depend on the number of threads, which stays. Nothing is done inside another use, with one
    thread, where the environment says how threads wait (``WAITS``), or without GNU OpenMP (outside Linux).
    """
    usual = torch.get_num_threads()
    possible = usual > 1 and not any(name in os.environ for name in WAITS) and bool(_libraries())
    with _open(_Waiting(usual) if possible else None):
        yield


def look_again() -> None:
    """Adapts to what other processes do now, inside one of the above; else does nothing."""
    share: _Share | None = getattr(_HERE, "share", None)
    if share is not None:
        share.look()


def _is_default(count: int) -> bool:
    """Whether torch has chosen this number: of all cores, or of those with hyperthreads counted once."""
    cores = usable_cores()
    return count > 1 and count in (cores, cores // 2) and not any(name in os.environ for name in SETTINGS)


@contextmanager
def _open(share: _Share | None) -> Iterator[None]:
    if share is None or getattr(_HERE, "share", None) is not None or busy_elsewhere() is None:
        yield
        return
    _HERE.share = share
    try:
        share.begin()
        yield
    finally:
        _HERE.share = None
        share.end()


class _Share(ABC):
    """One use, in the thread that began it: how many of its usual threads have a core."""

    def __init__(self, usual: int) -> None:
        self.usual = self.free = usual

    def begin(self) -> None:
        if _age() > STALE_SECONDS:
            with _LOCK:
                _LOOKS.clear()
        if _age() >= EVERY_SECONDS:  # work may be too short to look again: what was so before it is not enough
            before = _busy()[-1:]
            _look()
            if not before or self._within(_busy()[-1]) < self._within(before[0]):
                time.sleep(EVERY_SECONDS / 10)
                _look()
        self._choose()

    def look(self) -> None:
        if _age() >= EVERY_SECONDS:
            _look()
            self._choose()

    @abstractmethod
    def end(self) -> None:
        """Puts everything back."""

    @abstractmethod
    def adapt(self, free: int) -> None:
        """Called when the number of free cores, at most ``usual``, has changed."""

    def _choose(self) -> None:
        looks = _busy()
        if len(looks) < _TO_LOWER:  # another thread has just begun anew
            return
        # Too few threads cost a share, too many a multiple: a single look at idle cores doesn't count, either.
        lower = self._within(max(min(looks[-_TO_LOWER:]), statistics.median_low(looks)))
        higher = self._within(max(looks))
        free = lower if lower < self.free else higher if len(looks) == _TO_RAISE and higher > self.free else self.free
        if free != self.free:
            self.adapt(free)
            self.free = free

    def _within(self, busy: int) -> int:
        """How many of the usual threads have a core beside that many busy ones; at least one."""
        return max(1, min(self.usual, (os.cpu_count() or 1) - busy))


class _Number(_Share):
    def adapt(self, free: int) -> None:
        if torch.get_num_threads() == self.free:  # else somebody else has set it since
            torch.set_num_threads(free)

    def end(self) -> None:
        self.adapt(self.usual)


class _Waiting(_Share):
    _stop: threading.Event | None = None

    def adapt(self, free: int) -> None:
        self.end()
        if free < self.usual:
            self._stop = _sleepers(self.usual)

    def end(self) -> None:
        if self._stop is not None:
            self._stop.set()
            self._stop = None


def _sleepers(ours: int) -> threading.Event:
    """Starts a thread that has a team of OpenMP threads, all asleep; they end after the event is set."""
    ready, stop = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            for library in _libraries():
                # This team and ours are one more than the cores. Its threads ask for their number, then sleep.
                size = max(2, library.omp_get_num_procs() - ours + 2)
                library.GOMP_parallel(ctypes.cast(library.omp_get_thread_num, ctypes.c_void_p), None, size, 0)
        finally:
            ready.set()
        stop.wait()

    threading.Thread(target=hold, name="tokenmask-sleepers", daemon=True).start()
    try:
        ready.wait()
    except BaseException:
        stop.set()
        raise
    return stop


@functools.cache
def _libraries() -> tuple[ctypes.CDLL, ...]:
    """Every GNU OpenMP that this process has loaded, torch's among them."""
    if not _MAPS.exists():
        return ()
    fields = [line.split(maxsplit=5) for line in _MAPS.read_text().splitlines()]
    paths = dict.fromkeys(field[5] for field in fields if len(field) == 6)
    found = [ctypes.CDLL(path) for path in paths if Path(path).name.startswith("libgomp") and Path(path).exists()]
    for library in found:
        library.GOMP_parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        library.GOMP_parallel.restype = None
    return tuple(found)


def _look() -> None:
    seen = (time.monotonic(), busy_elsewhere() or 0)
    with _LOCK:
        _LOOKS.append(seen)


def _busy() -> list[int]:
    """What the last looks saw, the newest last."""
    with _LOCK:
        return [busy for _, busy in _LOOKS]


def _age() -> float:
    """Seconds since the last look."""
    with _LOCK:
        return time.monotonic() - _LOOKS[-1][0] if _LOOKS else math.inf


def _forked() -> None:
    """A forked process has none of its parent's uses, and perhaps its lock in the hands of a thread that is gone."""
    global _HERE, _LOCK
    _HERE, _LOCK = threading.local(), threading.Lock()


_HERE, _LOCK = threading.local(), threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
_LOOKS: deque[tuple[float, int]] = deque(maxlen=_TO_RAISE)  # (when, busy elsewhere), of all uses
