"""What the commands that draw take, in words for a newcomer.

Does not know: what a command does. Imports nothing that is slow, so that help is quick.
"""

from __future__ import annotations

import argparse

from tokenmask.cli.arguments import (
    Commands,
    add_asked,
    add_channel,
    add_device,
    add_force,
    command,
    count,
    counts,
    grid,
    not_below_0,
    not_negative,
    number,
    positive,
    run_folder,
    seed,
    share,
    sides,
    window,
)


def generate(commands: Commands) -> None:
    """``tokenmask generate``."""
    examples = [
        'tokenmask generate image --run runs/demo --given text="blue heart" --seed 0 --out heart.png',
        'tokenmask generate text --run runs/demo --given text="In the beginning" --length 24',
        "tokenmask generate text --run runs/demo --given image=heart.png --length 8",
        "tokenmask generate image --run runs/demo --top-k 50 --order RandomScore --out codes.tokens",
        "tokenmask generate image --run runs/demo --record steps.safetensors",
    ]
    parser = command(commands, "generate", "Fill a stream: draw a picture, go on with a text.", examples)
    parser.add_argument("stream", metavar="STREAM", help="name of the stream to fill, such as image or text")
    parser.add_argument(
        "--length",
        type=counts,
        metavar="N",
        help="codes to add, for a stream of free length such as text; of text LEAST:MOST lets the model say how many. "
        "Left out, with --duration and --grid, a new stream is as long as the data had it beside what is given",
    )
    parser.add_argument(
        "--backtrack",
        type=not_below_0,
        metavar="N",
        help="draw the last N codes of a given text anew, such that they say the same: it may end within a word",
    )
    parser.add_argument("--duration", type=positive, metavar="SECONDS", help="length, for a stream with a clock")
    parser.add_argument("--grid", type=grid, metavar="N,N", help="size of all axes, where more than one is free")
    parser.add_argument(
        "--prompts",
        metavar="FILE",
        help="many requests at once: a .txt file, each line of which is what --given text= would be, or a .jsonl, "
        ".csv, .tsv or .parquet file with columns named as streams; samples are numbered by prompt, then by sample",
    )
    add_asked(parser)
    add_channel(parser)
    _drawing(parser, "Of another stream it is a condition, of STREAM itself a beginning that is kept and continued")


def edit(commands: Commands) -> None:
    """``tokenmask edit``."""
    examples = [
        'tokenmask edit heart.png --run runs/demo --regenerate 0,0,16,16 --given text="blue heart" --out edited.png',
        'tokenmask edit "In the beginning was the word" --stream text --run runs/demo --regenerate 7:16',
    ]
    parser = command(commands, "edit", "Make regions of media anew, and leave all else as it is.", examples)
    parser.add_argument(
        "media", metavar="MEDIA", help="a file, of media or .tokens, or words (@FILE reads them, with --stream)"
    )
    parser.add_argument("--stream", metavar="STREAM", help="what it is, where the file's ending does not tell")
    parser.add_argument(
        "--regenerate",
        action="append",
        default=[],
        metavar="REGION",
        help="what is made anew: START:END in seconds, or in characters of a text, where 7:7 with --length puts codes "
        "in there; LEFT,TOP,RIGHT,BOTTOM in pixels; again for more (default: everything)",
    )
    parser.add_argument(
        "--level", action="append", type=not_below_0, default=[], metavar="N", help="only this level, from 0"
    )
    parser.add_argument("--channel", action="append", default=[], metavar="NAME", help="only this electrode")
    parser.add_argument("--part", action="append", default=[], metavar="NAME", help="only this body part")
    parser.add_argument(
        "--length",
        type=counts,
        metavar="N",
        help="codes in place of the region, for text; LEAST:MOST lets the model say how many",
    )
    parser.add_argument(
        "--strength",
        type=share,
        metavar="P",
        help="make only this share of the region anew: a variation (default: all)",
    )
    parser.add_argument(
        "--drift",
        type=share,
        metavar="P",
        help="hide nothing at first, and make this share of the region anew in every step: editing without a mask; "
        "0.08 with --steps 100, say, and strong --guidance",
    )
    parser.add_argument(
        "--outpaint",
        type=sides,
        metavar="LEFT,TOP,RIGHT,BOTTOM",
        help="instead of a region: so many pixels beyond each side of a picture, which stays as it is",
    )
    add_asked(parser)
    _drawing(parser, "It is a condition")


def _drawing(parser: argparse.ArgumentParser, given: str) -> None:
    """The run that draws, what it is given, how it draws, and where media go."""
    parser.add_argument("--run", type=run_folder, metavar="RUN", help="the run folder (default: the model that ships)")
    add_device(parser, "the models and the networks of tokenizers compute")
    parser.add_argument(
        "--given",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what is given of a stream: for text words, or @FILE to read them (@@ for a real @); for other media the "
        f"path of a file, read as --up, --units and --voltages say, or of a .tokens file. {given}; again for more",
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
        "--budget",
        type=count,
        metavar="N",
        help="most passes through the model, with the settings that `tokenmask tune` found for so many (default: the "
        "recipe's settings)",
    )
    parser.add_argument("--steps", type=count, metavar="N", help="decoding steps (default: the recipe's)")
    parser.add_argument(
        "--guidance", type=number, metavar="S", help="pull towards the condition; 1 is none (default: the recipe's)"
    )
    parser.add_argument(
        "--temperature",
        type=not_negative,
        metavar="T",
        help="0 takes the best code of each slot, 1 draws as the model says (default: the recipe's); with 0 the seed "
        "still says which slots come first, unless --order ConfidenceScore, which has no noise, stands beside it",
    )
    parser.add_argument(
        "--top-k", type=count, metavar="N", help="draw from the N likeliest codes (default: the recipe's)"
    )
    parser.add_argument(
        "--top-p",
        type=share,
        metavar="P",
        help="draw from the likeliest codes that together have the probability P (default: the recipe's)",
    )
    parser.add_argument(
        "--min-p",
        type=share,
        metavar="P",
        help="draw from codes of at least this share of the best one's probability (default: the recipe's)",
    )
    parser.add_argument(
        "--matches",
        metavar="REGEX",
        help="a regular expression that the whole text matches; a code a step, so that it always can",
    )
    parser.add_argument(
        "--particles",
        type=count,
        metavar="N",
        help="weigh N generations by how much the constraint left of what the model says, and give one of them: the "
        "model's own law under the constraint, the more nearly the more there are",
    )
    parser.add_argument(
        "--window",
        type=window,
        metavar="N",
        help="fill at most N places together, each window going on from the one before; early: a fifth of all, as "
        "where media come in pieces (default: as many as the model sees)",
    )
    parser.add_argument(
        "--order",
        metavar="SCORE",
        help="which slots are revealed first: ConfidenceScore, MarginScore, EntropyScore, RandomScore, HaltonScore, "
        "QLDSScore, or the class path of another (default: the recipe's)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="a field of the sampler, as under `sampler` in the recipe of the run, such as pick.min_p=0.05 or "
        "schedule.class_path=UniformSchedule; again for more",
    )
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="same seed, same result (default: 0)")
    parser.add_argument("--num-samples", type=count, default=1, metavar="N", help="how many to draw (default: 1)")
    parser.add_argument(
        "--record", metavar="FILE", help="keep what stood after each step in a file, for `tokenmask show`"
    )
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="a file (several samples are numbered), of media or, if it ends in .tokens, of codes; or a folder; "
        "without it text is printed and other media go to STREAM-SEED-SAMPLE.png or the like here",
    )
    add_force(parser)
