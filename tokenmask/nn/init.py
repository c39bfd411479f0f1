"""Weights from a seed: the only place where parameters get their first values.

Does not know: what a module computes. The global random generator is neither read nor advanced.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

M = TypeVar("M", bound=nn.Module)


@runtime_checkable
class Initialises(Protocol):
    """A module that fills its own parameters and buffers; its children have theirs already and may be changed."""

    def initialise(self, generator: torch.Generator) -> None:
        """Fills every parameter and buffer that the module itself (not a child) holds."""


def build(factory: Callable[[], M], seed: int) -> M:
    """Makes a module on the CPU whose weights depend on the seed alone.

    The module is made on the meta device, so constructors draw nothing, then filled child before parent in the order of
    declaration from one ``torch.Generator``. A module with a method ``initialise(generator)`` fills its own parameters
    and buffers; linear, convolution, embedding, recurrent and norm layers have torch's default law here.

    Args:
        factory: called once, without arguments; tensors that it needs as *values* must exist before the call.
        seed: of the generator.

    Raises:
        ValueError: a parameter or buffer that no rule covers, one that ``initialise`` left out, or one that two
            modules share.
    """
    with torch.device("meta"):
        module = factory()
    _refuse_shared(module)
    module = module._apply(_empty)  # type: ignore[no-untyped-call]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in _tensors(module):
            tensor.fill_(math.nan if tensor.is_floating_point() or tensor.is_complex() else 0)
        for name, part in _children_first(module):
            _fill(name, part, generator)
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        if value.is_floating_point() and bool(value.isnan().any()):
            raise ValueError(
                f"initialise must fill every parameter and buffer of its module, but {name!r} was left out; "
                "fill it there, or leave its module out of the override"
            )
    return module


def uniform_fan_in(weight: Tensor, bias: Tensor | None, generator: torch.Generator) -> None:
    """torch's default law of linear and convolution layers: uniform within 1 / sqrt(fan_in), the bias too.

    Args:
        weight: [out, in, ...]; fan_in is the number of entries of weight[0].
        bias: [out] or None.
        generator: the only source of randomness.
    """
    bound = 1 / math.sqrt(max(weight[0].numel(), 1))
    weight.uniform_(-bound, bound, generator=generator)
    if bias is not None:
        bias.uniform_(-bound, bound, generator=generator)


def _empty(tensor: Tensor) -> Tensor:
    """The same on the CPU, without values; what ``Module.to_empty`` takes for it imports sympy, a second of start."""
    if tensor.is_contiguous():
        return torch.empty(tensor.shape, dtype=tensor.dtype)
    return torch.empty_like(tensor, device="cpu")


def _fill(name: str, part: nn.Module, generator: torch.Generator) -> None:
    own = [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]
    if isinstance(part, Initialises):
        part.initialise(generator)
    elif isinstance(part, (nn.Linear, _ConvNd)):
        uniform_fan_in(part.weight, part.bias, generator)
    elif isinstance(part, nn.Embedding):
        part.weight.normal_(generator=generator)
        if part.padding_idx is not None:
            part.weight[part.padding_idx].zero_()
    elif isinstance(part, nn.RNNBase):
        bound = 1 / math.sqrt(max(part.hidden_size, 1))
        for _, value in own:
            value.uniform_(-bound, bound, generator=generator)
    elif isinstance(part, (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, _NormBase)):
        for key, value in own:
            value.fill_(1 if key in ("weight", "running_var") else 0)
    elif own:
        raise ValueError(
            f"build knows no law for {'.'.join(filter(None, (name, own[0][0])))!r} of {type(part).__name__}; "
            "give that module a method initialise(generator)"
        )


def _children_first(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        yield from _children_first(child, f"{prefix}.{name}" if prefix else name)
    yield prefix, module


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _refuse_shared(module: nn.Module) -> None:
    names: dict[int, str] = {}
    for name, value in module.named_parameters(remove_duplicate=False):
        if id(value) in names:
            raise ValueError(
                f"build needs each parameter in one module, but {name!r} is also {names[id(value)]!r}; "
                "pass the tensor to forward instead"
            )
        names[id(value)] = name
