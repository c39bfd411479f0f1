"""Alike: whether two answers of a component are the same, whatever they are made of.

Does not know: what the answers mean.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def alike(one: Any, other: Any) -> bool:
    """Whether two answers hold the same bits: tensors by dtype, shape and value (NaN is NaN), the rest by its parts."""
    if isinstance(one, Tensor):
        if not (isinstance(other, Tensor) and one.dtype == other.dtype and one.shape == other.shape):
            return False
        same = one == other
        if one.is_floating_point():
            same = same | (one.isnan() & other.isnan())
        return bool(same.all())
    if isinstance(one, nn.Module):
        return alike(dict(one.state_dict()), dict(other.state_dict()))
    if dataclasses.is_dataclass(one) and not isinstance(one, type):
        names = [field.name for field in dataclasses.fields(one)]
        return type(one) is type(other) and all(alike(getattr(one, name), getattr(other, name)) for name in names)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(alike(value, other[key]) for key, value in one.items())
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and one != one:
        return bool(other != other)
    return bool(one == other)


def same_where_both_are(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of one row are equal where both have entries: the larger may have padding behind."""
    if one.dtype != other.dtype or one.dim() != other.dim():
        return False
    shared = tuple(slice(min(sizes)) for sizes in zip(one.shape, other.shape, strict=True))
    return alike(one[shared], other[shared])


def copied(value: Any) -> Any:
    """The same with tensors of its own, so that it can be compared once it was used."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, nn.Module):
        return copied(dict(value.state_dict()))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value)]
        return {name: copied(getattr(value, name)) for name in fields}
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [copied(item) for item in value]
    return value


def shaped(value: Any, dtype: torch.dtype, *shapes: Sequence[int]) -> bool:
    """Whether it is a tensor of this dtype and of one of these shapes; what is no tensor is none."""
    return isinstance(value, Tensor) and value.dtype == dtype and list(value.shape) in [list(one) for one in shapes]


def finite(value: Tensor) -> bool:
    """Whether every number is finite."""
    return bool(torch.isfinite(value).all())
