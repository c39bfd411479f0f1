"""One rule, three readers: the dense mask, flex_attention's form and a loop in Python."""

from dataclasses import replace

import pytest
import torch

from tests.models.small import small_batch, small_layout
from tokenmask.models import Causal, Full, GivenFirst, GroupCausal, SlotMeta, Window, dense_mask, mask_mod

PATTERNS = [Full(), Causal(), GroupCausal(), GivenFirst(), Window(6), Window(4, streams=(1,)), Window(2, from_group=2)]


def meta(padded: bool = True) -> SlotMeta:
    layout = small_layout()
    batch = small_batch(layout, ((4, 9), (2, 6)) if padded else ((4, 9), (4, 9)))
    group = torch.randint(0, 4, batch.stream.shape, dtype=torch.int32, generator=torch.Generator().manual_seed(0))
    return SlotMeta.of(batch, group)


def by_hand(pattern, m, row, query, key) -> bool:
    same = bool(m.stream[row, query] == m.stream[row, key])
    away = abs(int(m.coordinates[row, query, 0]) - int(m.coordinates[row, key, 0]))
    if isinstance(pattern, Causal):
        return key <= query
    if isinstance(pattern, GroupCausal):
        return bool(m.group[row, key] <= m.group[row, query])
    if isinstance(pattern, GivenFirst):
        return bool(m.filled[row, query]) or not bool(m.filled[row, key])
    if isinstance(pattern, Window):
        windowed = pattern.streams is None or int(m.stream[row, query]) in pattern.streams
        windowed = windowed and int(m.group[row, query]) >= pattern.from_group
        return not (windowed and same) or away <= pattern.radius
    return True


@pytest.mark.parametrize("pattern", PATTERNS, ids=repr)
def test_the_readers_agree(pattern):
    m = meta()
    rows, length = m.valid.shape
    dense = dense_mask(pattern, m).expand(rows, 1, length, length)
    flexible = mask_mod(pattern, m)
    row, query, key = torch.meshgrid(torch.arange(rows), torch.arange(length), torch.arange(length), indexing="ij")
    one_by_one = flexible(row, torch.zeros_like(row), query, key)
    for r in range(rows):
        for q in range(length):
            hand = torch.tensor([by_hand(pattern, m, r, q, k) and bool(m.valid[r, k]) for k in range(length)])
            assert torch.equal(one_by_one[r, q], hand)
            if hand.any():
                assert torch.equal(dense[r, 0, q], hand)
            else:
                assert dense[r, 0, q].nonzero().flatten().tolist() == [q]


def test_flex_attention_takes_the_rule():
    from torch.nn.attention.flex_attention import create_mask

    m, pattern = meta(padded=False), Window(6)
    rows, length = m.valid.shape
    mask = create_mask(mask_mod(pattern, m), rows, 1, length, length, device="cpu")
    assert torch.equal(mask, dense_mask(pattern, m))


def test_no_mask_where_everything_is_allowed():
    assert dense_mask(Full(), meta(padded=False)) is None
    assert dense_mask(Full(), meta()).shape == (2, 1, 1, 14)


def test_a_row_without_valid_positions_stays_finite():
    m = meta()
    nothing = replace(m, valid=torch.zeros_like(m.valid))
    assert dense_mask(Full(), nothing).all()
    assert dense_mask(Causal(), nothing)[0, 0].equal(torch.eye(14, dtype=torch.bool))


def test_refusals():
    with pytest.raises(ValueError, match=r"Window\.radius must not be negative, got -1"):
        Window(-1)
