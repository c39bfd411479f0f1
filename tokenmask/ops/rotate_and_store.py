"""rotate_and_store: a packed projection becomes rotated queries, and keys and values in their places of a cache."""

from __future__ import annotations

import torch
from torch import Tensor

from tokenmask.ops._checks import check_dims, check_first, check_tensor, refuse_rows
from tokenmask.ops._extension import USES_REFERENCE, register_fake, run

TILE = 16  # slots whose keys lie side by side: [slots / 16, head size, 16], so that 16 scores are summed at once
FLOATS = (torch.float32, torch.bfloat16, torch.float16)


def rotate_and_store(
    qkv: Tensor,
    query_weight: Tensor,
    key_weight: Tensor,
    cos: Tensor,
    sin: Tensor,
    row_splits: Tensor,
    slots: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    query_cos: Tensor | None = None,
    query_sin: Tensor | None = None,
    eps: float = 1e-6,
) -> Tensor:
    """Normalise queries and keys, turn them, and write keys and values to given slots of a cache.

    Each head's query and key is divided by its root mean square and scaled by a learned weight; then components j and
    j + D / 2 turn as a pair: x * cos + swap(x) * sin, where swap exchanges the halves and the sign stands in ``sin``
    (:class:`tokenmask.nn.Rotary` makes both). Values are stored as they are. Slots that are not named keep what they
    hold; one named twice in a row holds the key of one of its positions and the value of one, not always the same.
    Source of the norm: arXiv:2302.05442, section 2; of the rotation: RoFormer, arXiv:2104.09864, section 3.2.2.

    Args:
        qkv: float [M, 3, H, D], queries, keys and values of M positions, row after row; D even. On the CPU float32.
        query_weight, key_weight: float [D].
        cos, sin: float32 [M, D], for the keys.
        row_splits: int64 [B + 1]; the positions row_splits[b] .. row_splits[b + 1] belong to row b.
        slots: int64 [M], where each position's key and value go in its row, below T.
        keys: float [B, H, T / 16, D, 16], changed in place; slot s is [..., s // 16, :, s % 16].
        values: float [B, H, T, D], changed in place.
        query_cos, query_sin: float32 [M, D], where queries turn by other angles than keys; as for the keys if None.
        eps: added to the mean square.

    Returns:
        the queries, float [M, H, D], new.

    Raises:
        TypeError: another dtype.
        ValueError: another shape, tensors on two devices, splits that do not cover M in order, or a slot beyond the
            cache (names the position). On CUDA the last two, which only the kernel sees, are raised later, see
            ``check``, and what has a slot beyond the cache is stored nowhere.
    """
    arguments = (qkv, query_weight, key_weight, cos, sin, query_cos, query_sin, row_splits, slots, keys, values, eps)
    result: Tensor = run("rotate_and_store", rotate_and_store_reference, _check, arguments)
    return result


def _check(
    qkv: Tensor,
    query_weight: Tensor,
    key_weight: Tensor,
    cos: Tensor,
    sin: Tensor,
    query_cos: Tensor | None,
    query_sin: Tensor | None,
    row_splits: Tensor,
    slots: Tensor,
    keys: Tensor,
    values: Tensor,
    eps: float,
) -> None:
    op = "rotate_and_store"
    check_first(op, "qkv", qkv, floats_of(qkv), "[M, 3, H, D]")
    count, three, heads, size = qkv.shape
    if three != 3 or size % 2:
        raise ValueError(
            f"{op}: qkv must be [M, 3, H, D] with an even D, got {list(qkv.shape)}; join queries, keys and values"
        )
    check_cache(op, keys, values, heads, size, qkv)
    check_splits(op, row_splits, keys.shape[0], qkv)
    for name, weight in (("query_weight", query_weight), ("key_weight", key_weight)):
        check_tensor(op, name, weight, qkv.dtype, [size], "[D]", qkv)
    if (query_cos is None) != (query_sin is None):
        raise ValueError(f"{op}: query_cos and query_sin go together, got one of them; give both or neither")
    for name, turn in (("cos", cos), ("sin", sin), ("query_cos", query_cos), ("query_sin", query_sin)):
        if turn is not None:
            check_tensor(op, name, turn, torch.float32, [count, size], "[M, D]", qkv)
    check_tensor(op, "slots", slots, torch.int64, [count], "[M]", qkv)


