"""Loaders that worker processes import: nothing heavy stands beside them."""

import os
import signal
from pathlib import Path

from tokenmask.modalities.text import Text


def killed_once(place: Path, text: str) -> Text:
    """Ends the process that loads it the first time, as somebody from outside would."""
    if not place.exists():
        place.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return Text(text)
