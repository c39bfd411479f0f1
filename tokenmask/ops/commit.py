"""commit: write the most confident open proposals and keep the rest open."""

from __future__ import annotations

import torch
from torch import Tensor

from tokenmask.ops._checks import check_first, check_tensor
from tokenmask.ops._extension import USES_REFERENCE, register_fake
from tokenmask.ops.choose import choose_reference


def commit(ids: Tensor, proposed: Tensor, confidence: Tensor, is_open: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Replace, in each row, the ids of the ``count`` most confident open slots by their proposals.

    The slots are those that ``choose(confidence, is_open, count)`` chooses, with its order and its treatment of counts.
    Every other id stays as it is; nothing is written at a closed slot.

    Args:
        ids: int32 [B, S].
        proposed: int32 [B, S]; values at closed slots do not matter.
        confidence: float32 [B, S]; values at closed slots do not matter.
        is_open: bool [B, S].
        count: int64 [B].

    Returns:
        ids int32 [B, S] and is_open bool [B, S] after the step, both new.

    Raises:
        TypeError: another dtype.
        ValueError: another shape, tensors on two devices, or NaN at an open slot (names the row; on CUDA raised
            later, see ``check``, and the row stays as it is).

    Source: Chang et al., MaskGIT, arXiv:2202.04200, section 3.2 (the step "Mask" of iterative decoding).
    """
    check_first("commit", "ids", ids, (torch.int32,), "[B, S]")
    check_tensor("commit", "proposed", proposed, torch.int32, ids.shape, "[B, S]", ids)
    check_tensor("commit", "confidence", confidence, torch.float32, ids.shape, "[B, S]", ids)
    check_tensor("commit", "is_open", is_open, torch.bool, ids.shape, "[B, S]", ids)
    check_tensor("commit", "count", count, torch.int64, ids.shape[:1], "[B]", ids)
    if USES_REFERENCE:
        return commit_reference(ids, proposed, confidence, is_open, count)
    result: tuple[Tensor, Tensor] = torch.ops.tokenmask.commit(ids, proposed, confidence, is_open, count)
    return result


def commit_reference(
    ids: Tensor, proposed: Tensor, confidence: Tensor, is_open: Tensor, count: Tensor
) -> tuple[Tensor, Tensor]:
    """The meaning of ``commit``."""
    chosen = choose_reference(confidence, is_open, count, op="commit", name="confidence of open slots")
    return torch.where(chosen, proposed, ids), is_open & ~chosen


@register_fake("tokenmask::commit")
def _(ids: Tensor, proposed: Tensor, confidence: Tensor, is_open: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    return ids.new_empty(ids.shape), is_open.new_empty(is_open.shape)
