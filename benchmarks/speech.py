"""What a recogniser hears: python benchmarks/speech.py (needs pocketsphinx, see tokenmask/analysis/recogniser.py).

Held-out letters and phonetic words, as recorded and as the shipped tokenizer decodes them, and digits that the shipped
model speaks. Chance is 1 in 26 for the words and 1 in 10 for the digits.
"""

from __future__ import annotations

import tokenmask as tm
from tokenmask import data
from tokenmask.analysis.recogniser import WORDS, words_right
from tokenmask.modalities.audio import AudioClip

SEEDS, SECONDS = 4, 0.9


def main() -> None:
    tokenizer, run = tm.load_tokenizer("audio"), tm.load()
    recorded = decoded = count = 0
    for group in ("letters", "phonetic"):
        clips = spoken(group)
        recorded += heard(list(clips.values()), list(clips), group)
        decoded += heard([tokenizer.decode(tokenizer.encode(clip)) for clip in clips.values()], list(clips), group)
        count += len(clips)
    print(f"letters and phonetic words of {count}: {recorded} as recorded, {decoded} as decoded")
    digits = WORDS["digits"].split()
    given = [{"text": word} for word in digits]
    right = sum(
        heard(run.generate("audio", given=given, duration_seconds=SECONDS, seed=seed), digits, "digits")
        for seed in range(SEEDS)
    )
    print(f"generated digits of {SEEDS * len(digits)}: {right}")


def spoken(group: str) -> dict[str, AudioClip]:
    """Word -> its first recording."""
    clips: dict[str, AudioClip] = {}
    for one in data.speech():
        word = one.text.lower().strip(". ")
        if one.group == group and word in WORDS[group].split() and word not in clips:
            clips[word] = AudioClip.load(one.path)
    return clips


def heard(clips: list[AudioClip], words: list[str], group: str) -> int:
    return sum(words_right([clip.samples[0].numpy() for clip in clips], words, group))


if __name__ == "__main__":
    main()
