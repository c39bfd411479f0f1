"""Encoding of many items, here or in worker processes: the same streams in the same order either way.

Arrow: Item --**encode_items**--> TokenStreams of each item, or the reason why there are none.
Does not know: where media come from, where streams go, any modality.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import tempfile
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from tokenmask.corpus.records import JSON, TRAIN
from tokenmask.streams import TokenStream
from tokenmask.telling import tell
from tokenmask.threads import free_cores, usable_cores
from tokenmask.tokenizer import Tokenizer, load_tokenizer

ITEMS_AT_ONCE = 16  # encoded together
_IN_HAND = 4  # chunks a worker that are given out or wait for those before them
_FEW = 100  # items that are encoded before the workers have started
_CONTEXT = get_context("spawn")  # a fork would copy the locks of torch's threads

Streams = dict[str, TokenStream]


@dataclass(frozen=True)
class Item:
    """What becomes one record.

    Args:
        key: unique in the corpus; an item whose key is there already is skipped.
        media: stream name -> media, or a function without arguments that loads it when its turn comes.
        split: "train" or "held-out"; decide by file, speaker or clip, never by window.
        metadata: kept with the record.
    """

    key: str
    media: Mapping[str, Any]
    split: str = TRAIN
    metadata: Mapping[str, JSON] = field(default_factory=dict)


def encode_items(
    items: Iterable[Item], tokenizers: Mapping[str, Tokenizer], *, workers: int = 1
) -> Iterator[tuple[Item, Streams | Exception]]:
    """Encodes items in order; what fails becomes the reason instead of streams.

    The streams do not depend on ``workers``. A worker that dies (a fault in a decoder, no memory) costs the item that
    killed it and no other. Workers end with this process, however it ends.

    Args:
        items: any iterable; read once, a few at a time. For several workers their media must be picklable: media
            objects, or functions found by name.
        tokenizers: stream name -> the tokenizer of that stream; an item may lack streams.
        workers: processes; 1 encodes in this one.

    Raises:
        ValueError: ``workers`` is not positive, or the items cannot be sent to workers.
        OSError: workers cannot be started.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if workers == 1:
        for chunk in _chunks(items, ITEMS_AT_ONCE):
            yield from zip(chunk, _encode(chunk, tokenizers), strict=True)
        return
    # A chunk is small where there are few items, so that each worker gets some.
    size = max(1, min(ITEMS_AT_ONCE, len(items) // (_IN_HAND * workers))) if isinstance(items, Sized) else ITEMS_AT_ONCE
    with tempfile.TemporaryDirectory(prefix="tokenmask-") as scratch, contextlib.ExitStack() as stack:
        folders = _folders(tokenizers, Path(scratch))
        team = [_Worker(folders) for _ in range(workers)]
        for worker in team:
            stack.callback(worker.stop)
        for item, result in _in_workers(_chunks(items, size), team):
            if isinstance(result, str):
                yield item, ValueError(result)
            else:
                yield item, {name: _unpacked(tokenizers[name], *parts) for name, parts in result.items()}


def usual_workers(count: int) -> int:
    """Worker processes for that many items: one for each core this process may use, one alone below a hundred items."""
    return 1 if count < _FEW else usable_cores()


def sentence(error: Exception) -> str:
    """The first line of an error, with its kind unless that is ValueError, or a sentence about its file."""
    text = str(error).strip()
    line = text.splitlines()[0] if text else "no reason given"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be read ({error.strerror}); check the path"
    return line if isinstance(error, ValueError) else f"{type(error).__name__}: {line}"


# One chunk ------------------------------------------------------------------------------------------------------------


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


@free_cores()
def _encode(items: Sequence[Item], tokenizers: Mapping[str, Tokenizer]) -> list[Streams | Exception]:
    """The streams of each item, or why there are none."""
    results: list[Streams | Exception] = [{} for _ in items]
    media: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        try:
            media.append(_load(item, tokenizers))
        except Exception as error:  # noqa: BLE001 - a loader is foreign code and may raise anything
            media.append({})
            results[index] = error
    for name, tokenizer in tokenizers.items():
        having = [index for index, loaded in enumerate(media) if name in loaded]
        for index, stream in zip(having, _streams(tokenizer, [media[index][name] for index in having]), strict=True):
            result = results[index]
            if isinstance(stream, Exception):
                results[index] = stream
            elif not isinstance(result, Exception):
                result[name] = stream
    return results


def _load(item: Item, tokenizers: Mapping[str, Tokenizer]) -> dict[str, Any]:
    unknown = sorted(set(item.media) - set(tokenizers))
    if unknown or not item.media:
        raise ValueError(f"an item needs media for some of the streams {sorted(tokenizers)}, got {sorted(item.media)}")
    return {name: media() if callable(media) else media for name, media in item.media.items()}


def _streams(tokenizer: Tokenizer, media: Sequence[Any]) -> list[TokenStream | Exception]:
    try:
        return list(tokenizer.encode_many(media)) if media else []
    except Exception as error:  # noqa: BLE001 - which of the items it was, the loop below finds out
        if len(media) == 1:
            return [error]
    results: list[TokenStream | Exception] = []
    for one in media:
        results += _streams(tokenizer, [one])
    return results


# Worker processes -----------------------------------------------------------------------------------------------------

_Packed = dict[str, tuple[Any, float, Mapping[str, tuple[str, ...]]]]  # what a TokenStream is besides its spec


def _folders(tokenizers: Mapping[str, Tokenizer], scratch: Path) -> dict[str, str]:
    """Stream name -> a folder with its tokenizer; one that several streams share is written once."""
    written: dict[int, str] = {}
    for tokenizer in tokenizers.values():
        if id(tokenizer) not in written:
            tokenizer.save(scratch / str(len(written)))
            written[id(tokenizer)] = str(scratch / str(len(written)))
    return {name: written[id(tokenizer)] for name, tokenizer in tokenizers.items()}


def _serve(connection: Connection, folders: Mapping[str, str]) -> None:
    """A worker: says that it is ready, or why not; then answers each list of items until nobody asks any more."""
    torch.set_num_threads(1)
    try:
        opened = {folder: load_tokenizer(folder) for folder in dict.fromkeys(folders.values())}
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent has to tell it
        connection.send(sentence(error))
        return
    tokenizers = {name: opened[folder] for name, folder in folders.items()}
    connection.send("")
    with contextlib.suppress(EOFError, OSError):  # the parent went away
        while True:
            items = connection.recv()
            with warnings.catch_warnings(record=True) as told:  # the parent says them, once and in its own way
                results = _encode(items, tokenizers)
            connection.send(([_packed(result) for result in results], [str(one.message) for one in told]))


def _packed(result: Streams | Exception) -> _Packed | str:
    if isinstance(result, Exception):
        return sentence(result)
    # As bytes of numpy: a tensor would travel as a piece of shared memory with a file handle of its own.
    return {name: (one.codes.cpu().numpy(), one.start_seconds, dict(one.labels)) for name, one in result.items()}


def _unpacked(tokenizer: Tokenizer, codes: Any, start_seconds: float, labels: Mapping[str, Any]) -> TokenStream:
    return TokenStream(tokenizer.spec, torch.from_numpy(codes), start_seconds, labels)


@dataclass(eq=False)
class _Task:
    """A chunk, and what is known of its items."""

    items: list[Item]
    results: list[_Packed | str | None]


_Part = tuple[_Task, int, int]  # some neighbouring items of a task


class _Worker:
    """One process, and what it is working on."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        self._folders = folders
        self.part: _Part | None = None
        self._start()

    def _start(self) -> None:
        self.connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(theirs, self._folders), daemon=True)
        resource_tracker.ensure_running()  # it would unblock the signal between the next two lines
        with _ctrl_c_blocked():  # workers inherit that: Ctrl-C is for the parent alone
            self._process.start()
        theirs.close()
        try:
            problem = str(self.connection.recv())
        except EOFError:
            problem = "one ended at once; scripts that use workers begin their work under if __name__ == '__main__'"
        if problem:
            self.stop()
            raise OSError(f"worker processes must start, but did not ({problem}); or use 1 worker")

    def stop(self) -> None:
        """Ends the process at once."""
        self.connection.close()
        self._process.kill()
        self._process.join()

    def give(self, part: _Part) -> None:
        """Sends items to it."""
        task, start, stop = self.part = part
        try:
            self.connection.send(task.items[start:stop])
        except OSError:  # it died; `take` will see that
            return
        except Exception as error:
            raise ValueError(
                f"media for several workers must be picklable, got {sentence(error)}; use functions that are found by "
                "name, or 1 worker"
            ) from error

    def take(self) -> list[_Part]:
        """Stores its answer; if it died instead, starts it anew and returns the parts that are to be tried again."""
        assert self.part is not None
        (task, start, stop), self.part = self.part, None
        try:
            answer: list[_Packed | str]
            answer, told = self.connection.recv()
        except (EOFError, OSError):
            self.stop()
            code = self._process.exitcode or 0
            self._start()
            if stop - start > 1:
                return [(task, index, index + 1) for index in range(start, stop)]
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            answer = [f"the process that encoded it was ended {how}: too little memory, or a fault in what reads it"]
            told = []
        task.results[start:stop] = answer
        for words in told:
            tell(words)
        return []


def _in_workers(chunks: Iterator[list[Item]], team: Sequence[_Worker]) -> Iterator[tuple[Item, _Packed | str]]:
    """The items of all chunks in order, each with its result."""
    tasks: deque[_Task] = deque()
    again: deque[_Part] = deque()

    def next_part() -> _Part | None:
        if again:
            return again.popleft()
        chunk = next(chunks, None) if len(tasks) < _IN_HAND * len(team) else None
        if chunk is None:
            return None
        tasks.append(_Task(chunk, [None] * len(chunk)))
        return tasks[-1], 0, len(chunk)

    while True:
        for worker in team:
            if worker.part is None and (part := next_part()) is not None:
                worker.give(part)
        busy = {worker.connection: worker for worker in team if worker.part is not None}
        if not busy:
            return
        for connection in wait(list(busy)):
            again += busy[connection].take()  # type: ignore[index]
        while tasks and all(result is not None for result in tasks[0].results):
            task = tasks.popleft()
            for item, result in zip(task.items, task.results, strict=True):
                assert result is not None
                yield item, result


@contextlib.contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
