"""EEG: recordings, the codec of their waves and how it learns."""

from tokenmask.modalities.eeg.figures import BANDS
from tokenmask.modalities.eeg.media import EegRecording
from tokenmask.modalities.eeg.network import EegTokenizerConfig
from tokenmask.modalities.eeg.session import ChannelHeader, Event, Session
from tokenmask.modalities.eeg.tokenizer import EegTokenizer

__all__ = [
    "BANDS",
    "ChannelHeader",
    "EegRecording",
    "EegTokenizer",
    "EegTokenizerConfig",
    "Event",
    "Session",
]
