"""RayCluster: a cluster of Ray as an engine (extra ``tokenmask[ray]``).

Arrow: tables --**RayCluster**--> token tables. Does not know: items, where tables come from, order.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from tokenmask.corpus.engines.encoder import TableEncoder
from tokenmask.corpus.engines.team import Lost, Team, check_workers, in_order
from tokenmask.corpus.items import sentence
from tokenmask.threads import usable_cores

REACH_SECONDS = 10.0  # until a cluster takes a connection
STARTS = 3  # actors that may be lost in the place of one before it has started


@dataclass(frozen=True)
class RayCluster:
    """Actors of Ray, each of one CPU, each with the tokenizers opened once.

    An actor that dies costs the item that killed it, on a second try too, and no other; what a lost machine had in hand
    is done by others. Media that are paths must be readable on every machine, and tokenmask installed there.

    Args:
        address: of a running cluster ("auto", "HOST:6379", "ray://HOST:10001"); None is the one that this process is
            connected to, or one on this machine that ends with the work.
        workers: how many actors; None is one for each CPU of the cluster.
    """

    address: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        check_workers(self.workers, "CPU")
        if self.address is not None and not isinstance(self.address, str):
            raise TypeError(
                f'address must be that of a cluster, such as "auto", got {self.address!r}; write it as words'
            )

    @property
    def size(self) -> int:
        """How many actors it has, or what this machine would have before it is connected."""
        return self.workers or usable_cores()

    def map(self, encode: TableEncoder, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The answers of ``encode`` to tables, in order.

        Raises:
            ValueError: Ray is not installed, no cluster answers at the address, or a machine cannot open a tokenizer.
            OSError: the cluster was lost.
        """
        with _connected(self.address) as ray:
            size = self.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
            with _Actors(ray, encode, size) as team:
                try:
                    yield from in_order(team, tables, encode.refuse)
                except (ray.exceptions.RaySystemError, ConnectionError) as error:
                    raise OSError(
                        f"the Ray cluster must stay until all is encoded, but was lost ({sentence(error)}); what was "
                        "encoded is kept: start it and run the same again to go on"
                    ) from error


@contextlib.contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Ray, connected; what was connected or started here ends here."""
    try:
        import ray
    except ImportError as error:
        raise ValueError(
            "the engine ray needs Ray, which is not installed here; pip install 'tokenmask[ray]'"
        ) from error
    if ray.is_initialized():
        if address is not None:
            raise ValueError(
                f"this process is connected to a cluster of Ray already, got the address {address!r} besides; "
                "leave it away, or call ray.shutdown() before"
            )
        yield ray
        return
    try:
        _reach(address)
        ray.init(address=address, include_dashboard=False if address is None else None, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"a cluster of Ray must answer at {address or 'this machine'}, but did not ({sentence(error)}); start it "
            "with `ray start --head`, or correct the address"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _reach(address: str | None) -> None:
    """OSError unless something listens at HOST:PORT: Ray would wait for it, and then end this whole process.

    Words ("auto", "local") are Ray's.
    """
    host, colon, port = (address or "").rpartition("://")[2].rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()


class _Encoder:
    """What an actor runs."""

    def __init__(self, encode: TableEncoder, folder: str) -> None:
        self._encode, self._folder = encode, folder

    def ready(self) -> None:
        """Opens the tokenizers."""
        torch.set_num_threads(1)
        with contextlib.suppress(OSError):  # paths may be relative to it; another machine need not have it
            os.chdir(self._folder)
        self._encode.open()

    def encode(self, table: pa.Table) -> pa.Table:
        """The answer to a table."""
        return self._encode(table)


@dataclass(eq=False)
class _Worker:
    """One actor, what it was asked last, and whether that is no more than to be ready."""

    actor: Any
    asked: Any  # a reference of Ray, or None where it is free
    starting: bool = True


class _Actors(Team[_Worker]):
    def __init__(self, ray: Any, encode: TableEncoder, size: int) -> None:
        self.size, self._ray = size, ray
        self._kind = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Encoder)
        self._encode = ray.put(encode)
        self._workers: list[_Worker] = []
        self._lost_at_start = 0  # one after the other

    def __enter__(self) -> _Actors:
        self._workers = [self._start() for _ in range(self.size)]
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            with contextlib.suppress(Exception):  # the cluster may be gone
                self._ray.kill(worker.actor)

    def _start(self) -> _Worker:
        actor = self._kind.remote(self._encode, os.getcwd())
        return _Worker(actor, actor.ready.remote())

    def _again(self, worker: _Worker) -> None:
        """Starts another in its place, on whichever machine has a CPU for it."""
        new = self._start()
        worker.actor, worker.asked, worker.starting = new.actor, new.asked, True

    def free(self) -> Sequence[_Worker]:
        return [worker for worker in self._workers if worker.asked is None]

    def give(self, worker: _Worker, table: pa.Table) -> None:
        worker.asked = worker.actor.encode.remote(table)

    def wait(self) -> Sequence[_Worker]:
        asked = {worker.asked: worker for worker in self._workers if worker.asked is not None}
        done, _ = self._ray.wait(list(asked), num_returns=1)
        answered = [asked[one] for one in done]
        for worker in answered:
            if worker.starting:
                self._greet(worker)
        return [worker for worker in answered if not worker.starting and worker.asked is not None]

    def _greet(self, worker: _Worker) -> None:
        errors = self._ray.exceptions
        try:
            self._ray.get(worker.asked)
        except errors.RayTaskError as error:
            raise ValueError(f"every machine must open the tokenizers, but one did not ({_cause(error)})") from error
        except errors.RayActorError as error:
            self._lost_at_start += 1
            if self._lost_at_start > STARTS * self.size:
                raise OSError(f"actors of Ray must start, but were lost before ({_last(error)})") from error
            self._again(worker)
        else:
            worker.asked, worker.starting, self._lost_at_start = None, False, 0

    def take(self, worker: _Worker) -> pa.Table:
        errors = self._ray.exceptions
        asked, worker.asked = worker.asked, None
        try:
            return self._ray.get(asked)
        except errors.RayTaskError as error:
            raise ValueError(_cause(error)) from error
        except (errors.RayActorError, errors.ObjectLostError) as error:
            self._again(worker)
            reason = "the process that encoded it was ended: too little memory, or a fault in what reads it"
            raise Lost(reason, blamed="node has died" not in str(error)) from error


def _cause(error: Any) -> str:
    """What was raised in an actor, in a sentence."""
    cause = getattr(error, "cause", None)
    return sentence(cause if isinstance(cause, Exception) else error)


def _last(error: Exception) -> str:
    """The last line of what Ray says, which has the reason."""
    return str(error).strip().splitlines()[-1].strip()
