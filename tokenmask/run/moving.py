"""Moving: where the models and tokenizers of a run compute.

Arrow: Run --**moved**--> Run on another device, or with weights of another dtype. Does not know: how anything is
computed.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch

from tokenmask.devices import DTYPES, copied, device_named
from tokenmask.tokenizer import Moves, Tokenizer

if TYPE_CHECKING:
    from tokenmask.run.run import Run


def moved(run: Run, device: str | torch.device | None, dtype: torch.dtype | None) -> Run:
    """The same run there, as a copy, or itself where nothing changes; see :meth:`Run.to`."""
    if dtype is not None and dtype not in DTYPES:
        raise TypeError(f"dtype must be torch.float32 or torch.bfloat16, got {dtype!r}; take one of them, or None")
    place = run.device if device is None else device_named(device)
    if place == run.device and dtype in (None, run.dtype):
        return run
    elsewhere = {id(one): _there(one, place) for one in run.tokenizers.values()}
    return replace(
        run,
        models={name: copied(model, place, dtype) for name, model in run.models.items()},
        tokenizers={name: elsewhere[id(one)] for name, one in run.tokenizers.items()},
    )


def _there(tokenizer: Tokenizer, device: torch.device) -> Tokenizer:
    """The tokenizer, or a copy of it on a device that it is not on."""
    if not isinstance(tokenizer, Moves) or tokenizer.device == device:
        return tokenizer
    return cast(Tokenizer, copy.deepcopy(tokenizer).to(device))
