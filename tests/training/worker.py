"""What each process of a distributed test runs: ``torchrun -m tests.training.worker FOLDER JOB``.

FOLDER holds a corpus and JOB.json, a list of trainings; each leaves its own folder, and the sample ids that each
process answered for. Without torchrun it is one process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.training import worlds
from tokenmask.fitting import Interrupted, fit
from tokenmask.masking import Masker, ProcessRate
from tokenmask.masking.rates import Amount
from tokenmask.models import MaskedModel
from tokenmask.objectives import Loss, MaskedCrossEntropy
from tokenmask.procedures import Plain
from tokenmask.processes import Processes
from tokenmask.training import Trainer
from tokenmask.training.preparing import Prepared


class Unequal(ProcessRate):
    """Hides slots of even samples, in step 2 of the first row only, and in step 3 of none."""

    @property
    def draws_for_batch(self) -> bool:
        return True

    def __call__(self, num_maskable: Tensor, *, step: int, **options: Any) -> Amount:
        amount = super().__call__(num_maskable, step=step, **options)
        assert amount.count is not None
        wanted = options["sample_ids"] % 2 == 0
        if step in (2, 3):
            wanted = torch.arange(len(num_maskable)) < 3 - step
        return Amount(amount.t, count=torch.where(wanted, amount.count, 0))


@dataclass(frozen=True)
class Follow(Plain):
    """Keeps a copy of every weight, which it follows by half after each step: an average that a teacher could be."""

    def state(self, model: MaskedModel) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in model.named_parameters()}

    def after(self, model: MaskedModel, kept: dict[str, Tensor]) -> None:
        for name, value in model.named_parameters():
            kept[name].lerp_(value.detach(), 0.5)


MASKERS = {"rows": Masker(ProcessRate()), "unequal": Masker(Unequal()), "batch": Masker(ProcessRate(per="batch"))}


class Noted(Trainer):
    """Notes whose samples this process answers for; the last process may die, or the first be stopped, at a step."""

    seen: dict[int, list[int]]
    kill_at = stop_at = -1
    once: Path | None = None  # a file that says that it died before

    def loss(self, prepared: Prepared) -> Loss:
        index = prepared.index
        own = [] if prepared.idle else prepared.masked.inputs.sample_ids.tolist()
        self.seen[index] = self.seen.get(index, []) + own  # a step may come in parts
        first = self.once is None or not self.once.exists()
        if index == self.kill_at and first and self.processes.rank == self.processes.size - 1:
            if self.once is not None:
                self.once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if index == self.stop_at and self.processes.first:
            os.kill(os.getpid(), signal.SIGINT)
        return super().loss(prepared)


def run(folder: Path, job: dict[str, Any], processes: Processes) -> None:
    """One training; see the tests for what a job may say."""
    trainer = worlds.make_trainer(
        folder / "corpus",
        job["steps"],
        job.get("batch_size", 8),
        kind=Noted,
        processes=processes,
        objective=MaskedCrossEntropy(**job.get("objective", {})),
        masker=MASKERS[job.get("masker", "rows")],
        batch_positions=job.get("batch_positions"),
        procedure=Follow() if "procedure" in job else None,
        **job.get("training", {}),
    )
    assert isinstance(trainer, Noted)
    trainer.seen, trainer.kill_at, trainer.stop_at = {}, job.get("kill_at", -1), job.get("stop_at", -1)
    place = folder / job["name"]
    trainer.once = folder / f"{job['name']}.killed" if job.get("once") else None
    fit(
        trainer,
        steps=job.get("until", job["steps"]),
        folder=place,
        checkpoint_every=job.get("checkpoint_every", 4),
        progress=False,
        processes=processes,
        checkpoints=trainer.checkpoints(),
    )
    (place / f"seen.{processes.rank}.json").write_text(json.dumps(trainer.seen))
    if "model" in job:
        trainer.save_model(place / "model.safetensors")


if __name__ == "__main__":
    root = Path(sys.argv[1])
    try:
        for one in json.loads((root / f"{sys.argv[2]}.json").read_text()):
            run(root, one, Processes.join())
    except Interrupted as stop:
        sys.exit(str(stop))
