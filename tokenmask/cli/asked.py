"""What files may not say of themselves and the command line does: which way is up, which channels are meant.

Arrow: words of a command --**asked**--> options --**ask**--> loaders that read with them. Does not know: any file.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tokenmask.cli.arguments import UNITS
from tokenmask.cli.found import Items
from tokenmask.cli.media import Loader
from tokenmask.cli.sources import Medium
from tokenmask.cli.spool import Spool
from tokenmask.corpus import Item
from tokenmask.medium import said

_OF = {
    "up": ("--up says how", "motions"),
    "units_per_metre": ("--units says how", "motions"),
    "voltages": ("--voltages says how", "recordings"),
    "channels": ("--channel says of which channels", "sounds and recordings"),
}


def asked(arguments: argparse.Namespace) -> dict[str, Any]:
    """Options of ``load`` that were given to a command."""
    options: dict[str, Any] = {}
    if arguments.up is not None:
        options["up"] = arguments.up
    if arguments.units is not None:
        options["units_per_metre"] = UNITS.get(arguments.units) or float(arguments.units)
    if arguments.voltages is not None:
        options["voltages"] = arguments.voltages
    if getattr(arguments, "read_channels", None):  # an edit has none: its --channel says what is made anew
        options["channels"] = tuple(arguments.read_channels)
    return options


def asked_of_data(arguments: argparse.Namespace) -> dict[str, Any]:
    """The same for a command that may come without data; ValueError for options where it does."""
    options = asked(arguments)
    if options and not arguments.data:
        raise ValueError(
            "--up, --units, --voltages and --channel say how media of --data are read; add it, or leave them away"
        )
    return options


def ask_items(found: Items, options: dict[str, Any]) -> None:
    """The same items, read with options.

    Raises:
        ValueError: none of their media has such options.
    """
    if options:
        found.change(partial(_asked_item, options=options))
    _check((loader for item in found for loader in item.media.values()), options)


def _asked_item(item: Item, options: dict[str, Any]) -> Item:
    return replace(item, media={name: _asked(loader, options) for name, loader in item.media.items()})


def ask_media(found: Sequence[Medium], options: dict[str, Any]) -> Sequence[Medium]:
    """The same for media of one modality, which are returned."""
    if not options:
        return found
    those = Spool(one._replace(loader=_asked(one.loader, options)) for one in found)
    _check((one.loader for one in those), options)
    return those


class Reading:
    """How the single files that a command names are read, all alike, and which of the options some of them took.

    Args:
        options: see :func:`asked`.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self._left = set(options)

    def of(self, kind: Any, path: Path) -> Any:
        """A loader of a file of which an option says something; else its path, as it is."""
        loader = _asked(Loader(kind, path), self.options)
        self._left -= {name for name, _ in loader.options}
        return loader if loader.options else path

    def check(self) -> None:
        """ValueError for an option that none of the files took."""
        _refuse(self._left)


def _asked(loader: Loader, options: dict[str, Any]) -> Loader:
    known = said(loader.kind, "asked")
    own = tuple((name, value) for name, value in sorted(options.items()) if name in known)
    return replace(loader, options=own) if own else loader


def _check(loaders: Iterable[Loader], options: dict[str, Any]) -> None:
    """ValueError for an option that none of the media takes."""
    left = set(options)
    for loader in loaders if left else ():
        left -= {name for name, _ in loader.options}
        if not left:
            return
    _refuse(left)


def _refuse(left: set[str]) -> None:
    for name in sorted(left):
        what, kind = _OF[name]
        raise ValueError(f"{what} {kind} are read, but these data hold none; leave it away")
