"""What a recogniser hears of generated digits, as a figure.

Arrow: Part of an audio stream --**SpokenDigits**--> Figures. Does not know: how a recogniser works.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from tokenmask.analysis.figures import Figure
from tokenmask.analysis.intervals import share_interval
from tokenmask.analysis.recogniser import WORDS, is_installed, words_right
from tokenmask.evaluation.metric import Metric
from tokenmask.evaluation.part import Part
from tokenmask.modalities.audio import AudioClip

DIGITS = tuple(WORDS["digits"].split())
_SPOKEN_SECONDS = 0.9


class SpokenDigits(Metric):
    """Spoken digits that a recogniser hears right; it concerns streams of audio alone."""

    begins: ClassVar[tuple[str, ...]] = ("digits heard by a recogniser",)

    def __call__(self, part: Part) -> Sequence[Figure]:
        """Spoken digits that a recogniser hears right."""
        name = "digits heard by a recogniser"
        if not issubclass(part.run.tokenizers[part.name].media, AudioClip):
            return []
        words = {part.label(one) for one in part.train}
        if not set(DIGITS) <= words:
            return [Figure(name, None, note="the training records do not name the ten digits")]
        if not is_installed():
            return [Figure(name, None, note="pocketsphinx is not installed: pip install --no-deps pocketsphinx")]
        given = next(n for one in part.train if part.label(one) in DIGITS for n in one if n != part.name)
        asked = [word for word in DIGITS for _ in range(max(1, part.samples // len(DIGITS)))]
        clips = part.run.generate(
            part.name,
            given=[{given: word} for word in DIGITS],
            duration_seconds=_SPOKEN_SECONDS,
            num_samples=max(1, part.samples // len(DIGITS)),
            seed=part.seed,
        )
        samples = [clip.mono().resample(16000).samples[0].numpy() for clip in clips]
        right = np.array(words_right(samples, asked, "digits"), dtype=np.float64)
        return [Figure(name, float(right.mean()), share_interval(right), len(right), "generated clips", "chance 0.1")]
