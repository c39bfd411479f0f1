"""Rows of a model for another tokenizer, one by one: what they are made of, what stays, what is drawn."""

import pytest
import torch

from tokenmask.layout import Layout
from tokenmask.models import MaskedModel, RangeHeadsConfig, TransformerConfig
from tokenmask.streams import StreamSpec
from tokenmask.swapping import kept, transplant

SHAPE = TransformerConfig(width=64, depth=1, heads=2, shifted=True)
WORDS = StreamSpec("text", (5,), ("index",), end_code=4, fingerprint="1" * 64)
OLD = StreamSpec("audio", (3, 4), ("time",), rate_hz=50.0, fingerprint="2" * 64)
NEW = StreamSpec("audio", (4, 3, 2), ("time",), rate_hz=25.0, fingerprint="3" * 64)
BEFORE = Layout({"words": WORDS, "label": WORDS, "sound": OLD}, shares={"label": "words"})
AFTER = BEFORE.replace("sound", NEW)
FIRST = torch.tensor([[1.0, 1, 0], [0, 0, 5], [0, 0, 0], [2, 0, 0]], dtype=torch.float64)
SECOND = torch.tensor([[0, 0, 0, 1.0], [1, 1, 1, 1], [0, 3, 0, 1]], dtype=torch.float64)


@pytest.fixture(scope="module")
def model() -> MaskedModel:
    """Row r of every table is r everywhere, but for biases, which are r / 10."""
    made = MaskedModel.create(SHAPE, BEFORE, head=RangeHeadsConfig(tied=False), seed=0)
    with torch.no_grad():
        for name in ("backbone.embedding.table", "heads.table", "backbone.embedding.stream", "backbone.asked.table"):
            table = made.state_dict()[name]
            table.copy_(torch.arange(len(table), dtype=table.dtype)[:, None].expand_as(table))
        made.heads.bias.copy_(torch.arange(len(made.heads.bias)) / 10)
    return made


@pytest.fixture(scope="module")
def swapped(model: MaskedModel) -> dict[str, torch.Tensor]:
    return dict(transplant(model, AFTER, "sound", [FIRST, SECOND, None], seed=3).state_dict())


def rows(state, name: str, level: int, layout: Layout = AFTER, stream: str = "sound") -> list[float]:
    """The first number of each row of a range, its MASK at last."""
    found = layout.range(stream, level)
    table = state[name][found.offset : found.mask_id + 1]
    return (table if table.dim() == 1 else table[:, 0]).tolist()


@pytest.mark.parametrize("name", ["backbone.embedding.table", "heads.table"])
def test_a_new_code_has_the_mean_row_of_what_it_stood_for(swapped, name):
    first, second = (BEFORE.range("sound", level).offset for level in (0, 1))
    made = rows(swapped, name, 0)
    assert made[:2] == [first + 0.5, first + 2.0] and made[3:] == [first, first + 3]  # at last the mask of the level
    assert rows(swapped, name, 1) == [second + 3.0, second + 1.5, second + 1.5, second + 4]
    whole = swapped[name][AFTER.range("sound", 0).offset + 2]
    assert abs(float(whole.mean()) - (first + 1)) < 0.4 and 0.5 < float(whole.std()) < 1.2  # drawn by 0, 1 and 2


def test_biases_share_the_mass_of_the_old_codes(swapped):
    first = BEFORE.range("sound", 0).offset / 10
    old = torch.tensor([first, first + 0.1, first + 0.2], dtype=torch.float64).exp()
    wanted = [old[0] / 3 + old[1], old[2], old[0] / 2, old[0] * 2 / 3]
    made = rows(swapped, "heads.bias", 0)
    assert made[:4] == pytest.approx([float(one.log()) for one in wanted], abs=1e-5)
    assert made[4] == pytest.approx(first + 0.3)


def test_a_level_without_a_relation_stays_fresh_but_for_its_range(model, swapped):
    fresh = MaskedModel.create(SHAPE, AFTER, head=RangeHeadsConfig(tied=False), seed=3).state_dict()
    for name in ("backbone.embedding.table", "heads.table", "heads.bias"):
        assert rows(swapped, name, 2) == rows(fresh, name, 2)
    assert swapped["backbone.asked.table"][:, 0].tolist() == [0, 1, 2, 2]  # words, then the sound's; the third as deep


def test_all_else_stays_and_streams_keep_their_row(model, swapped):
    made = transplant(model, AFTER, "sound", [FIRST, SECOND, None], seed=3)
    assert kept(model, made, ["sound"])
    assert swapped["backbone.embedding.stream"][:, 0].tolist() == [0, 1, 2, 3]
    again = made.state_dict()
    assert all(torch.equal(again[name], value) for name, value in swapped.items())


def test_streams_that_share_a_tokenizer_change_together(model):
    other = StreamSpec("text", (3,), ("index",), end_code=2, fingerprint="5" * 64)
    counts = torch.eye(3, 5, dtype=torch.float64)
    state = transplant(model, BEFORE.replace("words", other), "words", [counts]).state_dict()
    offset = BEFORE.range("words").offset
    layout = BEFORE.replace("words", other)
    assert rows(state, "heads.table", 0, layout, "words") == [offset, offset + 1, offset + 2, offset + 5]
    assert state["backbone.embedding.stream"][:, 0].tolist() == [0, 1, 2, 3]
    assert rows(state, "heads.table", 1, layout) == rows(model.state_dict(), "heads.table", 1, BEFORE)
