"""``tokenmask push`` and ``pull``: a run to a hub and back."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tokenmask.cli.show import say, table, waiting
from tokenmask.run import load
from tokenmask.run.card import Card
from tokenmask.sharing import CARD_FILE
from tokenmask.sharing import pull as fetch
from tokenmask.sharing import push as send
from tokenmask.sharing.hub import check_name
from tokenmask.sharing.staging import stage


def push(arguments: argparse.Namespace) -> int:
    """Sends a run, or lists what would be sent."""
    check_name(arguments.name)
    run = load(arguments.run, "cpu")
    said = {
        "title": arguments.title or "",
        "licence": arguments.licence or "",
        "data": dict(arguments.data),
        "limits": arguments.limit,
        "samples": arguments.samples,
        "seed": arguments.seed,
    }
    asked = any(said.values())
    if asked and (run.folder / CARD_FILE).is_file():
        raise ValueError(
            f"{run.folder / CARD_FILE} is there and is sent as it is; edit it, or move it away and let one be made"
        )
    card = Card(**said) if asked else None
    if arguments.dry_run:
        with tempfile.TemporaryDirectory() as folder:
            names = stage(run, Path(folder) / "run", card)
            sizes = [(name, f"{(Path(folder) / 'run' / name).stat().st_size:,}") for name in names]
        table(["file", "bytes"], sizes)
        say(f"nothing was sent; the same without --dry-run sends these to {arguments.name}")
        return 0
    with waiting(f"sending {arguments.run} to {arguments.name}"):
        address = send(run, arguments.name, card=card, public=arguments.public)
    say(address)
    return 0


def pull(arguments: argparse.Namespace) -> int:
    """Fetches a run."""
    with waiting(f"fetching {arguments.name}"):
        run = fetch(arguments.name, arguments.folder, revision=arguments.revision)
    say(repr(run))
    return 0
