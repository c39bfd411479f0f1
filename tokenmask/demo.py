"""The demo: the whole arrow on data that ships, in a few minutes on two cores.

Arrow: pictures with captions and verses --> tokenizers --> corpora --> one model --> pictures and words.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenmask import data
from tokenmask.analysis import condition_ranks
from tokenmask.corpus import HELD_OUT, TRAIN, Item, build_corpus
from tokenmask.modalities.image import Image, ImageTokenizer
from tokenmask.modalities.text import Text, TextTokenizer
from tokenmask.recipes import load_recipe
from tokenmask.run import Run, train
from tokenmask.tokenizer import Tokenizer
from tokenmask.training import StreamScore

CAPTION_REPEATS = 6  # captions are few beside verses; repeated, their words become single codes
HELD_OUT_VERSES = 2900  # John begins here: the book that shares least with the three before it
CAPTIONS = ("blue heart", "dog face", "sun", "pizza", "red apple", "grinning face", "full moon", "rose")


def main(folder: Path, overrides: Sequence[str] = ()) -> None:
    """Fits two tokenizers, trains one model on both streams, generates, prints what was measured.

    Everything is kept in ``folder``; a second call goes on where the first one stopped.

    Args:
        folder: becomes a run folder, which ``tokenmask.load`` opens.
        overrides: fields of the demo's recipe, "field.sub=value" each.
    """
    started = time.monotonic()
    recipe = load_recipe("demo", overrides=overrides)
    emoji, verses = data.emoji(), data.gospel_verses()
    training = [e for e in emoji if e.split == TRAIN]
    held_out = [e for e in emoji if e.split == HELD_OUT]

    _heading("1. Tokenizers")
    words = [e.name for e in training] * CAPTION_REPEATS + verses[:HELD_OUT_VERSES]
    text = TextTokenizer.fit([Text(word) for word in words], seed=0, **recipe.streams["text"].fit)
    _figures("text, held-out verses", text.evaluate([Text(v) for v in verses[HELD_OUT_VERSES:]]))
    pictures = [Image(torch.from_numpy(e.pixels)) for e in training]
    image = ImageTokenizer.fit(pictures, seed=0, folder=folder / "fit-image", **recipe.streams["image"].fit)
    _figures("image, held-out emoji", image.evaluate([Image(torch.from_numpy(e.pixels)) for e in held_out], pictures))

    _heading("2. Corpora")
    tokenizers: dict[str, Tokenizer] = {"text": text, "image": image}
    build_corpus(_emoji_items(emoji), tokenizers, folder / "corpus" / "emoji")
    build_corpus(_verse_items(verses), {"text": text}, folder / "corpus" / "verses")
    _say(f"{2 * len(emoji)} captioned pictures (each also mirrored), {len(verses)} verses")

    _heading("3. One model for both")
    corpora = [(folder / "corpus" / "emoji", 6.0), (folder / "corpus" / "verses", 1.0)]
    run = train(folder, recipe, tokenizers, corpora)
    _say(repr(run))
    for score in run.held_out_scores(draws=3):
        _say(_score_line(score))

    _heading("4. Generated")
    _generate(run, folder / "samples")
    _judge(run, training)
    _say(f"Everything is in {folder}; the pictures are in {folder / 'samples'}. {time.monotonic() - started:.0f} s.")


def _emoji_items(emoji: Sequence[data.Emoji]) -> list[Item]:
    """Each picture with its name, and mirrored: a mirrored emoji is as good a picture of its name."""
    items = []
    for entry in emoji:
        for key, pixels in ((entry.name, entry.pixels), (f"{entry.name} (mirrored)", entry.pixels[:, ::-1].copy())):
            media = {"text": Text(entry.name), "image": Image(torch.from_numpy(pixels))}
            items.append(Item(key, media, entry.split, {"category": entry.category}))
    return items


def _verse_items(verses: Sequence[str]) -> list[Item]:
    return [
        Item(f"verse {index}", {"text": Text(verse)}, HELD_OUT if index >= HELD_OUT_VERSES else TRAIN)
        for index, verse in enumerate(verses)
    ]


def _generate(run: Run, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    given = [{"text": caption} for caption in CAPTIONS]
    images = run.generate("image", given=given, num_samples=4, seed=0, progress=True)
    rows = [images[4 * row : 4 * row + 4] for row in range(len(CAPTIONS))]
    _sheet(CAPTIONS, rows, folder / "captions.png")
    for caption, row in zip(CAPTIONS, rows, strict=True):
        row[0].save(folder / f"{caption.replace(' ', '-')}.png")
    for start in ("In the beginning", "Jesus answered them,"):
        line = run.generate("text", given={"text": start}, length=24, seed=0)[0]
        _say(f"{start!r} goes on: {line.text!r}")
    for caption, row in zip(CAPTIONS[:4], rows, strict=False):
        name = run.generate("text", given={"image": row[0]}, length=8, seed=0)[0]
        _say(f"the picture drawn for {caption!r} is named {name.text!r}")


def _judge(run: Run, training: Sequence[data.Emoji], count: int = 60) -> None:
    """Two figures of what guidance brings: nearest training emoji, and the rank of the own caption."""
    chosen = training[:: len(training) // count][:count]
    streams = run.generate_tokens("image", given=[{"text": e.name} for e in chosen], seed=1, progress=True)
    drawn = torch.stack([run.tokenizers["image"].decode(stream).pixels for stream in streams])
    known = torch.stack([torch.from_numpy(e.pixels) for e in training])
    nearest = _distances(drawn, known).argmin(1)
    own = torch.tensor([training.index(e) for e in chosen])
    share = float((nearest == own).double().mean())
    _say(f"nearest of {len(training)} training emoji is the one of the caption: {share:.2f} of {len(chosen)} pictures")
    text = run.tokenizers["text"]
    conditions = [{"text": text.encode(Text(e.name))} for e in chosen]
    ranks = condition_ranks(run.models["main"], run.recipe.packing, "image", streams, conditions, candidates=20)
    margin = (ranks.first_share - ranks.chance) / max(ranks.standard_error, 1e-9)
    _say(f"{ranks}; {margin:.1f} standard errors above chance")


def _distances(first: Tensor, second: Tensor) -> Tensor:
    """Mean squared pixel differences, float32 [N, M]."""
    a, b = (pixels.flatten(1).float() / 255 for pixels in (first, second))
    return torch.cdist(a, b).square() / a.shape[1]


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
    figure.savefig(path, dpi=80)


def _score_line(score: StreamScore) -> str:
    known = f"given {', '.join(score.given)}" if score.given else "nothing given"
    line = (
        f"{score.stream} of {' + '.join(score.record)}, {known}: {score.cross_entropy:.3f} nats a hidden code, unigram "
        f"{score.unigram:.3f}, margin {score.margin:.3f} +- {score.margin_error:.3f} over {score.num_records} records"
    )
    if score.gain is None:
        return line
    return f"{line}; what is given brings {score.gain:.3f} +- {score.gain_error:.3f}"


def _figures(title: str, values: dict[str, float]) -> None:
    _say(f"{title}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()))


def _heading(text: str) -> None:
    _say(f"\n{text}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
