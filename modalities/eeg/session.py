"""What a recording says beside its samples: start, who and what was recorded, events, and headers of channels.

Does not know: samples, files, codes.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self


@dataclass(frozen=True)
class Event:
    """Something that happened during a recording.

    Args:
        onset_seconds: from the first sample.
        text: what it was.
        duration_seconds: how long it lasted, if that is known.
    """

    onset_seconds: float
    text: str
    duration_seconds: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.onset_seconds) or not 0 <= (self.duration_seconds or 0) < math.inf:
            raise ValueError(f"an event needs a finite onset and a duration of 0 or more, got {self!r}")
        if set(self.text) & set("\x00\x14\x15"):
            raise ValueError(f"the text of an event must be without the marks of EDF+ (0, 20, 21), got {self.text!r}")


@dataclass(frozen=True)
class ChannelHeader:
    """What a file says of a channel beside its samples.

    Args:
        name: of the channel in the recording.
        label: as it stands in the file ("EEG FP1-REF").
        unit: that the file has its samples in; those of a recording are microvolts.
        transducer: the kind of electrode.
        prefilter: the filters of the amplifier.
    """

    name: str
    label: str
    unit: str = "uV"
    transducer: str = ""
    prefilter: str = ""


@dataclass(frozen=True)
class Session:
    """The rest of a header, and events.

    Args:
        start: time of the first sample, without a zone.
        patient: the local patient identification of EDF.
        recording: the local recording identification of EDF.
        events: in order of their onsets.
        channels: what the file says of channels, those of which it says more than a name.
    """

    start: datetime | None = None
    patient: str = ""
    recording: str = ""
    events: tuple[Event, ...] = ()
    channels: tuple[ChannelHeader, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values; :meth:`from_json` is the exact inverse."""
        return asdict(self) | {"start": None if self.start is None else self.start.isoformat()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Rebuilds a session from :meth:`to_json`."""
        start = None if values["start"] is None else datetime.fromisoformat(values["start"])
        events = tuple(Event(**one) for one in values["events"])
        channels = tuple(ChannelHeader(**one) for one in values.get("channels", ()))  # older files have none
        return cls(start, str(values["patient"]), str(values["recording"]), events, channels)
