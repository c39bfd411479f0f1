"""What each command takes, in words for a newcomer. Imports nothing but argparse, so that help is quick."""

from __future__ import annotations

import argparse
from collections.abc import Callable

RUN = "runs/demo"

Add = Callable[..., argparse.Action]


def make_parser() -> argparse.ArgumentParser:
    """The parser of ``tokenmask`` and of all its commands."""
    parser = argparse.ArgumentParser(
        prog="tokenmask",
        description="Masked modelling of discrete tokens of any modality: tokenise, train, generate.",
        epilog="Start with `tokenmask demo`; `tokenmask COMMAND --help` explains a command.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _fit(_command(commands, "fit", "Train a tokenizer on files of one modality.", FIT))
    _encode(_command(commands, "encode", "Turn media files into token files.", ENCODE))
    _decode(_command(commands, "decode", "Turn token files back into media files.", DECODE))
    _corpus(_command(commands, "corpus", "Build a corpus of token records, or look at one.", CORPUS))
    _train(_command(commands, "train", "Train a model on token records, or go on with a stopped training.", TRAIN))
    _generate(_command(commands, "generate", "Fill a stream: draw a picture, go on with a text.", GENERATE))
    _evaluate(_command(commands, "evaluate", "Score a run on held-out records, beside a unigram.", EVALUATE))
    _info(_command(commands, "info", "Say what is installed, or what a run is.", INFO))
    _recipes(_command(commands, "recipes", "List the recipes that ship, or print one in full.", RECIPES))
    _demo(_command(commands, "demo", "Do the whole job on data that ships, in a few minutes.", DEMO))
    return parser


FIT = """\
  tokenmask fit image --data pictures/ --out tokenizers/image --steps 1000
  tokenmask fit text --data notes.txt --out tokenizers/text --option vocab_size=2000"""
ENCODE = "  tokenmask encode heart.png --tokenizer runs/demo/tokenizers/image --out tokens/"
DECODE = "  tokenmask decode tokens/heart.tokens --tokenizer runs/demo/tokenizers/image --out decoded/"
CORPUS = """\
  tokenmask corpus build pictures/ --out corpus/ --tokenizer text=T --tokenizer image=I
  tokenmask corpus show runs/demo/corpus/emoji"""
TRAIN = """\
  tokenmask train demo --data pictures/ --out runs/mine
  tokenmask train demo --corpus corpus/ --tokenizer text=T --tokenizer image=I --out runs/mine"""
GENERATE = """\
  tokenmask generate image --run runs/demo --given text="blue heart" --seed 0 --out heart.png
  tokenmask generate text --run runs/demo --given text="In the beginning" --length 24"""
EVALUATE = "  tokenmask evaluate runs/demo"
INFO = "  tokenmask info\n  tokenmask info runs/demo"
RECIPES = "  tokenmask recipes\n  tokenmask recipes maskgit"
DEMO = "  tokenmask demo --out runs/demo"


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, what: str, examples: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=what,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--traceback", action="store_true", help="show the whole traceback of an error")
    return parser


def _fit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("modality", help="text or image, or one that an installed package brings")
    parser.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="PATH",
        help="files or folders; each line of a .txt file is an item of text. Every tenth item is held out and measured",
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="where the tokenizer goes; rerun to resume")
    parser.add_argument("--steps", type=int, metavar="N", help="optimisation steps (default: the tokenizer's own)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights and batches (default: 0)")
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="another option of the tokenizer's fit"
    )


def _encode(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="media files, or folders that are searched for them")
    parser.add_argument("--tokenizer", required=True, metavar="FOLDER", help="a tokenizer folder")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="gets NAME.tokens for each; done ones are kept")


def _decode(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="FILE", help="token files")
    parser.add_argument("--tokenizer", required=True, metavar="FOLDER", help="the tokenizer that made them")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="gets a media file for each")
    _force(parser)


def _corpus(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="build|show", required=True)
    build = _command(actions, "build", "Encode media into records; rerun to go on after a stop.", CORPUS.split("\n")[0])
    build.add_argument("sources", nargs="+", metavar="SOURCE", help=SOURCE_HELP)
    build.add_argument("--out", required=True, metavar="FOLDER", help="the corpus")
    _tokenizer(build, required=True)
    show = _command(actions, "show", "Count records, codes and splits of a corpus.", CORPUS.split("\n")[1])
    show.add_argument("folder", metavar="FOLDER", help="a corpus")


SOURCE_HELP = (
    "a .jsonl manifest (one object a line: stream names with words or relative paths, optional key and split), a "
    "folder of pictures with same-named .txt captions, or a .txt file whose lines are records; every tenth is held out"
)


def _train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="name of a recipe (see `tokenmask recipes`) or a YAML file")
    parser.add_argument("--out", required=True, metavar="RUN", help="the run folder; rerun the same command to resume")
    parser.add_argument(
        "--data", nargs="+", metavar="SOURCE", help=f"your own data: {SOURCE_HELP}; tokenizers are fitted"
    )
    parser.add_argument(
        "--corpus", action="append", default=[], metavar="FOLDER[=WEIGHT]", help="a corpus and its share of the draws"
    )
    _tokenizer(parser, required=False)
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="a recipe field, such as training.steps=500"
    )
    parser.add_argument("--tiny", action="store_true", help="use the recipe's tiny variant, to try things out")
    parser.add_argument("--dry-run", action="store_true", help="print sizes and an estimate of time, then stop")


def _generate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stream", metavar="STREAM", help="name of the stream to fill, such as image or text")
    parser.add_argument("--run", default=RUN, metavar="RUN", help=f"the run folder (default: {RUN})")
    parser.add_argument(
        "--given",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what is given: words for text, a path for other media; of the same stream, a beginning to go on with",
    )
    parser.add_argument("--length", type=int, metavar="N", help="new codes, for a stream of free length such as text")
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="length of a stream with a clock")
    parser.add_argument("--steps", type=int, metavar="N", help="decoding steps (default: the recipe's)")
    parser.add_argument("--guidance", type=float, metavar="S", help="pull towards the condition; 1 is none")
    parser.add_argument("--temperature", type=float, metavar="T", help="0 takes the best code, 1 draws from the model")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same result (default: 0)")
    parser.add_argument("--num-samples", type=int, default=1, metavar="N", help="how many to draw (default: 1)")
    parser.add_argument("--out", metavar="PATH", help="file or folder; text goes to the screen without it")
    _force(parser)


def _evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run folder whose corpora have held-out records")
    parser.add_argument("--draws", type=int, default=4, metavar="N", help="masks of each record (default: 4)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the masks (default: 0)")


def _info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run folder to describe")


def _recipes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="prints this recipe with every field")
    parser.add_argument("--tiny", action="store_true", help="print its tiny variant")


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", default=RUN, metavar="RUN", help=f"the run folder; rerun to resume (default: {RUN})")


def _tokenizer(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument(
        "--tokenizer",
        action="append",
        default=[],
        required=required,
        metavar="NAME=FOLDER",
        help="a stream's name and the folder of its tokenizer; once for each stream",
    )


def _force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="overwrite files that exist")
