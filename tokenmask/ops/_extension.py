"""Loads the compiled extension, once, and says which implementation runs.

``TOKENMASK_OPS=auto`` (the default) runs the compiled kernels; ``TOKENMASK_OPS=reference`` runs the Python references
and loads nothing. The reference is chosen, never fallen into: without a usable extension, ``auto`` is an ImportError.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import torch

Function = TypeVar("Function", bound=Callable[..., Any])

_REBUILD = "python -m pip install --no-build-isolation --no-deps -e . (in a checkout of tokenmask)"


def _read_choice() -> bool:
    choice = os.environ.get("TOKENMASK_OPS", "auto")
    if choice not in ("auto", "reference"):
        raise ValueError(f"TOKENMASK_OPS must be auto or reference, got {choice!r}; unset it for the compiled kernels")
    return choice == "reference"


def _release(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _check_torch(built: str, running: str) -> None:
    """An extension holds for one minor release of torch."""
    if _release(built) != _release(running):
        raise ImportError(
            f"tokenmask's kernels must run with the torch release they were built against, {_release(built)}, but "
            f"torch {running} is installed; rebuild them: {_REBUILD}"
        )


def _load() -> None:
    try:
        from tokenmask import _C
    except ModuleNotFoundError as error:
        raise ImportError(
            f"tokenmask's compiled kernels are missing; build them: {_REBUILD}; or set TOKENMASK_OPS=reference for the "
            "slow Python references"
        ) from error
    except ImportError as error:
        raise ImportError(
            f"tokenmask's compiled kernels cannot be loaded with torch {torch.__version__}, most likely because they "
            f"were built against another torch ({error}); rebuild them: {_REBUILD}"
        ) from error
    _check_torch(_C.torch_version, torch.__version__)


USES_REFERENCE = _read_choice()
OTHERS = {"meta"}
"""Kinds of devices besides the CPU and CUDA whose tensors the ops take; who registers kernels for one adds it."""
if not USES_REFERENCE:
    _load()


def register_fake(name: str) -> Callable[[Function], Function]:
    """``torch.library.register_fake`` where the op exists; in reference mode nothing is registered."""
    if USES_REFERENCE:
        return lambda function: function
    decorator: Callable[[Function], Function] = torch.library.register_fake(name)
    return decorator


def run(op: str, reference: Callable[..., Any], check: Callable[..., None], arguments: tuple[Any, ...]) -> Any:
    """Runs an op that is quick enough for its checks to count.

    The kernel's own guards refuse all that ``check`` refuses, so ``check`` runs only after a failure, to say in words
    what is wrong; the fake kernel and the reference have no guards and are checked first.
    """
    if USES_REFERENCE:
        check(*arguments)
        return reference(*arguments)
    try:
        return getattr(torch.ops.tokenmask, op)(*arguments)
    except (RuntimeError, TypeError, ValueError) as error:
        failure = error
    check(*arguments)
    raise failure


def build_info() -> dict[str, str | bool | int]:
    """What is running: versions, implementation, CUDA and CPU capability, for ``tokenmask info`` and bug reports.

    Returns:
        ``implementation`` ("compiled" or "reference") and ``torch`` always; from a compiled build also ``version``,
        ``built_for_torch``, ``cuda`` (bool), ``cuda_note`` (why or why not), ``cpu_capability`` and
        ``cpu_threads`` (that share the work of a kernel).
    """
    if USES_REFERENCE:
        return {"implementation": "reference", "torch": torch.__version__}
    from tokenmask import _C

    return {
        "implementation": "compiled",
        "torch": torch.__version__,
        "version": _C.version,
        "built_for_torch": _C.torch_version,
        "cuda": _C.has_cuda,
        "cuda_note": _C.cuda_note,
        "cpu_capability": _C.cpu_capability(),
        "cpu_threads": _C.cpu_threads(),
    }


def check_device(op: str, name: str, tensor: torch.Tensor) -> None:
    """The device must have kernels in this build."""
    kind = tensor.device.type
    if kind == "cpu" or not why_no_kernels(kind):
        return
    if kind != "cuda":
        raise ValueError(f"{op}: {name} must be on cpu or cuda, got {tensor.device}; move it there with .to()")
    from tokenmask import _C

    raise ValueError(
        f"{op}: {name} is on {tensor.device}, but this build of tokenmask has CPU kernels only ({_C.cuda_note}); "
        f"move it with .cpu(), or rebuild with TOKENMASK_CUDA=1: {_REBUILD}"
    )


def why_no_kernels(kind: str) -> str:
    """Why the ops cannot run on a kind of device, and what to do, as the end of a sentence about it; "" if they can."""
    if USES_REFERENCE or kind == "cpu" or kind in OTHERS:
        return ""
    if kind != "cuda":
        return "has no kernels in tokenmask; take cpu or cuda"
    from tokenmask import _C

    if _C.has_cuda:
        return ""
    return (
        f"needs CUDA kernels, but this build of tokenmask has CPU kernels only ({_C.cuda_note}); take cpu, or rebuild "
        f"with TOKENMASK_CUDA=1: {_REBUILD}"
    )
