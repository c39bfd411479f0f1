"""What is kept of given media while the rest is decoded: the checks that every modality makes alike.

Does not know: media, tokenizers, streams.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

Media = TypeVar("Media")


def kept(given: Media | None, keep: Tensor | None) -> tuple[Media, Tensor] | None:
    """Both, or None where neither was passed.

    Raises:
        ValueError: only one of them.
    """
    if given is None and keep is None:
        return None
    if given is None or keep is None:
        raise ValueError("given and keep belong together, but only one was passed; pass both or neither")
    return given, keep


def check_keep(keep: Tensor, *shapes: tuple[int, ...]) -> None:
    """ValueError in one sentence unless ``keep`` is bool and of one of the shapes."""
    if keep.dtype != torch.bool or tuple(keep.shape) not in shapes:
        wanted = " or ".join(str(list(shape)) for shape in shapes)
        kind = str(keep.dtype).removeprefix("torch.")
        raise ValueError(f"keep must be bool {wanted}, got {kind} {list(keep.shape)}")
