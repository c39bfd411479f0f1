"""Outside judges of speech: which spoken words a recogniser gets right, how good it sounds to DNSMOS.

Need pocketsphinx (pip install --no-deps pocketsphinx), which brings its model of English, and speechmos with
onnxruntime (pip install --no-deps speechmos onnxruntime flatbuffers protobuf), which brings DNSMOS (MIT). They take
plain arrays. Does not know: clips, tokens, models.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
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
        raise ValueError(f"group must be one of {', '.join(WORDS)}, got {group!r}; name one of these")
    known = WORDS[group].split()
    wanted = [transcript.strip(" .!?").lower().replace("-", "") for transcript in transcripts]
    for word in wanted:
        if word not in known:
            raise ValueError(
                f"transcripts of {group} must be single words out of {known}, got {word!r}; leave out the other clips"
            )
    return [heard == word for heard, word in zip(words_heard(clips, known), wanted, strict=True)]


def words_heard(clips: Sequence[np.ndarray], words: Sequence[str]) -> list[str]:
    """Which of some words is heard in each clip, "" for none.

    Args:
        clips: float32 [time] at 16 kHz, one word each.
        words: lower case, in the dictionary of :func:`in_dictionary`.

    Raises:
        ImportError: pocketsphinx is not installed.
    """
    decoder = _recogniser(words)
    return [_heard(decoder, clip) for clip in clips]


def in_dictionary(words: Sequence[str]) -> list[str]:
    """Those of some words, lower case, that the recogniser knows how to say."""
    decoder = _recogniser(["one"])
    return [word for word in words if decoder.lookup_word(word)]


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


def speech_quality(clips: Sequence[np.ndarray]) -> float:
    """Mean overall quality by DNSMOS, raw as the network gives it: about 1 (bad) to 5.

    Never to be read alone: it calls speech good of which hardly a word can be understood.

    Args:
        clips: float32 [time] at 16 kHz; repeated up to the 9.01 s that the network takes, and cut there.

    Raises:
        ImportError: speechmos or onnxruntime is not installed.

    Source: Reddy, Gopal and Cutler, arXiv:2110.01763.
    """
    found = importlib.util.find_spec("speechmos")
    try:
        import onnxruntime
    except ImportError:
        found = None
    if found is None or not found.submodule_search_locations:
        raise ImportError(
            "speech_quality needs DNSMOS; pip install --no-deps speechmos onnxruntime flatbuffers protobuf"
        )
    model = Path(found.submodule_search_locations[0]) / "dnsmos_models" / "sig_bak_ovr.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name, size = session.get_inputs()[0].name, int(9.01 * _RATE_HZ)
    scores = []
    for clip in clips:
        whole = np.tile(clip.clip(-1, 1), -(-size // len(clip)))[:size].astype(np.float32)
        scores.append(float(session.run(None, {name: whole[None]})[0][0][2]))
    return float(np.mean(scores))
