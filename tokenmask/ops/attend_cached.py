"""attend_cached: queries of some positions of each row look at all keys that a cache holds for the row."""

from __future__ import annotations

import torch
from torch import Tensor

from tokenmask.ops._checks import check_first, check_tensor, refuse_rows
from tokenmask.ops._extension import register_fake, run
from tokenmask.ops.rotate_and_store import check_cache, check_splits, floats_of, refuse_splits, row_of


def attend_cached(
    query: Tensor,
    row_splits: Tensor,
    keys: Tensor,
    values: Tensor,
    lengths: Tensor,
    *,
    allowed: Tensor | None = None,
) -> Tensor:
    """Scaled dot-product attention of packed queries over the first ``lengths`` slots of their row.

    Nothing behind a row's length is read, so short rows cost what they hold. A query that may see no slot gives zeros.
    NaN is never lost: a query's head is NaN where the query, or a key that it may see, is NaN, and where its scores
    have no softmax (+inf, or all of them -inf); a NaN value reaches the queries that may see it, and may reach others
    of its row.
    What a query gives depends on its own row alone, not on the other rows, queries or threads.

    Args:
        query: float [M, H, D], row after row. On the CPU float32.
        row_splits: int64 [B + 1]; the queries row_splits[b] .. row_splits[b + 1] belong to row b.
        keys: float [B, H, T / 16, D, 16], as :func:`tokenmask.ops.rotate_and_store` writes them.
        values: float [B, H, T, D].
        lengths: int64 [B], slots in use, in 0 .. T.
        allowed: bool [M, T], False where a query may not look; None allows all slots in use.

    Returns:
        float [M, H, D], new.

    Raises:
        TypeError: another dtype.
        ValueError: another shape, tensors on two devices, splits that do not cover M in order, or a length beyond the
            cache (names the row). On CUDA the last two, which only the kernel sees, are raised later, see ``check``,
            and such a row's result is NaN.
    """
    arguments = (query, row_splits, keys, values, lengths, allowed)
    result: Tensor = run("attend_cached", attend_cached_reference, _check, arguments)
    return result


def _check(
    query: Tensor, row_splits: Tensor, keys: Tensor, values: Tensor, lengths: Tensor, allowed: Tensor | None
) -> None:
    op = "attend_cached"
    check_first(op, "query", query, floats_of(query), "[M, H, D]")
    check_cache(op, keys, values, query.shape[1], query.shape[2], query)
    check_splits(op, row_splits, values.shape[0], query)
    check_tensor(op, "lengths", lengths, torch.int64, [values.shape[0]], "[B]", query)
    if allowed is not None:
        check_tensor(op, "allowed", allowed, torch.bool, [query.shape[0], values.shape[2]], "[M, T]", query)


def attend_cached_reference(
    query: Tensor, row_splits: Tensor, keys: Tensor, values: Tensor, lengths: Tensor, allowed: Tensor | None = None
) -> Tensor:
    """The meaning of ``attend_cached``."""
    count, total = query.shape[0], values.shape[2]
    refuse_splits("attend_cached", row_splits, count)
    refuse_rows(
        (lengths < 0) | (lengths > total),
        f"attend_cached: lengths must lie in 0..{total}, got another in row {{row}}; count the slots in use",
    )
    row = row_of(row_splits, count)
    seen = torch.arange(total, device=query.device) < lengths[row][:, None]
    if allowed is not None:
        seen = seen & allowed
    flat = keys.permute(0, 1, 2, 4, 3).flatten(2, 3)  # [B, H, T, D]
    result = torch.zeros_like(query)
    for b, (begin, end) in enumerate(zip(row_splits[:-1].tolist(), row_splits[1:].tolist(), strict=True)):
        mine = query[begin:end].transpose(0, 1).float()  # [H, m, D]
        scores = mine @ flat[b].float().transpose(-1, -2) * query.shape[-1] ** -0.5
        weights = torch.softmax(scores.masked_fill(~seen[begin:end], -torch.inf), -1)
        weights = weights.masked_fill(~seen[begin:end], 0.0)  # a row without a slot is NaN before this
        held = torch.where((torch.arange(total, device=query.device) < lengths[b])[:, None], values[b].float(), 0.0)
        result[begin:end] = (weights @ held).transpose(0, 1).to(query.dtype)
    return result


@register_fake("tokenmask::attend_cached")
def _(
    query: Tensor, row_splits: Tensor, keys: Tensor, values: Tensor, lengths: Tensor, allowed: Tensor | None
) -> Tensor:
    _check(query, row_splits, keys, values, lengths, allowed)
    return query.new_empty(query.shape)
