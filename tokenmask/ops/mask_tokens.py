"""mask_tokens: hide slots of a training batch, corrupt them, and list what to predict."""

from __future__ import annotations

import torch
from torch import Tensor

from tokenmask.ops._checks import check_first, check_rows, check_tensor, refuse_rows, split_seed
from tokenmask.ops._extension import register_fake, run
from tokenmask.ops.choose import choose_reference
from tokenmask.ops.philox import Purpose, draw_reference, multiply_high, uniform24


def mask_tokens(
    ids: Tensor,
    maskable: Tensor,
    count: Tensor,
    mask_ids: Tensor,
    *,
    scores: Tensor | None = None,
    shares: tuple[float, float, float] = (1.0, 0.0, 0.0),
    random_range: tuple[Tensor, Tensor] | None = None,
    seed: int,
    sample_ids: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Choose ``count`` maskable slots of each row, corrupt their ids, and list the slots with their original ids.

    The slots are those that ``choose(scores, maskable, count)`` chooses. Without scores they are a uniform subset: the
    score of slot s is word s % 4 of the Philox draw (seed, slot s // 4, purpose mask, sample id). Each chosen slot is
    then masked, made random or kept, by the shares: word 0 of the draw (seed, slot s, purpose corruption, sample id)
    decides which, word 1 picks the random id from the slot's range by multiply-high (bias at most range / 2^32).
    A row's result depends on its own data, the seed and its sample id, not on the batch.

    Args:
        ids: int32 [B, S].
        maskable: bool [B, S], True where a slot may be chosen.
        count: int64 [B]; 0 or less chooses none, more than there are chooses all.
        mask_ids: int32 [S] or [B, S], the id that hides each slot.
        scores: float32 [B, S] or None; the highest are chosen.
        shares: probabilities (mask, random, keep) of a chosen slot; they sum to 1.
        random_range: (low, high), int32 [S] or [B, S] each, high exclusive; needed if the random share is above 0.
        seed: int of 64 bits.
        sample_ids: int64 [B], what the draws of a row are keyed by.

    Returns:
        corrupted int32 [B, S]; slots int64 [M], ascending indices into the flattened [B * S]; targets int32 [M], the
        original ids there. All new. M depends on the data.

    Raises:
        TypeError: another dtype.
        ValueError: another shape, tensors on two devices, shares that are no distribution, NaN at a maskable slot or
            an empty random range at a chosen slot (both name the row; on CUDA raised later, see ``check``, and the row
            is masked all the same).

    Source: Devlin et al., BERT, arXiv:1810.04805, section 3.1 (shares 0.8, 0.1, 0.1). Deviation: the count is exact,
    not a probability per slot.
    """
    mask_below, random_below = _thresholds(shares)
    low, high = None, None
    if shares[1] > 0:
        if random_range is None:
            raise ValueError(
                f"mask_tokens: a random share above 0 needs random_range, got the share {shares[1]}; "
                "pass the first and last id"
            )
        low, high = random_range
    if isinstance(seed, Tensor):
        raise TypeError("mask_tokens: seed must be an int, got a tensor; rows are told apart by sample_ids")
    number, _ = split_seed("mask_tokens", seed, 0, ids)
    arguments = (ids, maskable, count, mask_ids, scores, low, high, sample_ids, number, mask_below, random_below)
    result: tuple[Tensor, Tensor, Tensor] = run("mask_tokens", mask_tokens_reference, _check, arguments)
    return result


def _check(
    ids: Tensor,
    maskable: Tensor,
    count: Tensor,
    mask_ids: Tensor,
    scores: Tensor | None,
    random_low: Tensor | None,
    random_high: Tensor | None,
    sample_ids: Tensor,
    seed: int,
    mask_below: int,
    random_below: int,
) -> None:
    check_first("mask_tokens", "ids", ids, (torch.int32,), "[B, S]")
    check_tensor("mask_tokens", "maskable", maskable, torch.bool, ids.shape, "[B, S]", ids)
    check_tensor("mask_tokens", "count", count, torch.int64, ids.shape[:1], "[B]", ids)
    check_rows("mask_tokens", "mask_ids", mask_ids, torch.int32, "[S] or [B, S]", ids)
    check_tensor("mask_tokens", "sample_ids", sample_ids, torch.int64, ids.shape[:1], "[B]", ids)
    if scores is not None:
        check_tensor("mask_tokens", "scores", scores, torch.float32, ids.shape, "[B, S]", ids)
    if random_low is not None and random_high is not None:
        check_rows("mask_tokens", "random_range[0]", random_low, torch.int32, "[S] or [B, S]", ids)
        check_rows("mask_tokens", "random_range[1]", random_high, torch.int32, "[S] or [B, S]", ids)
        if random_low.dim() != random_high.dim():
            raise ValueError(
                "mask_tokens: both ends of random_range must have the same shape, got [S] and [B, S]; "
                "expand one of them"
            )


def _thresholds(shares: tuple[float, float, float]) -> tuple[int, int]:
    """Shares as bounds of a 32-bit word: below the first masked, below the second random, else kept."""
    mask, random, keep = shares
    if min(shares) < 0 or not abs(mask + random + keep - 1) <= 1e-6:
        raise ValueError(
            f"mask_tokens: shares (mask, random, keep) must be at least 0 and sum to 1, got {shares}; "
            "change one of them"
        )
    mask_below = 2**32 if random == keep == 0 else round(mask * 2**32)
    if keep == 0:
        return mask_below, 2**32
    return mask_below, mask_below if random == 0 else round((mask + random) * 2**32)


def mask_tokens_reference(
    ids: Tensor,
    maskable: Tensor,
    count: Tensor,
    mask_ids: Tensor,
    scores: Tensor | None,
    random_low: Tensor | None,
    random_high: Tensor | None,
    sample_ids: Tensor,
    seed: int,
    mask_below: int,
    random_below: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The meaning of ``mask_tokens``, with the arguments of the registered op."""
    slot = torch.arange(ids.shape[1], device=ids.device).expand(ids.shape)
    samples = sample_ids[:, None]
    if scores is None:
        words = draw_reference(seed, slot >> 2, Purpose.mask, samples)
        scores = uniform24(torch.stack(words, -1).gather(-1, (slot & 3)[..., None]).squeeze(-1))
    chosen = choose_reference(scores, maskable, count, op="mask_tokens", name="scores of maskable slots")
    kind, pick, _, _ = draw_reference(seed, slot, Purpose.corruption, samples)
    corrupted = torch.where(chosen & (kind < mask_below), mask_ids.expand_as(ids), ids)
    if random_low is not None and random_high is not None:
        low, high = random_low.long().expand_as(slot), random_high.long().expand_as(slot)
        refuse_rows(
            (chosen & (low >= high)).any(1),
            "mask_tokens: random_range must have low < high at each chosen slot, got an empty range in row {row}; "
            "widen it, close the slot, or set the random share to 0",
        )
        drawn = (low + multiply_high(pick, (high - low).clamp(min=0))).int()
        corrupted = torch.where(chosen & (kind >= mask_below) & (kind < random_below), drawn, corrupted)
    slots = chosen.flatten().nonzero().squeeze(1)
    return corrupted, slots, ids.flatten()[slots]


@register_fake("tokenmask::mask_tokens")
def _(
    ids: Tensor,
    maskable: Tensor,
    count: Tensor,
    mask_ids: Tensor,
    scores: Tensor | None,
    random_low: Tensor | None,
    random_high: Tensor | None,
    sample_ids: Tensor,
    seed: int,
    mask_below: int,
    random_below: int,
) -> tuple[Tensor, Tensor, Tensor]:
    _check(ids, maskable, count, mask_ids, scores, random_low, random_high, sample_ids, seed, mask_below, random_below)
    size = torch.library.get_ctx().new_dynamic_size()
    return ids.new_empty(ids.shape), count.new_empty(size), ids.new_empty(size)
