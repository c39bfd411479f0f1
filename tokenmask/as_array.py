"""Objects that other libraries take for the array that one of their fields is, and such as are none.

Arrow: object --``numpy.asarray``, ``torch.as_tensor``, whatever reads DLPack--> array. Does not know: what it holds.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from torch import Tensor


class AsArray:
    """Base of what is taken for a copy of its tensor, on the CPU: media and streams do not change."""

    array_field: ClassVar[str]
    """The field that holds the tensor."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """For ``numpy.asarray``."""
        return np.array(self._tensor().numpy(), dtype=dtype)

    def __dlpack__(self, **options: Any) -> Any:
        """For ``torch.as_tensor``, ``torch.from_dlpack`` and others."""
        return self._tensor().clone().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[Any, int]:
        """The CPU."""
        device: tuple[Any, int] = self._tensor().__dlpack_device__()
        return device

    def _tensor(self) -> Tensor:
        held: Tensor = getattr(self, self.array_field)
        return held.cpu()


class NoArray:
    """Base of what is no array: ``numpy.asarray`` would make one object of it without a word."""

    array_instead: ClassVar[str]
    """What is to be taken, for the sentence."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """An object among objects, where those are asked for.

        Raises:
            TypeError: any other array is.
        """
        if np.dtype(dtype).kind != "O":
            raise TypeError(f"an array cannot be made of {type(self).__name__}; take {self.array_instead}")
        held = np.empty((), object)
        held[()] = self
        return held
