"""The pictures at the top of the README: python benchmarks/strip.py draws docs/outputs.png with the shipped model."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image as Picture

from tokenmask.modalities.audio.mel import log_mel, spectrum
from tokenmask.run import load

OUT = Path(__file__).parents[1] / "docs" / "outputs.png"
CAPTIONS = ("blue heart", "red apple", "full moon", "grinning face", "sun", "pizza")
SEED = 0


def main() -> None:
    run = load()
    images = run.generate("image", given=[{"text": caption} for caption in CAPTIONS], seed=SEED)
    hole = run.edit(images[0], [(16, 0, 32, 32)], given={"text": "broken heart"}, seed=SEED)[0]
    seven = run.generate("audio", given={"text": "seven"}, duration_seconds=0.9, seed=SEED)[0]
    kick = run.generate("motion", given={"text": "kick"}, duration_seconds=1.4, seed=SEED)[0]
    eeg = run.generate("eeg", given={"label": "eyes shut"}, duration_seconds=1.0, seed=SEED)[0]
    figure = Figure(figsize=(10, 5.6), layout="constrained", dpi=120)
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 2.1))
    shown = [*zip(CAPTIONS, images, strict=True), ("right half anew:\n“broken heart”", hole)]
    for axes, (caption, image) in zip(upper.subplots(1, len(shown)), shown, strict=True):
        axes.imshow(image.pixels.numpy(), interpolation="nearest")
        axes.set_title(caption if image is hole else f"“{caption}”", fontsize=8)
        axes.axis("off")
    sound, body, brain = lower.subplots(1, 3, width_ratios=(1, 1.5, 1))
    mel = log_mel(spectrum(seven.samples, 512, 128), 80, seven.sample_rate_hz)[0]
    sound.imshow(np.asarray(mel).T, origin="lower", aspect="auto", cmap="magma", extent=(0, 0.9, 0, 80))
    sound.set(title="audio for “seven”", xlabel="seconds", ylabel="mel band")
    with TemporaryDirectory() as folder:
        kick.draw(Path(folder) / "kick.png", figures=6, height=240)
        strip = np.asarray(Picture.open(Path(folder) / "kick.png"))
    two_rows = np.concatenate([strip[:, : strip.shape[1] // 2], strip[:, strip.shape[1] // 2 :]])
    body.imshow(two_rows)
    body.set_title("motion for “kick”")
    body.axis("off")
    seconds = np.arange(eeg.samples.shape[1]) / eeg.sample_rate_hz
    spacing = 4 * float(eeg.samples.std(1).median())
    for row, samples in enumerate(eeg.samples):
        brain.plot(seconds, samples.numpy() / spacing - row, color="black", linewidth=0.5)
    brain.set_yticks([-row for row in range(len(eeg.channels))], list(eeg.channels), fontsize=6)
    brain.set(title="EEG for “eyes shut”", xlabel="seconds")
    for axes in (sound, body, brain):
        axes.title.set_fontsize(8)
    FigureCanvasAgg(figure).print_png(OUT)


if __name__ == "__main__":
    main()
