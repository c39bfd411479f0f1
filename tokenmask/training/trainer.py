"""Trainer: the loop that teaches a model to fill what is hidden.

Arrow: Corpus --Mixture--> Draw --Preparing--> MaskedBatch --Objective--> **Trainer**.
Does not know: modalities, kernels, how batches are made, what the objective computes. Checkpoints, resume and progress
are ``fitting``'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.checkpoints import Checkpoints
from tokenmask.corpus import Draw, Mixture
from tokenmask.fitting import fit, load_optimizer_tensors, optimizer_tensors
from tokenmask.layout import Layout
from tokenmask.masking import Conditioning, Masker
from tokenmask.models import MaskedModel
from tokenmask.nn import EMA, Linear, bfloat16_products, check_bfloat16_products, keeping
from tokenmask.objectives import Loss, Objective
from tokenmask.procedures import Plain, Procedure
from tokenmask.processes import Processes, part_of, whole
from tokenmask.tensor_files import save_tensors
from tokenmask.threads import one_thread
from tokenmask.training.ahead import Ahead
from tokenmask.training.only import Still
from tokenmask.training.optimiser import optimisers_of
from tokenmask.training.packing import Packing
from tokenmask.training.parallel import ModelLoss, alone, orders_itself, parallel
from tokenmask.training.preparing import Prepared, Preparing
from tokenmask.training.settings import Training
from tokenmask.training.sharded import Newest, ShardedCheckpoints

# Of products in a forward pass, at the most: a step of fewer takes as long with one thread as with two.
FEW_OPERATIONS = 5e8


class Trainer:
    """One model, one stream of data, one objective; a task for :func:`tokenmask.fitting.fit`.

    Several processes are one: each draws the whole batch, which follows from the seed and the position in the data,
    packs, masks and computes the loss of its own rows, and steps with the gradient of the whole batch's loss. So the
    number of processes may change at a resume.

    Args:
        model: trained in place.
        mixture: yields draws of records for ever, and can be sought.
        packing, conditioning, masker, objective: the arrows between a record and its loss.
        training: how to optimise.
        procedure: what a step computes around the objective; one model and one view if None.
        processes: those that train together, this one alone if None. Every one makes a trainer of equal arguments.
        device: where the model computes, the device of the process if None.

    Raises:
        ValueError: more processes than records in a batch, or ``training.only`` names a stream that is not there, or
            stands beside shards.
    """

    def __init__(
        self,
        model: MaskedModel,
        mixture: Mixture,
        *,
        packing: Packing,
        conditioning: Conditioning,
        masker: Masker,
        objective: Objective,
        training: Training,
        procedure: Procedure | None = None,
        processes: Processes | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        self.processes = processes or Processes()
        if training.batch_size < self.processes.size:
            raise ValueError(
                f"training.batch_size must be at least the number of processes, which share it, got "
                f"{training.batch_size} for {self.processes.size}; raise it or start fewer processes"
            )
        self.device = torch.device(device or self.processes.device)
        self.model = model.to(self.device)
        self.mixture = mixture
        self.packing = packing
        self.objective = objective
        self.training = training
        self.model.backbone.recompute(training.recompute)
        if training.products == "bfloat16":
            check_bfloat16_products(self.device, "training.products")
            if not any(isinstance(part, Linear) for part in self.model.backbone.modules()):
                raise ValueError(
                    "training.products needs a backbone with layers of tokenmask.nn.Linear, but "
                    f"{type(self.model.backbone).__name__} has none; leave it float32"
                )
        if training.compile == "blocks" and not self.model.backbone.parts():
            raise ValueError(
                f"training.compile needs a backbone that has parts, but {type(self.model.backbone).__name__} has none; "
                "leave it none"
            )
        if training.records == "joined" and not self.model.backbone.joins:
            raise ValueError(
                "training.records joined needs a backbone that runs records one behind the other, but "
                f"{type(self.model.backbone).__name__} can't; leave it padded"
            )
        if training.only and training.sharding == "full" and self.processes.size > 1:
            raise ValueError(
                "training.only needs whole weights in every process, got training.sharding=full; set it to none"
            )
        self.still = Still(self.model, training.only) if training.only else None
        self.procedure = procedure or Plain()
        self.kept: dict[str, Tensor] = {}
        together = ModelLoss(self.model, objective, self.procedure, self.kept)
        self._parallel = parallel(together, self.processes, training.sharding, training.gathered == "bfloat16")
        self._rehearses = orders_itself(self._parallel, self.processes)
        if training.compile == "blocks":
            for part in self.model.backbone.parts():
                part.compile(fullgraph=True)  # in place: names of tensors stay
        self.kept |= self.procedure.state(self.model)  # after the weights are shared out, as `after` will see them
        self.ema = EMA(self.model, training.ema) if training.ema else None
        parameters, inner = dict(self.model.named_parameters()), self.model.inner_matrices()
        self.optimizers = optimisers_of(training.optimiser, parameters, inner, training.peak_lr)
        self.preparing = Preparing(
            model.layout,
            packing,
            conditioning,
            masker,
            training.seed,
            training.steps,
            self.processes,
            joined=training.records == "joined",
        )
        self._ahead: Ahead[Prepared] | None = None  # while it is there, the mixture is further on than `_place`:
        self._place: tuple[int, dict[str, Any]] = (-1, {})  # the next step, and where the mixture goes on for it

    @property
    def layout(self) -> Layout:
        """Of the model."""
        return self.model.layout

    def fit(self, folder: Path | None = None, *, progress: bool = True) -> list[dict[str, float]]:
        """Trains to ``training.steps``, resuming from a checkpoint in ``folder`` if there is one.

        Returns:
            the metrics of each step taken.
        """
        steps, every = self.training.steps, self.training.checkpoint_every
        try:
            with self.threads():
                return fit(
                    self,
                    steps=steps,
                    folder=folder,
                    checkpoint_every=every,
                    label="training",
                    progress=progress,
                    processes=self.processes,
                    checkpoints=self.checkpoints(),
                )
        finally:
            self.close()

    def threads(self) -> AbstractContextManager[None]:
        """What steps run in: one thread for those that several hardly speed up, see ``tokenmask.threads.one_thread``.

        Sums of gradients depend on the number of threads, so that it follows from the sizes of model and batch alone.
        """
        parameters = dict(self.model.named_parameters())
        inner = sum(parameters[name].numel() for name in self.model.inner_matrices())
        rows = -(-self.training.batch_size // self.processes.size)
        operations = 2 * inner * rows * self.packing.max_positions
        return one_thread() if operations <= FEW_OPERATIONS and self.device.type == "cpu" else nullcontext()

    def checkpoints(self) -> Checkpoints:
        """How this training is kept; what either wrote is found by both."""
        return ShardedCheckpoints(self.processes) if self.training.checkpoints == "sharded" else Newest()

    def step(self, index: int) -> dict[str, float]:
        """One optimisation step; everything random in it follows from the seed and the position in the data."""
        self.model.zero_grad(set_to_none=True)  # before forward, which puts gathered weights in the place of shards
        shares = self.prepared(index).parts(self.training.accumulate)
        if self._rehearses:
            self._rehearses = False
            self._backward(shares[0])
            self.model.zero_grad(set_to_none=True)
        own, loss = self._backward(shares[0]) if len(shares) == 1 else self._backward_in_turn(shares)
        if self.still is not None:
            self.still.before()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.training.clip_norm)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = self.training.lr(index)
            optimizer.step()
        self.procedure.after(self.model, self.kept)
        if self.still is not None:
            self.still.after()
        if self.ema is not None:
            self.ema.update(self.model)
        said = self.processes.gather([own, float(loss.weight), {name: float(one) for name, one in loss.parts.items()}])
        return {
            "loss": sum(share for share, _, _ in said),
            **merge([(weight, parts) for _, weight, parts in said]),
            "gradient_norm": float(whole(norm)),
            "lr": self.training.lr(index),
        }

    def _backward(self, prepared: Prepared) -> tuple[float, Loss]:
        """Gradients of rows, this process' share of the loss of the whole batch, and the loss of these rows."""
        loss = self.loss(prepared)
        own = replace(loss, weight=self.processes.sum(loss.weight)).total  # of all processes they add up to the loss
        torch.autograd.backward(own * self.processes.size)  # whose gradients are averaged over the processes
        return float(own.detach()), Loss(loss.sum.detach(), loss.weight, _detached(loss.parts))

    def _backward_in_turn(self, shares: Sequence[Prepared]) -> tuple[float, Loss]:
        """The same in parts: gradients of the sums add up, and are divided by the weight of all when that is known."""
        losses: list[Loss] = []
        for number, share in enumerate(shares, 1):
            with alone(self._parallel, number < len(shares)):
                loss = self.loss(share)
                torch.autograd.backward(loss.sum * self.processes.size)
            losses.append(Loss(loss.sum.detach(), loss.weight, _detached(loss.parts)))
        weight = sum((loss.weight for loss in losses[1:]), losses[0].weight)
        total = sum((loss.sum for loss in losses[1:]), losses[0].sum)
        whole_weight = self.processes.sum(weight)
        divisor = float(torch.where(whole_weight > 0, whole_weight, 1.0))
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad.div_(divisor)
        merged = merge([(float(one.weight), {name: float(v) for name, v in one.parts.items()}) for one in losses])
        return float(total) / divisor, Loss(total, weight, {name: torch.tensor(v) for name, v in merged.items()})

    def batch(self, draw: Draw) -> Batch:
        """The whole batch of a draw, packed and stacked."""
        return self.preparing.batch(draw)

    def prepared(self, index: int) -> Prepared:
        """What this process computes step ``index`` with: the next draw of the mixture.

        Raises:
            ValueError: a damaged shard, or a record that the packing refuses.
            StopIteration: a mixture of some epochs has ended.
        """
        if self._ahead is not None and self._place[0] != index:
            self.close()
        if not self.training.prefetch:
            return self.preparing.following(self.mixture, index)()
        if self._ahead is None:
            self._place = (index, self.mixture.position())
            self._ahead = Ahead(self.preparing.following(self.mixture, index), self.training.prefetch)
        try:
            prepared = next(self._ahead)
        except BaseException:  # Ctrl-C, too
            self.close()
            raise
        self._place = (index + 1, prepared.position)
        return prepared

    def close(self) -> None:
        """Ends the thread that prepares batches, if there is one; the next step starts another."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None
            self.mixture.seek(self._place[1])

    def loss(self, prepared: Prepared) -> Loss:
        """The objective on this process' rows of a masked batch, under autocast if asked for."""
        masked = prepared.masked
        reduced = self.training.precision == "bfloat16"
        positions = masked.inputs.valid.sum() if self.training.records == "joined" else masked.inputs.valid.numel()
        keeps = self.training.keeps_all(self.model.config, int(positions))
        with (
            torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=reduced),
            bfloat16_products(self.training.products == "bfloat16"),
            keeping(keeps),
        ):
            total, weight, parts = self._parallel(masked.to(self.device))
        return Loss(total * 0, weight * 0) if prepared.idle else Loss(total, weight, parts)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that must survive a stop: weights, optimiser, position in the data.

        The same for any number of processes and any sharding. Every process must call it; of several, only the first
        gets the tensors.
        """
        tensors, about = self.state_parts()
        return self.processes.collect(tensors), about

    def state_parts(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """:meth:`state` with sharded tensors as they are, in every process."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            tensors |= optimizer_tensors(optimizer, f"{name}.")
        tensors |= {f"procedure.{name}": value for name, value in self.kept.items()}
        place = self.mixture.position() if self._ahead is None else self._place[1]
        about: dict[str, Any] = {"data": place, "layout": self.layout.to_json()}
        if self.ema is not None:
            tensors |= {f"ema.{name}": value for name, value in self.ema.means.items()}
            about["ema_updates"] = self.ema.updates
        return tensors, about

    def save_model(self, path: Path) -> None:
        """Writes the model as :meth:`MaskedModel.save` does, with the mean of the weights if ``training.ema`` has one.

        Every process must call it and returns when it is done.
        """
        weights = dict(self.model.state_dict()) | (self.ema.means if self.ema is not None else {})
        weights = self.processes.collect(weights)
        if self.processes.first:
            save_tensors(path, weights, {"model": self.model.about()})
        self.processes.wait()

    def load_state(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Restores :meth:`state`.

        Raises:
            ValueError: the checkpoint is of a model with another layout, or lacks what this training keeps.
        """
        if Layout.from_json(about["layout"]) != self.layout:
            raise ValueError(
                "a run can only be resumed with the layout it was started with, got another one; use a new folder"
            )
        weights = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
        held = self.model.state_dict()
        self.model.load_state_dict(
            {name: part_of(value, held[name]) if name in held else value for name, value in weights.items()}
        )
        for name, optimizer in self.optimizers.items():
            load_optimizer_tensors(optimizer, tensors, f"{name}.")
        self._load_kept(tensors, "procedure", self.kept)
        if self.ema is not None:
            self._load_kept(tensors, "ema", self.ema.means)
            self.ema.updates = int(about["ema_updates"])
        self.close()
        self.mixture.seek(about["data"])

    @staticmethod
    @torch.no_grad()
    def _load_kept(tensors: Mapping[str, Tensor], what: str, into: Mapping[str, Tensor]) -> None:
        missing = [name for name in into if f"{what}.{name}" not in tensors]
        if missing:
            raise ValueError(
                f"the checkpoint must hold the {what} state of this training, but lacks {missing[:3]}; "
                "go on with the settings it was begun with, or start in another folder"
            )
        for name, value in into.items():
            value.copy_(part_of(tensors[f"{what}.{name}"], value))


def _detached(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in parts.items()}


def merge(shares: Sequence[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
    """The ``parts`` of a whole batch from (weight, parts) of its shares; see :class:`tokenmask.objectives.Loss`."""
    if len(shares) == 1:
        return dict(shares[0][1])
    merged: dict[str, float] = {}
    for name in dict.fromkeys(name for _, parts in shares for name in parts):
        count = f"{name.partition('/')[0]}/count"
        having = [(parts.get(count, weight), parts[name]) for weight, parts in shares if name in parts]
        if name == count:
            merged[name] = sum(value for _, value in having)
        else:
            total = sum(weight for weight, _ in having)
            merged[name] = sum(weight * value for weight, value in having) / total if total else 0.0
    return merged
