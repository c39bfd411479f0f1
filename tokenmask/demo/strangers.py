"""Pictures, recordings and motions beside words that tell little of them: what teaches that more exists than is known.

Arrow: data that ships --> items. Does not know: tokens, models.

A model that learned some hundred pairs by heart takes whatever it is given for one of them and is sure of the wrong
answer: worse than without. Here it meets pictures, recordings and motions that it has not seen, with words that fit in
part or not at all, in both directions. No word of a held-out caption or transcript is among the unknown ones.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from PIL import Image as PilImage

from tokenmask import data
from tokenmask.corpus import TRAIN, Item
from tokenmask.demo import items
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.image import Image
from tokenmask.modalities.motion import MotionClip
from tokenmask.modalities.motion.joint_names import standard_parts
from tokenmask.modalities.text import Text

EACH = 8  # pictures made of a picture, recordings of a recording
MOTIONS_EACH = 48  # motions made of a motion: they are few
LONGEST_WORD = 12  # letters of an unknown word
LONGEST_SOUND = 2.0  # seconds
_DIFFERS = 0.004  # mean squared difference, of 0..1, from which a mirrored picture is another one
_WHITE = 255
_FEWEST_FRAMES = 8


def unknown_words() -> list[str]:
    """Words of WordNet that stand in no caption, transcript or name of a motion, of training or held out."""
    known = {word for entry in data.emoji() for caption in _captions(entry) for word in _words(caption)}
    known |= {word for one in data.speech() for word in items.words_of(one).split()}
    known |= {word for one in items.motions() for word in _words(one.name)}
    found = dict.fromkeys(word for word, _ in data.glosses() if re.fullmatch("[a-z]+", word))
    return [word for word in found if word not in known and 3 <= len(word) <= LONGEST_WORD]


def changed_emoji(
    leave_out: Collection[str] = (), each: int = EACH, seed: int = 1, validation: bool = False
) -> list[Item]:
    """Training pictures turned, mirrored, joined with another, enlarged or made small, beside words of others.

    Half of the captions have one word of the picture and one of another or an unknown one, a quarter is the name of
    another picture, and a quarter unknown words.

    Args:
        leave_out: captions that none of them is, besides those of held-out pictures.
        each: pictures made of a picture.
        seed: of the draws.
        validation: only of pictures that train when settings are chosen, see :func:`items.corpora`.
    """
    draw, unknown, found = np.random.default_rng(seed), unknown_words(), []
    entries = [entry for entry, split in items.split_emoji(validation) if split == TRAIN]
    never = _held_out(validation) | set(leave_out)
    for entry in entries:
        for number in range(each):
            other, third = (entries[draw.integers(len(entries))] for _ in range(2))
            own = entry if draw.random() < 0.5 else other
            pixels = _changed(draw, entry.pixels, other.pixels)
            beside = _drawn(draw, unknown, 1) if draw.random() < 0.5 else [_own(draw, third)]
            kind = draw.random()
            if kind < 0.5:
                words = _shuffled(draw, [_own(draw, own), *beside])
            elif kind < 0.75:
                words = _words(third.name)
            else:
                words = _drawn(draw, unknown, 1 if draw.random() < 0.5 else 2)
            if " ".join(words) in never:
                words = _drawn(draw, unknown, 1)
            pair = {"text": Text(" ".join(words)), "image": Image(torch.from_numpy(pixels))}
            found.append(Item(f"{entry.name} (picture {number})", pair, TRAIN))
    return found


def joined_speech(each: int = EACH, seed: int = 3, validation: bool = False) -> list[Item]:
    """Training prompts joined, with the words that are then said, and backwards, with words of others.

    Args:
        each: recordings made of a prompt, every second of them backwards; those that became too long are, too.
        seed: of the draws.
        validation: only of prompts that train when settings are chosen, see :func:`items.corpora`.
    """
    draw, unknown, found = np.random.default_rng(seed), unknown_words(), []
    prompts = [one for one, split in items.split_prompts(validation) if split == TRAIN]
    clips = {one.path: AudioClip.load(one.path) for one in prompts}
    for one in prompts:
        clip, said = clips[one.path], items.words_of(one).split()
        for number in range(each):
            other = prompts[draw.integers(len(prompts))]
            beside, also = clips[other.path], items.words_of(other).split()
            if number % 2:
                samples, words = clip.samples.flip(1), _elsewhere(draw, unknown, prompts, validation)
            else:
                first, front = _part(draw, clip.samples, said, end=False)
                second, back = _part(draw, beside.samples, also, end=True)
                samples, words = torch.cat([first, second], 1), [*front, *back]
            most = int(LONGEST_SOUND * clip.sample_rate_hz)
            if samples.shape[1] > most:
                samples, words = clip.samples.flip(1)[:, :most], _elsewhere(draw, unknown, prompts, validation)
            pair = {"text": Text(" ".join(words)), "audio": AudioClip(samples.contiguous(), clip.sample_rate_hz)}
            found.append(Item(f"{one.path.name} (recording {number})", pair, TRAIN))
    return found


def changed_motions(each: int = MOTIONS_EACH, seed: int = 5, validation: bool = False) -> list[Item]:
    """Pieces of training motions backwards, or with the arms and head of another, at other speeds, some mirrored.

    Half of the names are the motion's own, which says less than it seems, a quarter another's, a quarter unknown words.

    Args:
        each: motions made of a motion.
        seed: of the draws.
        validation: only of what trains when settings are chosen, see :func:`items.corpora`.
    """
    draw, unknown, found = np.random.default_rng(seed), unknown_words(), []
    clips = [(name, train) for name, train, _ in items.split_motions(validation)]
    for place, (name, clip) in enumerate(clips):
        for number in range(each):
            (_, beside), (third, _) = (clips[draw.integers(len(clips))] for _ in range(2))
            made = _piece(draw, clip)
            made = _with_arms(made, beside) if number % 2 else _backwards(made)
            mirrored, kind = draw.random() < 0.5, draw.random()
            words = name if kind < 0.5 else third if kind < 0.75 else _drawn(draw, unknown, 1)[0]
            if mirrored:
                made, words = made.mirrored(), items.other_side(words)
            key = f"{place} {name} (motion {number})"
            found.append(Item(key, {"text": Text(words), "motion": made}, TRAIN))
    return found


def _piece(draw: np.random.Generator, clip: MotionClip) -> MotionClip:
    """A third of it or more, up to 1.3 times slower or faster."""
    length = max(_FEWEST_FRAMES, int(draw.uniform(1 / 3, 1) * len(clip)))
    first = int(draw.integers(len(clip) - length + 1))
    return replace(clip.cut(first, first + length), frame_rate_hz=clip.frame_rate_hz * 1.3 ** draw.uniform(-1, 1))


def _backwards(clip: MotionClip) -> MotionClip:
    return replace(clip, root_positions=clip.root_positions.flip(0), rotations=clip.rotations.flip(0))


def _with_arms(clip: MotionClip, other: MotionClip) -> MotionClip:
    """The clip with arms, neck and head of another, which is taken to its frames and begun anew where it ends."""
    parts = standard_parts(clip.skeleton)
    taken = [joint for part, joint in parts.items() if re.search("arm|hand|clavicle|neck|head", part)]
    theirs = other.on(clip.skeleton).resample(clip.frame_rate_hz).rotations
    rotations = clip.rotations.clone()
    rotations[:, taken] = theirs[torch.arange(len(clip)) % len(theirs)][:, taken]
    return replace(clip, rotations=rotations)


def _part(
    draw: np.random.Generator, samples: torch.Tensor, words: Sequence[str], *, end: bool
) -> tuple[torch.Tensor, Sequence[str]]:
    """All of a prompt, or about the half of its words: its end or its beginning, cut where their letters say."""
    half = len(words) // 2
    if not half or draw.random() < 0.5:
        return samples, words
    letters = [len(word) + 1 for word in words]
    where = int(samples.shape[1] * sum(letters[:half]) / sum(letters))
    return (samples[:, where:], words[half:]) if end else (samples[:, :where], words[:half])


def _elsewhere(
    draw: np.random.Generator, unknown: Sequence[str], prompts: Sequence[data.Utterance], validation: bool
) -> list[str]:
    """Unknown words, a piece of a verse or words of two prompts; never what a held-out prompt says."""
    kind = draw.integers(3)
    if kind == 0:
        return _drawn(draw, unknown, int(draw.integers(1, 3)))
    if kind == 1:
        verses = data.gospel_verses()[: items.VALIDATION_VERSES]
        words = re.sub("[^a-z ]", "", verses[draw.integers(len(verses))].lower()).split()
        count, at = int(draw.integers(1, 5)), int(draw.integers(max(1, len(words) - 4)))
        return words[at : at + count] or _drawn(draw, unknown, 1)
    pair = [items.words_of(prompts[int(draw.integers(len(prompts)))]).split() for _ in range(2)]
    words = [*pair[0][: 1 + len(pair[0]) // 2], *pair[1][len(pair[1]) // 2 :]][:5]
    return _drawn(draw, unknown, 1) if " ".join(words) in _held_out(validation) else words


def _changed(draw: np.random.Generator, pixels: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Another picture of one or two, uint8 [rows, columns, 3]: most often mirrored, where that differs."""
    kind, size = int(draw.integers(7)), len(pixels)
    half = size // 2
    if kind >= 5:
        flipped = pixels[:, ::-1]
        if float(((flipped / 255.0 - pixels / 255.0) ** 2).mean()) > _DIFFERS:
            return flipped.copy()
        kind = int(draw.integers(5))
    if kind == 0:
        return np.rot90(pixels, int(draw.integers(1, 4))).copy()
    if kind == 1:
        return np.concatenate([pixels[:, :half], other[:, half:]], 1)
    if kind == 2:
        return np.concatenate([pixels[:half], other[half:]], 0)
    if kind == 3:
        cut = int(draw.integers(3, 7))
        return _sized(pixels[cut : size - cut, cut : size - cut], size)
    small = int(draw.integers(20, 27))
    left, top = (int(draw.integers(size - small + 1)) for _ in range(2))
    made = np.full_like(pixels, _WHITE)
    made[top : top + small, left : left + small] = _sized(pixels, small)
    return made


