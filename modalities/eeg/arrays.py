"""Recordings in .npz files, those of other programs too: any kind of float, integers with their scale.

Arrow: arrays of an archive --**read_arrays**--> microvolts, a rate, names. Does not know: recordings, codes, pickles.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tokenmask.arguments import above_zero
from tokenmask.modalities.eeg.doubt import doubted, typical_waves
from tokenmask.modalities.eeg.edf_header import microvolts as microvolts_in
from tokenmask.modalities.eeg.gaps import gaps_in
from tokenmask.modalities.riddles import ARRAYS, Unfit, in_our_words

NEEDED = ("samples", "sample_rate_hz", "channels")
SCALE = "microvolts_per_count"
"""Array of one number, or of one a channel, by which integers are multiplied."""

SESSION = "session"  # what a recording knows of its circumstances, beside its samples

_QUIET, _LOUD = 0.05, 1e5  # microvolts of the largest sample; what is beyond is hardly in microvolts


class Arrays(NamedTuple):
    """What a file holds.

    Args:
        samples: float32 [channels, time], microvolts.
        sample_rate_hz: of all channels.
        channels: their names.
    """

    samples: Tensor
    sample_rate_hz: float
    channels: tuple[str, ...]


def unpacked(path: Path, most: int) -> dict[str, Any]:
    """The arrays of a .npz file by name; of those that mean nothing here the names alone.

    Args:
        path: of the file.
        most: samples that it may hold.

    Raises:
        ValueError: damaged, too large, or no such file.
    """
    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive:
            size, held = sum(entry.file_size for entry in archive.infolist()), archive.namelist()
        if size > 4 * most + (1 << 20):
            raise Unfit(f"it unpacks to more than {most} samples; split it")
        if double := sorted({one for one in held if held.count(one) > 1}):
            raise Unfit(f"it holds {', '.join(double)} twice; save it again with each array once")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] if name in (*NEEDED, SCALE, SESSION) else None for name in file}
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds; all mean a damaged file
        raise Unfit(in_our_words(error, ARRAYS, "it is damaged, or cut short")) from error


def read_arrays(file: Mapping[str, Any], notes: list[str], voltages: str | None = None) -> Arrays:
    """Samples [channels, time] of floats in microvolts, or of integers beside "microvolts_per_count".

    Args:
        file: arrays of numpy by name.
        notes: gets what is hardly meant.
        voltages: the unit of the samples, in place of microvolts; integers may have it too.

    Raises:
        ValueError: an array is missing, has another shape, or its numbers have no scale.
    """
    import numpy as np

    lacking = [name for name in NEEDED if name not in file]
    if lacking:
        raise ValueError(
            f"it must hold the arrays {', '.join(NEEDED)} (samples [channels, time] in microvolts), but has no "
            f"{' and no '.join(lacking)}, only {', '.join(file) or 'nothing'}; save it with these names"
        )
    samples, rate = np.asarray(file["samples"]), np.asarray(file["sample_rate_hz"])
    names = tuple(one.decode() if isinstance(one, bytes) else str(one) for one in np.atleast_1d(file["channels"]))
    if rate.size != 1:
        raise ValueError(f"its sample_rate_hz must be one number, got {rate.size}")
    rate_hz = above_zero("its sample_rate_hz", float(rate.reshape(())))
    if samples.ndim != 2 or len(samples) != len(names):
        turned = samples.ndim == 2 and samples.shape[1] == len(names)
        raise ValueError(
            f"its samples must be [channels, time] with a row for each of its {len(names)} channels, got "
            f"{list(samples.shape)}{'; save samples.T' if turned else ''}"
        )
    if samples.dtype.kind in "iu" and SCALE in file:
        scale = np.asarray(file[SCALE], dtype=np.float64).reshape(-1, 1)
        if len(scale) not in (1, len(names)):
            raise ValueError(f"its {SCALE} must be one number, or one for each of its channels, got {len(scale)}")
        if not (np.isfinite(scale).all() and scale.all()):
            raise ValueError(f"its {SCALE} must be finite and not 0, got {scale[:4].ravel().tolist()}; save it again")
        samples = samples * scale
    elif samples.dtype.kind not in ("f" if voltages is None else "fiu"):
        raise ValueError(
            f"its samples must be floats in microvolts, or integers beside an array {SCALE!r}, got {samples.dtype}; "
            f"save it with {SCALE!r}"
        )
    elif SCALE in file:
        notes.append(f"its {SCALE} is not used, for its samples are floats and so microvolts already")
    if voltages is not None:
        samples = samples * (microvolts_in(voltages) or 1.0)
    with np.errstate(over="ignore"):  # infinity, which is refused
        microvolts = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))
    peak = float(microvolts.abs().nan_to_num().max()) if microvolts.numel() else 0.0
    if 0 < peak < _QUIET or peak > _LOUD:
        other = "volts or millivolts" if peak < _QUIET else "nanovolts or the integers of a converter"
        notes.append(
            f"its largest sample is {peak:.3g} microvolts; if its numbers are {other}, save microvolts, or say what "
            "they are with --voltages UNIT, in Python load(FILE, voltages=UNIT)"
        )
    elif microvolts.numel() and (doubt := doubted(typical_waves(microvolts, rate_hz), names)):
        notes.append(doubt)
    if flat := without_a_wave(microvolts, names):
        notes.append(flat)
    if gaps := gaps_in(microvolts, rate_hz):
        notes.append(gaps)
    if others := [name for name in file if name not in (*NEEDED, SCALE, SESSION)]:
        notes.append(f"left out: the arrays {', '.join(others)}")
    return Arrays(microvolts, rate_hz, names)


def without_a_wave(samples: Tensor, names: Sequence[str]) -> str:
    """What is told of channels that hold one value throughout; "" where there are none.

    Args:
        samples: [channels, time].
        names: of the channels.
    """
    if not samples.numel() or samples.shape[1] == 1:
        return ""
    flat = [name for name, row in zip(names, samples, strict=True) if bool((row == row[0]).all())]
    return f"without a wave, the same value throughout: {', '.join(flat)}" if flat else ""
