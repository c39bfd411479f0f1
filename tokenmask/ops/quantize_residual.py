"""quantize_residual: the nearest codes of all levels of a residual quantiser."""

from __future__ import annotations

import torch
from torch import Tensor

from tokenmask.ops._checks import check_dims, check_dtype, check_first, check_tensor, refuse_rows
from tokenmask.ops._extension import USES_REFERENCE, register_fake


def quantize_residual(x: Tensor, codebooks: Tensor, *, unit_norm: bool = False) -> tuple[Tensor, Tensor]:
    """Code each row level by level: the nearest code of what the levels before left over.

    A level takes the code c of least |c|^2 / 2 - x c, of equals the lower one, and subtracts it from x. The score is a
    chain of fused float32 steps over the width in order, so that a row's codes depend on nothing but the row and the
    codebooks: not on the batch, the threads or the processor. With ``unit_norm`` codes must have length one and the
    score is -x c: the code of least angle, whatever the length of x. There is no gradient.

    Args:
        x: float32 [N, D].
        codebooks: float32 [K, C, D].
        unit_norm: compare by angle.

    Returns:
        codes int32 [N, K]; the sum of the codes in order of level, float32 [N, D]. Both new.

    Raises:
        TypeError: another dtype.
        ValueError: another shape, tensors on two devices, no codes, or NaN or infinity in x (names the row) or in the
            codebooks (names the level); on CUDA both are raised later, see ``check``.

    Source: SoundStream, arXiv:2107.03312, section III-C, algorithm 1; unit codes: NeuroRVQ, arXiv:2510.13068.
    """
    op = "quantize_residual"
    check_first(op, "x", x, (torch.float32,), "[N, D]")
    check_dtype(op, "codebooks", codebooks, (torch.float32,))
    check_dims(op, "codebooks", codebooks, "[K, C, D]")
    check_tensor(op, "codebooks", codebooks, torch.float32, [*codebooks.shape[:2], x.shape[1]], "[K, C, D]", x)
    if codebooks.shape[0] and not codebooks.shape[1]:
        raise ValueError(
            f"{op}: a codebook must hold at least one code, got {list(codebooks.shape)}; leave that level out"
        )
    x, codebooks = x.detach(), codebooks.detach()
    if USES_REFERENCE:
        return quantize_residual_reference(x, codebooks, unit_norm)
    result: tuple[Tensor, Tensor] = torch.ops.tokenmask.quantize_residual(x, codebooks, unit_norm)
    return result


def quantize_residual_reference(x: Tensor, codebooks: Tensor, unit_norm: bool) -> tuple[Tensor, Tensor]:
    """The meaning of ``quantize_residual``, bit for bit and slowly."""
    refuse_rows(
        ~codebooks.isfinite().flatten(1).all(1),
        "quantize_residual: codebooks must be finite, got NaN or infinity at level {row}; check what trained that "
        "codebook",
    )
    refuse_rows(
        ~x.isfinite().all(1),
        "quantize_residual: x must be finite, got NaN or infinity in row {row}; check what computed that row",
    )
    left, total, codes = x, torch.zeros_like(x), []
    for book in codebooks:
        bias = torch.zeros(len(book), device=x.device)
        if not unit_norm:
            for column in book.unbind(1):
                bias = fused(column, column, bias)
        score = (bias * 0.5).expand(len(x), -1)
        for values, column in zip(left.unbind(1), book.unbind(1), strict=True):
            score = fused(-values[:, None], column[None], score)
        code = score.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf).argmin(1)
        left, total = left - book[code], total + book[code]
        codes.append(code)
    stacked = torch.stack(codes, 1) if codes else torch.zeros(len(x), 0, device=x.device)
    return stacked.int(), total


def fused(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a * b + c of float32 tensors, rounded once.

    The product is exact in float64. Their sum is rounded to odd (the last bit is set if anything was lost), so that the
    second rounding, to float32, sees on which side of a tie it lies. Source: Boldo, Melquiond, "Emulation of a FMA and
    correctly rounded sums", IEEE TC 2008, section 3.
    """
    product, other = torch.broadcast_tensors(a.double() * b.double(), c.double())  # type: ignore[no-untyped-call]
    total = product + other
    part = total - product
    lost = (product - (total - part)) + (other - part)
    even = (total.view(torch.int64) & 1) == 0
    aside = torch.nextafter(total, torch.copysign(torch.full_like(total, torch.inf), lost))
    return torch.where(even & (lost != 0) & lost.isfinite(), aside, total).float()


@register_fake("tokenmask::quantize_residual")
def _(x: Tensor, codebooks: Tensor, unit_norm: bool) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape[0], codebooks.shape[0], dtype=torch.int32), x.new_empty(x.shape)
