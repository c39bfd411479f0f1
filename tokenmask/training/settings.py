"""Settings of a training: how long, how fast, in which precision, on which processes.

Does not know: data, the loop that follows them; of a model, what its config says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from tokenmask.models import BackboneConfig
from tokenmask.training.adamw import AdamW
from tokenmask.training.optimiser import Optimiser
from tokenmask.training.parallel import Sharding

MOST_PREFETCHED = 1024


@dataclass(frozen=True)
class Training:
    """How a model is optimised.

    Args:
        steps: optimisation steps.
        batch_size: records of a batch, of all processes together.
        peak_lr: learning rate after the warm-up; it falls along a half cosine to ``final_lr_share`` of itself.
        warmup_steps: steps of the linear warm-up.
        final_lr_share: see above.
        decay_share: part of the steps after the warm-up in which it falls, the last ones; before, it is held. Source of
            holding: arXiv:2404.06395, section 4.
        optimiser: what moves the weights; its settings are its own.
        accumulate: parts in which each process computes its rows, one after the other, with the activations of one at a
            time; the gradients add up to those of the whole batch, so it is the same training to rounding.
        clip_norm: largest norm of the gradient.
        precision: "float32", or "bfloat16" for autocast.
        products: "bfloat16" multiplies in bfloat16 in the layers of ``tokenmask.nn.linear``, forward and backward, and
            leaves attention, norms, weights and their optimiser in float32; see :func:`tokenmask.nn.products.product`.
            About two thirds of the time on a CPU that can, and another training, bit for bit; refused where the device
            does not multiply in bfloat16 by itself.
        sharding: what each of several processes holds, see :func:`tokenmask.training.parallel.parallel`; one process
            holds everything.
        gathered: "bfloat16" halves what shards send of their weights: those of the blocks are gathered in it, beside
            ``precision`` bfloat16, whose products are of it anyway; weights that are held, their optimiser and the sums
            of gradients stay float32.
        compile: "blocks" compiles the parts of the backbone by ``torch.compile``, as whole graphs: the same losses to
            rounding, another training bit for bit, after a minute or more of compiling (by a C++ compiler on the CPU).
        recompute: the wide products of the feed-forward layers are not kept for the backward pass but computed again:
            the same weights bit for bit, with less memory and more time.
        keep_gb: all else is kept, too, while what is kept of the rows of a process takes at most so many GB (of 2^30
            bytes); above that norms, turns, gates and attention's projections are computed again. The same weights bit
            for bit; keeping takes about a tenth less time and, of what is kept, more than twice the memory.
        records: "joined" runs the records of a batch one behind the other in one row, each seeing itself alone, instead
            of padded to the longest: neither padding nor dropped conditions are computed. It is the same training to
            rounding: places, draws and losses stay those of each record. Refused where the backbone can't
            (:attr:`tokenmask.models.Backbone.joins`). Source: arXiv:2107.02027, section 3.
        lengths: "mixed" takes the records of a batch as they are drawn, of any length, which costs nothing where they
            are joined; "alike" sorts those of some batches by length. Other batches are another training.
        ema: decay of a running mean of the weights, which is what a run then generates with; 0 keeps none. Source of
            its warm-up: :class:`tokenmask.nn.EMA`.
        checkpoint_every: steps between checkpoints.
        checkpoints: "whole" collects all tensors in the first process, which writes one file while the others wait;
            "sharded" lets each process write its own while training goes on, see
            :class:`tokenmask.training.sharded.ShardedCheckpoints`. A run may change between them.
        seed: of weights, data order, conditions and masks.
        prefetch: batches that a thread prepares while steps are computed, up to 1024; 0 prepares each in its step. It
            is the same training, bit for bit, and goes on from the same place.
        mix_by: what the weights of several corpora are shares of, see :class:`tokenmask.corpus.Mixture`.
        only: streams whose rows move, while all else stays bit for bit (:class:`tokenmask.training.only.Still`); as
            where a trained model has learned to speak but the codes of a new tokenizer. () moves everything.
        epochs: above 0, so many passes over the records take the place of ``steps``: as many steps as it takes to draw
            that many times what all corpora hold, see :meth:`of_records`.
    """

    steps: int = 1000
    batch_size: int = 32
    peak_lr: float = 1e-3
    warmup_steps: int = 50
    final_lr_share: float = 0.05
    decay_share: float = 1.0
    optimiser: Optimiser = field(default_factory=AdamW)
    accumulate: int = 1
    clip_norm: float = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"
    products: Literal["float32", "bfloat16"] = "float32"
    sharding: Sharding = "none"
    gathered: Literal["float32", "bfloat16"] = "float32"
    compile: Literal["none", "blocks"] = "none"
    recompute: bool = False
    keep_gb: float = 1.0
    lengths: Literal["alike", "mixed"] = "alike"
    records: Literal["padded", "joined"] = "padded"
    ema: float = 0.0
    checkpoint_every: int = 200
    checkpoints: Literal["whole", "sharded"] = "whole"
    seed: int = 0
    prefetch: int = 4
    mix_by: Literal["records", "positions"] = "records"
    only: tuple[str, ...] = ()
    epochs: float = 0.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "checkpoint_every", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"training.{name} must be at least 1, got {getattr(self, name)}; raise it")
        if not 0 <= self.epochs < math.inf:
            raise ValueError(f"training.epochs must be at least 0, got {self.epochs}; 0 counts training.steps instead")
        if self.accumulate > self.batch_size:
            raise ValueError(
                "training.accumulate must be at most the records of a step, training.batch_size "
                f"{self.batch_size}, got {self.accumulate}; lower it, or raise the other"
            )
        if not 0 <= self.prefetch <= MOST_PREFETCHED:  # each of them is held in memory
            raise ValueError(
                f"training.prefetch must lie in 0..{MOST_PREFETCHED}, got {self.prefetch}; 0 prepares no batch ahead, "
                "4 is usual"
            )
        if not 0 <= self.keep_gb < math.inf:
            raise ValueError(f"training.keep_gb must be at least 0, got {self.keep_gb}; 1 is usual, 0 keeps the least")
        if not 0 <= self.ema < 1:
            raise ValueError(f"training.ema must lie in 0..1 and below 1, got {self.ema}; 0 keeps none, 0.999 is usual")
        if not 0 < self.decay_share <= 1:
            raise ValueError(
                f"training.decay_share must lie above 0 and be at most 1, got {self.decay_share}; "
                "1 lets it fall from the warm-up on"
            )
        if not 0 < self.peak_lr < 1e6:
            raise ValueError(f"training.peak_lr must be above 0 and below 1e6, got {self.peak_lr}; 1e-3 is usual")
        if self.precision != "float32" and self.products != "float32":
            raise ValueError(
                "training.precision bfloat16 multiplies in bfloat16 already, got training.products bfloat16 beside it; "
                "leave one of them float32"
            )
        if self.gathered != "float32" and not (self.sharding == "full" and self.precision == "bfloat16"):
            raise ValueError(
                "training.gathered bfloat16 is of shards whose products are of bfloat16, got training.sharding "
                f"{self.sharding} and precision {self.precision}; set them to full and bfloat16, or leave it float32"
            )
        if self.compile != "none" and self.products != "float32":
            raise ValueError(
                "training.products is chosen product by product, which compiled blocks cannot do, got bfloat16 beside "
                "training.compile; set precision to bfloat16 instead"
            )
        if self.compile != "none" and self.records == "joined":
            raise ValueError(
                "training.records joined gives blocks another shape in every step, which compiled ones cannot have, "
                f"got training.compile {self.compile} beside it; leave one of them out"
            )
        if not self.clip_norm > 0:
            raise ValueError(f"training.clip_norm must be above 0, got {self.clip_norm}; .inf clips nothing")

    def of_records(self, count: int) -> Training:
        """The same with the steps that it has on a number of records: those of ``epochs``, if there are any.

        Where corpora have weights a pass is as many draws as they hold records, some of which come more often.
        """
        if not self.epochs:
            return self
        return replace(self, steps=max(1, math.ceil(self.epochs * count / self.batch_size)))

    def keeps_all(self, config: BackboneConfig, positions: int) -> bool:
        """Whether what could be computed again is kept, for the time that saves, of so many positions at once."""
        floats = config.kept_floats_in_full(positions)
        return not self.recompute and floats is not None and 4 * floats <= self.keep_gb * 2**30

    def kept_floats(self, config: BackboneConfig, positions: int) -> float | None:
        """What the backbone keeps of so many positions at once, see :meth:`BackboneConfig.kept_floats`."""
        return (config.kept_floats_in_full if self.keeps_all(config, positions) else config.kept_floats)(positions)

    def lr(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        if step < self.warmup_steps:
            return self.peak_lr * (step + 1) / self.warmup_steps
        after = self.steps - self.warmup_steps
        falling = after * self.decay_share
        done = max(step - self.warmup_steps - (after - falling), 0) / max(falling, 1)
        share = self.final_lr_share + (1 - self.final_lr_share) * (1 + math.cos(math.pi * min(done, 1.0))) / 2
        return self.peak_lr * share
