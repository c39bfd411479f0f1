"""What is told of sound that is changed on its way to a tokenizer.

Arrow: AudioClip --> a warning. Does not know: files, codes, networks.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenmask import telling
from tokenmask.modalities.audio.media import AudioClip
from tokenmask.modalities.telling import tell

_SHOWN = 3  # files that are named; of others the number


def tell_changes(clip: AudioClip, sample_rate_hz: int, whose: str, channels: int = 1) -> None:
    """Warns, with the name of the file, of channels that become one and of another rate.

    Args:
        clip: as it was given.
        sample_rate_hz: what it is resampled to.
        whose: what wants it so, as "this AudioTokenizer".
        channels: that stay as they are, where a clip has so many.
    """
    lost = 1 if len(clip.samples) == channels else len(clip.samples)
    tell_changes_of(clip.source or repr(clip), lost, clip.sample_rate_hz, sample_rate_hz, whose)


def tell_changes_of(source: str, channels: int, from_hz: int, to_hz: int, whose: str) -> None:
    """The same of a file with so many channels at a rate."""
    tell(source, _changes(channels, from_hz, to_hz), whose)


def tell_changes_of_all(clips: Sequence[AudioClip], sample_rate_hz: int) -> None:
    """The same of clips to fit to, in one line that names the first of them."""
    changed = [clip for clip in clips if _changes(len(clip.samples), clip.sample_rate_hz, sample_rate_hz)]
    if changed:
        named = [clip.source or repr(clip) for clip in changed[:_SHOWN]] + ["..."] * (len(changed) > _SHOWN)
        telling.tell(
            f"{len(changed)} of {len(clips)} clips are made one channel of {sample_rate_hz} Hz for fitting "
            f"({', '.join(named)})"
        )


def _changes(channels: int, from_hz: int, to_hz: int) -> list[str]:
    told = [f"has {channels} channels, which become one"] if channels > 1 else []
    if from_hz != to_hz:
        told.append(f"is resampled from {from_hz} to {to_hz} Hz")
    return told
