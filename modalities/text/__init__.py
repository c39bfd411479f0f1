"""Text: the medium and its SentencePiece codes, from which every string comes back unchanged."""

from tokenmask.modalities.text.media import Text
from tokenmask.modalities.text.tokenizer import TextTokenizer, TextTokenizerConfig

__all__ = [
    "Text",
    "TextTokenizer",
    "TextTokenizerConfig",
]
