"""The data that ships is what its README says."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from tokenmask import data


@pytest.fixture(scope="module")
def emoji() -> list[data.Emoji]:
    return data.emoji()


def test_emoji(emoji: list[data.Emoji]) -> None:
    assert len(emoji) == 1026 and len({one.name for one in emoji}) == 1026
    assert all(one.name == one.name.lower() and one.pixels.shape == (32, 32, 3) for one in emoji)
    assert all(one.pixels.dtype == np.uint8 and one.pixels.flags.writeable for one in emoji)
    assert len({one.category for one in emoji}) == 6 and len({one.subcategory for one in emoji}) == 65
    assert emoji[9].name == "sunset over buildings" and emoji[9].keywords == ("city sunrise",)


def test_pictures_fit_their_names(emoji: list[data.Emoji]) -> None:
    """A cell off by one pixel, row or column would not show these colours in the middle."""
    middle = {one.name: one.pixels[12:20, 12:20].mean((0, 1)) for one in emoji}
    for name, channel in (
        ("red apple", 0),
        ("green apple", 1),
        ("blue heart", 2),
        ("green heart", 1),
        ("red circle", 0),
    ):
        if name in middle:
            assert middle[name].argmax() == channel, name
    assert middle["white heart"].min() > 200 and middle["black heart"].max() < 100
    assert {"red apple", "blue heart", "green heart"} <= set(middle)
    edges = np.stack([one.pixels for one in emoji])[:, [0, -1]].mean()
    assert edges > 225  # white around the drawings


def test_held_out_emoji_have_no_near_twin(emoji: list[data.Emoji]) -> None:
    pixels = np.stack([one.pixels for one in emoji]).reshape(len(emoji), -1).astype(np.float64) / 255
    held_out = np.array([one.split == "held-out" for one in emoji])
    assert Counter(one.split for one in emoji) == {"train": 928, "held-out": 98}
    assert all(index % 10 == 9 for index in np.flatnonzero(held_out))
    norms = (pixels**2).sum(1)
    products = pixels[held_out] @ pixels[~held_out].T
    nearest = ((norms[held_out, None] + norms[None, ~held_out] - 2 * products) / pixels.shape[1]).min(1)
    assert nearest.min() > 0.005 and (nearest < 0.01).sum() == 7


def test_texts() -> None:
    verses, glosses = data.gospel_verses(), data.glosses()
    assert len(verses) == 3778 and all(verses) and verses[2899].startswith("In the beginning was the Word")
    assert sum(count > 1 for count in Counter(verses).values()) == 8
    assert len(glosses) == 4000 and all(word and gloss and "\t" not in gloss for word, gloss in glosses)
    assert sum(count > 1 for count in Counter(word for word, _ in glosses).values()) == 69


def test_fashion() -> None:
    images, labels = data.fashion()
    assert images.shape == (1000, 28, 28) and images.dtype == labels.dtype == np.uint8
    assert set(labels) == set(range(len(data.FASHION_LABELS)))


def test_speech() -> None:
    speech = data.speech()
    counts = Counter((one.group, one.split) for one in speech)
    assert counts["letters", "held-out"] == 61 and counts["phonetic", "held-out"] == 27
    assert counts["prompts", "train"] == 187 and counts["prompts", "held-out"] == 26 and counts["digits", "train"] == 94
    assert counts["librivox", "held-out"] == 5 and len(speech) == 410
    assert all(one.path.is_file() and one.text and 0.3 < one.seconds < 10 for one in speech)


def test_motions() -> None:
    names = Counter(one.name for one in data.motions())
    assert len(data.motions()) == 20 and names["turn left"] == 2 and names["kick"] == 1
    assert {"walk forward", "getup faceup", "dance a"} <= set(names)


def test_eyes_open_shut() -> None:
    samples, shut, held_out = data.eyes_open_shut()
    assert samples.shape == (98, len(data.EEG_CHANNELS), 128) and samples.dtype == np.float32
    assert held_out.sum() == 42 and 40 < shut.sum() < 60
    assert np.abs(samples.mean(2)).max() < 1e-3 and 2 < samples.std() < 100  # microvolts


def test_every_file_is_in_the_table_with_its_licence() -> None:
    """A pattern in the table stands for the files of its folder that it matches."""
    table = (data.FOLDER / "README.md").read_text()
    files = [path for path in data.FOLDER.rglob("*.*") if path.parent != data.FOLDER and "__pycache__" not in str(path)]
    patterns = [word for word in table.split("`")[1::2] if "*" in word]
    for path in files:
        name = path.relative_to(data.FOLDER)
        assert f"`{name}`" in table or any(name.match(pattern) for pattern in patterns), name
    assert len(files) == 446
    assert sum(path.stat().st_size for path in files) < 12_000_000


def test_import_is_light() -> None:
    code = "import sys, tokenmask.data; sys.exit(bool({'torch', 'PIL', 'pyarrow'} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=False).returncode
        == 0
    )


def test_molecules() -> None:
    """Brackets close, rings are closed by a second digit, and no symbol is unknown to the recipe for molecules."""
    molecules = data.molecules()
    assert len(molecules) == len(set(molecules)) == 2000 and max(map(len, molecules)) == 50
    assert sum(map(len, molecules)) / 2000 == pytest.approx(35.9, abs=0.05)
    for one in molecules:
        depths = np.cumsum([(mark == "(") - (mark == ")") for mark in one])
        assert depths.min() >= 0 and depths[-1] == 0
        assert all(count % 2 == 0 for mark, count in Counter(one).items() if mark.isdigit())
    assert set("".join(molecules)) == set("#()-12345=BCFHNOS[]clnors")
