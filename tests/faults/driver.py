"""Runs commands in processes that are killed, or refused by the disk, at a chosen point; torch is imported once.

Reads a JSON list of steps on stdin, prints for each the exit code (negative: the signal) and what it wrote to stderr.
A step is {"words": [...], "fault": "...", "at": n, "seconds": n}. Faults:

- "kill": SIGKILL to itself when the n-th file is about to take its final name.
- "kill after": the same, just after it took it.
- "kill in": SIGKILL after n bytes went into files by Python's own writes of metrics (a training in its midst).
- "full": no file may grow beyond n bytes, which is how a full disk looks to a program.
- "powerless": the superuser, too, has to heed the permissions of files.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import traceback
from typing import Any


def _fault(kind: str, at: int) -> None:
    left = [at]

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if kind in ("kill", "kill after"):
        replace = os.replace

        def counted(*arguments: Any, **options: Any) -> None:
            if kind == "kill":
                count()
            replace(*arguments, **options)
            if kind == "kill after":
                count()

        os.replace = counted
    elif kind == "kill in":
        from tokenmask.training import Trainer

        step = Trainer.step

        def counted_step(self: Any, index: int) -> dict[str, float]:
            count()
            return step(self, index)

        Trainer.step = counted_step  # type: ignore[method-assign]
    elif kind == "full":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (at, resource.RLIM_INFINITY))
    elif kind == "powerless":
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3 of the call, this process
        if ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()) != 0:
            raise OSError(ctypes.get_errno(), "capset")


def _run(step: dict[str, Any]) -> dict[str, Any]:
    ours, theirs = os.pipe()  # no file: a fault may forbid to write these
    child = os.fork()
    if not child:
        code = 99
        try:
            os.dup2(theirs, 2)
            os.close(ours)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            signal.alarm(step.get("seconds", 300))  # SIGALRM ends it
            _fault(step.get("fault", ""), step.get("at", 0))
            from tokenmask.cli import main

            code = main(step["words"])
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        errors = pipe.read()
    return {"code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "errors": errors}


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    for step in json.load(sys.stdin):
        sys.stdout.write(json.dumps(_run(step)) + "\n")
        sys.stdout.flush()
