"""Real media that ship with the package, and small tokenizers fitted on them once a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import tokenmask
from tokenmask.modalities.image import Image, ImageTokenizer, ImageTokenizerConfig
from tokenmask.modalities.text import Text, TextTokenizer

DATA = Path(tokenmask.__file__).parent / "data"


def load_emoji() -> list[Image]:
    """The 1026 emoji of the sheet, 32 a row."""
    sheet = Image.load(DATA / "images" / "noto_emoji_32.png").pixels
    cells = sheet.view(-1, 32, 32, 32, 3).transpose(1, 2).reshape(-1, 32, 32, 3)[:1026]
    return [Image(cell) for cell in cells]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small gain little from a second thread and lose much where the cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def verses() -> list[Text]:
    lines = (DATA / "text" / "web_nt_excerpt.txt").read_text(encoding="utf-8").splitlines()
    return [Text(line) for line in lines if line]


@pytest.fixture(scope="session")
def text_tokenizer(verses: list[Text]) -> TextTokenizer:
    return TextTokenizer.fit(verses, progress=False)


@pytest.fixture(scope="session")
def held_out_emoji() -> list[Image]:
    return load_emoji()[::10]


@pytest.fixture(scope="session")
def emoji() -> list[Image]:
    return [image for number, image in enumerate(load_emoji()) if number % 10]


@pytest.fixture(scope="session")
def image_tokenizer(emoji: list[Image]) -> ImageTokenizer:
    """Trained for a few seconds only: codes are real, pictures are blurred."""
    config = ImageTokenizerConfig(codes=128, blocks=1)
    return ImageTokenizer.fit(emoji, config=config, steps=60, seed=1, progress=False)


@pytest.fixture
def noise() -> Image:
    draw = torch.Generator().manual_seed(0)
    return Image(torch.randint(256, (32, 32, 3), generator=draw, dtype=torch.uint8))
