"""What a swap saves: python benchmarks/swap.py --out runs/swap. Writes swap.json and two pictures to results/.

A new image tokenizer takes the place of the one that ships. The shipped model with swapped rows learns from captioned
pictures in the new codes, and a fresh model of the same recipe learns from the same pictures from scratch. Both are
scored on held-out pictures along the way, and draw the same captions of training pictures with the same seed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from tokenmask.corpus import HELD_OUT, TRAIN, Corpus, build_corpus, statistics
from tokenmask.demo import items
from tokenmask.files import write_text_atomic
from tokenmask.modalities.image import ImageTokenizer, ImageTokenizerConfig
from tokenmask.recipes import load_recipe
from tokenmask.run import Run, load, prepare
from tokenmask.swapping import transplant
from tokenmask.tokenizer import DESCRIPTION_FILE
from tokenmask.training import Trainer, held_out_scores

RESULTS = Path(__file__).parent / "results"
CODES = 512  # the tokenizer that ships has 1024
CAPTIONS = ("red heart", "sun", "grinning face", "pizza", "full moon", "broken heart")  # those of the gallery
SIDE, GAP = 96, 8  # of a drawn picture, in pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/swap"))
    parser.add_argument("--fit-steps", type=int, default=600, help="of the new tokenizer")
    parser.add_argument("--steps", type=int, default=360, help="from scratch; the swap gets a third of them")
    parser.add_argument("--every", type=int, default=30, help="steps between scores")
    arguments = parser.parse_args()
    folder = arguments.out / "tokenizer"
    if not (folder / DESCRIPTION_FILE).is_file():
        config = ImageTokenizerConfig(codes=CODES, width=128)
        pictures = items.media("image", TRAIN)
        ImageTokenizer.fit(
            pictures, config=config, steps=arguments.fit_steps, peak_lr=3e-3, seed=1, folder=arguments.out / "fit"
        ).save(folder)
    shipped = load()
    swapped = shipped.swap_tokenizer("image", ImageTokenizer.load(folder), media=items.media("image", TRAIN))
    corpus = arguments.out / "corpus"
    pair = {name: swapped.tokenizers[name] for name in ("text", "image")}
    build_corpus(items.corpora()["emoji"], pair, corpus, on_error="raise")
    asked = {"given": [{"text": words} for words in CAPTIONS], "steps": 12, "guidance": 2.0, "seed": 0}
    drawn = {
        "before": shipped.generate("image", **asked),
        "swapped, no step": swapped.generate("image", **asked),
    }
    curves = {}
    for name, steps in (("from scratch", arguments.steps), ("swapped", arguments.steps // 3)):
        recipe = load_recipe("five", overrides=[f"training.steps={steps}", f"training.warmup_steps={steps // 12}"])
        trainer = prepare(arguments.out / name.replace(" ", "-"), recipe, swapped.tokenizers, [(corpus, 1.0)])
        if name == "swapped":
            rows = transplant(swapped.models["main"], trainer.layout).state_dict()
            trainer.model.load_state_dict(rows)
        curves[name] = learn(name, trainer, corpus, steps, arguments.every)
        learned = Run(arguments.out, shipped.recipe, trainer.layout, {"main": trainer.model.eval()}, pair)
        drawn[f"{name}, {steps} steps"] = learned.generate("image", **asked)
    last = curves["from scratch"][-1][1]
    reached = next((step for step, loss in curves["swapped"] if loss <= last), None)
    about = {"steps": arguments.steps, "fit_steps": arguments.fit_steps, "codes": CODES, "held_out_nats": curves}
    write_text_atomic(RESULTS / "swap.json", json.dumps({**about, "reached_after": reached}, indent=1) + "\n")
    draw(curves)
    picture_rows(drawn).save(RESULTS / "swap-pictures.png", optimize=True)
    print(f"from scratch {last:.3f} nats after {arguments.steps} steps; the swapped model is there after {reached}")


def learn(name: str, trainer: Trainer, corpus: Path, steps: int, every: int) -> list[tuple[int, float]]:
    """(step, held-out nats a code of pictures whose caption is given), at the start and along the way."""
    specs = dict(trainer.layout.streams)
    counts = statistics(Corpus(corpus, split=TRAIN, specs=specs))
    records = list(Corpus(corpus, split=HELD_OUT, specs=specs))
    curve = []
    for step in range(steps + 1):
        if step % every == 0 or step == steps:
            scores = held_out_scores(trainer.model, trainer.packing, records, counts, draws=2)
            (loss,) = [s.cross_entropy for s in scores if s.stream == "image" and s.given == ("text",)]
            curve.append((step, loss))
            print(f"{name}: step {step}, {loss:.3f} nats", flush=True)
        if step < steps:
            trainer.step(step)
    return curve


def draw(curves: dict[str, list[tuple[int, float]]]) -> None:
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for name, curve in curves.items():
        axes.plot([step for step, _ in curve], [loss for _, loss in curve], marker=".", label=name)
    axes.axhline(curves["from scratch"][-1][1], color="gray", linewidth=0.8, linestyle="--")
    axes.set(xlabel="steps on captioned pictures", ylabel="held-out nats a code")
    axes.legend(frameon=False)
    FigureCanvasAgg(figure).print_png(RESULTS / "swap.png")


def picture_rows(drawn: dict[str, list[Any]]) -> Image.Image:
    """A row of the captions' pictures for each model, in the order of the dictionary."""
    step = SIDE + GAP
    sheet = Image.new("RGB", (len(CAPTIONS) * step + GAP, len(drawn) * step + GAP), "white")
    for row, pictures in enumerate(drawn.values()):
        for column, picture in enumerate(pictures):
            one = Image.fromarray(picture.pixels.numpy()).resize((SIDE, SIDE), Image.Resampling.NEAREST)
            sheet.paste(one, (GAP + column * step, GAP + row * step))
    return sheet


if __name__ == "__main__":
    main()
