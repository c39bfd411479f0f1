"""Devices: which one computes, and how tensors and networks get there.

Arrow: "cuda", "cpu" or nothing --**device_named**--> torch.device; tensor, network --**moved**, **copied**--> there.
Does not know: models, tokenizers, what is computed.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from tokenmask.ops import why_no_kernels

Network = TypeVar("Network", bound=nn.Module)

PINNED = {"cuda"}
"""Kinds of devices to which memory is copied while the host goes on."""
DTYPES = (torch.float32, torch.bfloat16)


def usual_device() -> torch.device:
    """Where one computes if nobody says otherwise: a CUDA device that torch sees and this build has kernels for, or
    the CPU."""
    if torch.cuda.is_available() and not why_no_kernels("cuda"):
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def device_named(name: str | torch.device | None) -> torch.device:
    """The device of a name, "cpu", "cuda" or "cuda:1", with its number; None is :func:`usual_device`.

    Raises:
        TypeError: no name.
        ValueError: no such device on this machine, or none that this build has kernels for.
    """
    if name is None:
        return usual_device()
    if not isinstance(name, str | torch.device):
        raise TypeError(f"device must be a name such as 'cpu' or 'cuda:0', got {name!r}; write one, or None")
    try:
        device = torch.device(name.strip().lower() if isinstance(name, str) else name)
    except RuntimeError:
        raise ValueError(f"device must be cpu or cuda, or cuda:1 and so on, got {name!r}; name one of these") from None
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type == "meta":
        raise ValueError("device must hold values, got meta; take cpu or cuda")
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if not count:
            raise ValueError(
                f"device {name} needs a GPU that torch {torch.__version__} sees, but it sees none; take cpu"
            )
        if device.index is not None and device.index >= count:
            raise ValueError(f"device must be one of cuda:0 to cuda:{count - 1}, got {name}; name one of these")
    reason = why_no_kernels(device.type)
    if reason:
        raise ValueError(f"device {name} {reason}")
    return torch.empty(0, device=device).device


def said_of(device: torch.device) -> str:
    """A line about a device that is not the CPU, for people."""
    kind = f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
    return f"computing on {device}{kind}; --device cpu computes on the CPU"


def moved(tensor: Tensor, device: torch.device | str) -> Tensor:
    """The tensor on a device. From the CPU to CUDA it goes through pinned memory, and the host does not wait for it."""
    kind = torch.device(device).type
    if kind in PINNED and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def copied(network: Network, device: torch.device, dtype: torch.dtype | None = None) -> Network:
    """A copy of a network on a device, the parameters in ``dtype`` if one is named.

    Buffers keep theirs: the rates of positions and times are too fine for bfloat16.
    """
    made = copy.deepcopy(network).to(device)
    if dtype is not None:
        kept = dict(made.named_buffers())
        made = made.to(dtype)
        for name, value in kept.items():
            place, _, own = name.rpartition(".")
            setattr(made.get_submodule(place), own, value)
    return made
