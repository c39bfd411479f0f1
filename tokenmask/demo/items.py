"""The data that ships as media: five kinds of records, and what trains and judges each tokenizer.

Arrow: ``tokenmask.data`` --> media and corpus items. Does not know: tokens, models.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch

from tokenmask import data
from tokenmask.corpus import HELD_OUT, TRAIN, Item
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.eeg.media import EegRecording
from tokenmask.modalities.image import Image
from tokenmask.modalities.motion import MotionClip, load_deepmimic
from tokenmask.modalities.text import Text

STREAMS = ("text", "image", "audio", "motion", "eeg")
HELD_OUT_VERSES = 2900  # John begins here: the book that shares least with the three before it
VALIDATION_VERSES = 2600
HELD_OUT_SHARE = 0.2  # of each motion, at its end
EYES = {False: "eyes open", True: "eyes shut"}
LONGEST_PROMPT = 2.5  # seconds; longer ones train the tokenizer only
PACES = ((1.0, 0.0), (1.0, 0.5), (0.9, 0.25), (1.1, 0.75))  # of speech: (speed, share of a code that is cut off)
GAITS = ((1.0, 0), (1.0, 1), (1.0, 2), (1.0, 3), (0.8, 0), (0.8, 2), (1.25, 1), (1.25, 3))  # (speed, frames cut off)
PIECES = (
    24  # of each motion, besides: without short ones a model takes any motion for one that it knows from end to end
)
POLES = ((1, 0), (-1, 0), (1, 4), (-1, 4), (1, 8), (-1, 8), (1, 12), (-1, 12))  # of EEG: (sign, samples cut off)
_CODE_SECONDS = 0.02  # of speech
_LONGEST_CUT = 16  # samples of EEG, those of a code: what is cut at either end leaves whole codes
MOVES = ((0, 0), (0, 0), (0, 0), (0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))  # of a picture: pixels right and down
KEYWORD_AT = (3, 7)  # places of the eight versions of a picture whose caption is a keyword
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
    folder = data.FOLDER / "motion"
    clips = [(one.name, load_deepmimic(one.path, folder / "humanoid.urdf")) for one in data.motions()]
    return tuple(Motion(name, *_cut(clip)) for name, clip in clips)


def _cut(clip: MotionClip) -> tuple[MotionClip, MotionClip]:
    where = round(len(clip) * (1 - HELD_OUT_SHARE))
    return clip.cut(0, where), clip.cut(where, len(clip))


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
    raise ValueError(f"the data that ships holds {', '.join(STREAMS)}, got {modality!r}; name one of these")


def corpora(
    *, varied: bool = False, validation: bool = False, mirrored: bool = True, eightfold: bool = False
) -> dict[str, list[Item]]:
    """The records of each corpus: captioned images, transcribed speech, named motion, labelled EEG, text alone.

    Args:
        varied: training records come in several versions, which are coded differently: speech and motion slower,
            faster and from another sample or frame on, EEG also upside down, motion also in pieces. Held-out
            records never do.
        validation: leaves out what is held out and holds out part of the training records in its place, to choose
            settings by.
        mirrored: emoji come mirrored too, those held out as well. It halves how often a model sees each picture.
        eightfold: a training picture comes eight times, four of them moved by a pixel, which codes it differently and
            keeps a model from learning the pictures by heart too soon. Two of the eight have a keyword for a caption,
            if there is one, so that a model learns words that names spell otherwise ("pizza" is a keyword of "slice of
            pizza"). Held-out pictures come once, with their names.
    """
    named = {"speech": _speech, "motion": _motions, "eeg": _eeg, "verses": _verses}
    found = {name: make(varied, validation) for name, make in named.items()}
    return {"emoji": _emoji(validation, mirrored, eightfold), **found}


def _split(split: str, number: int, every: int, validation: bool) -> str | None:
    """The split of record ``number``; None if it is left out."""
    if not validation:
        return split
    if split == HELD_OUT:
        return None
    return HELD_OUT if number % every == 0 else TRAIN


def split_emoji(validation: bool = False) -> list[tuple[data.Emoji, str]]:
    """Pictures and their splits; for validation, part of those to train on are held out in place of the others."""
    split = [(one, _split(one.split, number, 10, validation)) for number, one in enumerate(data.emoji())]
    return [(one, its) for one, its in split if its is not None]


def split_prompts(validation: bool = False) -> list[tuple[data.Utterance, str]]:
    """Recordings that are short enough for the model, and their splits, likewise."""
    short = [one for one in data.speech() if one.seconds <= LONGEST_PROMPT and one.group != "librivox"]
    split = [(one, _split(one.split, number, 8, validation)) for number, one in enumerate(short)]
    return [(one, its) for one, its in split if its is not None]


def split_motions(validation: bool = False) -> list[tuple[str, MotionClip, MotionClip]]:
    """(name, what to train on, what is held out) of each capture, likewise."""
    return [(one.name, *(_cut(one.train) if validation else (one.train, one.held_out))) for one in motions()]


def _emoji(validation: bool, mirrored: bool, eightfold: bool) -> list[Item]:
    """Each picture with its name, or in eight versions; a mirrored emoji is as good a picture of its name."""
    names = {entry.name for entry in data.emoji()}
    items = []
    for entry, split in split_emoji(validation):
        several = eightfold and split == TRAIN
        versions = list(zip(captions_of(entry, names), MOVES, strict=True)) if several else [(entry.name, MOVES[0])]
        for key, pixels in (
            (entry.name, entry.pixels),
            *([(f"{entry.name} (mirrored)", entry.pixels[:, ::-1])] if mirrored else []),
        ):
            for version, (caption, move) in enumerate(versions):
                pair = {"text": Text(caption), "image": Image(torch.from_numpy(_moved(pixels, *move)))}
                items.append(Item(_key(key, version), pair, split, {"category": entry.category}))
    return items


def unmoved(records: Sequence[Item]) -> list[Item]:
    """Those of :func:`corpora` with eight versions of each training picture whose pixels are where they were."""
    moved = tuple(f" (version {number})" for number, move in enumerate(MOVES) if move != MOVES[0])
    return [record for record in records if not record.key.endswith(moved)]


def captions_of(entry: data.Emoji, names: Collection[str]) -> list[str]:
    """Eight captions of a picture: its name, and at two places its keywords, but none that is another one's name."""
    own = [keyword for keyword in entry.keywords if keyword not in names] or [entry.name]
    captions = [entry.name] * len(MOVES)
    for number, place in enumerate(KEYWORD_AT):
        captions[place] = own[number % len(own)]
    return captions


def _moved(pixels: np.ndarray, right: int, down: int) -> np.ndarray:
    """A copy of uint8 [rows, columns, 3], moved by less than its size; what comes in is white."""
    rows, columns = pixels.shape[:2]
    moved = np.full_like(pixels, 255)
    kept = pixels[max(-down, 0) : rows - max(down, 0), max(-right, 0) : columns - max(right, 0)]
    moved[max(down, 0) :][: len(kept), max(right, 0) :][:, : kept.shape[1]] = kept
    return moved


@dataclass(frozen=True)
class _Spoken:
    """Loads an utterance, faster and without its beginning."""

    utterance: data.Utterance
    speed: float
    share_cut_off: float

    def __call__(self) -> AudioClip:
        clip = AudioClip.load(self.utterance.path)
        first = round(self.share_cut_off * _CODE_SECONDS * clip.sample_rate_hz)
        rate = clip.sample_rate_hz
        return AudioClip(clip.samples[:, first:].clone(), round(rate * self.speed)).resample(rate)


def _speech(varied: bool, validation: bool) -> list[Item]:
    items = []
    for one, split in split_prompts(validation):
        for version, (speed, share) in enumerate(PACES if varied and split == TRAIN else PACES[:1]):
            pair = {"text": Text(words_of(one)), "audio": _Spoken(one, speed, share)}
            items.append(Item(_key(one.path.name, version), pair, split, {"group": one.group}))
    return items


def _motions(varied: bool, validation: bool) -> list[Item]:
    """Each part of a clip with its name, and mirrored, where left becomes right in the name too."""
    items = []
    for number, (name, *parts) in enumerate(split_motions(validation)):
        for split, part in zip((TRAIN, HELD_OUT), parts, strict=True):
            versions = [part] if split == HELD_OUT or not varied else [*_paced(part), *_pieces(part, number)]
            for version, clip in enumerate(versions):
                key = _key(f"{number} {split}", version)
                items.append(Item(key, {"text": Text(name), "motion": clip}, split))
                pair = {"text": Text(other_side(name)), "motion": clip.mirrored()}
                items.append(Item(f"{key} (mirrored)", pair, split))
    return items


def _paced(clip: MotionClip) -> list[MotionClip]:
    return [replace(clip.cut(first, len(clip)), frame_rate_hz=clip.frame_rate_hz * speed) for speed, first in GAITS]


def _pieces(clip: MotionClip, seed: int) -> list[MotionClip]:
    """Parts of 15 to 65 % of a clip, at other speeds."""
    draw = torch.Generator().manual_seed(seed)
    pieces = []
    for share, place, speed in torch.rand(PIECES, 3, generator=draw).tolist():
        length = max(8, int((0.15 + 0.5 * share) * len(clip)))
        first = int(place * (len(clip) - length + 1))
        pieces.append(replace(clip.cut(first, first + length), frame_rate_hz=clip.frame_rate_hz * 0.75 * 1.7**speed))
    return pieces


def _eeg(varied: bool, validation: bool) -> list[Item]:
    items = []
    for number, (recording, label, its_split) in enumerate(recordings()):
        split = _split(its_split, number, 5, validation)
        for version, (sign, first) in enumerate(POLES if varied and split == TRAIN else POLES[:1]):
            length = recording.samples.shape[1] - (_LONGEST_CUT if first else 0)
            samples = sign * recording.samples[:, first : first + length]
            pair = {"label": Text(label), "eeg": replace(recording, samples=samples)}
            if split is not None:
                items.append(Item(_key(f"window {number}", version), pair, split))
    return items


def _verses(varied: bool, validation: bool) -> list[Item]:
    """They have no other versions."""
    cut = VALIDATION_VERSES if validation else HELD_OUT_VERSES
    verses = data.gospel_verses()[: HELD_OUT_VERSES if validation else None]
    return [
        Item(f"verse {number}", {"text": Text(verse)}, HELD_OUT if number >= cut else TRAIN)
        for number, verse in enumerate(verses)
    ]


def _key(name: str, version: int) -> str:
    return f"{name} (version {version})" if version else name


def other_side(name: str) -> str:
    """The name of a mirrored motion: left becomes right, and right left."""
    swap = {"left": "right", "right": "left"}
    return " ".join(swap.get(word, word) for word in name.split())
