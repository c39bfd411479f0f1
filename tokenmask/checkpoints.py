"""Checkpoints: how the state of a task is kept while it is fitted, and found again.

Arrow: state of a task --**Checkpoints.save**--> files --**newest**--> the same. Does not know: steps, metrics, models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from tokenmask.tensor_files import load_tensors, save_tensors

CHECKPOINT_FILE = "checkpoint.safetensors"
Found = tuple[Path, dict[str, Tensor], dict[str, Any]]


class HasState(Protocol):
    """What is kept of a task."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors, and values that JSON can hold."""
        ...


class Checkpoints(Protocol):
    """How :func:`tokenmask.fitting.fit` keeps a task; every process has one, and calls it at the same steps."""

    def place(self, folder: Path) -> Path:
        """What a message names."""
        ...

    def clean(self, folder: Path) -> None:
        """Takes away what was begun and never finished; the first process alone calls it, and nobody else writes."""
        ...

    def newest(self, folder: Path) -> Found | None:
        """(place, tensors of the task, about with "task" beside what was saved), or None where there is none."""
        ...

    def save(self, folder: Path, task: HasState, about: dict[str, Any] | None) -> None:
        """Keeps a task, now or while it goes on; ``about`` is JSON in the first process, None in others."""
        ...

    def finish(self) -> None:
        """Returns when all that was saved stands."""
        ...


class OneFile:
    """``checkpoint.safetensors`` with whole tensors, written by the first process while the others wait."""

    def place(self, folder: Path) -> Path:
        return folder / CHECKPOINT_FILE

    def clean(self, folder: Path) -> None:
        for stale in folder.glob(f".{CHECKPOINT_FILE}.*.partial"):
            stale.unlink(missing_ok=True)

    def newest(self, folder: Path) -> Found | None:
        path = self.place(folder)
        if not path.exists():
            return None
        tensors, about = load_tensors(path)
        return path, {name.removeprefix("task."): value for name, value in tensors.items()}, about

    def save(self, folder: Path, task: HasState, about: dict[str, Any] | None) -> None:
        tensors, own = task.state()
        if about is not None:
            save_tensors(self.place(folder), {f"task.{k}": v for k, v in tensors.items()}, {**about, "task": own})

    def finish(self) -> None:
        pass
