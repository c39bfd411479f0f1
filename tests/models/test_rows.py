"""Rows that begin as codebooks: like codes get like rows, all else stays."""

from __future__ import annotations

import pytest
import torch

from tests.models.outside import NarrowHeadConfig
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel, RangeHeadsConfig, TransformerConfig, start_rows
from tokenmask.streams import StreamSpec

SOUND = StreamSpec("audio", (20, 30, 16), ("time",), rate_hz=50.0, level_groups=((0, 1), (2,)))
TEXT = StreamSpec("text", (50,), ("index",), end_code=0)


def model(width: int = 64, tied: bool = True) -> MaskedModel:
    config, layout = TransformerConfig(width=width, depth=1, heads=2), Layout({"text": TEXT, "sound": SOUND})
    return MaskedModel.create(config, layout, head=RangeHeadsConfig(tied), seed=1)


def books(width: int = 8) -> list[torch.Tensor | None]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(size, width, generator=generator) + 3 for size in SOUND.codebook_sizes]


def rows(one: MaskedModel, level: int, table: torch.Tensor) -> torch.Tensor:
    own = one.layout.range("sound", level)
    return table[own.offset : own.offset + own.size].detach().double()


@pytest.mark.parametrize("tied", [True, False])
def test_products_of_rows_are_those_of_the_centred_codebook(tied):
    fresh, started = model(tied=tied), model(tied=tied)
    start_rows(started, {"sound": books()}, seed=5)
    tables = [(started.backbone.embedding.table, fresh.backbone.embedding.table)]
    if not tied:
        tables.append((started.heads.table, fresh.heads.table))
    for table, before in tables:
        for level, book in enumerate(books()):
            made = rows(started, level, table)
            centred = (book - book.mean(0)).double()
            size = rows(fresh, level, before).square().mean()
            wanted = centred @ centred.T * (size * made.numel() / centred.square().sum())
            torch.testing.assert_close(made @ made.T, wanted, rtol=1e-4, atol=1e-6)


def test_levels_of_a_group_are_turned_alike_and_groups_are_not():
    one, book = model(), torch.randn(16, 8, generator=torch.Generator().manual_seed(2))
    same = [torch.cat([book, book[:4]]), torch.cat([book, book[:14]]), book]
    start_rows(one, {"sound": same}, seed=5)
    table = one.backbone.embedding.table
    first, second, other = (torch.nn.functional.normalize(rows(one, level, table)) for level in range(3))
    # The centres of the three books differ a little, so directions agree nearly, not exactly.
    assert (first[:16] * second[:16]).sum(1).min() > 0.8
    assert (first[:16] * other).sum(1).abs().max() < 0.8


def test_all_else_stays_and_the_seed_decides():
    fresh, started, again, other = model(), model(), model(), model()
    start_rows(started, {"sound": [books()[0], None, books()[2]]}, seed=5)
    start_rows(again, {"sound": [books()[0], None, books()[2]]}, seed=5)
    start_rows(other, {"sound": [books()[0], None, books()[2]]}, seed=6)
    changed = set()
    for level in (0, 2):
        own = fresh.layout.range("sound", level)
        changed |= set(range(own.offset, own.offset + own.size))
    table, before = started.backbone.embedding.table, fresh.backbone.embedding.table
    differs = (table != before).any(1).nonzero().squeeze(1).tolist()
    assert set(differs) == changed
    for name, value in started.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
        if name != "backbone.embedding.table":
            assert torch.equal(value, fresh.state_dict()[name])
    assert not torch.equal(table, other.backbone.embedding.table)


def test_codebooks_wider_than_the_model_and_narrow_ones():
    wide, narrow, fresh = model(), model(), model()
    start_rows(wide, {"sound": books(90)})
    assert bool(wide.backbone.embedding.table.isfinite().all())
    assert not torch.equal(wide.backbone.embedding.table, fresh.backbone.embedding.table)
    start_rows(narrow, {"sound": books(3)})
    assert torch.equal(narrow.backbone.embedding.table, fresh.backbone.embedding.table)


def test_a_codebook_of_another_size_is_one_sentence():
    with pytest.raises(ValueError, match="level 0 of 'sound' has 20 codes, got a codebook of 30"):
        start_rows(model(), {"sound": books()[1:] + books()[:1]})


def test_a_table_of_another_width_is_turned_into_its_own():
    layout, config = Layout({"text": TEXT, "sound": SOUND}), TransformerConfig(64, 1, 2)
    fresh, started = (MaskedModel.create(config, layout, head=NarrowHeadConfig(24), seed=3) for _ in range(2))
    start_rows(started, {"sound": books()}, seed=5)
    made, before = rows(started, 0, started.heads.table), rows(fresh, 0, fresh.heads.table)
    centred = (books()[0] - books()[0].mean(0)).double()
    wanted = centred @ centred.T * (before.square().mean() * made.numel() / centred.square().sum())
    torch.testing.assert_close(made @ made.T, wanted, rtol=1e-4, atol=1e-6)
