"""The channels of a recording's file, one after the other.

Arrow: file --**FileRows**--> float32 [time] of each channel. Does not know: codes, networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from tokenmask.modalities.eeg.long import Rows
from tokenmask.modalities.eeg.media import EegRecording, check_voltages, unreadable
from tokenmask.modalities.eeg.names import find_channels
from tokenmask.modalities.eeg.session import Session


class FileRows:
    """A file, of which one channel is in memory at a time if it is .edf or .bdf, else all.

    Args:
        path: of the file.
        rate_hz: that channels are brought to; None leaves them as they are.
        voltages: see :meth:`EegRecording.load`.
        channels: those that are taken, as of :meth:`EegRecording.load`; rows come in the order of the file all the
            same. The others are read, for what is told of them, and not brought to the rate.

    ``order`` has the numbers of the rows in the order asked for. ``channels`` (of the rows), ``session``, ``samples``
    (of a channel), ``seconds`` and ``file_rate_hz`` are those of the recording as it is there.

    Raises:
        ValueError: as of :meth:`EegRecording.load`.
    """

    def __init__(
        self,
        path: str | Path,
        rate_hz: float | None = None,
        voltages: str | None = None,
        channels: Sequence[str] | None = None,
    ) -> None:
        self._rate_hz, self._rows = rate_hz, None
        self._recording: EegRecording | None = None
        self.session: Session | None
        path = Path(path)
        if path.suffix.lower() not in (".edf", ".bdf") or not path.is_file():
            one = self._recording = EegRecording.load(path, voltages=voltages, channels=channels)
            self._taken = self.order = list(range(len(one.channels)))
            self.seconds, self.file_rate_hz = one.duration_seconds, one.sample_rate_hz
            self.channels, self.session = one.channels, one.session
            self.samples = one.samples.shape[1]
            return
        try:
            rows = self._rows = Rows(path, check_voltages(voltages))
            self.file_rate_hz = rows.file.sample_rate_hz
            named = EegRecording(
                torch.zeros(len(rows.file.channels), 1), self.file_rate_hz, rows.file.channels
            ).channels
        except Exception as error:  # of many kinds, as of a whole recording
            raise unreadable(path, error) from error
        try:
            asked = find_channels(named, channels) if channels else list(range(len(named)))
            EegRecording(torch.zeros(len(asked), 1), self.file_rate_hz, tuple(named[row] for row in asked))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        self._taken = sorted(asked)
        self.order = [self._taken.index(row) for row in asked]
        self.channels = tuple(named[row] for row in self._taken)
        self.samples = rows.file.length
        self.seconds = self.samples / self.file_rate_hz
        self.session = rows.file.session

    def __iter__(self) -> Iterator[Tensor]:
        """float32 [time] of each channel."""
        rows = self._rows if self._recording is None else self._recording.samples
        assert rows is not None  # one of them is there
        called = dict(zip(self._taken, self.channels, strict=True))
        for number, row in enumerate(rows):
            if (name := called.get(number)) is None:
                continue
            one = EegRecording(row[None], self.file_rate_hz, (name,))
            yield one.samples[0] if self._rate_hz is None else one.resample(self._rate_hz).samples[0]

    def notes(self) -> list[str]:
        """What was left out or changed and is still to be told, once all channels have been read."""
        return [] if self._rows is None else self._rows.notes()
