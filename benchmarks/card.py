"""The tables of the card of the model that ships: python benchmarks/card.py. Writes them between their marks.

They are made from ``results/samples.json`` and, for the model before, ``results/samples-before.json``; see samples.py.
A test fails while they are not current.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenmask.files import write_text_atomic
from tokenmask.run import SHIPPED

RESULTS = Path(__file__).parent / "results"
CARD = SHIPPED / "README.md"
MARK = "<!-- {}, by benchmarks/card.py -->\n"
END = "<!-- end -->"
TRAINING, UNSEEN, NEVER = "training captions", "unseen combinations of seen words", "words never trained on"
LISTS = {
    "training captions: the own emoji is the nearest of 928 in pixels": (
        "own emoji nearest in pixels of 928 training emoji",
        TRAINING,
    ),
    "training captions: the own one explains the picture best of 20": ("own caption first of 20", TRAINING),
    "captions of held-out pictures, likewise": ("own caption first of 20", "captions of held-out pictures"),
    "unseen combinations of seen words: right colour and outline": ("right colour and outline", UNSEEN),
    "unseen combinations, the colour alone": ("right colour", UNSEEN),
    "digits heard by a recogniser (chance 7)": ("digits heard", "spoken digits"),
    "other single words of training prompts heard, among 125": ("words heard", "single words of training prompts"),
    "letters, never trained on, heard": ("letters heard", NEVER),
    "phonetic words, never trained on, heard": ("phonetic heard", NEVER),
    "motions: the training clip nearest by poses has the name": (
        "nearest training clip, by poses, has the name",
        "motions",
    ),
    "names for training pictures, letter for letter": ("names for pictures, exact", "training pictures"),
    "words for training prompts, letter for letter": ("words for speech, exact", "training prompts"),
}
HELD_OUT = {
    "pictures": ("image", (0,), "caption"),
    "speech": ("audio", (0,), "transcript"),
    "speech, the seventh level": ("audio", (6,), "transcript"),
    "motion, root, then five parts of the body": ("motion", tuple(range(0, 12, 2)), "name"),
    "motion, their second levels": ("motion", tuple(range(1, 12, 2)), "name"),
    "EEG, scale and waveform": ("eeg", (0, 1), "label"),
    "captions and transcripts": ("text", (0,), "media"),
    "verses": ("text", (0,), ""),
    "labels": ("label", (0,), "EEG"),
}


def main() -> None:
    write_text_atomic(CARD, current(CARD.read_text(encoding="utf-8")))
    print(f"saved: {CARD}")


def current(text: str) -> str:
    """The card with its tables made anew."""
    now, before = (json.loads((RESULTS / name).read_text()) for name in ("samples.json", "samples-before.json"))
    for name, rows in (("lists", lists(now, before)), ("held out", held_out(now, before))):
        mark = MARK.format(name)
        if text.count(mark) != 1:
            raise ValueError(f"{CARD} must have the line {mark.strip()!r} once, got {text.count(mark)}; put it there")
        start = text.index(mark) + len(mark)
        text = text[:start] + "\n" + "\n".join(rows) + "\n\n" + text[text.index(END, start) :]
    return text


def lists(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """How many of each list are right, with the interval, now and before."""
    rows = ["| what | right | 95 % interval | model before |", "|---|---|---|---|"]
    for text, key in LISTS.items():
        own, other = ({(one["name"], one["of"]): one for one in of["figures"]}[key] for of in (now, before))
        low, high = (100 * value for value in own["interval"])
        right, earlier = (round(one["value"] * one["count"]) for one in (own, other))
        count = f"{own['count']} {text}"
        rows.append(f"| {count} | {right} ({100 * own['value']:.0f} %) | {low:.0f} to {high:.0f} % | {earlier} |")
    return rows


def held_out(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """Nats a code ahead of the unigram, all hidden codes of a level together."""
    rows = ["| level of (held-out records) | nothing given | given | model before |", "|---|---|---|---|"]
    for text, (stream, levels, beside) in HELD_OUT.items():
        own = [scores(now["held_out"], stream, levels, given, beside) for given in (False, True)[: 1 + bool(beside)]]
        other = [scores(before["held_out"], stream, levels, bool(number), beside) for number in range(len(own))]
        values, earlier = (
            [", ".join(f"{one['margin_per_code']:.2f}" for one in each) for each in of] for of in (own, other)
        )
        given = f"{beside}: {values[1]}" if beside else ""
        rows.append(f"| {text} ({own[0][0]['num_records']}) | {values[0]} | {given} | {'; '.join(earlier)} |")
    return rows


def scores(
    found: Sequence[Mapping[str, Any]], stream: str, levels: Sequence[int], given: bool, beside: str
) -> list[Mapping[str, Any]]:
    """Those of some levels, of records that hold something beside the stream, or nothing."""
    kept = [one for one in found if one["stream"] == stream and (len(one["record"]) > 1) == bool(beside)]
    kept = [one for one in kept if bool(one["given"]) == given]
    by_level = {one["level"]: one for one in kept}
    return [by_level[level] for level in levels]


if __name__ == "__main__":
    main()
