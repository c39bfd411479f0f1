"""The data that ships as media: five kinds of records, and what trains and judges each tokenizer.

Arrow: ``tokenmask.data`` --> media and corpus items. Does not know: tokens, models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch

from tokenmask import data
from tokenmask.corpus import HELD_OUT, TRAIN, Item
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.image import Image
from tokenmask.modalities.recording import EegRecording
from tokenmask.modalities.skeleton import MotionClip, load_deepmimic
from tokenmask.modalities.text import Text

STREAMS = ("text", "image", "audio", "motion", "eeg")
HELD_OUT_VERSES = 2900  # John begins here: the book that shares least with the three before it
HELD_OUT_SHARE = 0.2  # of each motion, at its end
EYES = {False: "eyes open", True: "eyes shut"}
LONGEST_PROMPT = 2.5  # seconds; longer ones train the tokenizer only
_REPEATS = 6  # captions are few beside verses; repeated, their words become single codes


@dataclass(frozen=True, eq=False)
class Motion:
    """A motion capture, cut in two.

    Args:
        name: what it shows.
        train, held_out: its first four fifths and the rest.
    """

    name: str
    train: MotionClip
    held_out: MotionClip


@cache
def motions() -> tuple[Motion, ...]:
    """The 20 captures."""
    found = []
    for capture in data.motions():
        clip = load_deepmimic(capture.path, data.FOLDER / "motion/humanoid.urdf")
        cut = round(len(clip.root_positions) * (1 - HELD_OUT_SHARE))
        found.append(Motion(capture.name, _frames(clip, 0, cut), _frames(clip, cut, len(clip.root_positions))))
    return tuple(found)


def _frames(clip: MotionClip, start: int, end: int) -> MotionClip:
    return replace(clip, root_positions=clip.root_positions[start:end], rotations=clip.rotations[start:end])


def words_of(utterance: data.Utterance) -> str:
    """What is said, in lower case and without stops: all transcripts in one spelling."""
    return " ".join(utterance.text.lower().replace(".", " ").replace(",", " ").split())


def recordings() -> list[tuple[EegRecording, str, str]]:
    """(a second of EEG, "eyes open" or "eyes shut", split) of each window."""
    samples, shut, held_out = data.eyes_open_shut()
    return [
        (
            EegRecording(torch.from_numpy(samples[index]), data.EEG_RATE_HZ, data.EEG_CHANNELS),
            EYES[bool(shut[index])],
            HELD_OUT if held_out[index] else TRAIN,
        )
        for index in range(len(samples))
    ]


def media(modality: str, split: str) -> Sequence[Any]:
    """The media that a tokenizer learns from, or is judged by."""
    if modality == "text":
        verses = data.gospel_verses()
        if split == HELD_OUT:
            return [Text(verse) for verse in verses[HELD_OUT_VERSES:]]
        names = [e.name for e in data.emoji() if e.split == TRAIN] + [one.name for one in motions()]
        names += [words_of(one) for one in data.speech() if one.split == TRAIN] + list(EYES.values())
        return [Text(word) for word in names * _REPEATS + verses[:HELD_OUT_VERSES]]
    if modality == "image":
        return [Image(torch.from_numpy(e.pixels)) for e in data.emoji() if e.split == split]
    if modality == "audio":
        same = [one for one in data.speech() if one.split == split and one.group != "librivox"]
        return [AudioClip.load(one.path) for one in same if split == TRAIN or one.group == "prompts"]
    if modality == "motion":
        return [one.train if split == TRAIN else one.held_out for one in motions()]
    if modality == "eeg":
        return [recording for recording, _, its_split in recordings() if its_split == split]
    raise ValueError(f"the data that ships holds {', '.join(STREAMS)}, got {modality!r}")


def corpora() -> dict[str, list[Item]]:
    """The records of each corpus: captioned images, transcribed speech, named motion, labelled EEG, text alone."""
    return {
        "emoji": _emoji(),
        "speech": [
            Item(one.path.name, {"text": Text(words_of(one)), "audio": _Load(one)}, one.split, {"group": one.group})
            for one in data.speech()
            if one.seconds <= LONGEST_PROMPT and one.group != "librivox"
        ],
        "motion": _motions(),
        "eeg": [
            Item(f"window {index}", {"label": Text(label), "eeg": recording}, split)
            for index, (recording, label, split) in enumerate(recordings())
        ],
        "verses": [
            Item(f"verse {index}", {"text": Text(verse)}, HELD_OUT if index >= HELD_OUT_VERSES else TRAIN)
            for index, verse in enumerate(data.gospel_verses())
        ],
    }


@dataclass(frozen=True)
class _Load:
    utterance: data.Utterance

    def __call__(self) -> AudioClip:
        return AudioClip.load(self.utterance.path)


def _emoji() -> list[Item]:
    """Each picture with its name, and mirrored: a mirrored emoji is as good a picture of its name."""
    items = []
    for entry in data.emoji():
        for key, pixels in ((entry.name, entry.pixels), (f"{entry.name} (mirrored)", entry.pixels[:, ::-1].copy())):
            pair = {"text": Text(entry.name), "image": Image(torch.from_numpy(pixels))}
            items.append(Item(key, pair, entry.split, {"category": entry.category}))
    return items


def _motions() -> list[Item]:
    """Each part of a clip with its name, and mirrored, where left becomes right in the name too."""
    items = []
    for number, one in enumerate(motions()):
        for split, clip in ((TRAIN, one.train), (HELD_OUT, one.held_out)):
            items.append(Item(f"{number} {split}", {"text": Text(one.name), "motion": clip}, split))
            pair = {"text": Text(_other_side(one.name)), "motion": clip.mirrored()}
            items.append(Item(f"{number} {split} (mirrored)", pair, split))
    return items


def _other_side(name: str) -> str:
    swap = {"left": "right", "right": "left"}
    return " ".join(swap.get(word, word) for word in name.split())
