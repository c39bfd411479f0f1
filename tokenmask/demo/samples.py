"""What the demo draws, plays and animates, and whether its EEG knows shut from open eyes.

Arrow: a Run --> files to look at and to listen to, and a figure with its sample sizes. Does not know: how slots are
filled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tokenmask.corpus import HELD_OUT
from tokenmask.demo import items
from tokenmask.files import writing_atomically
from tokenmask.modalities.eeg.media import EegRecording
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


def eyes_line(run: Run, samples: int = 16) -> str:
    """A sentence about alpha power over the back of the head: it is larger with eyes shut."""
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
