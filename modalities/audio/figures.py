"""Figures of sound that was coded: how far its log-mel bands are from the original's, and what simple coders reach.

Does not know: clips, tokenizers, streams. Works on plain waveforms and codes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tokenmask.modalities.audio.mel import FLOOR, band_edges_hz, log_mel, spectrum
from tokenmask.modalities.codebook_report import code_usage, pca_coded
from tokenmask.modalities.windows import cut

SIZE, HOP, BANDS = 1024, 256, 80  # of the spectra that are compared


def distances(clip: Tensor, made: Tensor, rate_hz: int, below_hz: float = math.inf) -> tuple[float, float]:
    """How far a waveform is from another.

    Args:
        clip: the original, float32 [time]; silent where it ends earlier.
        made: the copy, float32 [time].
        rate_hz: of both.
        below_hz: bands of mel that end higher are left out.

    Returns:
        (L1 of ln max(mel, 1e-2), 80 bands, windows of 1024 samples, hop 256; spectral convergence of the same windows,
        all frequencies, that is the norm of the difference of magnitudes over that of the original's).
    """
    pair = [spectrum(cut(one, -SIZE // 2, len(made) + SIZE), SIZE, HOP) for one in (clip, made)]
    inside = int((band_edges_hz(BANDS, rate_hz)[2:] <= below_hz).sum())
    first, second = (log_mel(spectra, BANDS, rate_hz)[..., :inside] for spectra in pair)
    gap = (pair[0].abs() - pair[1].abs()).norm() / pair[0].abs().norm().clamp_min(FLOOR)
    return float((first - second).abs().mean()), float(gap)


def usage_figures(codes: Tensor, sizes: Sequence[int]) -> dict[str, float]:
    """codes_used_share and perplexity of the first level, and both with _level_2 ... of the others.

    Args:
        codes: int [frames, levels].
        sizes: of the codebooks.
    """
    figures: dict[str, float] = {}
    for level, size in enumerate(sizes):
        share, perplexity = code_usage(codes[:, level], size)
        ending = f"_level_{level + 1}" if level else ""
        figures |= {f"codes_used_share{ending}": share, f"perplexity{ending}": perplexity}
    return figures


def baseline_figures(
    train: Sequence[Tensor], clips: Sequence[Tensor], hop: int, rate_hz: int, bits: float
) -> dict[str, float]:
    """What simple coders of log-mel frames reach, one frame a code.

    Args:
        train: waveforms to learn from, float32 [time] each.
        clips: waveforms to code.
        hop: samples that a code covers.
        rate_hz: of all of them.
        bits: that a code may spend.

    Returns:
        mean_mel_l1: a coder that always says the mean frame; pca_mel_l1: quantised principal components, see
        :func:`pca_coded`, without the loss that a way back to a waveform adds.
    """
    frames, own = _judged_frames(train, hop, rate_hz), _judged_frames(clips, hop, rate_hz)
    coded = pca_coded(frames, own, bits)
    return {
        "mean_mel_l1": float((own - frames.mean(0)).abs().mean()),
        "pca_mel_l1": float((own - coded).abs().mean()),
    }


def _judged_frames(clips: Sequence[Tensor], hop: int, rate_hz: int) -> Tensor:
    """Log-mel frames of all clips as :func:`distances` sees them, one for each hop, float32 [frames, 80]."""
    padded = [cut(clip, -((SIZE - hop) // 2), math.ceil(len(clip) / hop) * hop + SIZE - hop) for clip in clips]
    return torch.cat([log_mel(spectrum(clip, SIZE, hop), BANDS, rate_hz) for clip in padded])
