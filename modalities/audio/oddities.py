"""What can be read and is hardly meant: silence, a constant under the wave, waves cut off, odd scales and rates.

Arrow: blocks of samples --**Oddities.add**--> sums --**Oddities.told**--> words. Does not know: files, clips.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LOUD = 16.0  # times full scale, from which on it is told; mixes of floats stay below
_LOWEST_HZ, _HIGHEST_HZ = 2000, 768_000  # rates of sound that are met
_LEAST_OFFSET = 0.01  # of full scale, from which on a constant is told where it outweighs the wave
_AT_SCALE, _CUT_SHARE = 1e-3, 0.05  # how near to full scale counts, and the share of samples there that is told


class Oddities:
    """Of a sound that comes block by block.

    Args:
        channels: of it.
    """

    def __init__(self, channels: int) -> None:
        self.peak, self.frames = 0.0, 0
        self._sums, self._energies = np.zeros(channels), np.zeros(channels)
        self._cut = np.zeros(channels, np.int64)

    def add(self, samples: Any) -> None:
        """The next ones, float32 [time, channels], finite."""
        size = np.abs(samples)
        self.peak = max(self.peak, float(size.max(initial=0.0)))
        self.frames += len(samples)
        self._sums += samples.sum(0, dtype=np.float64)
        self._energies += np.einsum("tc,tc->c", samples, samples, dtype=np.float64)
        flat = np.abs(size - 1) <= _AT_SCALE
        self._cut += (flat[1:] & flat[:-1]).sum(0)  # one alone is the top of a wave

    def told(self, rate: int) -> list[str]:
        """What is to be said, at a rate in Hz."""
        found = []
        if not self.peak:
            found.append("it is silent throughout")
        if self.peak >= LOUD:
            found.append(
                f"its samples reach {self.peak:g} times full scale (1), as floats do that are scaled like integers: "
                "divide them"
            )
        means, energies = self._sums / max(1, self.frames), self._energies / max(1, self.frames)
        offsets = np.where(means**2 > energies - means**2, np.abs(means), 0.0)
        if self.peak < LOUD and offsets.max() > _LEAST_OFFSET:
            mean = means[int(offsets.argmax())]
            found.append(f"a constant {mean:.3g} of full scale outweighs its wave, which nobody hears: take it away")
        cut = float(self._cut.max()) / max(1, self.frames)
        if cut > _CUT_SHARE:
            found.append(f"{cut:.1%} of its samples stand at full scale in a row, where the wave is cut off")
        if not _LOWEST_HZ <= rate <= _HIGHEST_HZ:
            long = self.frames / rate
            found.append(f"its rate of {rate} Hz is none of sound, and it is {long:g} s long by it: check it")
        return found
