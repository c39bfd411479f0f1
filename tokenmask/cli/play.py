"""``tokenmask play``: a page to draw on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tokenmask.cli.corpora import tokenizer_place
from tokenmask.cli.show import say
from tokenmask.play.server import needed, serve
from tokenmask.play.swaps import Swaps
from tokenmask.run import Run, load
from tokenmask.tokenizer import Tokenizer, tokenizer_at


def play(arguments: argparse.Namespace) -> int:
    """Starts the page and stays until Ctrl-C."""
    needed()  # before anything slow
    named = [_pair(word) for word in arguments.swap]
    run = load(arguments.run, "cpu")
    served = serve(run, _swaps(run, named), port=arguments.port or 0, browser=arguments.browser)
    say(f"{served.address} (this machine alone; Ctrl-C stops it)")
    served.wait()
    return 0


def _pair(word: str) -> tuple[str, str]:
    """NAME=FOLDER in two."""
    name, equals, folder = word.partition("=")
    if not (name and equals and folder):
        raise ValueError(
            f"a swap has the form NAME=FOLDER, got {word!r}; write the folder of the new tokenizer behind the sign"
        )
    return name, folder


def _swaps(run: Run, named: Sequence[tuple[str, str]]) -> Swaps:
    """The tokenizers that are named for streams."""
    places: dict[str, tuple[Tokenizer, str]] = {}
    for name, folder in named:
        run.inputs.check(name)
        place = tokenizer_place(name, folder)
        places[name] = (tokenizer_at(place), place)
    return Swaps(run, places)
