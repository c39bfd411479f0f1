"""Recording: the steps of a generation, kept in a file, and shown again without a model.

Arrow: Filling, Filling, ... --**Recording**--> file --**Recording.load**--> the same. Does not know: media, models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from tokenmask.generation.watching import Filling
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tensor_files import load_tensors, save_tensors

_KIND = "recording of a generation"
SUFFIX = ".safetensors"


class Recording:
    """What stood after each step: ``run.generate(..., on_step=recording)`` fills one.

    Iterating gives the steps in the order in which they were taken, as :class:`~tokenmask.generation.Filling`.
    """

    def __init__(self) -> None:
        self._steps: list[Filling] = []

    def __call__(self, now: Filling) -> None:
        """Takes a step up."""
        self._steps.append(now)

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[Filling]:
        return iter(self._steps)

    def of(self, request: int) -> list[Filling]:
        """The steps of one request, by its number."""
        return [one for one in self._steps if one.request == request]

    def replay(self, on_step: Callable[[Filling], None]) -> None:
        """Calls ``on_step`` as the generation did, with the same steps in the same order.

        Raises:
            TypeError: no function.
        """
        if not callable(on_step):
            raise TypeError(f"on_step must be a function of a Filling, got {on_step!r}; write replay(print), for one")
        for one in self._steps:
            on_step(one)

    def save(self, path: str | Path) -> None:
        """Writes all steps as one safetensors file, atomically.

        Raises:
            TypeError: no path.
            ValueError: nothing was recorded, or another ending than .safetensors.
            OSError: the file could not be written; nothing is left behind.
        """
        _check_path(path)
        if Path(path).suffix.lower() != SUFFIX:
            raise ValueError(f"a recording's file must end in {SUFFIX}, got {Path(path).name!r}; rename it")
        if not self._steps:
            raise ValueError(
                f"a recording must hold a step to be saved, got none for {Path(path).name!r}; fill it first with "
                "run.generate(..., on_step=recording)"
            )
        tensors: dict[str, Tensor] = {}
        about: list[dict[str, Any]] = []
        for number, one in enumerate(self._steps):
            tensors |= {f"{number}.codes": one.stream.codes, f"{number}.decided": one.decided}
            about.append(
                {
                    "request": one.request,
                    "step": one.step,
                    "steps": one.steps,
                    "spec": one.stream.spec.to_json(),
                    "start_seconds": one.stream.start_seconds,
                    "labels": {axis: list(names) for axis, names in one.stream.labels.items()},
                }
            )
        save_tensors(path, tensors, {"kind": _KIND, "steps": about})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads what :meth:`save` wrote.

        Raises:
            TypeError: no path.
            ValueError: the file is missing, damaged or no recording.
        """
        _check_path(path)
        tensors, about = load_tensors(path)
        if about.get("kind") != _KIND:
            raise ValueError(
                f"a recording is read from a file that Recording.save wrote, but {path} is another; check it"
            )
        made = cls()
        for number, one in enumerate(about["steps"]):
            labels = {axis: tuple(names) for axis, names in one["labels"].items()}
            spec = StreamSpec.from_json(one["spec"])
            stream = TokenStream(spec, tensors[f"{number}.codes"], one["start_seconds"], labels)
            counts = {name: one[name] for name in ("request", "step", "steps")}
            made(Filling(stream=stream, decided=tensors[f"{number}.decided"], **counts))
        return made


def _check_path(path: object) -> None:
    if not isinstance(path, str | Path):
        raise TypeError(f"a recording's file is named by a path, got {path!r}; write 'steps{SUFFIX}'")
