"""A device that is not there: its tensors compute by the kernels of the CPU and refuse to be mixed with the CPU's.

What runs on it moves every tensor where it belongs, as a GPU would ask, with results that can be compared bit for bit.
It says nothing of kernels, streams or speed. Rules that are a GPU's: a number without axes may come from the CPU; a
CPU's index may pick from a device's tensor; `.item()` and `.to("cpu")` are the ways back.

Importing registers it for the process, once: torch has one such place ("privateuseone").
"""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "pretend"


class _Module(_DummyBackendModule):
    """What is ``torch.cuda`` for CUDA."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def get_rng_state(self, device: object = None) -> Tensor:
        """Nothing is drawn there; ``torch.random.fork_rng`` asks every device all the same."""
        return torch.zeros(0, dtype=torch.uint8)

    def set_rng_state(self, state: Tensor, device: object = None) -> None:
        assert not len(state)


_setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
DEVICE = torch.device(NAME, 0)
WAITS = Counter[str]()
"""How often something waited for the device: ops that give the CPU a value of it, by name."""
AHEAD = Counter[str]()
"""How many copies to the device the host did not wait for ("ahead"), or did ("waited")."""

_aten = torch.ops.aten
_MOVES = (_aten._to_copy.default, _aten.copy_.default)
_WAITS = (_aten._local_scalar_dense.default, _aten.nonzero.default, _aten.equal.default)
_INDEXED = (_aten.index.Tensor, _aten.index_put_.default, _aten.index_put.default, _aten._index_put_impl_.default)


class Pretended(Tensor):
    """A tensor of the device; ``held`` has its values, on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Pretended:
        with torch.inference_mode(held.is_inference()):  # a view, in that mode, of what was made before is of before
            self = torch.Tensor._make_wrapper_subclass(
                cls,
                held.size(),
                strides=held.stride(),
                storage_offset=held.storage_offset(),
                dtype=held.dtype,
                layout=held.layout,
                device=DEVICE,
                requires_grad=False,
            )
        self.held = held.detach() if held.requires_grad else held
        return self

    __torch_function__ = torch._C._disabled_torch_function_impl

    def __repr__(self, **kwargs: Any) -> str:
        return f"{NAME}: {self.held!r}"

    def tolist(self) -> Any:
        """Torch refuses it of a subclass."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _on_device(op, args, kwargs or {})


def _on_device(op: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    if _is_composite(op):  # under inference_mode they come here whole
        return op.decompose(*args, **kwargs)
    to = kwargs.get("device")
    back = op is _aten._to_copy.default and to is not None and torch.device(to).type == "cpu"
    if op not in _MOVES:
        _refuse_mixing(op, args, kwargs)
    if op in _WAITS or back:
        WAITS[op.__name__] += 1
    if op is _aten.copy_.default and isinstance(args[0], Pretended) and not isinstance(args[1], Pretended):
        AHEAD["ahead" if (*args, False)[2] or kwargs.get("non_blocking") else "waited"] += 1
    inner = {
        name: torch.device("cpu") if name == "device" and value is not None else value for name, value in kwargs.items()
    }
    made = op(*tree_map(_held, args), **tree_map(_held, inner))
    if back:
        return made
    if op._schema.is_mutable:
        return _written(op, args, kwargs)
    return tree_map(lambda value: Pretended(value) if isinstance(value, Tensor) else value, made)


def _written(op: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The arguments that an op has written into, as it returns them."""
    if torch.Tag.inplace_view in op.tags and op is not _aten.detach_.default:
        raise NotImplementedError(f"{op} changes a shape in place, which is not pretended; write it out of place")
    named = {one.name: value for one, value in zip(op._schema.arguments, args, strict=False)} | kwargs
    written = [named[one.name] for one in op._schema.arguments if one.is_write]
    if any(isinstance(one, Pretended) and one.shape != one.held.shape for one in written):
        raise NotImplementedError(f"{op} gives what it writes another shape, which is not pretended; make it whole")
    if not op._schema.returns:
        return None
    assert len(written) == len(op._schema.returns), f"{op} returns other than what it writes"
    return written[0] if len(written) == 1 else tuple(written)


@functools.cache
def _is_composite(op: Any) -> bool:
    return bool(op.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd))


def _held(value: Any) -> Any:
    return value.held if isinstance(value, Pretended) else value


def _refuse_mixing(op: Any, args: Any, kwargs: dict[str, Any]) -> None:
    allowed = args[1] if op in _INDEXED else ()
    for value in tree_leaves((args, kwargs)):
        foreign = isinstance(value, Tensor) and not isinstance(value, Pretended) and value.dim() > 0
        if foreign and not any(value is index for index in allowed):
            what = f"{list(value.shape)} {value.dtype}"
            raise RuntimeError(f"{op} got a tensor of the CPU, {what}, beside one of {DEVICE}; move it there")


def _made(op: Any, *args: Any, **kwargs: Any) -> Any:
    return _on_device(op, args, kwargs)


_library = torch.library.Library("_", "IMPL")
_library.fallback(_made, "PrivateUse1")
# `torch.tensor(..., device=)` copies below Python's dispatch, where a fallback is not found for tensors of a subclass.
_kernels = torch.library.Library("aten", "IMPL")
for _name in ("arange", "arange.start", "arange.start_step", "eye", "eye.m"):  # torch makes them empty, then larger
    _op = getattr(getattr(_aten, _name.partition(".")[0]), _name.partition(".")[2] or "default")
    _kernels.impl(_name, functools.partial(_made, _op), "PrivateUse1")
_kernels.impl("copy_", lambda *args, **kwargs: _on_device(_aten.copy_.default, args, kwargs), "PrivateUse1")