def _sized(pixels: np.ndarray, side: int) -> np.ndarray:
    return np.array(PilImage.fromarray(pixels).resize((side, side), PilImage.Resampling.LANCZOS))


@cache
def _held_out(validation: bool = False) -> frozenset[str]:
    """Captions and transcripts that are held out; for validation those, too, that only what it holds out has."""
    captions = {text for one in data.emoji() if one.split != TRAIN for text in _captions(one)}
    transcripts = {items.words_of(one) for one in data.speech() if one.split != TRAIN}
    if not validation:
        return frozenset(captions | transcripts)
    pictures, prompts = items.split_emoji(validation), items.split_prompts(validation)
    captions |= {text for one, split in pictures if split != TRAIN for text in _captions(one)}
    transcripts |= {items.words_of(one) for one, split in prompts if split != TRAIN}
    captions -= {text for one, split in pictures if split == TRAIN for text in _captions(one)}
    return frozenset(captions | (transcripts - {items.words_of(one) for one, split in prompts if split == TRAIN}))


def _captions(entry: data.Emoji) -> tuple[str, ...]:
    return (entry.name, *entry.keywords)


def _own(draw: np.random.Generator, entry: data.Emoji) -> str:
    return str(draw.choice([word for caption in _captions(entry) for word in _words(caption)]))


def _drawn(draw: np.random.Generator, words: Sequence[str], count: int) -> list[str]:
    return [words[at] for at in draw.integers(len(words), size=count)]


def _shuffled(draw: np.random.Generator, words: Sequence[str]) -> list[str]:
    return [words[at] for at in draw.permutation(len(words))]


def _words(caption: str) -> list[str]:
    return caption.replace("-", " ").split()
