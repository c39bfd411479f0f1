"""Makes the small runs of this folder, with the version of tokenmask that is imported.

    python tests/releases/make.py FOLDER       # in a checkout of that version; a subfolder for each run

Arrow: data that ships --a release--> run folder + what it generated. Kept to what every release can do.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

from tokenmask import data
from tokenmask.corpus import Item, build_corpus
from tokenmask.modalities.image import Image, ImageTokenizer, ImageTokenizerConfig
from tokenmask.modalities.text import Text, TextTokenizer
from tokenmask.recipes import load_recipe
from tokenmask.run import train

ASKED: dict[str, list[tuple[str, dict[str, Any]]]] = {  # run -> (stream, what is asked of it)
    "captions": [
        ("image", {"given": {"text": "red heart"}, "steps": 4, "seed": 3}),
        ("text", {"given": {"text": "the"}, "length": 5, "steps": 3, "seed": 4}),
    ],
    "llada": [("text", {"given": {"text": "in the"}, "length": 6, "steps": 3, "seed": 5})],
}
SMALL = ["model.width=64", "model.depth=1", "model.heads=1", "training.steps=3"]


def main(folder: Path) -> None:
    """Both runs, without corpora and checkpoints, and the codes that they drew."""
    entries = data.emoji()[:60]
    words = [Text(entry.name) for entry in entries] + [Text(verse) for verse in data.gospel_verses()[:200]]
    pictures = [Image(torch.from_numpy(entry.pixels)) for entry in entries]
    config = ImageTokenizerConfig(codes=16, width=8)
    made = {
        "text": TextTokenizer.fit(words, vocab_size=340),
        "image": ImageTokenizer.fit(pictures, config=config, steps=2, progress=False),
    }
    for recipe, asked in ASKED.items():
        home = folder / recipe
        small = load_recipe(recipe, tiny=True, overrides=SMALL)
        used = {name: made[name] for name in small.streams}
        media = [{"text": Text(e.name), "image": picture} for e, picture in zip(entries, pictures, strict=True)]
        items = [
            Item(e.name, {name: one[name] for name in used}, e.split) for e, one in zip(entries, media, strict=True)
        ]
        build_corpus(items, used, home / "corpus", progress=False)
        run = train(home, small, used, [(home / "corpus", 1.0)], progress=False)
        drawn = [run.generate_tokens(stream, **options)[0].codes.tolist() for stream, options in asked]
        (home / "drawn.json").write_text(json.dumps(drawn) + "\n")
        for part in ("corpus", "checkpoint.safetensors", "metrics.jsonl"):
            path = home / part
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        about = json.loads((home / "run.json").read_text())
        (home / "run.json").write_text(json.dumps({**about, "corpora": []}, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
