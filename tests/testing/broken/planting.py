"""How a fault is planted: a good component, some of whose methods are others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def planted(good: Any, **members: Any) -> Any:
    """A component as ``good``, of a class below its own that is called Broken and has other members."""
    made = object.__new__(type("Broken", (type(good),), members))
    made.__dict__.update(good.__dict__)
    return made


def altered(value: Any, by: int) -> Any:
    """An answer in which the first tensor or number is another one."""
    if isinstance(value, Tensor):
        if value.dtype == torch.bool:
            return value if by % 3 else ~value
        return value + by
    if isinstance(value, (bool, int, float)):
        return value + by
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            inner = getattr(value, field.name)
            if isinstance(inner, Tensor) or dataclasses.is_dataclass(inner):
                return dataclasses.replace(value, **{field.name: altered(inner, by)})
    if isinstance(value, Mapping):
        return {name: altered(inner, by) for name, inner in value.items()}
    return type(value)([altered(value[0], by), *value[1:]])
