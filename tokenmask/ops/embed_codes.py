"""embed_codes: ids of all levels of a position become one vector."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tokenmask.ops._checks import check_dims, check_dtype, check_first, check_tensor
from tokenmask.ops._extension import USES_REFERENCE, register_fake

_PAD = 0  # tokenmask.batch.PAD; ops know nothing else of batches


def embed_codes(ids: Tensor, table: Tensor) -> Tensor:
    """Sum the table's rows of the K ids of each position.

    PAD (id 0) contributes nothing and its row gets no gradient. Levels are added in order, in float32, and the sum is
    rounded once to the table's type. The gradient of a row is the float32 sum over its positions in ascending order, so
    forward and backward are the same bits for any number of threads. The gradient has no gradient of its own.

    Args:
        ids: int32 [B, L, K], rows of the table.
        table: float32, bfloat16 or float16 [R, D].

    Returns:
        [B, L, D] of the table's type, new; zeros where all K ids are PAD.

    Raises:
        TypeError: another dtype.
        ValueError: another shape, tensors on two devices, or an id outside 0..R-1 (names the position b * L + l;
            on CUDA raised later, see ``check``, and the position's vector is NaN).
    """
    check_first("embed_codes", "ids", ids, (torch.int32,), "[B, L, K]")
    check_dtype("embed_codes", "table", table, (torch.float32, torch.bfloat16, torch.float16))
    check_dims("embed_codes", "table", table, "[R, D]")
    check_tensor("embed_codes", "table", table, table.dtype, table.shape, "[R, D]", ids)
    if USES_REFERENCE:
        return embed_codes_reference(ids, table)
    result: Tensor = torch.ops.tokenmask.embed_codes(ids, table)
    return result


def embed_codes_reference(ids: Tensor, table: Tensor) -> Tensor:
    """The meaning of ``embed_codes``; torch derives its gradient."""
    bad = ((ids < 0) | (ids >= table.shape[0])).any(-1).flatten().nonzero()
    if len(bad):
        raise ValueError(
            f"embed_codes: ids must be rows of the table, got another id at position {int(bad[0])} of the flattened "
            "batch; check the layout that made the ids"
        )
    total = torch.zeros(*ids.shape[:2], table.shape[1], dtype=torch.float32, device=ids.device)
    for level in ids.unbind(-1):
        rows = table[level.long()].float()
        total = total + rows.masked_fill((level == _PAD)[..., None], 0.0)
    return total.to(table.dtype)


def embed_codes_backward_reference(grad: Tensor, ids: Tensor, table_rows: int) -> Tensor:
    """The meaning of the gradient: the order of its sums, which torch's own does not promise."""
    entries = ids.flatten().long()
    each = grad.flatten(0, 1).float().repeat_interleave(ids.shape[2], dim=0)
    total = torch.zeros(table_rows, grad.shape[2], dtype=torch.float32, device=grad.device)
    total.index_add_(0, entries, each.masked_fill((entries == _PAD)[:, None], 0.0))
    return total.to(grad.dtype)


@register_fake("tokenmask::embed_codes")
def _(ids: Tensor, table: Tensor) -> Tensor:
    return table.new_empty(ids.shape[0], ids.shape[1], table.shape[1])


@register_fake("tokenmask::embed_codes_backward")
def _(grad: Tensor, ids: Tensor, table_rows: int) -> Tensor:
    return grad.new_empty(table_rows, grad.shape[2])


def _remember(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ids, table = inputs
    ctx.save_for_backward(ids)
    ctx.table_rows = table.shape[0]


def _backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
    (ids,) = ctx.saved_tensors
    return None, torch.ops.tokenmask.embed_codes_backward(grad, ids, ctx.table_rows)


if not USES_REFERENCE:
    torch.library.register_autograd("tokenmask::embed_codes", _backward, setup_context=_remember)
