"""The pictures at the top of the README: python benchmarks/strip.py draws docs/outputs.png with the shipped model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tokenmask import data
from tokenmask.demo import items
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.audio.mel import log_mel, spectrum
from tokenmask.modalities.motion import MotionClip
from tokenmask.run import load

OUT = Path(__file__).parents[1] / "docs" / "outputs.png"
CAPTIONS = ("blue heart", "red apple", "full moon", "grinning face", "sun", "pizza")
SEED = 0
MADE = "#d94801"  # what the model made, where it stands beside what was given


def main() -> None:
    run = load()
    images = run.generate("image", given=[{"text": caption} for caption in CAPTIONS], seed=SEED)
    anew = run.edit(images[0], [(32, 0, 64, 64)], given={"text": "broken heart"}, seed=SEED)[0]
    seven = run.generate("audio", given={"text": "seven"}, seed=SEED)[0]
    kick = run.generate("motion", given={"text": "kick"}, duration_seconds=1.4, seed=SEED)[0]
    eeg = run.generate("eeg", given={"label": "eyes shut"}, duration_seconds=1.0, seed=SEED)[0]
    busy = next(one for one in data.speech() if one.text == "All circuits are busy now.")
    start = {"text": items.words_of(busy), "audio": AudioClip.load(busy.path).between(0.0, 0.8)}
    spoken = run.generate("audio", start, duration_seconds=1.0, seed=SEED)[0]
    spin = next(one.train for one in items.motions() if one.name == "spin")
    between = run.edit(spin, [(1.2, 2.2)], given={"text": "spin"}, seed=SEED)[0]

    figure = Figure(figsize=(12, 8.2), layout="constrained", dpi=120)
    upper, middle, lower = figure.subfigures(3, 1, height_ratios=(1.1, 1.15, 1.7))
    shown = [*((f"“{caption}”", image) for caption, image in zip(CAPTIONS, images, strict=True))]
    shown.append(("right half anew:\n“broken heart”", anew))
    for axes, (caption, image) in zip(upper.subplots(1, len(shown)), shown, strict=True):
        axes.imshow(image.pixels.numpy(), interpolation="nearest")
        axes.set_anchor("S")  # room above for captions of two lines
        axes.set_title(caption, fontsize=10)
        axes.axis("off")
    continued, joined = middle.subplots(1, 2, width_ratios=(1, 2.4))
    draw_sound(continued, spoken, "a sentence continued from 0.8 s on")
    continued.axvline(0.8, color="white", linewidth=1.2)
    for seconds, word in ((0.4, "given"), (1.3, "made")):
        continued.text(seconds, 72, word, color="white", fontsize=9, ha="center")
    draw_bodies(joined, between, 9, lambda seconds: 1.2 <= seconds < 2.2, apart=1.15)
    joined.set_title("a spin, one second in the middle made anew", fontsize=10)
    sound, body, brain = lower.subplots(1, 3, width_ratios=(1, 1.4, 1))
    draw_sound(sound, seven, "audio for “seven”")
    draw_bodies(body, kick, 6, lambda seconds: False, rows=2)
    body.set_title("motion for “kick”", fontsize=10)
    seconds = np.arange(eeg.samples.shape[1]) / eeg.sample_rate_hz
    spacing = 4 * float(eeg.samples.std(1).median())
    for row, samples in enumerate(eeg.samples):
        brain.plot(seconds, samples.numpy() / spacing - row, color="black", linewidth=0.5)
    brain.set_yticks([-row for row in range(len(eeg.channels))], list(eeg.channels), fontsize=7)
    brain.set(xlabel="seconds")
    brain.set_title("EEG for “eyes shut”", fontsize=10)
    FigureCanvasAgg(figure).print_png(OUT)


def draw_sound(axes: Any, clip: AudioClip, title: str) -> None:
    mel = log_mel(spectrum(clip.samples, 512, 128), 80, clip.sample_rate_hz)[0]
    axes.imshow(
        np.asarray(mel).T, origin="lower", aspect="auto", cmap="magma", extent=(0, clip.duration_seconds, 0, 80)
    )
    axes.set(xlabel="seconds", ylabel="mel band")
    axes.set_title(title, fontsize=10)


def draw_bodies(axes: Any, clip: MotionClip, figures: int, made: Any, rows: int = 1, apart: float = 1.5) -> None:
    """Evenly spread poses, each about its root; right limbs red, left blue, and those that were made on a tint."""
    positions = clip.joint_positions()
    chosen = torch.linspace(0, len(clip) - 1, figures).round().long().tolist()
    across = figures // rows
    for place, frame in enumerate(chosen):
        points = positions[frame]
        x0, y0 = (place % across) * apart, -(place // across) * 2.1
        if made(frame / clip.frame_rate_hz):
            axes.axvspan(x0 - apart / 2, x0 + apart / 2, color=MADE, alpha=0.18, linewidth=0)
        flat = (points[:, 0] - points[0, 0]) * 0.87 + (points[:, 2] - points[0, 2]) * 0.5
        for joint, parent in enumerate(clip.skeleton.parents):
            name = clip.skeleton.names[joint].lower()
            colour = "#c82828" if "right" in name else "#2850c8" if "left" in name else "#1e1e1e"
            if parent >= 0:
                x = [x0 + float(flat[parent]), x0 + float(flat[joint])]
                axes.plot(x, [y0 + float(points[parent, 1]), y0 + float(points[joint, 1])], color=colour, linewidth=1.6)
        axes.plot([x0 - apart / 2, x0 + apart / 2], [y0, y0], color="#bebebe", linewidth=0.8)
    axes.set(xlim=(-apart / 2 - 0.05, (across - 0.5) * apart + 0.05))
    axes.set_aspect("equal")
    axes.axis("off")


if __name__ == "__main__":
    main()
