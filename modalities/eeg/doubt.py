"""Waves that no EEG has: the unit or the scale of their file is wrong, and their reader is told.

Arrow: samples --**typical_waves**--> how high waves reach --**doubted**--> a sentence. Does not know: files, headers.

What counts is how far the samples of a second are apart, not where they lie: amplifiers without a high-pass filter
record a wave of some microvolts on an offset of many millivolts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tokenmask.modalities.eeg.names import is_of_body

_SLOWEST_HZ = 8.0  # samples of a slower recording are no waves, but values of their own
_HIGHEST, _OF_BODY = 2000.0, 20000.0  # microvolts: scalp EEG stays below 1000, hearts and muscles below 10000
_LOWEST = 0.1  # microvolts; the noise of an amplifier alone is more
_SHOWN = 5


def typical_waves(samples: Tensor, rate_hz: float) -> Tensor:
    """Half of what lies between the smallest and the largest sample of a second, the median of all seconds.

    Args:
        samples: float32 [channels, time], microvolts.
        rate_hz: of the samples.

    Returns:
        float32 [channels], microvolts; 0 for samples so slow that they are no waves.
    """
    size = min(max(round(rate_hz), 1), samples.shape[1])
    if rate_hz < _SLOWEST_HZ:
        return torch.zeros(len(samples))
    seconds = samples[:, : samples.shape[1] // size * size].reshape(len(samples), -1, size)
    return ((seconds.amax(2) - seconds.amin(2)) / 2).median(1).values.cpu()


def doubted(waves: Tensor, names: Sequence[str]) -> str:
    """What is told of channels whose waves are too high or too low for their kind; "" where there are none.

    Args:
        waves: of :func:`typical_waves`.
        names: of the channels.
    """
    said = []
    limits = [_OF_BODY if is_of_body(name) else _HIGHEST for name in names]
    loud = [place for place, (wave, limit) in enumerate(zip(waves.tolist(), limits, strict=True)) if wave > limit]
    quiet = [place for place, wave in enumerate(waves.tolist()) if 0 < wave < _LOWEST]
    for places, than in ((loud, "far more than"), (quiet, "far less than")):
        if places:
            most = max(places, key=lambda place: abs(float(waves[place].log())))
            shown = ", ".join(names[place] for place in places[:_SHOWN]) + ", ..." * (len(places) > _SHOWN)
            said.append(
                f"waves of {float(waves[most]):.3g} microvolts in a usual second ({names[most]}), {than} EEG has, in "
                f"{len(places)} of {len(names)} channels ({shown})"
            )
    if not said:
        return ""
    return (
        f"{', and '.join(said)}; if its unit or its scale is wrong, say what its numbers are with --voltages UNIT, in "
        "Python load(FILE, voltages=UNIT)"
    )
