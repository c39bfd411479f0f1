"""What the commands about tokenizers, tokens and corpora take, in words for a newcomer.

Does not know: what a command does. Imports nothing but argparse, so that help is quick.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tokenmask.cli.arguments import (
    HELD_OUT,
    MANIFEST,
    SOURCE,
    Commands,
    add_asked,
    add_channel,
    add_device,
    add_engine,
    add_force,
    add_map,
    add_per,
    add_tokenizer,
    add_workers,
    command,
    count,
    seed,
)


def fit(commands: Commands) -> None:
    """``tokenmask fit``."""
    examples = [
        "tokenmask fit image --data runs/demo/samples --out tokenizers/image --steps 100",
        "tokenmask fit image --data runs/demo/samples --out tokenizers/small --steps 100 --option config.codes=64",
    ]
    more = "`tokenmask fit MODALITY --help` lists the options of its tokenizer besides."
    parser = command(commands, "fit", "Train a tokenizer on files of one modality.", examples, more, helps=False)
    parser.add_argument("-h", "--help", action=FitHelp, help="show this help and stop")
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
    parser.add_argument("--steps", type=count, metavar="N", help="optimisation steps (default: the tokenizer's own)")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of weights and batches (default: 0)")
    add_per(parser)
    add_map(parser)
    add_asked(parser)
    add_channel(parser)
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another option of the tokenizer's fit, such as vocab_size=2000 for text; again for more",
    )


class FitHelp(argparse.Action):
    """The help of ``fit`` and, where a modality is named before it, the options of its tokenizer."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *_: object) -> None:
        """Leaves the process with code 0."""
        parser.print_help()
        if getattr(namespace, "modality", None):
            from tokenmask.cli.options import as_help, options_of
            from tokenmask.recipes.learners import learner

            options = as_help(options_of(learner(namespace.modality)))
            sys.stdout.write(f"\noptions of {namespace.modality}, each with --option KEY=VALUE:\n{options}\n")
        parser.exit()


def encode(commands: Commands) -> None:
    """``tokenmask encode``."""
    examples = [
        "tokenmask encode runs/demo/samples --tokenizer runs/demo/tokenizers/image --out tokens",
        "tokenmask encode runs/demo/samples --tokenizer image=runs/demo/tokenizers/image --out corpora/encoded "
        "--workers 2",
        "tokenmask encode runs/demo/samples --tokenizer runs/demo/tokenizers/image --out corpora/many --shards "
        "--engine processes",
    ]
    parser = command(commands, "encode", "Turn media files into token files.", examples)
    parser.add_argument("paths", nargs="+", metavar="PATH", help=f"a media file, a folder of them, or {MANIFEST}")
    parser.add_argument(
        "--tokenizer",
        action="append",
        required=True,
        metavar="[NAME=]FOLDER",
        help="a tokenizer folder, or a published one as KIND:SOURCE (encodec:FOLDER,levels=8): each media file becomes "
        "a token file. Or a stream's name and the folder of its tokenizer, once for each stream: the records go into a "
        "corpus, as with `tokenmask corpus build`",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FOLDER",
        help="gets NAME.tokens for each file, in folders like theirs, or is the corpus; what is there already is not "
        "done again, however the command before was stopped",
    )
    parser.add_argument(
        "--shards",
        action="store_true",
        help="write records of one corpus (Parquet, 4096 in a file) in place of a token file each: for many small "
        "files; `tokenmask decode` and `train --corpus` read it",
    )
    add_map(parser)
    add_asked(parser)
    add_channel(parser)
    add_workers(parser)
    add_engine(parser)
    add_device(parser, "the networks of tokenizers compute, in one process unless that is the CPU")


def decode(commands: Commands) -> None:
    """``tokenmask decode``."""
    examples = ["tokenmask decode tokens/blue-heart.tokens --tokenizer runs/demo/tokenizers/image --out decoded"]
    parser = command(commands, "decode", "Turn token files back into media files.", examples)
    parser.add_argument(
        "paths", nargs="+", metavar="FILE", help="token files, folders of them, or a folder of shards (encode --shards)"
    )
    parser.add_argument(
        "--tokenizer", required=True, metavar="FOLDER", help="the tokenizer that made them, or image=shipped"
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="gets a media file for each")
    parser.add_argument(
        "--suffix", metavar=".EXT", help="kind of the media files (default: .png for image, .txt for text)"
    )
    add_force(parser)


def corpus(commands: Commands) -> None:
    """``tokenmask corpus build`` and ``show``."""
    what = "Build a corpus of token records, or look at one."
    parser = commands.add_parser("corpus", help=what, description=what, allow_abbrev=False)
    actions = parser.add_subparsers(dest="action", metavar="build|show", required=True, title="commands")
    examples = [
        "tokenmask corpus build runs/demo/samples --tokenizer image=runs/demo/tokenizers/image --out corpora/samples"
    ]
    about = "Encode media into records; the same command again goes on after a stop."
    build = command(actions, "build", about, examples)
    build.add_argument("sources", nargs="+", metavar="SOURCE", help=f"{SOURCE}; {HELD_OUT}")
    build.add_argument("--out", required=True, metavar="FOLDER", help="the corpus; one that is there is added to")
    add_tokenizer(build, required=True)
    add_map(build)
    add_asked(build)
    add_channel(build)
    add_workers(build)
    add_engine(build)
    examples = ["tokenmask corpus show runs/demo/corpus/emoji"]
    show = command(actions, "show", "Count the records, splits, streams and codes of a corpus.", examples)
    show.add_argument("folder", metavar="FOLDER", help="a corpus")


def inspect(commands: Commands) -> None:
    """``tokenmask inspect``."""
    examples = ["tokenmask inspect runs/demo/tokenizers/image --on runs/demo/samples --out reports/image"]
    parser = command(commands, "inspect", "Count how a tokenizer uses its codes on data, and measure it.", examples)
    parser.add_argument("tokenizer", metavar="FOLDER", help="a tokenizer folder, or image=shipped")
    parser.add_argument(
        "--on",
        nargs="+",
        required=True,
        metavar="PATH",
        help=f"media files, folders that are searched for them, or {MANIFEST}; best those that it did not learn from",
    )
    add_per(parser)
    add_map(parser)
    add_asked(parser)
    add_channel(parser)
    parser.add_argument("--out", metavar="FOLDER", help="gets report.json, counts.png and perplexity.png")
