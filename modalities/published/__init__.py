"""Published tokenizers: networks and weights of others, from a folder or the user's hub cache, behind our protocol.

``tm.tokenizer("encodec", "folder-or-hub-id", levels=8)`` opens one. Its library comes with the extra
``tokenmask[hub]`` and is imported when a tokenizer is opened.
"""

from tokenmask.modalities.published.base import PublishedConfig, PublishedTokenizer
from tokenmask.modalities.published.levels import LevelsConfig, PublishedLevels
from tokenmask.modalities.published.networks import built
from tokenmask.modalities.published.picture import PublishedPicture, PublishedPictureConfig
from tokenmask.modalities.published.sound import PublishedCodec
from tokenmask.modalities.published.words import PublishedWords, PublishedWordsConfig

__all__ = [
    "LevelsConfig",
    "PublishedCodec",
    "PublishedConfig",
    "PublishedLevels",
    "PublishedPicture",
    "PublishedPictureConfig",
    "PublishedTokenizer",
    "PublishedWords",
    "PublishedWordsConfig",
    "built",
]
