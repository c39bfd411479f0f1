"""Fitting: the step loop and its checkpoints, for tokenizers' ``fit`` and for the Trainer alike.

Arrow: a task that can do one step --fit--> metrics of every step and a checkpoint that resumes bit for bit.
Does not know: models, tokens, batches. A task is anything with ``step``, ``state`` and ``load_state``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import signal
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

import torch
from torch import Tensor

from tokenmask.checkpoints import CHECKPOINT_FILE, Checkpoints, OneFile
from tokenmask.files import hold
from tokenmask.processes import Processes, part_of
from tokenmask.progress import progress_bar
from tokenmask.threads import look_again, steady_threads

METRICS_FILE = "metrics.jsonl"

__all__ = [
    "CHECKPOINT_FILE",
    "METRICS_FILE",
    "Fitting",
    "Interrupted",
    "fit",
    "load_optimizer_tensors",
    "optimizer_tensors",
    "step_generator",
]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during :func:`fit`; the text says what was kept and how to go on."""


class Fitting(Protocol):
    """What :func:`fit` drives. Everything random in a step must follow from its index and from seeds in the task."""

    def step(self, index: int) -> dict[str, float]:
        """Does optimisation step ``index`` (from 0) and returns its metrics, finite floats; "loss" is shown."""
        ...

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that must survive a kill: tensors, and values that JSON can hold."""
        ...

    def load_state(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Takes back what :meth:`state` gave; raises ValueError when it belongs to another configuration."""
        ...


# Optimiser state as flat tensors --------------------------------------------------------------------------------------


def optimizer_tensors(optimizer: torch.optim.Optimizer, prefix: str = "optimizer.") -> dict[str, Tensor]:
    """The optimiser's state as ``{prefix}{index of the parameter}.{name}``; for AdamW step, exp_avg and exp_avg_sq.

    Learning rates and other settings are not in it: they belong to the configuration and the step index.
    """
    state = optimizer.state_dict()["state"]
    return {f"{prefix}{index}.{name}": value for index, values in state.items() for name, value in values.items()}


