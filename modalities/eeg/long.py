"""EDF and BDF files read channel by channel: a night needs the memory of one of its channels.

Arrow: .edf or .bdf --**rows_of**--> samples of each channel in microvolts, and what has to be told of all.
Does not know: codes, networks. The rows are, bit for bit, those of the whole recording.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from tokenmask.modalities.eeg.doubt import doubted, typical_waves
from tokenmask.modalities.eeg.edf import OpenEdf, open_edf
from tokenmask.modalities.eeg.gaps import Gaps
from tokenmask.modalities.eeg.offset import LOST_MICROVOLT, lost_seconds, without_baseline


class Rows:
    """The channels of a file.

    Args:
        path: of an EDF, EDF+ or BDF file.
        voltages: see :func:`tokenmask.modalities.eeg.edf.open_edf`.

    Raises:
        ValueError: see :func:`tokenmask.modalities.eeg.edf.open_edf`.
    """

    def __init__(self, path: Path, voltages: str | None = None) -> None:
        self.file: OpenEdf = open_edf(path, voltages)
        self.taken: list[Tensor] = []
        self.lost: list[Tensor] = []
        self.waves: list[Tensor] = []
        self._gaps = Gaps(self.file.sample_rate_hz)

    def __iter__(self) -> Iterator[Tensor]:
        """float32 [time] of each channel, without a large offset."""
        for samples in self.file.rows():
            self._gaps.see(samples)
            made, taken = without_baseline(samples[None], self.file.sample_rate_hz, in_place=True)
            self.taken.append(taken)
            self.lost.append(lost_seconds(made, self.file.sample_rate_hz))
            self.waves.append(typical_waves(made, self.file.sample_rate_hz))
            yield made[0]

    def notes(self) -> list[str]:
        """What was left out or changed, once all rows have been read."""
        taken, lost, names = torch.cat(self.taken), torch.cat(self.lost), self.file.channels
        notes = self.file.told()
        if doubt := doubted(torch.cat(self.waves), names):
            notes.append(doubt)
        if gaps := self._gaps.told():
            notes.append(gaps)
        if bool(taken.any()):
            largest = int(taken.argmax())
            notes.append(
                f"offsets and drifts below 0.5 Hz were taken away from {int((taken > 0).sum())} of "
                f"{len(taken)} channels ({names[largest]}: {float(taken[largest]):.4g} microvolts)"
            )
        if bool(lost.any()):
            most = int(lost.argmax())
            notes.append(
                f"{int((lost > 0).sum())} of {len(lost)} channels have seconds with a mean over {LOST_MICROVOLT:g} "
                f"microvolts ({names[most]}: {int(lost[most])}), beside which codes lose the wave"
            )
        return notes
