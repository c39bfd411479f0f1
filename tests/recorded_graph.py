"""A graph for devices that have none: notes the ops that are launched and runs them again, into the same memory.

As a CUDA graph it holds no values of the host: what the host would read of the device, or copy to it, is refused while
it records, and numbers and tensors are in a replay what they were then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.pretend_device import AHEAD, Pretended
from tokenmask.sampling import SamplerState

_aten = torch.ops.aten
WAITS = (_aten._local_scalar_dense.default, _aten.nonzero.default, _aten.equal.default, _aten.item.default)


class RecordedGraph(TorchDispatchMode):
    """Stands in for :class:`torch.cuda.CUDAGraph`."""

    def __init__(self) -> None:
        super().__init__()
        self.launches: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0

    def capture(self, run: Callable[[], SamplerState]) -> SamplerState:
        copies = AHEAD.total()
        with self:
            result = run()
        assert AHEAD.total() == copies, "operation not permitted when stream is capturing: a copy from the host"
        return result

    def replay(self) -> None:
        self.replays += 1
        for op, args, kwargs, outs in self.launches:
            made = op(*args, **kwargs)
            if all(result.alias_info is None for result in op._schema.returns):  # else views, or what was written into
                for out, new in zip(tree_leaves(outs), tree_leaves(made), strict=True):
                    _held(out).copy_(_held(new))

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if op in WAITS:
            raise RuntimeError(f"operation not permitted when stream is capturing: {op}")
        made = op(*args, **(kwargs or {}))
        self.launches.append((op, args, kwargs or {}, made))
        return made


def _held(tensor: Tensor) -> Tensor:
    return tensor.held if isinstance(tensor, Pretended) else tensor
