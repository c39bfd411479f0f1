"""The table of docs/edit.md: each of its calls is run, and what is outside of a region stays."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tokenmask as tm
from tests.worlds import emoji, film
from tokenmask.demo import items
from tokenmask.modalities.text import Text
from tokenmask.modalities.video import VideoTokenizer

PAGE = Path(__file__).parents[2] / "docs" / "edit.md"
pytestmark = pytest.mark.filterwarnings("ignore")
MODALITIES = ("text", "image", "audio", "motion", "eeg", "video")


def cells() -> list[tuple[str, str, str]]:
    """(operation, modality, what stands there)."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    head = rows.index(["operation", *MODALITIES])
    found = []
    for row in rows[head + 1 :]:
        if len(row) == len(MODALITIES) + 1:
            found += [(row[0], name, cell) for name, cell in zip(MODALITIES, row[1:], strict=True)]
    return found


CALLS = [(operation, name, cell.strip("`")) for operation, name, cell in cells() if cell.startswith("`")]


class Quick:
    """A run that takes one step a stage."""

    def __init__(self, run):
        self.run = run

    def __getattr__(self, name):
        return lambda *inputs, **options: getattr(self.run, name)(*inputs, **{"steps": 1, "seed": 1, **options})


@pytest.fixture(scope="module")
def names():
    run, pictures = tm.load(), emoji()
    tokenizer = VideoTokenizer.around(run.tokenizers["image"], frame_rate_hz=12.0, step=3)
    short = film(pictures[0])
    video = replace(short, frames=torch.cat([short.frames, film(pictures[1]).frames]))
    eeg = items.media("eeg", "held-out")[0]
    return {
        "run": Quick(run.swap_tokenizer("video", tokenizer, media=[video])),
        "text": Text("In the beginning was the word"),
        "image": items.media("image", "held-out")[0],
        "other": items.media("image", "held-out")[1],
        "audio": items.media("audio", "held-out")[0].between(0, 0.5),
        "motion": items.media("motion", "train")[3].between(0, 1.1),
        "eeg": replace(eeg, samples=eeg.samples[:, :128], stream=None),
        "video": video,
    }


def test_every_cell_is_a_call_or_says_why_not():
    every = cells()
    assert len(every) == len(MODALITIES) * len({operation for operation, _, _ in every}) >= 60
    assert all(cell.startswith(("`run.", "no: ")) for _, _, cell in every)


@pytest.mark.parametrize(("operation", "name", "call"), CALLS, ids=[f"{one}-{name}" for one, name, _ in CALLS])
def test_a_call(names, operation, name, call):
    made = list(eval(call, names))  # the words of our own page
    assert made and all(type(one) is type(names[name]) for one in made)
    if operation.startswith("in pieces"):
        return
    if call.startswith("run.outpaint"):  # no grid holds all of it
        height, width = names[name].pixels.shape[:2]
        (wider,) = made
        assert wider.pixels.shape == (height + 8, width + 16, 3) and wider.stream is None
        assert torch.equal(wider.pixels[:height, :width], names[name].pixels)
        return
    assert len(made) == 1 and made[0].stream.filled is not None and made[0].stream.filled.any()
    filled, codes = made[0].stream.filled, made[0].stream.codes
    before = names["run"].run.tokenizers[name].encode(names[name]).codes
    if operation == "go on":
        size = codes.shape[1 if name == "eeg" else 0]
        assert size > before.shape[1 if name == "eeg" else 0]
        return
    if operation == "other length":
        assert made[0].text.startswith("In the") and made[0].text.endswith(" was the word")
        return
    assert filled.shape == before.shape and torch.equal(codes[~filled], before[~filled])
    if operation not in ("condition", "negative, several") or name != "image":
        assert not filled.all()
