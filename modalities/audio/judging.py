"""Judging codecs of others: figures of sound at one rate, whatever the codec's own.

Arrow: (tokenizer of clips, clips) --**judged**--> figures by name. Does not know: which codec.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tokenmask.modalities.audio.figures import baseline_figures, distances, usage_figures
from tokenmask.modalities.audio.media import AudioClip
from tokenmask.modalities.windows import cut
from tokenmask.tokenizer import Tokenizer

RATE_HZ = 16000


def judged(tokenizer: Tokenizer, items: Sequence[AudioClip], train_items: Sequence[AudioClip] = ()) -> dict[str, float]:
    """How well clips are coded; figures as of :class:`AudioTokenizer`, taken at 16 kHz whatever the codec's rate.

    Args:
        tokenizer: of one channel of sound.
        items: held-out clips.
        train_items: clips for the baselines to learn from; without them there are none.

    Returns:
        mel_l1, spectral_convergence and mel_l1_below_4000_hz, which leaves out what a codec at 8 kHz cannot have;
        bits_per_second; codes_used_share and perplexity of each level; mean_mel_l1 and pca_mel_l1 of coders that spend
        the same bits.
    """
    if not items:
        raise ValueError("evaluate needs at least one clip, got none")
    spec = tokenizer.spec
    hop = round(RATE_HZ / (spec.rate_hz or 1))
    streams = tokenizer.encode_many(items)
    clips = [item.mono().resample(RATE_HZ).samples[0] for item in items]
    made = [
        cut(tokenizer.decode(stream).resample(RATE_HZ).samples[0], 0, len(clip))
        for clip, stream in zip(clips, streams, strict=True)
    ]
    pairs = list(zip(clips, made, strict=True))
    errors = torch.tensor([distances(clip, copy, RATE_HZ) for clip, copy in pairs]).mean(0)
    low = torch.tensor([distances(clip, copy, RATE_HZ, below_hz=4000)[0] for clip, copy in pairs]).mean()
    bits = sum(math.log2(size) for size in spec.codebook_sizes)
    figures = {
        "mel_l1": float(errors[0]),
        "spectral_convergence": float(errors[1]),
        "mel_l1_below_4000_hz": float(low),
        "bits_per_second": bits * (spec.rate_hz or 0.0),
        **usage_figures(torch.cat([stream.codes for stream in streams]), spec.codebook_sizes),
    }
    if train_items:
        train = [item.mono().resample(RATE_HZ).samples[0] for item in train_items]
        figures |= baseline_figures(train, clips, hop, RATE_HZ, bits)
    return figures
