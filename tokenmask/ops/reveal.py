"""reveal: a whole step of plain decoding, from logits of open slots to the ids after it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tokenmask.ops._checks import check_dtype, check_first, check_tensor
from tokenmask.ops._extension import USES_REFERENCE, check_device, register_fake
from tokenmask.ops.commit import commit_reference
from tokenmask.ops.sample_codes import sample_codes_reference

STATISTICS = ("logprob", "entropy", "margin")
"""By which slots may be ordered, as ``sample_codes`` answers them."""

IS_WHOLE = not USES_REFERENCE and torch._C._dispatch_has_kernel_for_dispatch_key("tokenmask::reveal", "CPU")
"""Whether the CPU has the op; emulated CUDA kernels, which stand in for the CPU's in tests, have none."""

Revealed = tuple[Tensor, Tensor, Tensor, Tensor]


def reveal(
    logits: Tensor,
    index: Tensor,
    slots: Tensor,
    ids: Tensor,
    score: Tensor,
    is_open: Tensor,
    count: Tensor,
    counters: Tensor,
    later: int,
    seeds: Tensor,
    temperature: float,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    offset: int = 0,
    by: int = 0,
    noise: Tensor | None = None,
    ranks: Tensor | None = None,
) -> Revealed:
    """Draw a code for each of some slots, and keep those of the ``count`` best open slots of each row.

    It is these ops, one after the other:

    1. ``sample_codes`` of the logits, with the seed of the slot's row, and the slot's counter plus ``later``.
    2. What a slot is ordered by: its log-probability, its entropy negated, or its margin, plus ``noise``; or its rank.
    3. ``commit`` of ``offset`` plus the code, in that order. An open slot that was not drawn goes by its score and
       keeps its id.
    4. The score of a drawn slot that is closed now is its log-probability; every other stays.

    On the CPU it is one op, and statistics that nothing reads are not made; on other devices the ops are called.

    Args:
        logits: float32, bfloat16 or float16 [N, V].
        index: int64 [N], which of the slots each row of logits is of; different ones.
        slots: int64 [M], indices into the flattened slots of all rows.
        ids: int32 [B, ...], one row or more.
        score: float32, as ids.
        is_open: bool, as ids.
        count: int64 [B].
        counters: int64, as ids; what the draw of a slot is keyed by.
        later: added to the counters.
        seeds: int64 [B].
        temperature, top_k, top_p, min_p: as in ``sample_codes``.
        offset: added to the codes.
        by: place in :data:`STATISTICS` of what slots are ordered by.
        noise: float32 [N], or None for none.
        ranks: float32, as ids; what slots are ordered by instead. None leaves it to ``by``.

    Returns:
        ids int32, is_open bool and score float32 [B, ...] after the step; the slots that are open then, int64 [m],
        ascending. All new.

    Raises:
        TypeError: another dtype.
        ValueError: as the ops raise it in their own names; slots that are not there.

    Source: Chang et al., MaskGIT, arXiv:2202.04200, section 3.2 (a step of iterative decoding).
    """
    op, rows = "reveal", ids.shape[:1]
    check_first(op, "logits", logits, (torch.float32, torch.bfloat16, torch.float16), "[N, V]")
    check_tensor(op, "index", index, torch.int64, logits.shape[:1], "[N]", logits)
    check_tensor(op, "slots", slots, torch.int64, slots.shape[:1], "[M]", logits)
    check_dtype(op, "ids", ids, (torch.int32,))
    check_device(op, "ids", ids)
    if ids.dim() < 2 or not len(ids):
        raise ValueError(f"{op}: ids must be [B, ...] with a row or more, got the shape {list(ids.shape)}; reshape it")
    check_tensor(op, "score", score, torch.float32, ids.shape, "[B, ...]", logits)
    check_tensor(op, "is_open", is_open, torch.bool, ids.shape, "[B, ...]", logits)
    check_tensor(op, "count", count, torch.int64, rows, "[B]", logits)
    check_tensor(op, "counters", counters, torch.int64, ids.shape, "[B, ...]", logits)
    check_tensor(op, "seeds", seeds, torch.int64, rows, "[B]", logits)
    if noise is not None:
        check_tensor(op, "noise", noise, torch.float32, logits.shape[:1], "[N]", logits)
    if ranks is not None:
        check_tensor(op, "ranks", ranks, torch.float32, ids.shape, "[B, ...]", logits)
    if not 0 <= temperature < math.inf:
        raise ValueError(f"{op}: temperature must be finite and at least 0, got {temperature}; use 0 for the arg-max")
    if not 0 <= by < len(STATISTICS):
        raise ValueError(f"{op}: by must be in 0..{len(STATISTICS) - 1}, got {by}; count in {STATISTICS}")
    for name, places, most in (("index", index, len(slots) - 1), ("slots", slots, ids.numel() - 1)):
        if (
            not IS_WHOLE and places.device.type == "cpu" and bool(((places < 0) | (places > most)).any())
        ):  # else the op looks
            raise ValueError(f"{op}: {name} must lie in 0..{most}, got others; count what is there")
    kept = (temperature, top_k, float(top_p), float(min_p), offset, by, noise, ranks)
    return revealed(logits, index, slots, ids, score, is_open, count, counters, later, seeds, *kept)


