"""Films: the medium, and codes frame by frame through the picture tokenizer."""

from tokenmask.modalities.video.media import VideoClip
from tokenmask.modalities.video.tokenizer import VideoTokenizer, VideoTokenizerConfig

__all__ = [
    "VideoClip",
    "VideoTokenizer",
    "VideoTokenizerConfig",
]
