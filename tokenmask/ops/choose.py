"""choose: the best open slots of each row, exactly, under a total order."""

from __future__ import annotations

import torch
from torch import Tensor

from tokenmask.ops._checks import check_first, check_tensor, refuse_rows
from tokenmask.ops._extension import USES_REFERENCE, register_fake


def choose(scores: Tensor, is_open: Tensor, count: Tensor) -> Tensor:
    """Choose, in each row, the ``count`` open slots of highest score.

    The order is total: higher score first, then lower index; -0 equals +0; infinities are scores like others. A count
    of 0 or less chooses none, a count beyond the number of open slots chooses all of them. The scores of closed slots
    do not matter. Training hides slots with it, sampling reveals slots with it.

    Args:
        scores: float32 [B, S].
        is_open: bool [B, S], True where a slot may be chosen.
        count: int64 [B].

    Returns:
        bool [B, S], new, True where chosen; a subset of ``is_open``.

    Raises:
        TypeError: another dtype.
        ValueError: another shape, tensors on two devices, or NaN at an open slot (names the row; on CUDA raised
            later, see ``check``, and nothing is chosen there).
    """
    check_first("choose", "scores", scores, (torch.float32,), "[B, S]")
    check_tensor("choose", "is_open", is_open, torch.bool, scores.shape, "[B, S]", scores)
    check_tensor("choose", "count", count, torch.int64, scores.shape[:1], "[B]", scores)
    if USES_REFERENCE:
        return choose_reference(scores, is_open, count)
    result: Tensor = torch.ops.tokenmask.choose(scores, is_open, count)
    return result


def choose_reference(
    scores: Tensor, is_open: Tensor, count: Tensor, *, op: str = "choose", name: str = "scores of open slots"
) -> Tensor:
    """The meaning of ``choose``, and of the choice inside ``commit`` and ``mask_tokens``."""
    refuse_rows(
        (scores.isnan() & is_open).any(1),
        f"{op}: {name} must not be NaN, got NaN in row {{row}}; check what computed that row (a diverged model, or "
        "0 / 0)",
    )
    order = best_first(scores, is_open)
    ranks = torch.arange(scores.shape[1], device=scores.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, ranks)
    return is_open & (rank < count[:, None])


def best_first(scores: Tensor, is_open: Tensor) -> Tensor:
    """int64 [B, S], the slots of each row in the order in which ``choose`` takes them; closed ones behind."""
    by_score = scores.argsort(dim=1, descending=True, stable=True)  # stable: equal scores stay in index order
    open_first = (~is_open).gather(1, by_score).to(torch.uint8).argsort(dim=1, stable=True)
    return by_score.gather(1, open_first)


@register_fake("tokenmask::choose")
def _(scores: Tensor, is_open: Tensor, count: Tensor) -> Tensor:
    return is_open.new_empty(is_open.shape)
