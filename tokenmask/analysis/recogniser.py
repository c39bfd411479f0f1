"""An outside judge of speech: which spoken words a recogniser gets right.

Needs pocketsphinx (pip install --no-deps pocketsphinx), which brings its model of English. Does not know: clips,
tokens, models; it takes plain arrays.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

_RATE_HZ = 16000
WORDS = {
    "digits": "zero one two three four five six seven eight nine",
    "letters": "a b c d e f g h i j k l m n o p q r s t u v w x y z",
    "phonetic": "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa "
    "quebec romeo sierra tango uniform victor whiskey xray yankee zulu",
}


def is_installed() -> bool:
    """Whether pocketsphinx is there."""
    return importlib.util.find_spec("pocketsphinx") is not None


def words_right(clips: Sequence[np.ndarray], transcripts: Sequence[str], group: str) -> list[bool]:
    """Which isolated words are recognised, out of a grammar of the words of their group.

    Args:
        clips: float32 [time] at 16 kHz, one word each.
        transcripts: what is said, words of ``WORDS[group]``, upper or lower case.
        group: "digits", "letters" or "phonetic".

    Returns:
        for each clip whether its word was heard.

    Raises:
        ImportError: pocketsphinx is not installed.
        ValueError: an unknown group, or a transcript that is not in it.
    """
    if group not in WORDS:
        raise ValueError(f"group must be one of {', '.join(WORDS)}, got {group!r}")
    known = WORDS[group].split()
    wanted = [transcript.strip(" .!?").lower().replace("-", "") for transcript in transcripts]
    for word in wanted:
        if word not in known:
            raise ValueError(f"transcripts of {group} must be single words out of {known}, got {word!r}")
    decoder = _recogniser(known)
    return [_heard(decoder, clip) == word for clip, word in zip(clips, wanted, strict=True)]


def _recogniser(words: Sequence[str]) -> Any:
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise ImportError("words_right needs pocketsphinx; pip install --no-deps pocketsphinx") from error
    decoder = Decoder(samprate=_RATE_HZ, lm=None, loglevel="FATAL")
    decoder.add_word("xray", "EH K S R EY", True)
    choices = " | ".join(words)
    decoder.add_jsgf_string("words", f"#JSGF V1.0;\ngrammar words;\npublic <word> = {choices};\n")
    decoder.activate_search("words")
    return decoder


def _heard(decoder: Any, clip: np.ndarray) -> str:
    decoder.start_utt()
    decoder.process_raw((clip.clip(-1, 1) * 32767).astype(np.int16).tobytes(), full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return "" if found is None else str(found.hypstr)
