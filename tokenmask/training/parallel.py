"""Parallel: one model in several processes, as copies or in shards.

Arrow: model + Objective + Processes --> a module whose gradients are those of the mean over processes.
Does not know: optimisers, data, what the objective computes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from tokenmask.masking import MaskedBatch
from tokenmask.models import MaskedModel
from tokenmask.objectives import Objective
from tokenmask.procedures import Procedure
from tokenmask.processes import Processes

Sharding = Literal["none", "full"]


class ModelLoss(nn.Module):
    """A model with its objective and procedure: torch's wrappers must see all of a forward pass, the loss included."""

    def __init__(self, model: MaskedModel, objective: Objective, procedure: Procedure, kept: dict[str, Tensor]) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.procedure = procedure
        self.kept = kept

    def forward(self, masked: MaskedBatch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The fields of :class:`tokenmask.objectives.Loss`, in a container that the wrappers look into."""
        loss = self.procedure.loss(self.model, masked, self.objective, self.kept)
        return loss.sum, loss.weight, loss.parts


@contextlib.contextmanager
def alone(module: nn.Module, wanted: bool) -> Iterator[None]:
    """While open, copies of a model keep their gradients to themselves, if wanted; a later backward pass averages them.

    Shards say theirs at once: kept to themselves they would be whole.
    """
    from torch.nn.parallel import DistributedDataParallel

    if wanted and isinstance(module, DistributedDataParallel):
        with module.no_sync():
            yield
    else:
        yield


def orders_itself(module: nn.Module, processes: Processes) -> bool:
    """Whether the first backward pass puts gradients in another order, in which more than two terms add up otherwise.

    ``DistributedDataParallel`` fills its buckets anew in the order in which gradients came; a pass that is thrown away
    lets a run that goes on add as one that never stopped.
    """
    from torch.nn.parallel import DistributedDataParallel

    return processes.size > 2 and isinstance(module, DistributedDataParallel)


def parallel(together: ModelLoss, processes: Processes, sharding: Sharding, reduced: bool = False) -> nn.Module:
    """A module that is called like :class:`ModelLoss`; its backward pass averages gradients over the processes.

    Args:
        together: of a model on its device, with equal weights in every process; changed in place by "full".
        processes: alone, nothing is wrapped.
        sharding: "none": each process holds all weights, gradients and optimiser states
            (``DistributedDataParallel``). "full": each holds an equal part of each, and gathers the weights of a part
            of the backbone when it computes with them (``fully_shard``, FSDP2).
        reduced: the weights of these parts are gathered in bfloat16, half as many bytes; those that are held, and the
            gradients as they are added up, stay float32.
    """
    model = together.model
    if processes.size == 1:
        return together
    if sharding == "none":
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(together, find_unused_parameters=model.backbone.sometimes_unused)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(processes.device.type, (processes.size,))
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if reduced else None, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for part in model.backbone.parts():
        fully_shard(part, mesh=mesh, mp_policy=policy)
    fully_shard(together, mesh=mesh)
    return together
