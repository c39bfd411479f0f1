"""``tokenmask serve``: a run behind HTTP."""

from __future__ import annotations

import argparse
import os
import sys

from tokenmask.cli.device import computing
from tokenmask.cli.show import say
from tokenmask.run import load
from tokenmask.serving import Limits
from tokenmask.serving import serve as started


def serve(arguments: argparse.Namespace) -> int:
    """Starts the server and stays until it is told to stop."""
    limits = Limits(most_waiting=arguments.waiting, most_rows=arguments.rows, wait_seconds=arguments.patience)
    served = started(
        load(arguments.run, computing(arguments)), host=arguments.host, port=arguments.port or 0, limits=limits
    )
    where = "this machine alone" if arguments.host in ("127.0.0.1", "localhost", "::1") else "whoever reaches it"
    say(f"{served.address} ({where}; Ctrl-C stops it)")
    try:
        served.wait()
    except KeyboardInterrupt as stop:  # the thread that draws is within torch, which the usual end would abort
        sys.stderr.write(f"tokenmask: {stop}\n")
        sys.stderr.flush()
        os._exit(130)
    now = served.waiting.now()
    say(f"{now['answered']} answered, {now['refused']} refused")
    return 0
