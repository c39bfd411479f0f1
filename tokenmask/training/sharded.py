"""ShardedCheckpoints: every process writes its own part, while training goes on (torch.distributed.checkpoint).

Arrow: state of a Trainer --**ShardedCheckpoints**--> a folder of safetensors, and the file that names it.
Does not know: models, optimisers, steps.

``checkpoints/step-N`` holds a file of each process; tensors that all of them hold are written by one. The folder counts
when ``checkpoint.json`` names it, which the first process writes when all files are whole. Any number of processes, in
shards or not, goes on from it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import warnings
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from tokenmask.checkpoints import Found, OneFile
from tokenmask.files import sync_folder, write_text_atomic
from tokenmask.processes import Processes

FOLDER, NAMES = "checkpoints", "checkpoint.json"
_FORMAT = 1
_ALONE = "torch.distributed is disabled"  # how a warning of torch begins


class HasParts(Protocol):
    """What is kept of a task, each process its part."""

    def state_parts(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """As ``state``, with sharded tensors as they are."""
        ...


class ShardedCheckpoints:
    """Checkpoints of some processes, for :func:`tokenmask.fitting.fit`; :class:`OneFile` is found and gone on from too.

    A save copies the tensors and returns; files are written by a thread, and finished before the next save begins. So a
    run that is killed loses at most the steps since the save before.

    Args:
        processes: those that save together; each makes one of these.
    """

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._group = dist.new_group(backend="gloo") if processes.size > 1 else None  # threads talk beside the steps
        self._pending: Future[Any] | None = None
        self._published = threading.Event()
        self._problem: Exception | None = None

    def place(self, folder: Path) -> Path:
        """The file that names the newest."""
        return folder / NAMES

    def clean(self, folder: Path) -> None:
        """Takes away files of saves that were never finished."""
        OneFile().clean(folder)
        kept = _named(folder)
        for path in (folder / FOLDER).glob("*"):
            if kept is None or path.name != kept["folder"]:
                shutil.rmtree(path, ignore_errors=True)

    def newest(self, folder: Path) -> Found | None:
        """See :func:`newest`."""
        return newest(folder)

    def save(self, folder: Path, task: Any, about: dict[str, Any] | None) -> None:
        """Keeps a task while it goes on.

        Raises:
            OSError: the save before this one could not be written.
        """
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
        from torch.distributed.checkpoint.state_dict_saver import async_save

        self.finish()
        kept: HasParts = task
        tensors, own = kept.state_parts()
        copies = {name: value.detach().clone() for name, value in tensors.items()}  # the next step changes them
        step = self._processes.gather(about)[0]["step"]
        name = f"step-{step:08d}"
        target = folder / FOLDER / name
        if self._processes.first:
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
        self._processes.wait()
        writer = HuggingFaceStorageWriter(str(target), save_distributed=True)
        self._published, self._problem = threading.Event(), None
        if self._processes.size == 1:  # for the thread, too; that one process saves alone is meant
            warnings.filterwarnings("ignore", _ALONE, UserWarning)
        pending = async_save(
            copies, storage_writer=writer, process_group=self._group, no_dist=self._processes.size == 1
        )
        assert isinstance(pending, Future)
        self._pending = pending
        pending.add_done_callback(lambda done: self._publish(done, folder, name, about and {**about, "task": own}))

    def finish(self) -> None:
        """Returns when the last save stands.

        Raises:
            OSError: it could not be written.
        """
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        self._published.wait()
        problem = pending.exception() or self._problem
        if problem is not None:
            reason = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
            raise OSError(f"a checkpoint could not be written ({reason}); the one before it stands: free some space")

    def _publish(self, done: Future[Any], folder: Path, name: str, about: dict[str, Any] | None) -> None:
        """In the thread that wrote, when all processes have: the first one names the folder and forgets the others."""
        try:
            if about is not None and done.exception() is None:
                target = folder / FOLDER / name
                sync_folder(target)
                files = {file.name: file.stat().st_size for file in sorted(target.glob("*.safetensors"))}
                text = json.dumps({"format": _FORMAT, **about, "folder": name, "files": files}, indent=2) + "\n"
                write_text_atomic(self.place(folder), text)
                for path in (folder / FOLDER).glob("*"):
                    if path.name != name:
                        shutil.rmtree(path, ignore_errors=True)
        except Exception as error:  # noqa: BLE001 - `finish` tells it
            self._problem = error
        finally:
            self._published.set()


class Newest(OneFile):
    """One file, after whichever checkpoint is newest."""

    def newest(self, folder: Path) -> Found | None:
        """See :func:`newest`."""
        return newest(folder)


def newest(folder: Path) -> Found | None:
    """The newest checkpoint of a folder, with whole tensors; of one file or of many.

    Raises:
        ValueError: files that are missing or cut short.
    """
    about, whole = _named(folder), OneFile().newest(folder)
    if about is None or (whole is not None and int(whole[2]["step"]) > int(about["step"])):
        return whole
    path = folder / FOLDER / about["folder"]
    found = {file.name: file.stat().st_size for file in path.glob("*.safetensors")} if path.is_dir() else {}
    if found != about["files"]:
        raise ValueError(
            f"{path} must hold the files that {folder / NAMES} names, whole, but {_odd(found, about['files'])} is not; "
            "use a backup"
        )
    return folder / NAMES, _read(path), about


def _named(folder: Path) -> dict[str, Any] | None:
    path = folder / NAMES
    if not path.exists():
        return None
    with contextlib.suppress(ValueError, KeyError, TypeError):
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if about["format"] == _FORMAT and {"folder", "files", "step"} <= about.keys():
            return about
    raise ValueError(f"{path} must name a checkpoint of this tokenmask, but does not; use a backup")


def _odd(found: dict[str, int], named: dict[str, int]) -> str:
    return next(name for name in sorted(found.keys() | named.keys()) if found.get(name) != named.get(name))


def _read(path: Path) -> dict[str, Tensor]:
    """Whole tensors of all files, on the CPU."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata
    from torch.distributed.checkpoint.state_dict_loader import load

    try:
        reader = HuggingFaceStorageReader(str(path))
        known = reader.read_metadata().state_dict_metadata
        tensors = {
            name: torch.empty(one.size, dtype=one.properties.dtype)
            for name, one in known.items()
            if isinstance(one, TensorStorageMetadata)
        }
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", _ALONE, UserWarning)
            load(tensors, storage_reader=HuggingFaceStorageReader(str(path)), no_dist=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} must hold whole safetensors, but reading failed ({reason}); use a backup") from error
    return tensors
