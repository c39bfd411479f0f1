"""Logits of a row are bit-equal alone or in any batch, and with any number of threads (float32, CPU).

Rows are padded to a multiple of 16, and the products of a batch to one of 64 rows.
"""

import pytest
import torch

from tests.models.small import randomise, small_batch, small_layout
from tokenmask.masking.masked_batch import Queries
from tokenmask.models import Full, MaskedModel, RangeHeadsConfig, TransformerConfig, Window

MODELS = [
    (TransformerConfig(width=64, depth=1, heads=1), None),
    (TransformerConfig(width=128, depth=1, heads=4), RangeHeadsConfig(transform=True)),
    (TransformerConfig(width=192, depth=1, heads=3, adaln=True), None),
    (TransformerConfig(width=256, depth=1, heads=4, time_input=True, absolute=False), RangeHeadsConfig(tied=False)),
    (
        TransformerConfig(width=512, depth=1, heads=8),
        None,
    ),  # sums of 1408 products, which MKL would share among threads
]
BATCHES = [(4, 3, 2, 1, 0), (0, 3)]
MORE_BATCHES = [*BATCHES, (0,), (3,), (0, 1), (1, 2, 4), (0, 1, 2, 3), (0, 0, 0, 0, 0)]


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def five_rows(layout, length):
    """Rows of one padded length: full, padded, nearly empty of text, a dropped condition, short."""
    lengths = ((10, length - 11), (3, length - 20), (1, length - 2), (20, length - 50), (5, length - 60))
    if length < 64:
        lengths = ((5, length - 6), (3, length - 5), (1, length - 2), (8, length - 9), (2, length - 13))
    batch = small_batch(layout, lengths, seed=length, multiple=16)
    drop = torch.zeros(5, 2, dtype=torch.bool)
    drop[3, layout.index("text")] = True
    assert batch.shape[1] == length
    return batch.drop(drop)


def logits_of_rows(model, batch, count, pattern, t):
    """For each row, the logits of its first ``count`` code slots from the eighth on, in order of slots."""
    layout, (rows, length, levels) = model.layout, batch.shape
    slots, heads = [], []
    for row in range(rows):
        head = layout.head_of(batch.ids[row].flatten())
        own = (head >= 0).nonzero().squeeze(1)[7 : 7 + count]
        slots.append(own + row * length * levels)
        heads.append(head[own])
    with torch.inference_mode():
        groups = model.logits(batch, Queries(torch.cat(slots), torch.cat(heads)), pattern, t=t)
    found = {}
    for _, index, logits in groups:
        found.update(zip(index.tolist(), logits, strict=True))
    parts = torch.tensor([len(part) for part in slots]).cumsum(0).tolist()
    return [[found[i] for i in range(start, end)] for start, end in zip([0, *parts[:-1]], parts, strict=True)]


@pytest.mark.parametrize("levels", [1, 4])
@pytest.mark.parametrize(("config", "head"), MODELS, ids=[str(config.width) for config, _ in MODELS])
@pytest.mark.parametrize("length", [16, 80, 128, pytest.param(192, marks=pytest.mark.slow)])
def test_logits_do_not_depend_on_company_or_threads(levels, config, head, length, threads):
    layout = small_layout(levels)
    model = MaskedModel.create(config, layout, head=head, seed=3)
    randomise(model)
    batch, t = five_rows(layout, length), torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])
    exhaustive = length == 192
    asked = [(1, Full()), (40, Window(3))] + [(count, Full()) for count in (2, 3, 7, 17, 40, 1000) if exhaustive]
    for count, pattern in asked:
        threads(1)
        alone = [
            logits_of_rows(model, batch.rows(torch.tensor([row])), count, pattern, t[row : row + 1])[0]
            for row in range(5)
        ]
        for number in (1, 2, 3, 4, 7) if exhaustive else (2, 3):
            threads(number)
            batches = MORE_BATCHES if exhaustive else BATCHES
            for rows in batches if exhaustive or number == 2 else batches[:1]:
                together = logits_of_rows(model, batch.rows(torch.tensor(rows)), count, pattern, t[list(rows)])
                for row, found in zip(rows, together, strict=True):
                    assert len(found) == len(alone[row])
                    assert all(torch.equal(a, b) for a, b in zip(found, alone[row], strict=True)), (rows, row, number)
