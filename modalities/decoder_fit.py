"""What the fits of later decoders share: the codes stay as they are, only the decoder learns.

Arrow: a decoder, its errors --DecoderFitting.descend--> the decoder, a step further. Does not know: any modality.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tokenmask.fitting import fit, load_optimizer_tensors, optimizer_tensors
from tokenmask.modalities.learned import check_begun, load_part, stored
from tokenmask.tensor_files import canonical_json


class DecoderFitting(ABC):
    """Base of a training run of a later decoder, in the shape :func:`tokenmask.fitting.fit` drives.

    A run adds :meth:`step`, which calls :meth:`descend`.

    Args:
        part: what the decoder is called in checkpoints.
        decoder: what learns.
        steps: optimisation steps.
        peak_lr: largest learning rate.
        about: JSON values that say what the run is made from; a resumed run must have the same.
    """

    def __init__(self, part: str, decoder: nn.Module, steps: int, peak_lr: float, about: Mapping[str, Any]) -> None:
        self._part, self._decoder, self._steps, self._peak_lr = part, decoder, steps, peak_lr
        self.optimizer = torch.optim.AdamW(decoder.parameters(), peak_lr, (0.9, 0.95))
        self.about = json.loads(canonical_json(about))  # as a checkpoint gives it back: tuples become lists

    @abstractmethod
    def step(self, index: int) -> dict[str, float]:
        """One step: its loss, and further figures."""

    def run(self, label: str, *, folder: str | Path | None, checkpoint_every: int, progress: bool) -> dict[str, Tensor]:
        """All steps, or those that are left of them, and the weights by name."""
        fit(self, steps=self._steps, folder=folder, checkpoint_every=checkpoint_every, label=label, progress=progress)
        return stored(self._decoder)

    def descend(self, error: Tensor, share_of_peak: float) -> None:
        """One step of AdamW down an error, at a share of the largest learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._peak_lr * share_of_peak
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(error)
        nn.utils.clip_grad_norm_(self._decoder.parameters(), 1.0)
        self.optimizer.step()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {f"{self._part}.{name}": value for name, value in self._decoder.state_dict().items()}
        return tensors | optimizer_tensors(self.optimizer), self.about

    def load_state(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        check_begun(self.about, about)
        load_part(self._decoder, self._part, tensors)
        load_optimizer_tensors(self.optimizer, tensors)
