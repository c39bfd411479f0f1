"""Waiting: requests in a row, those that go together answered by one call.

Arrow: Asked --**Waiting.submit**--> Job --**answered by one thread**--> media. Does not know: HTTP, JSON bodies.

One thread computes. Whatever waits while a call runs and asks for the same but for what is given and the seed goes into
the next call together, the oldest request first. A request gives the same codes, bit for bit, in any batch, so nobody
can tell who was asked beside them.
"""

from __future__ import annotations

import contextlib
import math
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenmask.serving.asked import SIZES, WHERE, Asked
from tokenmask.serving.limits import Limits, Refused
from tokenmask.serving.wire import CODES, Wire, refused
from tokenmask.telling import heard

LOOK_SECONDS = 0.25  # between two looks at whether who asked is still there
GATHER_SECONDS = 0.003  # since the last one that came, before those that found nothing running are drawn


@dataclass(eq=False)
class Job:
    """A request and what becomes of it.

    Args:
        asked: the request.
        since: when it came, by ``time.monotonic``.
        done: set once there is an answer.
        begun: whether a call for it runs or ran; before that it can be taken back.
        media: the answer, or
        error: why there is none.
        pieces: of one that is answered in pieces, as they are made; None is the last.
        left: nobody listens to them any more.
        told: what was left out, guessed or changed of it, a sentence each.
    """

    asked: Asked
    since: float
    done: threading.Event = field(default_factory=threading.Event)
    begun: bool = False
    media: Sequence[Any] = ()
    error: Refused | None = None
    pieces: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)
    left: bool = False
    told: list[str] = field(default_factory=list)


