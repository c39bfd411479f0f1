"""ProcessPool: processes of this machine as an engine.

Arrow: tables --**ProcessPool**--> token tables. Does not know: items, where tables come from, order.
"""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait

import pyarrow as pa
import torch

from tokenmask.corpus.engines.encoder import TableEncoder
from tokenmask.corpus.engines.team import Lost, Team, check_workers, in_order
from tokenmask.corpus.engines.words import from_bytes, to_bytes
from tokenmask.corpus.items import sentence
from tokenmask.threads import usable_cores

_CONTEXT = get_context("spawn")  # a fork would copy the locks of torch's threads
_TABLE, _PROBLEM = b"t", b"p"  # what an answer begins with


@dataclass(frozen=True)
class ProcessPool:
    """Processes of this machine, of one thread each.

    A process that dies (a fault in a decoder, no memory) costs the item that killed it, on a second try too, and no
    other. They end with this process, however it ends.

    Args:
        workers: how many; None is one for each core that this process may use.
    """

    workers: int | None = None

    def __post_init__(self) -> None:
        check_workers(self.workers, "core")

    @property
    def size(self) -> int:
        """How many processes it has."""
        return self.workers or usable_cores()

    def map(self, encode: TableEncoder, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The answers of ``encode`` to tables, in order.

        Raises:
            OSError: a process could not be started.
        """
        with _Processes(encode, self.size) as team:
            yield from in_order(team, tables, encode.refuse)


class _Worker:
    """One process: starting until it has said that it is ready, then free or busy."""

    def __init__(self, encode: TableEncoder) -> None:
        self._encode = encode
        self.start()

    def start(self) -> None:
        self.ready = self.busy = False
        self.connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(theirs,), daemon=True)
        resource_tracker.ensure_running()  # it would unblock the signal between the next two lines
        with _ctrl_c_blocked():  # workers inherit that: Ctrl-C is for the parent alone
            self._process.start()
        theirs.close()

    def greet(self) -> None:
        """Takes what it says of its start: None when it listens, then what is wrong with it, "" for nothing."""
        try:
            problem: str | None = json.loads(self.connection.recv_bytes())
            if problem is None:
                self.connection.send_bytes(to_bytes(self._encode))
                return
        except (EOFError, OSError):
            problem = "one ended at once; scripts that use workers begin their work under if __name__ == '__main__'"
        if problem:
            self.stop()
            raise OSError(f"worker processes must start, but did not ({problem}); or use 1 worker")
        self.ready = True

    def stop(self) -> int:
        """Ends the process at once; its exit code."""
        self.connection.close()
        self._process.kill()
        self._process.join()
        return self._process.exitcode or 0


class _Processes(Team[_Worker]):
    def __init__(self, encode: TableEncoder, size: int) -> None:
        self.size, self._encode = size, encode
        self._workers: list[_Worker] = []

    def __enter__(self) -> _Processes:
        try:
            for _ in range(self.size):
                self._workers.append(_Worker(self._encode))
        except BaseException:  # Ctrl-C, too
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()

    def free(self) -> Sequence[_Worker]:
        return [worker for worker in self._workers if worker.ready and not worker.busy]

    def give(self, worker: _Worker, table: pa.Table) -> None:
        worker.busy = True
        with contextlib.suppress(OSError):  # it died; `take` will see that
            worker.connection.send_bytes(_packed(table))

    def wait(self) -> Sequence[_Worker]:
        waited = {worker.connection: worker for worker in self._workers if worker.busy or not worker.ready}
        said = [waited[connection] for connection in wait(list(waited))]  # type: ignore[index]
        for worker in said:
            if not worker.ready:
                worker.greet()
        return [worker for worker in said if worker.busy]

    def take(self, worker: _Worker) -> pa.Table:
        worker.busy = False
        try:
            kind, *_ = answer = worker.connection.recv_bytes()
        except (EOFError, OSError):
            code = worker.stop()
            worker.start()
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            raise Lost(
                f"the process that encoded it was ended {how}: too little memory, or a fault in what reads it"
            ) from None
        if kind == _PROBLEM[0]:
            raise ValueError(answer[1:].decode())
        return _unpacked(answer[1:])


def _serve(connection: Connection) -> None:
    """A worker: says that it listens, then that it is ready, or why not; then answers tables until nobody asks more."""
    torch.set_num_threads(1)
    connection.send_bytes(json.dumps(None).encode())
    try:
        encode: TableEncoder = from_bytes(connection.recv_bytes())
        encode.open()
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent has to tell it
        connection.send_bytes(json.dumps(sentence(error)).encode())
        return
    connection.send_bytes(json.dumps("").encode())
    with contextlib.suppress(EOFError, OSError):  # the parent went away
        while True:
            table = _unpacked(connection.recv_bytes())
            try:
                answer = _TABLE + _packed(encode(table))
            except ValueError as error:  # of the table as a whole
                answer = _PROBLEM + sentence(error).encode()
            connection.send_bytes(answer)


def _packed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _unpacked(data: bytes) -> pa.Table:
    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()


@contextlib.contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