def load_optimizer_tensors(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], prefix: str = "optimizer."
) -> None:
    """Takes back what :func:`optimizer_tensors` gave; other names in ``tensors`` are passed over.

    Raises:
        ValueError: the state is of an optimiser with other parameters.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if not key.startswith(prefix):
            continue
        number, _, name = key.removeprefix(prefix).partition(".")
        index = int(number) if number.isdigit() else -1
        if not 0 <= index < len(parameters) or value.dim() not in (0, parameters[index].dim()):
            raise ValueError(
                f"optimiser state must fit the {len(parameters)} parameters, got {key}; resume the same model"
            )
        if value.dim() and value.shape != parameters[index].shape:
            shapes = f"{list(value.shape)} for {list(parameters[index].shape)}"
            raise ValueError(f"optimiser state must fit the parameters, got {key} {shapes}; resume the same model")
        # Sharded parameters have sharded states of their shape; others (a count of steps) are whole everywhere.
        state.setdefault(index, {})[name] = part_of(value, parameters[index]) if value.dim() else value.clone()
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def step_generator(seed: int, step: int, purpose: str = "") -> torch.Generator:
    """A CPU generator that depends on (seed, step, purpose) only, so a resumed step draws what it drew before."""
    digest = hashlib.sha256(f"{seed}|{step}|{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "little"))


# The loop -------------------------------------------------------------------------------------------------------------


@steady_threads()
def fit(
    task: Fitting,
    *,
    steps: int,
    folder: str | Path | None = None,
    checkpoint_every: int = 100,
    label: str = "fitting",
    progress: bool = True,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    processes: Processes | None = None,
    checkpoints: Checkpoints | None = None,
) -> list[dict[str, float]]:
    """Runs a task's steps, from its checkpoint if the folder has one, and keeps what is needed to go on.

    ``folder`` holds ``checkpoint.safetensors`` and ``metrics.jsonl`` (one line a step). On resume the metrics are cut
    back to the checkpoint, so a run that was killed and resumed leaves the same bytes as one that was never stopped.
    Ctrl-C lets the running step end, writes a checkpoint and raises :class:`Interrupted`; a second one stops at once.

    Args:
        task: see :class:`Fitting`.
        steps: how many steps the whole run has, those before a resume included.
        folder: None keeps nothing.
        checkpoint_every: steps between checkpoints; there is one at the end in any case.
        label: names the run in the progress bar and in messages.
        progress: a bar on stderr if that is a terminal, else a line for every tenth of the run.
        on_step: called with (index, metrics) after each new step.
        processes: those that do the steps together; the first writes and shows, and a Ctrl-C in any stops all of them
            after the same step. ``state`` is called in all, only the first one's is kept. None: this one alone.
        checkpoints: how they are written and found; None is one file, by the first process.

    Returns:
        The metrics of every step, those before a resume included.

    Raises:
        ValueError: the checkpoint is damaged or of another run, a metric is not finite, or the processes do not see the
            same folder.
        OSError: a checkpoint could not be written; the one before it is still there.
        Interrupted: after Ctrl-C.
    """
    if steps < 0 or checkpoint_every < 1:
        raise ValueError(
            f"fit needs steps >= 0 and checkpoint_every >= 1, got {steps} and {checkpoint_every}; raise them"
        )
    processes = processes or Processes()
    with contextlib.ExitStack() as stack:
        record = None
        if folder is not None:
            record = _Record(Path(folder), label, processes, checkpoints or OneFile())
            stack.callback(record.close)
        history = record.resume(task, steps) if record is not None else []
        found = set(processes.gather(len(history)))
        if len(found) > 1:
            raise ValueError(
                f"every process must see the same {folder}, but they found steps {sorted(found)} in it; choose a "
                "folder that all machines share"
            )
        show = stack.enter_context(progress_bar(label, steps, len(history), progress and processes.first))
        pressed = stack.enter_context(_ctrl_c_noted())
        in_step, stop = False, False
        try:
            for index in range(len(history), steps):
                look_again()
                in_step = True
                metrics = {name: float(value) for name, value in task.step(index).items()}
                in_step = False
                for name, value in metrics.items():
                    if not math.isfinite(value):
                        kept = "" if record is None else f" ({record.kept()})"
                        raise ValueError(
                            f"every metric of {label} must be finite, but {name} is {value} at step {index}{kept}; "
                            "try a lower learning rate, gradient clipping, or look for broken items in the data"
                        )
                history.append(metrics)
                if record is not None:
                    record.append(index, metrics)
                if on_step is not None:
                    on_step(index, metrics)
                show(index + 1, metrics.get("loss"))
                stop = processes.any(pressed.is_set())
                if stop:
                    raise KeyboardInterrupt
                if record is not None and ((index + 1) % checkpoint_every == 0 or index + 1 == steps):
                    record.checkpoint(task, index + 1)
        except KeyboardInterrupt as error:
            if record is None:
                raise Interrupted(f"{label} stopped after {len(history)} of {steps} steps; nothing was kept") from error
            if not in_step and (stop or processes.size == 1):  # of several, all must be at the same step
                record.checkpoint(task, len(history))
            raise Interrupted(
                f"{label} stopped after {len(history)} of {steps} steps ({record.kept()}); "
                "run the same command again to go on"
            ) from error
    return history


class _Record:
    """The files of one run: a checkpoint and the metrics that lead up to it and beyond."""

    def __init__(self, folder: Path, label: str, processes: Processes, checkpoints: Checkpoints) -> None:
        self.folder, self.label, self.processes, self.checkpoints = folder, label, processes, checkpoints
        self.last_step: int | None = None
        self.metrics: IO[bytes] | None = None
        if not processes.first:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # A link is not followed: it could lead to any file, which would then be cut.
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self.metrics = os.fdopen(os.open(folder / METRICS_FILE, flags, 0o666), "a+b", buffering=0)
        except OSError as error:
            raise OSError(
                f"{folder} must be a folder in which {METRICS_FILE} can be written ({error.strerror}); choose another"
            ) from error
        if not hold(self.metrics):
            self.metrics.close()
            raise ValueError(
                f"{folder} may be used by one run at a time, but another process is fitting in it; wait for it"
            )
        self.checkpoints.clean(folder)

    def close(self) -> None:
        try:
            self.checkpoints.finish()
        finally:
            if self.metrics is not None:
                self.metrics.close()

    def resume(self, task: Fitting, steps: int) -> list[dict[str, float]]:
        """Loads the checkpoint into the task, cuts the metrics back to it and returns them."""
        found = self.checkpoints.newest(self.folder)
        if found is None:
            self._cut(0)
            return []
        path, tensors, about = found
        try:
            step, size, own = int(about["step"]), int(about["metrics_bytes"]), about["task"]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} must be a checkpoint of a fit, but it lacks {error}; choose another folder"
            ) from error
        if step > steps:
            raise ValueError(
                f"{path} is at step {step}, beyond the {steps} asked for; ask for more or choose another folder"
            )
        kept = (self.folder / METRICS_FILE).read_bytes()[:size]
        lines = kept.decode(errors="replace").splitlines()
        if len(kept) != size or len(lines) != step:
            raise ValueError(
                f"{self.folder / METRICS_FILE} must hold the {step} steps of the checkpoint, got {len(lines)}; "
                "put it back or start in an empty folder"
            )
        history = [{name: value for name, value in json.loads(line).items() if name != "step"} for line in lines]
        task.load_state(tensors, own)
        self._cut(size)
        self.last_step = step
        return history

    def append(self, index: int, metrics: Mapping[str, float]) -> None:
        if self.metrics is not None:
            try:
                self.metrics.write((json.dumps({"step": index, **metrics}) + "\n").encode())
            except OSError as error:
                path = self.folder / METRICS_FILE
                raise OSError(
                    f"{path} could not be written ({error.strerror}); free some space and run again"
                ) from error

    def checkpoint(self, task: Fitting, step: int) -> None:
        about: dict[str, Any] | None = None
        if self.metrics is not None:
            os.fsync(self.metrics.fileno())  # the metrics of a checkpoint must not be lost after it
            about = {"step": step, "metrics_bytes": self.metrics.tell(), "label": self.label}
        self.checkpoints.save(self.folder, task, about)
        self.processes.wait()  # none goes on before the checkpoint stands
        self.last_step = step

    def kept(self) -> str:
        path = self.checkpoints.place(self.folder)
        return "no checkpoint yet" if self.last_step is None else f"{path} holds step {self.last_step}"

    def _cut(self, size: int) -> None:
        if self.metrics is not None:
            self.metrics.truncate(size)
            self.metrics.seek(0, os.SEEK_END)


@contextlib.contextmanager
def _ctrl_c_noted() -> Iterator[threading.Event]:
    """While open, the first Ctrl-C only sets the event, so that no step is cut in half; the second one raises."""
    pressed = threading.Event()
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield pressed
        return

    def note(number: int, frame: types.FrameType | None) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
