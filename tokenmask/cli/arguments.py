"""What several commands take alike: how a command is described, kinds of values, options that return.

Does not know: any one command. Imports nothing but argparse, so that help is quick.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import NoReturn, TypeAlias

ON_DEMO = "examples, on what `tokenmask demo` leaves:"
MANIFEST = (
    "a manifest, which is a .jsonl file (an object a line), a .csv or .tsv file (names in the first line) or a "
    ".parquet file, with words or with paths relative to the manifest by stream name "
    '({"text": "a red rose", "image": "rose.png"}), and if you like "key", "split" ("train" or "held-out") and what '
    "else you want to keep; for one stream that is not text also a .txt file, a path a line"
)
SOURCE = (
    "a folder of media files (those of one name are one record; with same-named .txt captions) or of .txt files, or "
    "one laid out as ImageFolder, COCO, LJSpeech, LibriSpeech, VCTK, Kaldi, Common Voice, ESC-50, BIDS, HumanML3D, "
    "Hugging Face (metadata.csv or .jsonl, Parquet, saved to disk) or WebDataset; a .tar file of that kind; a .txt "
    f"file (each line a record); or {MANIFEST}"
)
HELD_OUT = "about every tenth file or wording is held out, chosen by a hash, so always the same ones"


class Parser(argparse.ArgumentParser):
    """A parser that raises instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        """Raises ValueError with a hint to the help."""
        raise ValueError(f"{message}; see `{self.prog} --help`")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def command(
    commands: Commands, name: str, what: str, examples: Sequence[str], more: str = ""
) -> argparse.ArgumentParser:
    """Adds a command with its description, in which examples stand below the options."""
    parser = commands.add_parser(
        name,
        help=what,
        description=_filled(f"{what} {more}"),
        epilog="\n".join(["examples:" if name == "demo" else ON_DEMO, *(f"  {example}" for example in examples)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--traceback", action="store_true", help="show the whole traceback of an error")
    return parser


def _filled(text: str) -> str:
    import textwrap

    return textwrap.fill(text.strip(), 100)


# Options of several commands ------------------------------------------------------------------------------------------


def add_tokenizer(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """--tokenizer NAME=FOLDER."""
    parser.add_argument(
        "--tokenizer",
        action="append",
        default=[],
        required=required,
        metavar="NAME=FOLDER",
        help="name of a stream and the folder of its tokenizer, or a published one as KIND:SOURCE "
        "(audio=encodec:FOLDER,levels=8); once for each stream"
        + ("" if required else " (with --data those that are not named are fitted)"),
    )


def add_map(parser: argparse.ArgumentParser) -> None:
    """--map STREAM=COLUMN."""
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        type=pair,
        metavar="STREAM=COLUMN",
        help="the column of manifests that holds a stream, where it is called otherwise, such as image=file_name; "
        "again for more",
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """--workers N."""
    parser.add_argument(
        "--workers",
        type=count,
        metavar="N",
        help="processes that encode, of one thread each; results are the same for any number (default: one for each "
        "core, one alone below a hundred items)",
    )


def add_per(parser: argparse.ArgumentParser) -> None:
    """--per line or file."""
    parser.add_argument(
        "--per", choices=("line", "file"), default="line", help="what an item of text is (default: line)"
    )


def add_force(parser: argparse.ArgumentParser) -> None:
    """--force."""
    parser.add_argument("--force", action="store_true", help="overwrite files that exist")


# Kinds of values; argparse turns the error into a sentence ------------------------------------------------------------


def pair(text: str) -> tuple[str, str]:
    """Two words with = between them."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"must have the form STREAM=COLUMN, got {text!r}")
    return name, value


def count(text: str) -> int:
    """A whole number, at least 1."""
    if not text.isdecimal() or not 1 <= int(text) < 1 << 31:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least 1, got {text!r}")
    return int(text)


def seed(text: str) -> int:
    """A whole number of 63 bits."""
    if not text.isdecimal() or int(text) >= 1 << 63:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 2**63 - 1, got {text!r}")
    return int(text)


def number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}")
    return value


def not_negative(text: str) -> float:
    """A finite number, at least 0."""
    value = number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {text!r}")
    return value
