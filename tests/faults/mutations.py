"""Damaged files by the thousand: each format's reader must refuse with a sentence or return something valid, soon.

Run as a program, in a process of its own, it prints a JSON line for each format: what was read, refused, and wrong, and
how many seconds that took. A crash or a hang ends the process, with a traceback on stderr; memory is limited.
Names of formats come as options, or one by one on stdin (`crew.py` feeds several such processes).
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.formats import FORMATS, Format, reason_of
from tests.faults.formats.format import WHOLE

LIMIT_SECONDS = 30  # for one file, on a busy machine
LIMIT_BYTES = 12 << 30  # of address space, most of which torch only reserves
WORDS = ["-1", "0", "nan", "1e999", "99999999999999999999", "null", "[]", "{}", '"', "}", "{", "\x00", "\ud7ff", "true"]
NUMBERS = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 62, (1 << 64) - 1]


def mutated(data: bytes, draw: random.Random) -> bytes:
    """The bytes with one to four faults in them."""
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        size = len(data)
        # Headers stand at the beginning or at the end, so most faults do too.
        place = draw.choice(
            [draw.randrange(size + 1), draw.randrange(min(size, 200) + 1), size - draw.randrange(min(size, 200) + 1)]
        )
        span = draw.choice([1, 2, 4, 8, 64, 1000])
        kind = draw.randrange(8)
        if kind == 0 and place < size:
            data = data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :]
        elif kind == 1:
            data = data[:place]
        elif kind == 2:
            data = data[:place] + data[place + span :]
        elif kind == 3:
            data = data[:place] + data[place : place + span] + data[place:]
        elif kind == 4:
            data = data[:place] + draw.randbytes(span) + data[place + span :]
        elif kind == 5:
            width = draw.choice([1, 2, 4, 8])
            number = (draw.choice(NUMBERS) % (1 << 8 * width)).to_bytes(width, draw.choice(["little", "big"]))
            data = data[:place] + number + data[place + width :]
        elif kind == 6:
            data = data[:place] + draw.choice(WORDS).encode() + data[place + draw.choice([0, 1, 3]) :]
        else:
            data = _another_number(data, draw)
    return data


def _another_number(data: bytes, draw: random.Random) -> bytes:
    """One of the first numbers in a text becomes another word."""
    import re

    found = list(re.finditer(rb"-?\d+(\.\d+)?", data[:20_000]))
    if not found:
        return data
    one = draw.choice(found)
    return data[: one.start()] + draw.choice(WORDS).encode() + data[one.end() :]


def try_once(read: Callable[[Path], Any], path: Path, limit_seconds: float = LIMIT_SECONDS) -> str:
    """ "read", "refused", or what was wrong; ends this process with a traceback if it takes too long."""
    signal.setitimer(signal.ITIMER_REAL, limit_seconds)
    try:
        read(path)
    except Exception as error:  # noqa: BLE001 - that it is another kind is what is looked for
        return reason_of(error) or "refused"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "read"


def limited() -> None:
    """Limits this process, so that what asks for too much memory fails at once; a crash prints where it was."""
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, resource.RLIM_INFINITY))
    own = open(os.dup(2), "wb")  # noqa: SIM115 - to the end; a reader may hold stderr, to hear what its decoder says
    faulthandler.enable(own)
    # The alarm prints where it was, inside of C code too, then ends the process. A timer of the kernel costs no thread:
    # waiting for the end of one took longer than reading most files, where other work keeps the cores busy.
    faulthandler.register(signal.SIGALRM, own, chain=True)
    warnings.simplefilter("ignore")


def scratch_folder() -> str | None:
    """Where damaged files are written: in memory where that can be, since a disk takes longer than most readers."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and os.access(memory, os.W_OK) else None


def try_format(name: str, kind: Format, count: int, seed: int) -> dict[str, Any]:
    """Reads ``count`` damaged files of a format."""
    result: dict[str, Any] = {"format": name, "read": 0, "refused": 0, "wrong": [], "slowest": 0.0}
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=scratch_folder()) as scratch:
        path = kind.make(Path(scratch))
        whole = path.read_bytes()
        kind.read(path)  # the whole file can be read
        draw = random.Random(f"{name} {seed}")
        for number in range(count):
            path.write_bytes(mutated(whole, draw))
            started = time.monotonic()
            outcome = try_once(kind.read, path)
            result["slowest"] = max(result["slowest"], round(time.monotonic() - started, 2))
            if outcome in ("read", "refused"):
                result[outcome] += 1
            else:
                result["wrong"].append([number, outcome])
        path.write_bytes(whole)
        WHOLE.clear()
        kind.read(path)  # and nothing was broken by the others
    return result | {"seconds": round(time.monotonic() - begun, 1)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", action="append", help="leave it out for all; - for names on stdin, a line each")
    arguments = parser.parse_args()
    limited()
    names = map(str.strip, sys.stdin) if arguments.format == ["-"] else arguments.format or FORMATS
    for name in names:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            result = try_format(name, FORMATS[name], arguments.count, arguments.seed)
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
