"""Tiny tokenizers and runs from data that ships, made once for every test that needs them."""

from functools import cache
from pathlib import Path

import torch

from tokenmask import data
from tokenmask.corpus import Item, build_corpus
from tokenmask.modalities.image import Image, ImageTokenizer, ImageTokenizerConfig
from tokenmask.modalities.text import Text, TextTokenizer
from tokenmask.recipes import load_recipe
from tokenmask.run import Run, train
from tokenmask.tokenizer import Tokenizer


@cache
def emoji() -> list[data.Emoji]:
    return data.emoji()[:200]


@cache
def tokenizers() -> dict[str, Tokenizer]:
    """A text tokenizer of 300 codes and an image tokenizer of 64, hardly trained."""
    words = [Text(e.name) for e in emoji()] + [Text(verse) for verse in data.gospel_verses()[:300]]
    pictures = [Image(torch.from_numpy(e.pixels)) for e in emoji()]
    config = ImageTokenizerConfig(codes=64, width=64)
    return {
        "text": TextTokenizer.fit(words, vocab_size=400),
        "image": ImageTokenizer.fit(pictures, config=config, steps=15, progress=False),
    }


def tiny_run(folder: Path, recipe: str, *, steps: int | None = None) -> Run:
    """Trains a recipe's tiny variant on 200 captioned emoji, and on verses where it knows no images."""
    small = load_recipe(recipe, tiny=True, overrides=[] if steps is None else [f"training.steps={steps}"])
    used = {name: tokenizers()[name] for name in small.streams}
    items = []
    for entry in emoji():
        media = {"text": Text(entry.name), "image": Image(torch.from_numpy(entry.pixels))}
        items.append(Item(entry.name, {name: media[name] for name in used}, entry.split))
    build_corpus(items, used, folder / "corpus", progress=False)
    return train(folder, small, used, [(folder / "corpus", 1.0)], progress=False)
