"""Pictures: the medium, the network and how it learns."""

from tokenmask.modalities.image.media import Image
from tokenmask.modalities.image.network import ImageTokenizerConfig
from tokenmask.modalities.image.tokenizer import ImageTokenizer

__all__ = [
    "Image",
    "ImageTokenizer",
    "ImageTokenizerConfig",
]
