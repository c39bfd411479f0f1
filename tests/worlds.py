"""Tiny tokenizers and runs from data that ships, made once for every test that needs them."""

import atexit
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from tokenmask import data
from tokenmask.corpus import Item, build_corpus
from tokenmask.modalities.image import Image, ImageTokenizer, ImageTokenizerConfig
from tokenmask.modalities.symbols import Symbols, SymbolTokenizer
from tokenmask.modalities.text import Text, TextTokenizer
from tokenmask.modalities.video import VideoClip, VideoTokenizer
from tokenmask.recipes import Recipe, load_recipe
from tokenmask.run import Run, load_tokenizer, prepare, train
from tokenmask.tokenizer import Tokenizer
from tokenmask.training import Trainer


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
    """Trains a recipe's tiny variant on captioned emoji, and on a little of everything else that its streams hold.

    Streams other than text, images and films are coded by the tokenizers that ship. What was trained before is copied.
    """
    home = _trained(recipe, steps)
    shutil.copytree(home, folder, dirs_exist_ok=True)
    return Run.load(folder)


@cache
def _trained(recipe: str, steps: int | None) -> Path:
    """A folder with the run, until this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="tiny-run-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    small = load_recipe(recipe, tiny=True, overrides=[] if steps is None else [f"training.steps={steps}"])
    train(folder, small, *coded(folder, small), progress=False)
    return folder


def tiny_trainer(folder: Path, recipe: str, *overrides: str) -> Trainer:
    """What would train a recipe's tiny variant, see :func:`tiny_run`."""
    small = load_recipe(recipe, tiny=True, overrides=list(overrides))
    return prepare(folder, small, *coded(folder, small))


def coded(folder: Path, small: Recipe) -> tuple[dict[str, Tokenizer], list[tuple[Path, float]]]:
    """Tokenizers and corpora for a recipe."""
    used = {name: _tokenizer(options.shares or options.tokenizer) for name, options in small.streams.items()}
    corpora = []
    for name, found in _items(set(used)).items():
        own = {stream: used[stream] for stream in used if any(stream in item.media for item in found)}
        build_corpus(found, own, folder / "corpus" / name, progress=False, on_error="raise")
        corpora.append((folder / "corpus" / name, 1.0))
    return used, corpora


def film(entry: data.Emoji) -> VideoClip:
    """Half a second of an emoji that moves to the right, 12 frames a second."""
    pixels = torch.from_numpy(entry.pixels)
    return VideoClip(torch.stack([pixels.roll(4 * number, 1) for number in range(6)]), 12.0)


def _tokenizer(modality: str) -> Tokenizer:
    own = tokenizers()
    if modality == "symbols":
        return SymbolTokenizer.fit([], alphabet=tuple(load_recipe("genmol").streams["molecule"].fit["alphabet"]))
    if modality == "video":  # none ships
        return VideoTokenizer.around(own["image"], frame_rate_hz=12.0, step=3)
    return own[modality] if modality in own else load_tokenizer(modality)


def _items(streams: set[str]) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {"emoji": []}
    for entry in emoji() if "image" in streams or streams == {"text"} else []:  # else they would be words alone
        picture = Image(torch.from_numpy(entry.pixels))
        media = {"text": Text(entry.name), "image": picture, "fine": picture}
        found["emoji"].append(Item(entry.name, {name: media[name] for name in media if name in streams}, entry.split))
    if "molecule" in streams:
        split = ["train"] * 9 + ["held-out"]
        found["molecules"] = [
            Item(one, {"molecule": Symbols(one)}, split[number % 10])
            for number, one in enumerate(data.molecules()[:60])
        ]
    if "video" in streams:
        found["films"] = [Item(f"film {entry.name}", {"video": film(entry)}, entry.split) for entry in emoji()[:24]]
    if {"audio", "motion", "eeg"} & streams:
        from tokenmask.demo.items import corpora

        for name, part in corpora().items():
            if name in ("speech", "motion", "eeg"):
                kept = [replace(i, media={n: m for n, m in i.media.items() if n in streams}) for i in part]
                kept = [item for item in kept if set(item.media) - {"text", "label"}]
                found[name] = [item for item in kept if item.split == "train"][:12] + [
                    item for item in kept if item.split != "train"
                ][:4]
    return {name: items for name, items in found.items() if items}
