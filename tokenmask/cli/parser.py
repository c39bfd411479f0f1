"""What each command takes, in words for a newcomer. Imports nothing but argparse, so that help is quick."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from typing import NoReturn

RUN = "runs/demo"

FIT = [
    "tokenmask fit image --data runs/demo/samples --out tokenizers/image --steps 100",
    "tokenmask fit image --data runs/demo/samples --out tokenizers/small --steps 100 --option config.codes=64",
]
ENCODE = [
    "tokenmask encode runs/demo/samples --tokenizer runs/demo/tokenizers/image --out tokens",
    "tokenmask encode runs/demo/samples --tokenizer image=runs/demo/tokenizers/image --out corpora/encoded --workers 2",
]
DECODE = ["tokenmask decode tokens/blue-heart.tokens --tokenizer runs/demo/tokenizers/image --out decoded"]
BUILD = ["tokenmask corpus build runs/demo/samples --tokenizer image=runs/demo/tokenizers/image --out corpora/samples"]
SHOW = ["tokenmask corpus show runs/demo/corpus/emoji"]
_SMALL = (
    "tokenmask train captions --tiny --out runs/tiny --corpus runs/demo/corpus/emoji \\\n"
    "      --tokenizer text=runs/demo/tokenizers/text --tokenizer image=runs/demo/tokenizers/image"
)
TRAIN = [
    f"{_SMALL} --dry-run",
    _SMALL,
    "tokenmask train own --data runs/demo/samples --out runs/own --from runs/tiny --tiny",
]
GENERATE = [
    'tokenmask generate image --run runs/demo --given text="blue heart" --seed 0 --out heart.png',
    'tokenmask generate text --run runs/demo --given text="In the beginning" --length 24',
    "tokenmask generate text --run runs/demo --given image=heart.png --length 8",
]
EDIT = [
    'tokenmask edit heart.png --run runs/demo --regenerate 0,0,16,16 --given text="blue heart" --out edited.png',
    'tokenmask edit "In the beginning was the word" --stream text --run runs/demo --regenerate 7:16',
]
SWAP = ["tokenmask swap runs/demo image=tokenizers/small --out runs/swapped"]
EVALUATE = ["tokenmask evaluate runs/demo --quick"]
REPORT = ["tokenmask report runs/demo", "tokenmask report runs/demo --data runs/demo/samples --out report.html"]
INSPECT = ["tokenmask inspect runs/demo/tokenizers/image --on runs/demo/samples --out reports/image"]
INFO = ["tokenmask info", "tokenmask info runs/demo"]
RECIPES = ["tokenmask recipes", "tokenmask recipes maskgit"]
DEMO = ["tokenmask demo"]

ON_DEMO = "examples, on what `tokenmask demo` leaves:"
MANIFEST = (
    "a manifest, which is a .jsonl file (an object a line), a .csv file (names in the first line) or a .parquet file, "
    'with words or with paths relative to the manifest by stream name ({"text": "a red rose", "image": "rose.png"}), '
    'and if you like "key", "split" ("train" or "held-out") and what else you want to keep; for one stream that is not '
    "text also a .txt file, a path a line"
)
SOURCE = (
    "a folder of media files (those of one name are one record; with same-named .txt captions) or of .txt files, a "
    f".txt file (each line a record), or {MANIFEST}"
)
HELD_OUT = "about every tenth file or wording is held out, chosen by a hash, so always the same ones"


class UsageError(ValueError):
    """Words on the command line that a parser does not take."""


class Parser(argparse.ArgumentParser):
    """A parser that raises instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageError with a hint to the help."""
        raise UsageError(f"{message}; see `{self.prog} --help`")


Commands = argparse._SubParsersAction


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
    _fit(_command(commands, "fit", "Train a tokenizer on files of one modality.", FIT))
    _encode(_command(commands, "encode", "Turn media files into token files.", ENCODE))
    _decode(_command(commands, "decode", "Turn token files back into media files.", DECODE))
    _corpus(commands)
    about = "Train a model, on your own data or on corpora, or go on with a stopped training."
    own = "On your own data two commands are all: this one with --data, which fits tokenizers, builds a corpus and "
    own += "trains, all in the run folder, and `tokenmask generate`. However it was stopped, the same command goes on."
    _train(_command(commands, "train", about, TRAIN, own))
    _generate(_command(commands, "generate", "Fill a stream: draw a picture, go on with a text.", GENERATE))
    _edit(_command(commands, "edit", "Make regions of media anew, and leave all else as it is.", EDIT))
    _swap(_command(commands, "swap", "Exchange a tokenizer of a run; all else is kept, bit for bit.", SWAP))
    _evaluate(_command(commands, "evaluate", "Measure a run: bits, distances, diversity, conditions.", EVALUATE))
    _report(_command(commands, "report", "Show a run to people: one HTML file, with all it needs inside.", REPORT))
    _inspect(_command(commands, "inspect", "Count how a tokenizer uses its codes on data, and measure it.", INSPECT))
    _info(_command(commands, "info", "Say what is installed, or what a run is.", INFO))
    _recipes(_command(commands, "recipes", "List the recipes that ship, or print one in full.", RECIPES))
    _demo(_command(commands, "demo", "Do the whole job on data that ships, in a few minutes.", DEMO))
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


def _command(
    commands: Commands[Parser], name: str, what: str, examples: Sequence[str], more: str = ""
) -> argparse.ArgumentParser:
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


def _fit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("modality", help="text, image, audio, motion, eeg, or one that an installed package brings")
    parser.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="PATH",
        help="media files, folders that are searched (for .txt, .png, .jpg, .webp, .wav, .flac, .ogg, .mp3, .bvh, .edf "
        f"and the like), or {MANIFEST}; {HELD_OUT}, and the tokenizer is measured on them",
    )
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="the tokenizer; the same command again goes on after a stop"
    )
    parser.add_argument("--steps", type=_count, metavar="N", help="optimisation steps (default: the tokenizer's own)")
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="of weights and batches (default: 0)")
    parser.add_argument(
        "--per", choices=("line", "file"), default="line", help="what an item of text is (default: line)"
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another option of the tokenizer's fit, such as vocab_size=2000 for text; again for more",
    )


def _encode(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help=f"a media file, a folder of them, or {MANIFEST}")
    parser.add_argument(
        "--tokenizer",
        action="append",
        required=True,
        metavar="[NAME=]FOLDER",
        help="a tokenizer folder: each media file becomes a token file. Or a stream's name and the folder of its "
        "tokenizer, once for each stream: the records go into a corpus, as with `tokenmask corpus build`",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FOLDER",
        help="gets NAME.tokens for each file, in folders like theirs, or is the corpus; what is there already is not "
        "done again, however the command before was stopped",
    )
    _workers(parser)


def _decode(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="FILE", help="token files, or folders of them")
    parser.add_argument("--tokenizer", required=True, metavar="FOLDER", help="the tokenizer that made them")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="gets a media file for each")
    parser.add_argument(
        "--suffix", metavar=".EXT", help="kind of the media files (default: .png for image, .txt for text)"
    )
    _force(parser)


def _corpus(commands: Commands[Parser]) -> None:
    what = "Build a corpus of token records, or look at one."
    parser = commands.add_parser("corpus", help=what, description=what, allow_abbrev=False)
    actions = parser.add_subparsers(dest="action", metavar="build|show", required=True, title="commands")
    build = _command(actions, "build", "Encode media into records; the same command again goes on after a stop.", BUILD)
    build.add_argument("sources", nargs="+", metavar="SOURCE", help=f"{SOURCE}; {HELD_OUT}")
    build.add_argument("--out", required=True, metavar="FOLDER", help="the corpus; one that is there is added to")
    _tokenizer(build, required=True)
    _workers(build)
    show = _command(actions, "show", "Count the records, splits, streams and codes of a corpus.", SHOW)
    show.add_argument("folder", metavar="FOLDER", help="a corpus")


def _train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="name of a recipe (see `tokenmask recipes`) or a YAML file")
    parser.add_argument("--out", required=True, metavar="RUN", help="the run folder")
    parser.add_argument("--data", nargs="+", metavar="SOURCE", help=f"your own data: {SOURCE}; {HELD_OUT}")
    parser.add_argument(
        "--corpus",
        action="append",
        default=[],
        metavar="FOLDER[=WEIGHT]",
        help="a corpus that is built already, and its weight among several (default: 1); again for more",
    )
    _tokenizer(parser, required=False)
    parser.add_argument(
        "--from",
        dest="start",
        metavar="RUN",
        help="another run whose weights are started from; its tokenizers serve the streams of the same name, and the "
        "rows of streams that it lacks start fresh",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="a field of the recipe (`tokenmask recipes NAME` shows all), such as training.steps=500 or "
        "streams.text.fit.vocab_size=600; again for more",
    )
    parser.add_argument("--tiny", action="store_true", help="use the recipe's tiny variant, to try things out")
    _workers(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print parameters, positions a step, memory, steps and, for a small model, time; then stop",
    )


def _generate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stream", metavar="STREAM", help="name of the stream to fill, such as image or text")
    parser.add_argument("--run", metavar="RUN", help="the run folder (default: the model that ships)")
    parser.add_argument(
        "--given",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what is given of a stream: for text words, or @FILE to read them (@@ for a real @); for other media the "
        "path of a file, or of a .tokens file. Of another stream it is a condition, of STREAM itself a beginning that "
        "is kept and continued; again for more",
    )
    parser.add_argument(
        "--negative", action="append", default=[], metavar="NAME=VALUE", help="what guidance pushes away from"
    )
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="WEIGHT:NAME=VALUE",
        help="a further condition, such as 1.5:text=sun; again for more",
    )
    parser.add_argument(
        "--length", type=int, metavar="N", help="codes to add, for a stream of free length such as text"
    )
    parser.add_argument("--duration", type=_number, metavar="SECONDS", help="length, for a stream with a clock")
    _drawing(parser, "STREAM-SEED-SAMPLE.png")


def _edit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("media", metavar="MEDIA", help="a file, or words (@FILE reads them, with --stream)")
    parser.add_argument("--run", metavar="RUN", help="the run folder (default: the model that ships)")
    parser.add_argument("--stream", metavar="STREAM", help="what it is, where the file's ending does not tell")
    parser.add_argument(
        "--regenerate",
        action="append",
        default=[],
        metavar="REGION",
        help="what is made anew: START:END in seconds, or in characters of a text; LEFT,TOP,RIGHT,BOTTOM in pixels; "
        "again for more (default: everything)",
    )
    parser.add_argument("--level", action="append", type=int, default=[], metavar="N", help="only this level, from 0")
    parser.add_argument("--channel", action="append", default=[], metavar="NAME", help="only this electrode")
    parser.add_argument("--part", action="append", default=[], metavar="NAME", help="only this body part")
    parser.add_argument("--given", action="append", default=[], metavar="NAME=VALUE", help="conditions, as in generate")
    parser.add_argument("--length", type=int, metavar="N", help="codes in place of the region, for text")
    _drawing(parser, "STREAM-SEED-SAMPLE.png")


def _swap(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run folder; it is left as it is")
    parser.add_argument(
        "tokenizer",
        nargs="*",
        metavar="NAME=FOLDER",
        help="a stream and its new tokenizer; a stream that the run does not have is added",
    )
    parser.add_argument("--remove", action="append", default=[], metavar="NAME", help="a stream to take out")
    parser.add_argument("--corpus", action="append", default=[], metavar="FOLDER", help="data with the new codes")
    parser.add_argument("--out", required=True, metavar="RUN2", help="the new run folder")
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="of rows without relation (default: 0)")


def _drawing(parser: argparse.ArgumentParser, name: str) -> None:
    """How codes are drawn, and where media go."""
    parser.add_argument("--steps", type=_count, metavar="N", help="decoding steps (default: the recipe's)")
    parser.add_argument(
        "--guidance", type=_number, metavar="S", help="pull towards the condition; 1 is none (default: the recipe's)"
    )
    parser.add_argument(
        "--temperature",
        type=_not_negative,
        metavar="T",
        help="0 takes the best code, 1 draws as the model says (default: the recipe's)",
    )
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="same seed, same result (default: 0)")
    parser.add_argument("--num-samples", type=_count, default=1, metavar="N", help="how many to draw (default: 1)")
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="a file (several samples are numbered) or a folder; without it text is printed and other media go to "
        f"{name} or the like here",
    )
    _force(parser)


def _evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", metavar="RUN", help="a run folder whose corpora have held-out records; gets evaluation.json"
    )
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="SOURCE",
        help=f"media on which the tokenizers are measured: {SOURCE}; those that are held out are taken, all if none "
        "are (default: the data that ships, for the tokenizers that ship)",
    )
    parser.add_argument("--quick", action="store_true", help="16 samples a figure instead of 64, and one mask a record")
    parser.add_argument("--draws", type=_count, metavar="N", help="masks of each record (default: 4, with --quick 1)")
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="of masks and samples (default: 0)")


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run folder (default: the model that ships)")
    parser.add_argument(
        "--out", metavar="FILE", help="the file; one that is there is replaced (default: report.html in RUN, or here)"
    )
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="SOURCE",
        help=f"media to show beside what comes back from their codes: {SOURCE}; those that are held out are taken, "
        "all if none are (default: the data that ships, for the tokenizers that ship)",
    )
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="of the samples (default: 0)")


def _inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tokenizer", metavar="FOLDER", help="a tokenizer folder")
    parser.add_argument(
        "--on",
        nargs="+",
        required=True,
        metavar="PATH",
        help="media files, or folders that are searched for them; best those that it did not learn from",
    )
    parser.add_argument(
        "--per", choices=("line", "file"), default="line", help="what an item of text is (default: line)"
    )
    parser.add_argument("--out", metavar="FOLDER", help="gets report.json, counts.png and perplexity.png")


def _info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run folder to describe")


def _recipes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="print this recipe, or YAML file, with every field")
    parser.add_argument("--tiny", action="store_true", help="print its tiny variant")


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", default=RUN, metavar="RUN", help=f"the run folder; the same command again goes on (default: {RUN})"
    )


def _tokenizer(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument(
        "--tokenizer",
        action="append",
        default=[],
        required=required,
        metavar="NAME=FOLDER",
        help="name of a stream and the folder of its tokenizer; once for each stream"
        + ("" if required else " (with --data those that are not named are fitted)"),
    )


def _workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help="processes that encode, of one thread each; results are the same for any number (default: one for each "
        "core, one alone below a hundred items)",
    )


def _force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="overwrite files that exist")


# Kinds of values; argparse turns the error into a sentence.


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) < 1 << 31:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least 1, got {text!r}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 1 << 63:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 2**63 - 1, got {text!r}")
    return int(text)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}")
    return number


def _not_negative(text: str) -> float:
    number = _number(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {text!r}")
    return number
