"""Checks of what a caller passes, worded once: what must hold, what was got, what to do."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tokenmask.ops._extension import check_device


def check_first(op: str, name: str, tensor: Tensor, allowed: tuple[torch.dtype, ...], axes: str) -> None:
    """Raise TypeError or ValueError unless the tensor that others are measured by has a dtype, the axes and a device
    that has kernels."""
    check_dtype(op, name, tensor, allowed)
    check_dims(op, name, tensor, axes)
    check_device(op, name, tensor)


def check_tensor(
    op: str, name: str, tensor: Tensor, dtype: torch.dtype, shape: Sequence[int], axes: str, like: Tensor
) -> None:
    """Raise TypeError or ValueError unless the tensor has this dtype and shape and is where ``like`` is."""
    check_dtype(op, name, tensor, (dtype,))
    if tensor.shape != tuple(shape):
        raise ValueError(
            f"{op}: {name} must be {axes} = {list(shape)}, got {list(tensor.shape)}; pass one of that shape"
        )
    if tensor.device != like.device:
        raise ValueError(f"{op}: {name} must be on {like.device} like the other inputs, got {tensor.device}; use .to()")


def check_dtype(op: str, name: str, tensor: Tensor, allowed: tuple[torch.dtype, ...]) -> None:
    """TypeError unless ``tensor`` is a tensor of one of the dtypes."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{op}: {name} must be a tensor, got {type(tensor).__name__}; make one with torch.tensor")
    if tensor.dtype not in allowed:
        names = " or ".join(str(dtype).removeprefix("torch.") for dtype in allowed)
        got = str(tensor.dtype).removeprefix("torch.")
        raise TypeError(f"{op}: {name} must be {names}, got {got}; convert it with .to()")


def check_dims(op: str, name: str, tensor: Tensor, axes: str) -> None:
    """ValueError unless ``tensor`` has as many axes as ``axes`` names, for example "[B, S]"."""
    if tensor.dim() != axes.count(",") + 1:
        raise ValueError(f"{op}: {name} must be {axes}, got the shape {list(tensor.shape)}; reshape it")


def check_rows(op: str, name: str, tensor: Tensor, dtype: torch.dtype, axes: str, like: Tensor) -> None:
    """A tensor shaped as ``like``, or as one row of it for all rows."""
    shape = like.shape[1:] if isinstance(tensor, Tensor) and tensor.dim() == 1 else like.shape
    check_tensor(op, name, tensor, dtype, shape, axes, like)


def split_seed(op: str, seed: int | Tensor, rows: int, like: Tensor) -> tuple[int, Tensor | None]:
    """A seed as the ops take it: one signed 64-bit number, or one a row."""
    if isinstance(seed, Tensor):
        check_tensor(op, "seed", seed, torch.int64, [rows], "[N]", like)
        return 0, seed
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(
            f"{op}: seed must be an int or an int64 tensor [N], got {type(seed).__name__}; pass one of these"
        )
    if not -(2**63) <= seed < 2**64:
        raise ValueError(f"{op}: seed must fit 64 bits, got {seed}; reduce it modulo 2**64")
    return (seed - 2**64 if seed >= 2**63 else seed), None


def split_number(op: str, name: str, value: float | Tensor, rows: int, like: Tensor) -> tuple[float, Tensor | None]:
    """A number for all rows, or a float32 tensor with one a row."""
    if isinstance(value, Tensor):
        check_tensor(op, name, value, torch.float32, [rows], "[N]", like)
        return 0.0, value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(
            f"{op}: {name} must be a number or a float32 tensor [N], got {type(value).__name__}; pass one of these"
        )
    return float(value), None


def refuse_rows(bad: Tensor, message: str) -> None:
    """Raise ValueError if a row is bad; ``{row}`` in the message becomes the first one."""
    rows = bad.nonzero()
    if len(rows):
        raise ValueError(message.format(row=int(rows[0, 0])))
