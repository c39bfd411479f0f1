"""What encodes: the engine that --engine names, with --workers.

Does not know: what is encoded.
"""

from __future__ import annotations

import argparse

from tokenmask.corpus import Engine, engine_of


def engine_asked(arguments: argparse.Namespace) -> Engine | None:
    """The engine of a command; None for this machine as usual.

    Raises:
        ValueError: no such engine, or one beside a device that is not the CPU.
    """
    engine = engine_of(arguments.engine, arguments.workers)
    device = getattr(arguments, "device", None)
    if engine is not None and device not in (None, "cpu"):
        raise ValueError(
            f"--engine {arguments.engine} computes on CPUs, got --device {device} beside it; leave one of them out"
        )
    return engine
