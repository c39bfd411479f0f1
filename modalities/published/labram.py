"""LaBraM's neural tokenizer (VQNSP; arXiv:2405.18765): a code for each electrode and second."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from tokenmask.modalities.published.eeg_network import EegVq
from tokenmask.modalities.published.electrodes import LABRAM
from tokenmask.modalities.published.labram_network import LabramVq
from tokenmask.modalities.published.recording import PublishedRecording


class LabramTokenizer(PublishedRecording):
    """One codebook; amplitudes below nought become nought, and angles are spread evenly; see the base."""

    name: ClassVar[str] = "labram"
    model_type: ClassVar[str] = "labram"
    network_class: ClassVar[type[EegVq]] = LabramVq
    listed: ClassVar[tuple[str, ...]] = LABRAM
    microvolts: ClassVar[float] = 100.0
    how: ClassVar[str] = (
        "torch.serialization.add_safe_globals([argparse.Namespace]); "
        "save_file(torch.load('vqnsp.pth', weights_only=True)['model'], 'model.safetensors')"
    )

    @classmethod
    def check_options(cls, config: Any) -> None:
        """ValueError for more levels than the one that every network of this kind has: before weights are read."""
        super().check_options(config)
        if config.levels not in (None, 1):
            raise ValueError(f"levels of a {cls.__name__} must be 1, got {config.levels}; leave them out")

    def measured(self, amplitudes: Tensor) -> Tensor:
        """As they are."""
        return amplitudes

    def unmeasured(self, values: Tensor) -> Tensor:
        """None below nought."""
        return values.clamp(min=0)
