"""Processes: what one of several training processes asks of the others.

Arrow: torchrun --> **Processes** --> fit, Trainer. Does not know: models, batches, losses.
One process is the same code: every answer is then its own, and torch.distributed is not touched.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from tokenmask.devices import usual_device

PATIENCE = timedelta(days=30)  # the others wait while the first fits tokenizers; torchrun ends them if it fails


@dataclass(frozen=True, eq=False)
class Processes:
    """The processes of a run, seen from one of them; ``Processes()`` is a process alone.

    Args:
        rank: number of this process, from 0.
        size: how many there are.
        device: where this process computes.
        control: the group in which they talk on the CPU; None alone.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")
    control: dist.ProcessGroup | None = None

    @classmethod
    def join(cls) -> Processes:
        """The processes that torchrun started (or that share the caller's default process group), else this one alone.

        Under torchrun a process computes on the CUDA device of its local rank, where there are any and this build has
        kernels for them, and talks by NCCL and Gloo; else on the CPU, by Gloo. A second call gives the same.

        Raises:
            ValueError: a machine has fewer CUDA devices than processes.
        """
        if dist.is_available() and (dist.is_initialized() or dist.is_torchelastic_launched()):
            return _join()
        return cls()

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and prints."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Which of ``count`` rows are this process' own: contiguous, in order of rank, sizes at most one apart.

        With fewer rows than processes some have none.
        """
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    # What they say to each other: every process must call these, in the same order ------------------------------------

    def sum(self, value: Tensor) -> Tensor:
        """Sum over the processes, elementwise; a new tensor on the same device."""
        if self.size > 1:
            value = value.detach().clone()
            dist.all_reduce(value)
        return value

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.size > 1:
            most = torch.tensor([int(flag)])
            dist.all_reduce(most, dist.ReduceOp.MAX, group=self.control)
            flag = bool(most)
        return flag

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, by rank; JSON values only (floats come through exactly)."""
        if self.size == 1:
            return [value]
        text = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        dist.all_gather(lengths, torch.tensor([len(text)]), group=self.control)
        longest = max(int(length) for length in lengths)
        texts = [torch.zeros(longest, dtype=torch.uint8) for _ in range(self.size)]
        dist.all_gather(texts, torch.nn.functional.pad(text, (0, longest - len(text))), group=self.control)
        pairs = zip(texts, lengths, strict=True)
        return [json.loads(text[: int(length)].numpy().tobytes()) for text, length in pairs]

    def wait(self) -> None:
        """Returns when every process has come here."""
        self.any(False)

    @contextlib.contextmanager
    def first_goes_first(self) -> Iterator[None]:
        """The first process runs the block, then the others do and find what it has made.

        If it fails, the others do not start: torchrun ends them, and its sentence is the only one.
        """
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

    def collect(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The whole tensors behind sharded ones: in the first process on the CPU, in the others nothing is kept.

        Alone, the tensors as they are.
        """
        if self.size == 1:
            return dict(tensors)
        found: dict[str, Tensor] = {}
        for name, value in tensors.items():
            full = whole(value.detach())
            if self.first:
                found[name] = full.cpu()
        return found


def whole(value: Tensor) -> Tensor:
    """The tensor of which each process holds a part (a DTensor), gathered in all of them; any other as it is."""
    gather = getattr(value, "full_tensor", None)
    return value if gather is None else gather()


def part_of(value: Tensor, like: Tensor) -> Tensor:
    """The reverse of :func:`whole`: cut as ``like`` is, without a word to the others; ``value`` must be equal there."""
    if not hasattr(like, "full_tensor"):
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def _part() -> None:
    """Ends the groups while the interpreter still stands: their threads may not outlive it."""
    gc.collect()  # what a training left in cycles holds a group too
    if dist.is_initialized():
        with contextlib.suppress(RuntimeError):  # the others may be gone
            dist.destroy_process_group()


@functools.cache
def _join() -> Processes:
    device = torch.device("cpu")
    if not dist.is_initialized():
        local, here = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
        if usual_device().type == "cuda":
            devices = torch.cuda.device_count()
            if here > devices:
                raise ValueError(
                    f"every process of a machine needs a CUDA device of its own, got {here} processes for {devices}; "
                    f"start torchrun with --nproc-per-node {devices}"
                )
            device = torch.device("cuda", local)
            torch.cuda.set_device(device)
        if int(os.environ["WORLD_SIZE"]) == 1:
            return Processes(device=device)
        from torch._C._distributed_c10d import PrefixStore
        from torch.distributed.rendezvous import rendezvous

        # torchrun starts processes again on one store, in which the addresses of those before still stand.
        store, rank, size = next(rendezvous("env://"))
        store = PrefixStore(f"tokenmask/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
        backend = "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)
        atexit.register(_part)
    elif "nccl" in dist.get_backend():
        device = torch.device("cuda", torch.cuda.current_device())
    control = dist.new_group(backend="gloo", timeout=PATIENCE)
    return Processes(dist.get_rank(), dist.get_world_size(), device, control)