class Waiting:
    """The row of requests and the thread that answers them.

    Args:
        wire: of the run that answers.
        limits: of the row.
    """

    def __init__(self, wire: Wire, limits: Limits) -> None:
        self.wire = wire
        self.limits = limits
        self.counts = {"answered": 0, "refused": 0, "calls": 0, "rows": 0, "most_together": 0}
        self._row: list[Job] = []
        self._running = 0
        self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="tokenmask-serving", daemon=True)
        self._thread.start()

    def submit(self, asked: Asked) -> Job:
        """Puts a request at the end of the row.

        Raises:
            Refused: 429 where the row is full, 503 where the server stops.
        """
        job = Job(asked, time.monotonic())
        with self._changed:
            if self._stopping:
                raise Refused(503, "the server is being stopped; ask another")
            if len(self._row) >= self.limits.most_waiting:
                self.counts["refused"] += 1
                raise Refused(429, f"{self.limits.most_waiting} requests wait already; ask again in a moment")
            self._row.append(job)
            self._changed.notify()
        return job

    def wait(self, job: Job, is_there: Callable[[], bool]) -> Sequence[Any]:
        """The media of a job.

        Args:
            job: as submitted.
            is_there: whether who asked still listens; a job that has not begun is taken back where not.

        Raises:
            Refused: it was not to be answered, waited too long, or nobody listens.
        """
        while not job.done.wait(LOOK_SECONDS):
            self._look(job, is_there)
        if job.error is not None:
            raise job.error
        return job.media

    def pieces(self, job: Job, is_there: Callable[[], bool]) -> Iterator[Any]:
        """The media of a job that is answered in pieces, each as soon as it is made.

        Raises:
            Refused: as of :meth:`wait`.
        """
        while True:
            try:
                piece = job.pieces.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                self._look(job, is_there)
                continue
            if piece is None:
                break
            yield piece
        if job.error is not None:
            raise job.error

    def _look(self, job: Job, is_there: Callable[[], bool]) -> None:
        """Takes a job back that has waited too long, or that nobody waits for."""
        if not job.begun and time.monotonic() - job.since > self.limits.wait_seconds:
            sentence = f"the request waited longer than {self.limits.wait_seconds:g} s; ask again later"
            self._take_back(job, Refused(503, sentence))
        elif not job.begun and not is_there():
            self._take_back(job, Refused(499, "nobody listens"))

    def now(self) -> dict[str, Any]:
        """What is going on, in numbers."""
        with self._changed:
            status = "stopping" if self._stopping else "ok"
            return {"status": status, "waiting": len(self._row), "running": self._running, **self.counts}

    def stop(self) -> None:
        """Refuses who waits, and returns when the call that runs is done."""
        with self._changed:
            self._stopping = True
            for job in self._row:
                self._close(job, Refused(503, "the server is being stopped; ask another"))
            self._row.clear()
            self._changed.notify()
        while self._thread.is_alive():  # in short waits: a signal that another thread takes does not end one
            self._thread.join(LOOK_SECONDS)

    def _take_back(self, job: Job, reason: Refused) -> None:
        with self._changed:
            if job in self._row:
                self._row.remove(job)
                self._close(job, reason)

    def _close(self, job: Job, error: Refused | None, media: Sequence[Any] = ()) -> None:
        self.counts["refused" if error else "answered"] += 1
        job.media, job.error = media, error
        job.done.set()
        job.pieces.put(None)

    def _work(self) -> None:
        while jobs := self._next():
            try:
                self._answer(jobs)
            except BaseException as error:  # noqa: BLE001 - whatever happens, nobody waits for ever
                traceback.print_exc(file=sys.stderr)
                for job in jobs:
                    if not job.done.is_set():
                        self._end(job, refused(error) if isinstance(error, Exception) else Refused(500, "stopped"))
            with self._changed:
                self._running = 0

    def _next(self) -> list[Job]:
        """The oldest that waits and those that go with it; nothing when it is time to end."""
        with self._changed:
            if not self._row:
                self._gather()
            if not self._row:
                return []
            first = self._row[0]
            alone = first.asked.method != "generate" or first.asked.values.get("pieces")
            most = 1 if alone else max(1, self.limits.most_rows // first.asked.samples)
            jobs = [job for job in self._row if job.asked.together == first.asked.together][:most]
            for job in jobs:
                job.begun = True
                self._row.remove(job)
            self._running = len(jobs)
            return jobs

    def _gather(self) -> None:
        """Waits for a request, and for those that come with it, so that the first of many is not drawn alone."""
        while not self._row and not self._stopping:
            self._changed.wait()
        seen = 0
        while seen < len(self._row) < self.limits.most_rows and not self._stopping:
            seen = len(self._row)
            self._changed.wait(GATHER_SECONDS)

    def _end(self, job: Job, error: Refused | None, media: Sequence[Any] = ()) -> None:
        with self._changed:
            self._close(job, error, media)

    def _answer(self, jobs: Sequence[Job]) -> None:
        ready: list[tuple[Job, Any]] = []
        for job in jobs:
            try:
                with heard() as job.told:
                    ready.append((job, self._prepared(job.asked)))
            except Exception as error:  # noqa: BLE001 - of one request, told to whom it concerns
                self._end(job, _told(error))
        if not ready:
            return
        if ready[0][0].asked.values.get("pieces"):
            self._streamed(*ready[0])
            return
        if len(ready) == 1:
            self._alone(*ready[0])
            return
        found: list[list[Any]] | None = None
        with contextlib.suppress(Exception), heard() as told:
            found = self._drawn([job.asked for job, _ in ready], [given for _, given in ready])
        if found is None or told:  # one is wrong, or something is to be told to one of them: the others are not to know
            for one in ready:
                self._alone(*one)
            return
        for (job, _), media in zip(ready, found, strict=True):
            self._end(job, None, media)

    def _alone(self, job: Job, given: Any) -> None:
        """Answers a request that is drawn by itself, which gives the codes that it has in company."""
        try:
            with heard() as told:
                (media,) = self._drawn([job.asked], [given])
        except Exception as error:  # noqa: BLE001
            self._end(job, _told(error))
        else:
            job.told += told
            self._end(job, None, media)

    def _prepared(self, asked: Asked) -> Any:
        """What is given; the size and the ending are looked at."""
        run, values = self.wire.run, asked.values
        given = self.wire.given(values.get("given"))
        if "stream" in values:
            run.inputs.check(values["stream"])
            if self.wire.ending(values["stream"], values.get("ending")) == CODES and values.get("pieces"):
                raise ValueError(f"pieces are media, got the ending {CODES!r}; leave one of the two out")
        if asked.method == "generate":
            name = values["stream"]
            prefix = run.inputs.tokens(name, given[name]) if name in given else None
            length, grid, seconds = (_size(values, what) for what in SIZES)
            others = {}
            if length is None and grid is None and seconds is None:
                others = run.inputs.conditions({key: own for key, own in given.items() if key != name})
            size = run.inputs.grid(name, prefix, length, grid, seconds, others)
            codes = math.prod(size) * run.layout.streams[name].num_levels * asked.samples
            if codes > self.limits.most_codes:
                raise ValueError(f"a request may draw {self.limits.most_codes} codes here, got {codes}; ask for less")
        return given

    def _streamed(self, job: Job, given: Any) -> None:
        """Hands on what is made while it is made; a row of its own, for nobody else waits for the same pieces."""
        try:
            with self._changed:
                self.counts["calls"] += 1
                self.counts["rows"] += 1
            values = job.asked.values
            sizes: dict[str, Any] = {what: _size(values, what) for what in (*SIZES, "keep_original")}
            seed = values.get("seed", 0)
            with heard() as told:
                for piece in self.wire.run.stream(values["stream"], given, seed=seed, **sizes, **self._options(values)):
                    if job.left:
                        break
                    job.pieces.put(piece)
            job.told += told
        except Exception as error:  # noqa: BLE001
            self._end(job, _told(error))
        else:
            self._end(job, None)

    def _options(self, values: Any) -> dict[str, Any]:
        """How codes are drawn."""
        taken = ("budget", "steps", "guidance", "temperature", "num_samples", "window")
        options: dict[str, Any] = {name: values[name] for name in taken if name in values}
        if "negative" in values:
            options["negative"] = self.wire.given(values["negative"])
        if "also" in values:
            options["also"] = [self._weighted(pair) for pair in values["also"]]
        return options

    def _drawn(self, asked: Sequence[Asked], given: Sequence[Any]) -> list[list[Any]]:
        """The media of each request, by one call of the run."""
        run, values = self.wire.run, asked[0].values
        options = self._options(values)
        with self._changed:
            self.counts["calls"] += 1
            self.counts["rows"] += len(asked) * asked[0].samples
            self.counts["most_together"] = max(self.counts["most_together"], len(asked))
        if asked[0].method == "edit":
            return [self._edited(values, given[0], options)]
        sizes: dict[str, Any] = {what: _size(values, what) for what in SIZES}
        seeds = [one.values.get("seed", 0) for one in asked]
        kept = values.get("keep_original")
        media = run.generate(values["stream"], list(given), seed=seeds, keep_original=kept, **sizes, **options)
        each = len(media) // len(asked)
        return [media[at : at + each] for at in range(0, len(media), each)]

    def _edited(self, values: Any, given: Any, options: Any) -> list[Any]:
        run, name = self.wire.run, values.get("stream")
        if name is None:
            raise ValueError(f"stream says what media is, one of {', '.join(run.tokenizers)}, but is missing; write it")
        where: dict[str, Any] = {what: values.get(what) for what in WHERE if what not in ("media", "regenerate")}
        regions = [tuple(one) for one in values["regenerate"]] if "regenerate" in values else None
        media = self.wire.media(name, values["media"])
        return run.edit(media, regions, stream=name, given=given, seed=values.get("seed", 0), **where, **options)

    def _weighted(self, pair: Any) -> tuple[dict[str, Any], float]:
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], dict)):
            raise ValueError(f"also holds pairs of an object and a weight, got {str(pair)[:60]}; write [{{...}}, 1.0]")
        return self.wire.given(pair[0]), pair[1]


def _size(values: Any, what: str) -> Any:
    value = values.get(what)
    return tuple(value) if isinstance(value, list) else value


def _told(error: Exception) -> Refused:
    found = refused(error)
    if found.status == 500:
        traceback.print_exception(error, file=sys.stderr)
    return found
