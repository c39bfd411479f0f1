"""The command line: one command for each job, each a thin face on the Python API.

Help is answered without torch: parsers stand in ``parser.py``, what a command does is imported when it runs.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from tokenmask.cli.parser import make_parser

HOMES = {
    "fit": "tokens",
    "encode": "tokens",
    "decode": "tokens",
    "corpus": "corpora",
    "train": "runs",
    "generate": "runs",
    "evaluate": "runs",
    "demo": "runs",
    "info": "about",
    "recipes": "about",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        argv: words after ``tokenmask``; those of the process if None.

    Returns:
        0 if all went well, 1 if some items failed, 2 for wrong input (one sentence on stderr), 130 after Ctrl-C.
    """
    arguments = make_parser().parse_args(argv)
    command = importlib.import_module(f"tokenmask.cli.{HOMES[arguments.command]}")
    try:
        return int(getattr(command, arguments.command)(arguments))
    except KeyboardInterrupt as stop:
        sys.stderr.write(f"tokenmask: {stop or 'stopped'}\n")
        return 130
    except (ValueError, TypeError, OSError, ImportError) as error:
        if arguments.traceback:
            raise
        sys.stderr.write(f"tokenmask: {' '.join(str(error).split())}\n")
        return 2
