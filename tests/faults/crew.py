"""Formats shared out among processes that read damaged files: one that dies costs its format and no other.

Each process imports torch and the readers once, and takes the next format when it is done with one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).parents[2]


def damaged(names: Iterable[str], count: int, seed: int = 0, processes: int = 2) -> dict[str, dict[str, Any]]:
    """What `mutations` says of each format; of one whose reader ended the process, how: {"ended": "code -11: ..."}."""
    waiting, found = deque(names), dict[str, dict[str, Any]]()
    crew = [threading.Thread(target=_work, args=(waiting, found, count, seed)) for _ in range(processes)]
    for member in crew:
        member.start()
    for member in crew:
        member.join()
    return found


def _work(waiting: deque[str], found: dict[str, dict[str, Any]], count: int, seed: int) -> None:
    command = [sys.executable, "-m", "tests.faults.mutations", str(count), "--seed", str(seed), "--format", "-"]
    while waiting:
        with (
            tempfile.TemporaryFile(buffering=0) as told,
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=told, text=True, cwd=ROOT
            ) as process,
        ):
            _feed(process, waiting, found, told)


def _feed(
    process: subprocess.Popen[str], waiting: deque[str], found: dict[str, dict[str, Any]], told: BinaryIO
) -> None:
    """Names of formats for one process, until none waits or it ends."""
    assert process.stdin is not None and process.stdout is not None
    with process.stdin as names:
        while True:
            try:
                name = waiting.popleft()
            except IndexError:  # another has taken the last
                return
            names.write(f"{name}\n")
            names.flush()
            line = process.stdout.readline()
            if not line:
                code = process.wait()
                told.seek(max(0, told.seek(0, 2) - 3000))
                found[name] = {"format": name, "ended": f"code {code}: {told.read().decode(errors='replace')}"}
                return
            found[name] = json.loads(line)
            # Decoders write much to stderr. The process shares this place in the file, so it begins anew too.
            told.seek(0)
            told.truncate()
