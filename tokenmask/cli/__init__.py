"""The command line: one command for each job, each a thin face on the Python API.

Help and wrong paths are answered without torch: parsers stand in ``parser.py``, paths are looked at by ``early.py``,
what a command does is imported when it runs.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from tokenmask.cli.early import check_paths
from tokenmask.cli.parser import make_parser
from tokenmask.cli.warned import Warned

HOMES = {
    "fit": "tokens",
    "encode": "tokens",
    "decode": "tokens",
    "corpus": "corpora",
    "train": "training",
    "generate": "runs",
    "edit": "changes",
    "swap": "changes",
    "evaluate": "evaluate",
    "tune": "tune",
    "study": "study",
    "report": "report",
    "show": "report",
    "play": "play",
    "serve": "serve",
    "push": "sharing",
    "pull": "sharing",
    "demo": "runs",
    "inspect": "inspect",
    "info": "about",
    "recipes": "about",
}
GOES_ON = ("fit", "encode", "corpus", "train", "study", "demo")  # the same command again does what is left to do


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        argv: words after ``tokenmask``; those of the process if None.

    Returns:
        0 if all went well, 1 if some items failed, 2 for wrong input (one sentence on stderr), 130 after Ctrl-C.
    """
    name, traceback, usual, warned = "", False, warnings.formatwarning, Warned()
    # Set before torch loads OpenMP: threads that spin while they wait stop each other where cores are shared.
    first = "torch" not in sys.modules
    if first:  # later it would change nothing, and hide that from `tokenmask.threads`
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        arguments = make_parser().parse_args(argv)
        name, traceback = arguments.command, arguments.traceback
        check_paths(arguments)
        with _uncollected() if first else nullcontext():
            command = importlib.import_module(f"tokenmask.cli.{HOMES[name]}")
        warnings.formatwarning = warned
        code = int(getattr(command, name)(arguments))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as stop:
        hint = "run the same command again to go on" if name in GOES_ON else "nothing was changed"
        sys.stderr.write(f"tokenmask: {str(stop) or f'stopped; {hint}'}\n")
        return 130
    except BrokenPipeError:  # the reader of our output went away, as in `tokenmask recipes | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        sentence = _sentence(error)
        if traceback or not sentence:
            raise
        sys.stderr.write(f"tokenmask: {sentence}\n")
        return 2
    finally:
        warnings.formatwarning = usual
        sys.stderr.write(warned.rest())


@contextmanager
def _uncollected() -> Iterator[None]:
    """While modules are imported: none of their many objects is garbage, and looking through them takes time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _sentence(error: Exception) -> str:
    """What a user can act on, in one line; "" for an error that is a bug and keeps its traceback."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be read or written ({error.strerror}); check the path"
    if isinstance(error, (ValueError, TypeError, OSError, ImportError)):
        return text or type(error).__name__
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "allocate memory" in text:
        return f"there is not enough memory ({text or 'no more'}); make the model or the batch smaller"
    return ""
