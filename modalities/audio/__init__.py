"""Sounds: the medium, the codec and how it learns; ``system_codecs`` are codecs of the system."""

from tokenmask.modalities.audio.media import AudioClip
from tokenmask.modalities.audio.network import AudioTokenizerConfig
from tokenmask.modalities.audio.tokenizer import AudioTokenizer

__all__ = [
    "AudioClip",
    "AudioTokenizer",
    "AudioTokenizerConfig",
]