def floats_of(tensor: Tensor) -> tuple[torch.dtype, ...]:
    """The dtypes that the kernels of a tensor's device take."""
    return FLOATS if USES_REFERENCE or tensor.device.type != "cpu" else FLOATS[:1]


def check_cache(op: str, keys: Tensor, values: Tensor, heads: int, size: int, like: Tensor) -> None:
    """Keys and values of one layer, for H heads of size D."""
    check_dims(op, "values", values, "[B, H, T, D]")
    rows, _, slots, _ = values.shape
    check_tensor(op, "values", values, like.dtype, [rows, heads, slots, size], "[B, H, T, D]", like)
    shape = [rows, heads, slots // TILE, size, TILE]
    check_tensor(op, "keys", keys, like.dtype, shape, "[B, H, T / 16, D, 16]", like)
    if slots % TILE:
        raise ValueError(f"{op}: T must be a multiple of {TILE}, got {slots}; make the cache with KVCache.empty")
    if not (keys.is_contiguous() and values.is_contiguous()):
        raise ValueError(f"{op}: keys and values must be contiguous, since they are used in place; use .contiguous()")


def check_splits(op: str, row_splits: Tensor, rows: int, like: Tensor) -> None:
    """Shape and type of row splits; that they are in order is for the kernels to see."""
    check_tensor(op, "row_splits", row_splits, torch.int64, [rows + 1], "[B + 1]", like)


def row_of(row_splits: Tensor, count: int) -> Tensor:
    """int64 [M], the row that each packed position belongs to."""
    rows = torch.arange(row_splits.shape[0] - 1, device=row_splits.device)
    return torch.repeat_interleave(rows, row_splits.diff(), output_size=count)


def refuse_splits(op: str, row_splits: Tensor, count: int) -> None:
    """ValueError unless the splits begin at 0, never fall and end at M."""
    ends = row_splits.tolist()
    if ends[0] != 0 or ends[-1] != count or ends != sorted(ends):
        raise ValueError(
            f"{op}: row_splits must rise from 0 to M = {count}, got {ends}; take the cumulative counts of rows"
        )


def rotate_and_store_reference(
    qkv: Tensor,
    query_weight: Tensor,
    key_weight: Tensor,
    cos: Tensor,
    sin: Tensor,
    query_cos: Tensor | None,
    query_sin: Tensor | None,
    row_splits: Tensor,
    slots: Tensor,
    keys: Tensor,
    values: Tensor,
    eps: float = 1e-6,
) -> Tensor:
    """The meaning of ``rotate_and_store``, with the arguments of the registered op."""
    refuse_splits("rotate_and_store", row_splits, qkv.shape[0])
    total = values.shape[2]
    refuse_rows(
        (slots < 0) | (slots >= total),
        f"rotate_and_store: slots must lie in 0..{total - 1}, got another at position {{row}}; make the cache larger",
    )
    query, key, value = qkv.unbind(1)
    query = _turned(
        query, query_weight, cos if query_cos is None else query_cos, sin if query_sin is None else query_sin, eps
    )
    key = _turned(key, key_weight, cos, sin, eps)
    row = row_of(row_splits, qkv.shape[0])
    keys[row, :, torch.div(slots, TILE, rounding_mode="floor"), :, slots % TILE] = key
    values[row, :, slots] = value
    return query


def _turned(x: Tensor, weight: Tensor, cos: Tensor, sin: Tensor, eps: float) -> Tensor:
    wide = x.float()
    normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * weight.float()
    first, second = normed.chunk(2, dim=-1)
    return (normed * cos[:, None] + torch.cat([second, first], dim=-1) * sin[:, None]).to(x.dtype)


@register_fake("tokenmask::rotate_and_store")
def _(
    qkv: Tensor,
    query_weight: Tensor,
    key_weight: Tensor,
    cos: Tensor,
    sin: Tensor,
    query_cos: Tensor | None,
    query_sin: Tensor | None,
    row_splits: Tensor,
    slots: Tensor,
    keys: Tensor,
    values: Tensor,
    eps: float,
) -> Tensor:
    _check(qkv, query_weight, key_weight, cos, sin, query_cos, query_sin, row_splits, slots, keys, values, eps)
    return qkv.new_empty((qkv.shape[0], qkv.shape[2], qkv.shape[3]))
