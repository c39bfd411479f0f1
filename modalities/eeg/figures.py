"""Figures of EEG that was coded: correlation and power, band by band.

Does not know: tokenizers, recordings, streams. Works on plain samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

BANDS = {"delta": (1.0, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0), "gamma": (30.0, 45.0)}
"""Names of frequency bands, each from its first number to below its second, in Hz."""

_SMALLEST = 1e-12  # square microvolts; keeps logarithms finite


def fidelity(originals: Sequence[Tensor], copies: Sequence[Tensor], rate_hz: float) -> dict[str, float]:
    """Means over all rows of pairs [rows, time] in microvolts; rows without any power in a band are left out of it.

    Offsets of rows do not count: a wave that is lost beside one would otherwise have a correlation of nearly 1.
    """
    names = ["correlation", "error_of_variance", "log_spectral_error_db"]
    names += [f"{band}_{figure}" for band in BANDS for figure in ("correlation", "power_error_db")]
    seen: dict[str, list[Tensor]] = {name: [] for name in names}
    for original, copy in zip(originals, copies, strict=True):
        size = original.shape[1]
        places = torch.arange(size // 2 + 1, dtype=torch.float64) * rate_hz / size
        mine, other = (torch.fft.rfft(part.double(), dim=1) for part in (original, copy))
        weight = torch.where((places > 0) & (places < rate_hz / 2), 2.0, 1.0).double()
        for band, (low, high) in {"": (0.0, math.inf), **{f"{band}_": edges for band, edges in BANDS.items()}}.items():
            chosen = weight * ((places >= low) & (places < high) & (places > 0))
            powers = [(part.abs().square() * chosen).sum(1) for part in (mine, other)]
            alive = powers[0] > _SMALLEST
            own, made = powers[0][alive], powers[1][alive].clamp_min(_SMALLEST)
            product = ((mine * other.conj()).real * chosen).sum(1)[alive]
            seen[f"{band}correlation"].append(product / (own * made).sqrt())
            if band:
                seen[f"{band}power_error_db"].append(10 * (made / own).log10().abs())
            else:
                difference = ((mine - other).abs().square() * chosen).sum(1)[alive]
                seen["error_of_variance"].append(difference / own)
        heard = (places >= BANDS["delta"][0]) & (places < BANDS["gamma"][1])
        levels = [20 * part[:, heard].abs().clamp_min(1e-3).log10() for part in (mine, other)]
        if levels[0].numel():
            seen["log_spectral_error_db"].append((levels[0] - levels[1]).square().mean(1).sqrt())
    joined = {name: torch.cat(parts) for name, parts in seen.items() if parts}
    return {name: float(values.mean()) for name, values in joined.items() if values.numel()}
