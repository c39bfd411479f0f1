"""Real data that ships: small excerpts for the demo, the tests and first experiments. README.md names the sources.

Arrow: files of this folder --> plain Python and numpy. Knows nothing of tokens, streams or torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
FASHION_LABELS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_EMOJI_SIZE, _EMOJI_A_ROW = 32, 32


@dataclass(frozen=True, eq=False)
class Emoji:
    """A small picture with words for it.

    Args:
        name: lower case, unique among the emoji, for example "sunset over buildings": the caption.
        keywords: other names, lower case, for example ("city sunrise",); often none.
        category: one of six, for example "Travel & Places".
        subcategory: one of 65, for example "place-other".
        pixels: uint8 [32, 32, 3], on white.
        split: "held-out" for every tenth without a near twin among the others (README.md), else "train".
    """

    name: str
    keywords: tuple[str, ...]
    category: str
    subcategory: str
    pixels: np.ndarray
    split: str


def emoji() -> list[Emoji]:
    """1,026 Noto emoji, in the order of the sheet: 928 to train, 98 held out."""
    from PIL import Image

    entries = json.loads((FOLDER / "images/noto_emoji_32.json").read_text(encoding="utf-8"))
    with Image.open(FOLDER / "images/noto_emoji_32.png") as sheet:
        rows = np.asarray(sheet.convert("RGB")).reshape(-1, _EMOJI_SIZE, _EMOJI_A_ROW, _EMOJI_SIZE, 3)
    cells = rows.swapaxes(1, 2).reshape(-1, _EMOJI_SIZE, _EMOJI_SIZE, 3)
    return [_emoji(entry, cells[index].copy()) for index, entry in enumerate(entries)]


def _emoji(entry: dict[str, str | list[str]], pixels: np.ndarray) -> Emoji:
    name = str(entry["name"])
    others = (str(short).replace("_", " ") for short in entry["short_names"])
    keywords = tuple(other for other in others if other != name)
    return Emoji(name, keywords, str(entry["category"]), str(entry["subcategory"]), pixels, str(entry["split"]))


def gospel_verses() -> list[str]:
    """3,778 verses of the World English Bible: Matthew, Mark, Luke and John, in order."""
    return (FOLDER / "text/web_nt_excerpt.txt").read_text(encoding="utf-8").splitlines()


def glosses() -> list[tuple[str, str]]:
    """4,000 (word, definition) pairs of WordNet 3.0, in random order; 69 words occur more than once."""
    lines = (FOLDER / "text/wordnet_glosses_4000.tsv").read_text(encoding="utf-8").splitlines()
    return [(word, gloss) for word, _, gloss in (line.partition("\t") for line in lines)]


def fashion() -> tuple[np.ndarray, np.ndarray]:
    """Pictures of clothes, the first 1,000 of the Fashion-MNIST test set.

    Returns:
        (images uint8 [1000, 28, 28], labels uint8 [1000] into FASHION_LABELS); new arrays.
    """
    with np.load(FOLDER / "images/fashion_mnist_1000.npz") as file:
        return file["images"], file["labels"]