def reveal_in_parts(
    logits: Tensor,
    index: Tensor,
    slots: Tensor,
    ids: Tensor,
    score: Tensor,
    is_open: Tensor,
    count: Tensor,
    counters: Tensor,
    later: int,
    seeds: Tensor,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    offset: int,
    by: int,
    noise: Tensor | None,
    ranks: Tensor | None,
    uncond: Tensor | None = None,
    guidance: float = 1.0,
    left: int | None = None,
) -> Revealed:
    """The meaning of ``reveal``, with the arguments of the registered op, and how other devices run it.

    ``uncond`` and ``guidance`` are as in ``sample_codes``; ``left`` is how many slots are open then, where the
    host knows it and need not wait for the device.
    """
    sample = sample_codes_reference if USES_REFERENCE else torch.ops.tokenmask.sample_codes
    write = commit_reference if USES_REFERENCE else torch.ops.tokenmask.commit
    rows, size = len(ids), ids[0].numel()
    where = slots.index_select(0, index)
    own = seeds.expand(len(where)) if rows == 1 else seeds[torch.div(where, size, rounding_mode="floor")]
    keys = counters.reshape(-1).index_select(0, where) + later
    codes, *known = sample(logits, keys, 0, own, temperature, None, top_k, top_p, min_p, uncond, guidance, None, None)
    proposed = ids.reshape(-1).index_copy(0, where, codes + offset).view(rows, size)
    drawn = score.reshape(-1).index_copy(0, where, known[0])
    if ranks is None:
        told = -known[by] if STATISTICS[by] == "entropy" else known[by]
        told = told if noise is None else told + noise
        ranks = score.reshape(-1).index_copy(0, where, told)
    mine = is_open.reshape(rows, size)
    found, still = write(ids.reshape(rows, size), proposed, ranks.reshape(rows, size), mine, count)
    still, flat = still.view(ids.shape), still.view(-1)
    rest = flat.nonzero() if left is None else torch.nonzero_static(flat, size=left)
    return found.view(ids.shape), still, torch.where(still, score, drawn.view(ids.shape)), rest.view(-1)


def revealed(*arguments: object) -> Revealed:
    """``reveal`` of what was checked before, with the arguments of the registered op: for steps after the first."""
    device = arguments[0].device.type  # type: ignore[attr-defined]
    run = torch.ops.tokenmask.reveal.default if device == "cpu" and IS_WHOLE else reveal_in_parts
    result: Revealed = run(*arguments)  # type: ignore[arg-type]
    return result


@register_fake("tokenmask::reveal")
def _(
    logits: Tensor,
    index: Tensor,
    slots: Tensor,
    ids: Tensor,
    score: Tensor,
    is_open: Tensor,
    count: Tensor,
    counters: Tensor,
    later: int,
    seeds: Tensor,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    offset: int,
    by: int,
    noise: Tensor | None,
    ranks: Tensor | None,
) -> Revealed:
    left = slots.new_empty(torch.library.get_ctx().new_dynamic_size())
    return ids.new_empty(ids.shape), is_open.new_empty(ids.shape), score.new_empty(ids.shape), left
