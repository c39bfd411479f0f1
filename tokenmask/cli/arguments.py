"""What several commands take alike: how a command is described, kinds of values, options that return.

Does not know: any one command. Imports nothing that is slow, so that help is quick.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import NoReturn, TypeAlias

from tokenmask.cli.early import SHIPPED

ON_DEMO = "examples, on what `tokenmask demo` leaves:"
MANIFEST = (
    "a manifest, which is a .jsonl file (an object a line), a .json file (an array of them), a .csv or .tsv file "
    "(names in the first line) or a .parquet file, with words, paths relative to the manifest or files as bytes or "
    "base64 by stream name "
    '({"text": "a red rose", "image": "rose.png"}), and if you like "key", "split" ("train" or "held-out") and what '
    "else you want to keep; for one stream that is not text also a .txt file, a path a line"
)
SOURCE = (
    "a folder of media files (those of one name are one record; with same-named .txt captions) or of .txt files, or "
    "one laid out as ImageFolder, COCO, LJSpeech, LibriSpeech, LibriTTS, VCTK, Kaldi, Common Voice, ESC-50, BIDS, "
    "HumanML3D, Flickr8k, Hugging Face (metadata.csv or .jsonl, Parquet, saved to disk) or WebDataset; a .tar file of "
    f"that kind; a .txt file (each line a record); or {MANIFEST}"
)
UNITS = {
    "metres": 1.0,
    "decimetres": 10.0,
    "centimetres": 100.0,
    "millimetres": 1000.0,
    "inches": 1 / 0.0254,
    "feet": 1 / 0.3048,
}
"""Names of units of length, and how many make a metre."""
VOLTAGES = ("uV", "mV", "nV", "V")
_MOST_COUNTED = (1 << 31) - 1
HELD_OUT = "about every tenth file or wording is held out, chosen by a hash, so always the same ones"


class Parser(argparse.ArgumentParser):
    """A parser that raises instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        """Raises ValueError with a hint to the help."""
        raise ValueError(f"{message}; see `{self.prog} --help`")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def command(
    commands: Commands, name: str, what: str, examples: Sequence[str], more: str = "", *, helps: bool = True
) -> argparse.ArgumentParser:
    """Adds a command with its description, in which examples stand below the options; ``helps``: and its --help."""
    parser = commands.add_parser(
        name,
        help=what,
        description=_filled(f"{what} {more}"),
        epilog="\n".join(["examples:" if name == "demo" else ON_DEMO, *(f"  {example}" for example in examples)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=helps,
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
        help="name of a stream and the folder of its tokenizer, `shipped` for the one that ships under that name, or a "
        "published one as KIND:SOURCE (audio=encodec:FOLDER,levels=8); once for each stream"
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
        "core, one alone below a hundred items; of another --engine as many as it has CPUs)",
    )


def add_engine(parser: argparse.ArgumentParser) -> None:
    """--engine NAME."""
    parser.add_argument(
        "--engine",
        default="local",
        metavar="NAME",
        help="what encodes: local (this machine), processes (the same, also for few items), ray (a cluster of Ray on "
        "this machine), or ray:ADDRESS for one that runs (ray:10.0.0.1:6379, ray:auto); results are the same "
        "(default: local)",
    )


def add_device(parser: argparse.ArgumentParser, what: str) -> None:
    """--device."""
    parser.add_argument(
        "--device",
        metavar="NAME",
        help=f"where {what}: cpu, cuda, or cuda:1 and so on (default: a GPU that torch sees and this build has kernels "
        "for, else the CPU)",
    )


def add_per(parser: argparse.ArgumentParser) -> None:
    """--per line or file."""
    parser.add_argument(
        "--per", choices=("line", "file"), default="line", help="what an item of text is (default: line)"
    )


def add_asked(parser: argparse.ArgumentParser) -> None:
    """--up, --units and --voltages."""
    parser.add_argument(
        "--up",
        choices=("x", "y", "z", "-x", "-y", "-z"),
        help="the axis that points up in BVH files (--up=-z for those with a sign; default: told by how a body stands)",
    )
    parser.add_argument(
        "--units",
        type=unit,
        metavar="UNIT",
        help=f"of lengths in BVH files: {', '.join(UNITS)}, or how many make a metre (default: told by how tall a body "
        "is)",
    )
    parser.add_argument(
        "--voltages",
        choices=VOLTAGES,
        help="what the numbers of EEG files are: in EDF and BDF those of electrodes, and of signals without a unit "
        "(default: what the file says)",
    )


def add_channel(parser: argparse.ArgumentParser) -> None:
    """--channel, of media that are read; an edit has one of its own, for what is made anew."""
    parser.add_argument(
        "--channel",
        dest="read_channels",
        action="append",
        default=[],
        metavar="NAME",
        help="only this channel of sounds (its number, from 1) or of EEG (its electrode), again for more; a sound "
        "tokenizer mixes those that are taken (default: all)",
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


def named(text: str) -> tuple[str, str]:
    """What something is called and its licence."""
    name, equals, licence = text.rpartition("=")
    if not (name and equals and licence):
        raise argparse.ArgumentTypeError(f"must have the form NAME=LICENCE, got {text!r}")
    return name, licence


def unit(text: str) -> str:
    """The name of a unit of length, or how many make a metre."""
    if text not in UNITS:
        try:
            good = 0 < float(text) < math.inf
        except ValueError:
            good = False
        if not good:
            raise argparse.ArgumentTypeError(f"must be {', '.join(UNITS)} or a positive number, got {text!r}")
    return text


def count(text: str) -> int:
    """A whole number, at least 1."""
    return _whole(text, 1)


def counts(text: str) -> int | tuple[int, int]:
    """A whole number, at least 1, or two, LEAST:MOST."""
    least, colon, most = text.partition(":")
    if not colon:
        return count(text)
    try:
        found = count(least), count(most)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"must be N or LEAST:MOST, whole numbers from 1 on, got {text!r}") from None
    if found[0] > found[1]:
        raise argparse.ArgumentTypeError(f"must be LEAST:MOST with the least first, got {text!r}")
    return found


def window(text: str) -> int | str:
    """A whole number, at least 1, or a word for one."""
    return text if text in ("early", "most") else count(text)


def seed(text: str) -> int:
    """A whole number of 63 bits."""
    if not text.isdecimal() or int(text) >= 1 << 63:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 2**63 - 1, got {text!r}")
    return int(text)


def not_below_0(text: str) -> int:
    """A whole number, at least 0."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least {least}, got {text!r}")
    if int(text) > _MOST_COUNTED:
        raise argparse.ArgumentTypeError(f"must be a whole number, at most {_MOST_COUNTED}, got {text!r}")
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


def positive(text: str) -> float:
    """A finite number above 0."""
    value = number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text!r}")
    return value


def share(text: str) -> float:
    """A number above 0 and at most 1."""
    value = number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"must lie above 0 and be at most 1, got {text!r}")
    return value


def run_folder(text: str) -> str:
    """A run that is left as it is: its folder, of "shipped" that of the model that ships."""
    return str(SHIPPED) if text == "shipped" else text


def sides(text: str) -> tuple[int, ...]:
    """LEFT,TOP,RIGHT,BOTTOM, whole numbers of pixels."""
    try:
        found = tuple(not_below_0(word) for word in text.split(","))
    except argparse.ArgumentTypeError:
        found = ()
    if len(found) != 4:
        raise argparse.ArgumentTypeError(
            f"must be LEFT,TOP,RIGHT,BOTTOM, whole numbers of pixels from 0 on, such as 0,0,32,0, got {text!r}"
        )
    return found


def grid(text: str) -> tuple[int, ...]:
    """Whole numbers, at least 1, with commas between them."""
    try:
        return tuple(count(word) for word in text.split(","))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"must be whole numbers with commas, each 1 at least, such as 8,8, got {text!r}"
        ) from None
