"""What the shared model's samples are worth: python benchmarks/samples.py RUN --corpora FOLDER --out FILE.json.

Asks a run (or "shipped") for the fixed lists of asked.py with one seed, judges what comes by pixels, poses and a
recogniser (pip install --no-deps pocketsphinx), and scores the held-out records of the corpora that weights.py made.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import asked
import numpy as np
import torch
from weights import FIRST_WEIGHTS

import tokenmask as tm
from tokenmask.analysis import condition_ranks
from tokenmask.analysis.figures import HEAD, Figure
from tokenmask.analysis.intervals import share_interval
from tokenmask.analysis.recogniser import WORDS, in_dictionary, words_heard
from tokenmask.demo import items
from tokenmask.files import write_text_atomic
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.image import Image
from tokenmask.modalities.motion import MotionClip
from tokenmask.run import Run

CANDIDATES = 20
WORD_CODES = 8  # room of a name or a phrase, its end included


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("run", help='a run folder, or "shipped"')
    parser.add_argument("--corpora", type=Path, help="made by weights.py; their held-out records are scored")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    arguments = parser.parse_args()
    run = tm.load() if arguments.run == "shipped" else tm.load(arguments.run)
    figures = [*pictures(run), *speech(run), *motions(run), *words(run)]
    print("\n".join(table(figures)))
    held_out = scores(run, arguments.corpora) if arguments.corpora else []
    print("\n".join(score_table(held_out)))
    if arguments.out:
        about = {"figures": [asdict(figure) for figure in figures], "held_out": held_out, "seed": asked.SEED}
        write_text_atomic(arguments.out, json.dumps(about, indent=1) + "\n")


def pictures(run: Run) -> list[Figure]:
    """Own emoji nearest of all, own caption first, unseen combinations; pixels are judged at the size that is coded."""
    chosen = asked.pictures()
    found = nearest(run, [one.name for one in chosen])
    right = [one.name == name for one, name in zip(chosen, found, strict=True)]
    drawn = run.generate("image", given=[{"text": one} for one in asked.UNSEEN], seed=asked.SEED)
    judged = []
    for caption, image in zip(asked.UNSEEN, drawn, strict=True):
        colour, word = caption.split()
        pixels = image.resize(asked.SIDE, asked.SIDE).pixels.numpy()
        judged.append((asked.colour(pixels) == colour, asked.has_shape(pixels, word)))
    return [
        share("own emoji nearest in pixels of 928 training emoji", right, "training captions", "chance 0.001"),
        own_first(run, [one.name for one in chosen], "training captions"),
        own_first(run, asked.unseen_names(), "captions of held-out pictures"),
        share("right colour and outline", [a and b for a, b in judged], "unseen combinations of seen words"),
        share("right colour", [a for a, _ in judged], "unseen combinations of seen words"),
        share("right outline", [b for _, b in judged], "unseen combinations of seen words"),
    ]


def nearest(run: Run, captions: Sequence[str], **options: Any) -> list[str]:
    """The name of the training emoji that is nearest, in squared difference of pixels, to what a caption gives."""
    known = asked.emoji()
    pixels = torch.stack([torch.from_numpy(one.pixels).float().flatten() for one in known])
    drawn = run.generate("image", given=[{"text": one} for one in captions], seed=asked.SEED, **options)
    small = [image.resize(asked.SIDE, asked.SIDE) for image in drawn]
    made = torch.stack([image.pixels.float().flatten() for image in small])
    return [known[at].name for at in torch.cdist(made, pixels).argmin(1).tolist()]


def own_first(run: Run, captions: Sequence[str], of: str) -> Figure:
    """How often a picture is explained best by its own caption, by the model that drew it."""
    streams = run.generate_tokens("image", given=[{"text": one} for one in captions], seed=asked.SEED)
    given = [{"text": run.tokenizers["text"].encode(tm.modalities.text.Text(one))} for one in captions]
    ranks = condition_ranks(
        run.models["main"], run.recipe.packing, "image", streams, given, candidates=CANDIDATES, seed=asked.SEED
    )
    return share(f"own caption first of {CANDIDATES}", (ranks.ranks == 0).tolist(), of, "chance 0.05; own judge")


def speech(run: Run) -> list[Figure]:
    """Digits, single words of training prompts, and words that were never trained on, as a recogniser hears them."""
    digits = WORDS["digits"].split()
    known = in_dictionary(asked.single_words())
    found = [share("digits heard", heard(run, digits, 7), "spoken digits", "chance 0.1")]
    found.append(share("words heard", heard(run, known, 1), "single words of training prompts"))
    for group in ("letters", "phonetic"):
        found.append(share(f"{group} heard", heard(run, WORDS[group].split(), 1), "words never trained on"))
    return found


def heard(run: Run, spoken: Sequence[str], samples: int, **options: Any) -> list[bool]:
    """Whether each word is heard, out of a grammar of all of them; how long one lasts is left to the run."""
    given = [{"text": word} for word in spoken]
    clips = run.generate("audio", given=given, num_samples=samples, seed=asked.SEED, **options)
    samples_16k = [clip.mono().resample(16000).samples[0].numpy() for clip in clips]
    wanted = [word for word in spoken for _ in range(samples)]
    return [one == word for one, word in zip(words_heard(samples_16k, spoken), wanted, strict=True)]


def motions(run: Run, **options: Any) -> list[Figure]:
    """Whether a training clip of the asked name is the nearest by poses."""
    names = asked.motion_names()
    known = [(one.name, poses(one.train)) for one in items.motions()]
    known += [(items.other_side(one.name), poses(one.train.mirrored())) for one in items.motions()]
    made = run.generate(
        "motion", given=[{"text": n} for n in names], duration_seconds=1.4, num_samples=2, seed=asked.SEED, **options
    )
    wanted = [name for name in names for _ in range(2)]
    right = [
        min(known, key=lambda one: apart(one[1], own))[0] == name
        for own, name in zip(map(poses, made), wanted, strict=True)
    ]
    return [share("nearest training clip, by poses, has the name", right, "motions", "chance 0.06")]


def poses(clip: MotionClip) -> torch.Tensor:
    """Float [frames, joints * 3]: joints seen from the root, turned so that it faces ahead, at 30 a second; metres."""
    positions = clip.resample(30.0).joint_positions()
    centred = positions - positions[:, :1]
    across = centred[:, left_hip(clip)] - centred[:, right_hip(clip)]
    angle = torch.atan2(across[:, 2], across[:, 0])
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    x, z = centred[:, :, 0] * cos + centred[:, :, 2] * sin, centred[:, :, 2] * cos - centred[:, :, 0] * sin
    return torch.stack([x, centred[:, :, 1], z], -1).flatten(1)


def left_hip(clip: MotionClip) -> int:
    return clip.skeleton.names.index("left_hip")


def right_hip(clip: MotionClip) -> int:
    return clip.skeleton.names.index("right_hip")


def apart(known: torch.Tensor, made: torch.Tensor) -> float:
    """Mean over the frames of ``made`` of the distance to the nearest frame of ``known``."""
    return float(torch.cdist(made, known).min(1).values.mean())


def words(run: Run, **options: Any) -> list[Figure]:
    """Names for training pictures and words for training speech, letter for letter."""
    chosen = asked.pictures()
    media = [{"image": Image(torch.from_numpy(one.pixels))} for one in chosen]
    spoken = asked.phrases()
    clips = [{"audio": AudioClip.load(one.path)} for one in spoken]
    named = run.generate("text", given=media, length=WORD_CODES, seed=asked.SEED, **options)
    said = run.generate("text", given=clips, length=WORD_CODES, seed=asked.SEED, **options)
    return [
        share("names for pictures, exact", same(named, [one.name for one in chosen]), "training pictures"),
        share("words for speech, exact", same(said, [items.words_of(one) for one in spoken]), "training prompts"),
    ]


def same(found: Sequence[Any], wanted: Sequence[str]) -> list[bool]:
    return [one.text.strip() == word for one, word in zip(found, wanted, strict=True)]


def scores(run: Run, corpora: Path) -> list[dict[str, Any]]:
    """Held-out scores; the margin per code is that of all hidden codes together."""
    homes = [(str(corpora / name), weight) for name, weight in FIRST_WEIGHTS.items()]
    found = replace(run, corpora=homes).held_out_scores(draws=4, seed=asked.SEED)
    return [{**one.to_json(), "margin_per_code": one.unigram - one.cross_entropy} for one in found]


def first_levels(run: Run, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first level of each group of each stream."""
    starts = {name: {group[0] for group in spec.level_groups} for name, spec in run.layout.streams.items()}
    return [one for one in found if one["level"] in starts[one["stream"]]]


def share(name: str, right: Sequence[bool], of: str, beside: str = "") -> Figure:
    """A share of right ones with its 95 % interval by Wilson's score."""
    values = np.array(right, dtype=np.float64)
    return Figure(name, float(values.mean()), share_interval(values), len(values), of, beside)


def table(figures: Sequence[Figure]) -> list[str]:
    """Markdown."""
    lines = ["| " + " | ".join(("right", *HEAD)) + " |", "|" + "---|" * (len(HEAD) + 1)]
    for one in figures:
        right = round((one.value or 0) * one.count)
        lines.append("| " + " | ".join([f"{right} of {one.count}", *one.row()]) + " |")
    return lines


def score_table(found: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: nats a hidden code of each stream and level."""
    lines = ["| stream, level | given | cross-entropy | unigram | margin a code |", "|" + "---|" * 5]
    for one in found:
        given = ", ".join(one["given"]) or "nothing"
        numbers = (one["cross_entropy"], one["unigram"], one["margin_per_code"])
        cells = [f"{one['stream']} {one['level'] + 1} ({' + '.join(one['record'])})", given]
        lines.append("| " + " | ".join([*cells, *(f"{value:.3f}" for value in numbers)]) + " |")
    return lines


if __name__ == "__main__":
    main()
