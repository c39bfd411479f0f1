"""What a report shows of runs with the tokenizers that ship: media they never saw, and what samples are drawn for.

Arrow: data that ships + Run --> media and prompts. Does not know: how anything is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from tokenmask.corpus import HELD_OUT
from tokenmask.demo import items
from tokenmask.demo.samples import CAPTIONS, DIGITS, SPOKEN_SECONDS
from tokenmask.report import Prompt
from tokenmask.run import SHIPPED, Run
from tokenmask.tokenizer import read_description

MOTIONS = ("kick", "walk forward", "cartwheel")


def held_out_media(run: Run) -> dict[str, Sequence[Any]]:
    """Held-out media of the data that ships, for each stream whose tokenizer is the one that ships."""
    found: dict[str, Sequence[Any]] = {}
    for name in items.STREAMS:
        if name in run.tokenizers and run.tokenizers[name].spec.fingerprint == _shipped_fingerprint(name):
            found[name] = items.media(name, HELD_OUT)
    return found


def prompts(run: Run) -> dict[str, list[Prompt]]:
    """Captions to draw, digits to speak and so on, for a run that holds all streams of the model that ships."""
    if not {*items.STREAMS, "label"} <= set(run.layout.names):
        return {}
    return {
        "image": [Prompt({"text": caption}) for caption in CAPTIONS],
        "audio": [Prompt({"text": word}, {"duration_seconds": SPOKEN_SECONDS}) for word in DIGITS[1:7]],
        "motion": [Prompt({"text": name}, {"duration_seconds": 1.4}) for name in MOTIONS],
        "eeg": [Prompt({"label": label}, {"duration_seconds": 1.0}) for label in items.EYES.values()],
        "text": [
            Prompt({"text": start}, {"length": 24}) for start in ("In the beginning", "Jesus said to them, \u201cI")
        ],
    }


@cache
def _shipped_fingerprint(name: str) -> str:
    fingerprint: str = read_description(SHIPPED / "tokenizers" / name)["fingerprint"]
    return fingerprint
