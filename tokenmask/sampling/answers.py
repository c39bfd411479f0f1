"""Answers: what parts of the loop must answer, and one sentence for what they answered instead.

Arrow: answer of a part --> nothing, or ValueError. Looks at types, shapes, dtypes and devices, which costs next to
nothing and never waits for a device, and at numbers that live on the host; ``tokenmask.testing`` looks at all of it,
beforehand. Does not know: what answers are good for.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from numbers import Integral
from typing import Any, NoReturn

import torch
from torch import Tensor

from tokenmask.batch import Batch


def look(part: object, what: str, answer: Any, dtype: torch.dtype, like: Tensor, method: str = "__call__") -> None:
    """ValueError unless an answer is a tensor of this dtype, of the shape of ``like`` and where that is.

    Args:
        part: that answered.
        what: the answer is, in a word.
        answer: of the part.
        dtype: that it must have.
        like: of the shape and on the device that it must have.
        method: that answered.
    """
    if (
        isinstance(answer, Tensor)
        and answer.dtype is dtype
        and answer.shape == like.shape
        and answer.device == like.device
    ):
        return
    must = f"{what} {_dtype(dtype)} {list(like.shape)}"
    elsewhere = isinstance(answer, Tensor) and answer.device != like.device
    refuse(part, f"{must} on {like.device}" if elsewhere else must, found(answer, elsewhere), method)


def look_at_taps(part: object, answer: Any) -> Sequence[Hashable]:
    """What a part wants of the model; ValueError unless it is a sequence."""
    if type(answer) is tuple or (isinstance(answer, Sequence) and not isinstance(answer, str)):
        return answer
    refuse(part, "a sequence of names or taps", found(answer), "taps")


def look_at_notes(part: object, answer: Any, carry: Mapping[str, Tensor], rows: int) -> Mapping[str, Tensor]:
    """What a part wants carried on; ValueError unless it is tensors [B, ...] by name, as before where there was one."""
    if type(answer) is dict and not answer:
        return answer
    if not isinstance(answer, Mapping):
        refuse(part, "tensors by name, {} for none", found(answer), "observe")
    for name, value in answer.items():
        if not (isinstance(name, str) and isinstance(value, Tensor) and value.dim() and value.shape[0] == rows):
            refuse(part, f"tensors [{rows}, ...] by name", f"{found(value)} for {name!r}", "observe")
        before = carry.get(name)
        if before is not None and (before.shape != value.shape or before.device != value.device):
            must = f"for {name!r} a tensor {list(before.shape)} on {before.device}, as in the step before,"
            refuse(part, must, f"{found(value)} on {value.device}", "observe")
    return answer


def look_at_scale(part: object, answer: Any) -> float:
    """How strongly a guidance pushes; ValueError unless it is a finite number."""
    if isinstance(answer, float | int) and math.isfinite(answer):
        return answer
    refuse(part, "a finite number", found(answer), "scale")


def look_at_batch(part: object, answer: Any, batch: Batch, method: str = "unconditional") -> None:
    """ValueError unless a pass of a guidance has the rows of the batch."""
    if not isinstance(answer, Batch):
        refuse(part, "a Batch", found(answer), method)
    look(part, "rows with ids", answer.ids, batch.ids.dtype, batch.ids, method)
    look(part, "rows with valid", answer.valid, torch.bool, batch.valid, method)


def look_at_further(part: object, answer: Any, batch: Batch) -> Sequence[tuple[Batch, float]]:
    """Further conditions of a guidance; ValueError unless they are pairs of rows and a finite weight."""
    if type(answer) is tuple and not answer:
        return answer
    pairs = isinstance(answer, Sequence) and all(isinstance(one, tuple) and len(one) == 2 for one in answer)
    if not pairs:
        refuse(part, "a sequence of pairs (Batch, weight)", found(answer), "further")
    for rows, weight in answer:
        look_at_batch(part, rows, batch, "further")
        if not (isinstance(weight, float | int) and math.isfinite(weight)):
            refuse(part, "finite weights", found(weight), "further")
    return answer  # type: ignore[no-any-return]


def look_at_allowed(part: object, answer: Any, slots: int, size: int) -> None:
    """ValueError unless what a constraint allows is bool [V] or [N, V]."""
    if isinstance(answer, Tensor) and answer.dtype is torch.bool and answer.shape in ((size,), (slots, size)):
        return
    refuse(part, f"None, bool [{size}] or bool [{slots}, {size}]", found(answer), "allowed")


def look_at_drawn(part: object, answer: Any, logits: Tensor, *, hides: bool, weighs: bool = False) -> None:
    """ValueError unless a pick answered a code for each slot, which is none of another level, and what is known of it.

    Args:
        part: the pick.
        answer: of it.
        logits: [N, V] that it drew from.
        hides: whether it may answer V, for MASK.
        weighs: whether it answers log-weights too.
    """
    if not (isinstance(answer, Sequence) and len(answer) == 4 + weighs):
        wanted = "codes, log-probability, entropy, margin and log-weight" if weighs else None
        refuse(part, wanted or "codes, log-probability, entropy and margin", found(answer))
    codes, *statistics = answer
    if weighs:
        look(part, "log-weight", statistics.pop(), torch.float32, logits[:, 0])
    rows, most, each = logits.shape[0], logits.shape[1] - 1 + hides, logits[:, 0]
    look(part, "codes", codes, torch.int32, each)
    for what, one in zip(("log-probability", "entropy", "margin"), statistics, strict=True):
        look(part, what, one, torch.float32, each)
    if rows and not (int(codes.min()) >= 0 and int(codes.max()) <= most):
        refuse(part, f"codes in 0..{most}", f"{int(codes.min())}..{int(codes.max())}")


def look_at_steps(part: object, answer: Any) -> int:
    """The number of steps of a schedule; ValueError unless it is a whole number of at least 0."""
    if isinstance(answer, Integral) and not isinstance(answer, bool) and int(answer) >= 0:
        return int(answer)
    refuse(part, "a whole number of steps, at least 0", found(answer), "steps")


def look_at_plan(part: object, answer: Any, initial: int, steps: int) -> list[int]:
    """Counts of a schedule; ValueError unless there is one for each step, in 0..initial, and the last one is 0."""
    if not isinstance(answer, Sequence) or isinstance(answer, str):
        refuse(part, "a list of ints", found(answer), "plan")
    good = all(isinstance(count, Integral) and 0 <= int(count) <= initial for count in answer)
    if not good or len(answer) != steps or (answer[-1] if answer else 1) != 0:
        must = f"{steps} ints in 0..{initial}, of which the last is 0, for plan({initial}, {steps}),"
        refuse(part, must, f"{list(answer)}"[:80], "plan")
    return list(answer)


def found(answer: Any, on: bool = False) -> str:
    """An answer in a few words."""
    if isinstance(answer, Tensor):
        return f"{_dtype(answer.dtype)} {list(answer.shape)}" + (f" on {answer.device}" if on else "")
    if answer is None or isinstance(answer, bool | int | float):
        return repr(answer)
    if isinstance(answer, str):
        return f"the word {answer!r}"
    if isinstance(answer, list | tuple):
        return f"a {type(answer).__name__} of {len(answer)}"
    return f"a value of the type {type(answer).__name__}"


def refuse(part: object, must: str, got: str, method: str = "__call__") -> NoReturn:
    """ValueError with the sentence."""
    raise ValueError(f"{type(part).__name__} must answer {must}, got {got}; mend its {method}".replace(",,", ","))


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
