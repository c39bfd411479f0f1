"""LaBraM's neural tokenizer (VQNSP; arXiv:2405.18765): a code for each electrode and second."""

from __future__ import annotations

from typing import ClassVar

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
    most_levels: ClassVar[int | None] = 1
    how: ClassVar[str] = (
        "torch.serialization.add_safe_globals([argparse.Namespace]); "
        "save_file(torch.load('vqnsp.pth', weights_only=True)['model'], 'model.safetensors')"
    )

    def measured(self, amplitudes: Tensor) -> Tensor:
        """As they are."""
        return amplitudes

    def unmeasured(self, values: Tensor) -> Tensor:
        """None below nought."""
        return values.clamp(min=0)
