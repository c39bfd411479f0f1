"""LevelStages: coarser levels are seen, one depth is asked, finer ones are hidden."""

import pytest
import torch

from tokenmask.batch import FILL
from tokenmask.layout import Layout
from tokenmask.masking import Corruption, FixedRate, LevelStages, Linear, Masker, ProcessRate
from tokenmask.streams import StreamSpec


def depths(layout, masked):
    return layout.depths()[layout.head_of(masked.clean.ids).clamp(min=0)]


def test_depth_counts_inside_a_group():
    body = StreamSpec("motion", (8, 8, 4, 4, 4), ("time",), level_groups=((0, 1), (2, 3, 4)))
    layout = Layout({"text": StreamSpec("text", (9,), ("index",)), "motion": body})
    assert layout.depths().tolist() == [0, 0, 1, 0, 1, 2]


def test_one_depth_of_each_row_is_asked(batch, layout):
    drawn = set()
    for seed in range(20):
        masked = Masker(ProcessRate(Linear()), stages=LevelStages())(batch, layout, seed=seed)
        depth, fill = depths(layout, masked), (batch.role == FILL) & batch.valid[:, :, None]
        asked = torch.zeros_like(fill).flatten()
        asked[masked.queries.slots] = True
        asked = asked.view_as(fill)
        for row in range(len(batch.ids)):
            own = depth[row][asked[row]].unique()
            assert len(own) == 1
            stage = int(own)
            drawn.add(stage)
            assert not masked.hidden[row][fill[row] & (depth[row] < stage)].any()
            assert masked.hidden[row][fill[row] & (depth[row] > stage)].all()
            assert torch.equal(masked.hidden[row] & (depth[row] == stage), asked[row])
    assert drawn == {0, 1, 2}
    mask_ids = layout.mask_of(batch.ids)
    assert torch.equal(masked.inputs.ids, torch.where(masked.hidden, mask_ids, batch.ids))


def test_odds_weigh_depths_and_only_fixes_one(batch, layout):
    rows = batch.rows(torch.tensor([1] * 400))
    rows = type(rows)(**{**vars(rows), "sample_ids": torch.arange(400)})
    masked = Masker(FixedRate(0.5), stages=LevelStages(odds=(6.0, 1.0, 1.0)))(rows, layout, seed=0)
    of_query = layout.depths()[masked.queries.heads]
    row = torch.div(masked.queries.slots, rows.shape[1] * rows.shape[2], rounding_mode="floor")
    first = torch.stack([of_query[row == r].min() for r in range(400)])
    assert float((first == 0).double().mean()) == pytest.approx(0.75, abs=0.07)
    masked = Masker(FixedRate(0.5), stages=LevelStages(only=2))(rows, layout, seed=0)
    assert set(layout.depths()[masked.queries.heads].tolist()) == {2}


def test_whole_levels_are_asked_at_once(batch, layout):
    masked = Masker(FixedRate(0.1), stages=LevelStages(whole_from=1))(batch, layout, seed=3)
    depth, fill = depths(layout, masked), (batch.role == FILL) & batch.valid[:, :, None]
    row = torch.div(masked.queries.slots, batch.shape[1] * batch.shape[2], rounding_mode="floor")
    stages = [int(layout.depths()[masked.queries.heads][row == r][0]) for r in range(len(batch.ids))]
    assert {0, 1, 2} == set(stages)
    for index, stage in enumerate(stages):
        here = fill[index] & (depth[index] == stage)
        assert int((row == index).sum()) == (int(here.sum()) if stage else max(1, round(0.1 * int(here.sum()))))
        assert float(masked.t[index]) == (1.0 if stage else pytest.approx(0.1))  # all of a stage is hidden at time 1


@pytest.mark.parametrize("rate", [FixedRate(0.3), ProcessRate(Linear())])
def test_whole_levels_see_coarser_codes_and_nothing_of_their_own(batch, layout, rate):
    """The residual stage of MoMask, whatever the corruption that the first level has."""
    rows = batch.rows(torch.arange(24).repeat(20))
    rows = type(rows)(**{**vars(rows), "sample_ids": torch.arange(480)})
    corruption = Corruption(0.4, 0.3, 0.3)
    masked = Masker(rate, corruption=corruption, stages=LevelStages(whole_from=1))(rows, layout, seed=1)
    depth, fill = depths(layout, masked), (rows.role == FILL) & rows.valid[:, :, None]
    ids, mask_ids = masked.inputs.ids, layout.mask_of(rows.ids)
    asked = torch.zeros_like(fill).flatten()
    asked[masked.queries.slots] = True
    asked = asked.view_as(fill)
    offsets, heads = layout.offsets(), layout.head_of(rows.ids).flatten()[masked.queries.slots]
    assert torch.equal(masked.targets.codes, rows.ids.flatten()[masked.queries.slots].long() - offsets[heads])
    corrupted, residual = 0, 0
    for row in range(480):
        stage = int(depth[row][asked[row]].min())
        here, below = fill[row] & (depth[row] == stage), ~fill[row] | (depth[row] < stage)
        assert torch.equal(ids[row][below], rows.ids[row][below])
        assert torch.equal(ids[row][fill[row] & (depth[row] > stage)], mask_ids[row][fill[row] & (depth[row] > stage)])
        if stage:
            residual += 1
            assert torch.equal(asked[row], here)
            assert torch.equal(ids[row][here], mask_ids[row][here])
        else:
            corrupted += int((ids[row][asked[row]] != mask_ids[row][asked[row]]).sum())
    assert residual > 100 and corrupted > 100


@pytest.mark.parametrize("wrong", [{"odds": (1.0, 0.0)}, {"whole_from": 0}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="LevelStages"):
        LevelStages(**wrong)
