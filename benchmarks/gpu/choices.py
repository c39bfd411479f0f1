"""choose, commit and mask_tokens beside sorts and top-k."""

from __future__ import annotations

from functools import partial

import torch
from timing import DEVICE, case, normal, scaled

from tokenmask import ops


def select(rows: int, length: int) -> None:
    rows, length = scaled(rows, 3), scaled(length, 67)
    scores, open_ = normal(rows, length), torch.ones(rows, length, dtype=torch.bool, device=DEVICE)
    count = torch.full((rows,), length // 4, device=DEVICE)
    ids = torch.zeros(rows, length, dtype=torch.int32, device=DEVICE)

    def by_sort() -> torch.Tensor:
        order = scores.masked_fill(~open_, -torch.inf).argsort(dim=1, descending=True, stable=True)
        return torch.zeros_like(open_).scatter_(1, order, torch.arange(length, device=DEVICE) < count[:, None])

    def by_topk() -> torch.Tensor:
        return torch.zeros_like(open_).scatter_(1, scores.topk(length // 4, sorted=False).indices, True)

    case(
        f"choose [{rows}, {length}]",
        partial(ops.choose, scores, open_, count),
        {"stable argsort": by_sort, "topk": by_topk},
        moved=6.0 * rows * length,
    )
    case(
        f"commit [{rows}, {length}]",
        partial(ops.commit, ids, ids, scores, open_, count),
        {},
        moved=18.0 * rows * length,
    )


def selection() -> None:
    for case_of in [(256, 4096), (8192, 4096), (64, 65536)]:
        select(*case_of)


def mask(rows: int, length: int) -> None:
    rows, length = scaled(rows, 3), scaled(length, 67)
    ids = torch.randint(
        0, 30000, (rows, length), device=DEVICE, dtype=torch.int32, generator=torch.Generator(DEVICE).manual_seed(0)
    )
    maskable = torch.ones(rows, length, dtype=torch.bool, device=DEVICE)
    count = torch.full((rows,), round(0.15 * length), device=DEVICE)
    low, high = (
        torch.zeros(length, dtype=torch.int32, device=DEVICE),
        torch.full((length,), 30000, dtype=torch.int32, device=DEVICE),
    )
    random = torch.Generator(DEVICE).manual_seed(1)

    def lean() -> tuple[torch.Tensor, ...]:
        hidden = (torch.rand(rows, length, generator=random, device=DEVICE) < 0.15) & maskable
        slots = hidden.flatten().nonzero().squeeze(1)
        targets = ids.flatten()[slots]
        kind = torch.rand(len(slots), generator=random, device=DEVICE)
        words = torch.randint(30000, (len(slots),), generator=random, dtype=torch.int32, device=DEVICE)
        new = torch.where(kind < 0.8, 30000, torch.where(kind < 0.9, words, targets)).int()
        return ids.flatten().index_copy(0, slots, new).view(rows, length), slots, targets

    ours = partial(
        ops.mask_tokens,
        ids,
        maskable,
        count,
        low,
        shares=(0.8, 0.1, 0.1),
        random_range=(low, high),
        seed=1,
        sample_ids=torch.arange(rows, device=DEVICE),
    )
    case(f"mask_tokens [{rows}, {length}]", ours, {"lean eager": lean}, moved=9.0 * rows * length)


def masking() -> None:
    for case_of in [(64, 1024), (1024, 4096)]:
        mask(*case_of)
