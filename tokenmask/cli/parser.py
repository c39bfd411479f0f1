"""The parser of ``tokenmask``: its commands, in the order in which a newcomer meets them.

Does not know: what a command takes or does. Imports nothing but argparse, so that help is quick.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tokenmask.cli import drawing_arguments as drawing
from tokenmask.cli import run_arguments as runs
from tokenmask.cli import token_arguments as tokens
from tokenmask.cli.arguments import Parser

COMMANDS = (
    *(tokens.fit, tokens.encode, tokens.decode, tokens.corpus, runs.train, drawing.generate, drawing.edit, runs.swap),
    *(runs.evaluate, runs.tune, runs.study, runs.report, runs.show),
    *(runs.play, runs.serve, runs.push, runs.pull),
    *(tokens.inspect, runs.info, runs.recipes, runs.demo),
)


def make_parser() -> Parser:
    """The parser of ``tokenmask`` and of all its commands."""
    parser = Parser(
        prog="tokenmask",
        description="Masked modelling of discrete tokens of any modality: tokenise, train, generate.",
        epilog="Start with `tokenmask demo`; `tokenmask COMMAND --help` explains a command. Wrong input ends with one "
        "sentence and exit code 2; 1 means that some items failed and are listed, 130 that you stopped it.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=Version, help="print the version and stop")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    for add in COMMANDS:
        add(commands)
    return parser


class Version(argparse.Action):
    """Prints the version, which is read only now."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Leaves the process with code 0."""
        import tokenmask

        sys.stdout.write(f"tokenmask {tokenmask.__version__}\n")
        parser.exit()
