"""NeuroRVQ's tokenizer of EEG (arXiv:2510.13068): 32 codes for each electrode and second, in four branches."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from tokenmask.modalities.published.eeg_network import EegVq
from tokenmask.modalities.published.electrodes import NEURORVQ
from tokenmask.modalities.published.neurorvq_network import NeuroRvq
from tokenmask.modalities.published.recording import PublishedRecording


class NeurorvqTokenizer(PublishedRecording):
    """``levels`` are of each branch; see the base. Its authors license code and weights for non-commercial use."""

    name: ClassVar[str] = "neurorvq"
    model_type: ClassVar[str] = "neurorvq"
    network_class: ClassVar[type[EegVq]] = NeuroRvq
    listed: ClassVar[tuple[str, ...]] = NEURORVQ
    microvolts: ClassVar[float] = 1.0
    how: ClassVar[str] = "save_file(torch.load('NeuroRVQ_EEG_tokenizer_v1.pt', weights_only=True), 'model.safetensors')"

    def measured(self, amplitudes: Tensor) -> Tensor:
        """Logarithms."""
        return amplitudes.log1p()

    def unmeasured(self, values: Tensor) -> Tensor:
        """Amplitudes."""
        return values.expm1()
