"""What is told of recordings before they are coded: another rate, an offset beside which the wave is lost.

Does not know: codes, networks.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tokenmask.modalities.eeg.media import EegRecording
from tokenmask.modalities.eeg.offset import without_baseline
from tokenmask.telling import tell


def tell_rate(source: str, rate_hz: float) -> None:
    """Warns that a recording is resampled."""
    tell(f"{source} is resampled to the {rate_hz:g} Hz of this EegTokenizer")


def check_offset(item: EegRecording) -> None:
    """Warns of channels whose wave would be lost beside their offset."""
    tell_offset(without_baseline(item.samples, item.sample_rate_hz)[1], item.channels, item.source or repr(item))


def tell_offset(taken: Tensor, names: Sequence[str], source: str) -> None:
    """The same of what :func:`without_baseline` would take away, float [channel]."""
    if bool(taken.any()):
        largest = int(taken.argmax())
        tell(
            f"the codes of {source} lose the wave beside an offset or drift "
            f"({names[largest]}: {float(taken[largest]):.4g} microvolts); recording.without_offset() in "
            "Python takes it away, as does reading an EDF file, where there are 8 samples a second or more"
        )
