"""What the demo draws, plays and animates, and how it is judged.

Arrow: a Run --> files to look at and to listen to, and figures with sample sizes. Does not know: how slots are filled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenmask import data
from tokenmask.analysis import condition_ranks
from tokenmask.corpus import HELD_OUT, TRAIN
from tokenmask.demo import items
from tokenmask.fitting import writing_atomically
from tokenmask.modalities.recording import EegRecording
from tokenmask.modalities.skeleton import MotionClip
from tokenmask.modalities.text import Text
from tokenmask.run import Run

CAPTIONS = ("blue heart", "dog face", "sun", "pizza", "red apple", "grinning face", "full moon", "rose")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
OCCIPITAL = ("O1", "O2")
ALPHA_HZ = (8.0, 13.0)
SPOKEN_SECONDS = 0.9  # of a spoken digit


def generate(run: Run, folder: Path, say: Callable[[str], None]) -> None:
    """Draws captions, speaks digits, moves, records EEG and writes words; all into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    images = run.generate("image", given=[{"text": caption} for caption in CAPTIONS], num_samples=4, progress=True)
    rows = [images[4 * row : 4 * row + 4] for row in range(len(CAPTIONS))]
    _sheet(CAPTIONS, rows, folder / "captions.png")
    for caption, row in zip(CAPTIONS, rows, strict=True):
        row[0].save(folder / f"{caption.replace(' ', '-')}.png")
    spoken = run.generate(
        "audio", given=[{"text": word} for word in DIGITS], duration_seconds=SPOKEN_SECONDS, progress=True
    )
    for word, clip in zip(DIGITS, spoken, strict=True):
        clip.save(folder / f"{word}.wav")
    for name in ("kick", "walk forward", "cartwheel"):
        clip = run.generate("motion", given={"text": name}, duration_seconds=1.4)[0]
        clip.save(folder / f"{name.replace(' ', '-')}.bvh")
        clip.draw(folder / f"{name.replace(' ', '-')}.gif")
    for label in items.EYES.values():
        recording = run.generate("eeg", given={"label": label}, duration_seconds=1.0)[0]
        recording.plot(folder / f"{label.replace(' ', '-')}.png")
    for word, clip in list(zip(DIGITS, spoken, strict=True))[:4]:
        heard = run.generate("text", given={"audio": clip}, length=6)[0]
        say(f"the clip spoken for {word!r} is heard as {heard.text!r}")
    for caption, row in zip(CAPTIONS[:4], rows, strict=False):
        name = run.generate("text", given={"image": row[0]}, length=8)[0]
        say(f"the picture drawn for {caption!r} is named {name.text!r}")
    line = run.generate("text", given={"text": "In the beginning"}, length=24)[0]
    say(f"'In the beginning' goes on: {line.text!r}")


def judge(run: Run) -> list[str]:
    """Figures of what conditions bring, a sentence each, with sample sizes and chance."""
    return [_captions(run), _words(run), _motions(run), _eyes(run)]


def _captions(run: Run, count: int = 60) -> str:
    training = [e for e in data.emoji() if e.split == TRAIN]
    chosen = training[:: len(training) // count][:count]
    streams = run.generate_tokens("image", given=[{"text": e.name} for e in chosen], seed=1, progress=True)
    text = run.tokenizers["text"]
    conditions = [{"text": text.encode(Text(e.name))} for e in chosen]
    ranks = condition_ranks(run.models["main"], run.recipe.packing, "image", streams, conditions, candidates=20)
    return f"pictures: {ranks}"


def _words(run: Run, samples: int = 4) -> str:
    """The model's own ear: which of the ten digits explains a generated clip best."""
    given = [{"text": word} for word in DIGITS]
    text = run.tokenizers["text"]
    conditions = [{"text": text.encode(Text(word))} for word in DIGITS]
    right = 0
    for seed in range(samples):
        streams = run.generate_tokens("audio", given=given, duration_seconds=SPOKEN_SECONDS, seed=seed)
        ranks = condition_ranks(run.models["main"], run.recipe.packing, "audio", streams, conditions, candidates=10)
        right += int((ranks.ranks == 0).sum())
    return (
        f"spoken digits: the model itself hears the right one of ten in {right} of {samples * len(DIGITS)}, chance 0.10"
    )


def _motions(run: Run, samples: int = 4) -> str:
    """The name of the nearest training clip, by joint positions of the best aligned window."""
    known = [(one.name, _pose_features(one.train)) for one in items.motions()]
    names = sorted({name for name, _ in known})
    clips = run.generate(
        "motion",
        given=[{"text": name} for name in names],
        duration_seconds=1.0,
        num_samples=samples,
        seed=1,
        progress=True,
    )
    asked = [name for name in names for _ in range(samples)]
    right = sum(
        min(known, key=lambda pair: _window_distance(features, pair[1]))[0] == name
        for name, features in zip(asked, map(_pose_features, clips), strict=True)
    )
    share = f"{right} of {len(clips)}, chance 1 in {len(names)}"
    return f"motions: the nearest training clip has the name that was asked for in {share}"


def _pose_features(clip: MotionClip) -> Tensor:
    """Joint positions about the root at 30 Hz, float32 [frames, joints * 3]."""
    clip = clip.resample(30.0)
    joints = clip.joint_positions()
    return (joints - joints[:, :1]).flatten(1)


def _window_distance(short: Tensor, long: Tensor) -> float:
    """The least mean distance of the shorter sequence to a window of the longer one."""
    if len(short) > len(long):
        short, long = long, short
    windows = long.unfold(0, len(short), 1).movedim(2, 1)
    return float((windows - short).square().mean((1, 2)).min())


def _eyes(run: Run, samples: int = 16) -> str:
    """Alpha power over the back of the head: it is larger with eyes shut."""
    real = {
        label: [r for r, own, split in items.recordings() if own == label and split == HELD_OUT]
        for label in items.EYES.values()
    }
    lines = []
    for title, groups in (
        ("held-out recordings", real),
        (
            "generated",
            {
                label: run.generate("eeg", given={"label": label}, duration_seconds=1.0, num_samples=samples, seed=1)
                for label in items.EYES.values()
            },
        ),
    ):
        opened, shut = (torch.tensor([_alpha_db(one) for one in groups[label]]) for label in items.EYES.values())
        error = math.sqrt(float(opened.var() / len(opened) + shut.var() / len(shut)))
        difference = f"{float(shut.mean() - opened.mean()):.2f} +- {error:.2f} dB"
        lines.append(f"{title} {difference} ({len(shut)} and {len(opened)} windows)")
    return f"alpha power with eyes shut over open, {' and '.join(OCCIPITAL)}: " + "; ".join(lines)


def _alpha_db(recording: EegRecording) -> float:
    power = recording.select(OCCIPITAL).band_power(*ALPHA_HZ)
    return float(10 * power.clamp_min(1e-12).log10().mean())


def _sheet(captions: Sequence[str], rows: Sequence[Sequence[Any]], path: Path) -> None:
    """A grid of pictures, one caption a row, enlarged four times."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.6 * len(rows[0]) + 1.8, 1.6 * len(rows)))
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for caption, row, line in zip(captions, rows, axes, strict=True):
        for image, axis in zip(row, line, strict=True):
            axis.imshow(np.asarray(image.pixels), interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            for side in axis.spines.values():
                side.set_visible(False)
        line[0].set_ylabel(caption, rotation=0, ha="right", va="center", fontsize=11)
    figure.tight_layout(pad=0.4)
    with writing_atomically(path) as partial:
        figure.savefig(partial, dpi=80, format="png")
