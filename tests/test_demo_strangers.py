"""Pictures, recordings and motions that no model knows, beside words that tell little of them."""

import re
from functools import cache

import numpy as np
import pytest
import torch

from tokenmask import data
from tokenmask.corpus import TRAIN, Item
from tokenmask.demo import items, strangers
from tokenmask.demo.recolouring import recoloured_emoji
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.motion import MotionClip

ENTRIES = data.emoji()


@cache
def changed() -> list[Item]:
    return strangers.changed_emoji(leave_out=["blue heart"])


@cache
def joined() -> list[Item]:
    return strangers.joined_speech(each=4)


@cache
def altered() -> list[Item]:
    return strangers.changed_motions()


def captions(found: list[Item]) -> list[str]:
    return [str(one.media["text"].text) for one in found]


def own_words(entry: data.Emoji) -> set[str]:
    return {word for caption in (entry.name, *entry.keywords) for word in re.split("[ -]", caption)}


def test_unknown_words_stand_in_nothing_that_is_known_or_held_out() -> None:
    unknown = set(strangers.unknown_words())
    known = {word for entry in ENTRIES for word in own_words(entry)}
    spoken = {word for one in data.speech() for word in items.words_of(one).split()}
    assert len(unknown) > 1500 and not unknown & (known | spoken | {"walk", "kick"})
    assert {"bull", "dollar"} & known and all(re.fullmatch("[a-z]{3,12}", word) for word in unknown)


def test_what_is_held_out_is_neither_shown_nor_said() -> None:
    found, heard = changed(), joined()
    held_out = {caption for entry in ENTRIES if entry.split != TRAIN for caption in (entry.name, *entry.keywords)}
    assert not held_out & set(captions(found)) and "blue heart" not in captions(found)
    assert {one.split for one in [*found, *heard]} == {TRAIN}
    of = {one.key.partition(" (picture")[0] for one in found}
    assert of == {entry.name for entry in ENTRIES if entry.split == TRAIN}
    files = {one.path.name for one in data.speech() if one.split == TRAIN}
    assert {one.key.partition(" (recording")[0] for one in heard} <= files
    assert len({one.key for one in [*found, *heard]}) == len(found) + len(heard)


def test_half_of_the_captions_have_a_word_of_the_picture_or_its_neighbour() -> None:
    found, names = changed(), {entry.name: entry for entry in ENTRIES}
    unknown = set(strangers.unknown_words())
    own = [bool(own_words(names[one.key.partition(" (picture")[0]]) & set(text.split())) for one, text in pairs(found)]
    assert len(found) == 8 * 928
    assert 0.24 < np.mean(own) < 0.34  # a quarter, and what others share with it by chance
    strange = [set(text.split()) <= unknown for _, text in pairs(found)]
    assert 0.22 < np.mean(strange) < 0.30
    assert 0.2 < np.mean([text in names for _, text in pairs(found)]) < 0.32


def pairs(found: list[Item]) -> list[tuple[Item, str]]:
    return list(zip(found, captions(found), strict=True))


def test_no_changed_picture_is_the_one_that_is_known() -> None:
    known = {entry.name: entry.pixels for entry in ENTRIES}
    same = [
        np.array_equal(one.media["image"].pixels.numpy(), known[one.key.partition(" (picture")[0]]) for one in changed()
    ]
    assert np.mean(same) < 0.02  # turned, what is round stays as it is
    pixels = np.full((32, 32, 3), 255, np.uint8)
    pixels[4:9, 3:12] = (200, 10, 10)
    other = np.arange(3072, dtype=np.uint8).reshape(32, 32, 3)
    made = {strangers._changed(np.random.default_rng(seed), pixels, other).tobytes() for seed in range(60)}
    expected = [pixels[:, ::-1], *(np.rot90(pixels, turns) for turns in (1, 2, 3))]
    expected += [np.concatenate([pixels[:, :16], other[:, 16:]], 1), np.concatenate([pixels[:16], other[16:]], 0)]
    assert {np.ascontiguousarray(one).tobytes() for one in expected} <= made and pixels.tobytes() not in made


def test_joined_prompts_say_their_words_one_after_the_other() -> None:
    training = [one for one in data.speech() if one.split == TRAIN]
    said = [items.words_of(one) for one in training]
    prompts = {text: one for text, one in zip(said, training, strict=True) if said.count(text) == 1}
    by_file = {one.path.name: one for one in data.speech()}
    whole = 0
    for one, text in pairs(joined()):
        file, _, number = one.key.partition(" (recording ")
        first = by_file[file]
        second = text.removeprefix(items.words_of(first)).strip()
        if int(number[0]) % 2 == 0 and text.startswith(items.words_of(first) + " ") and second in prompts:
            front, back = AudioClip.load(first.path).samples, AudioClip.load(prompts[second].path).samples
            made = one.media["audio"].samples
            if made.shape[1] == front.shape[1] + back.shape[1]:
                assert torch.equal(made, torch.cat([front, back], 1))
                whole += 1
    assert whole > 20


def test_half_of_a_prompt_is_cut_where_its_letters_say() -> None:
    samples, words = torch.arange(90.0)[None], ["a", "b", "cccc"]  # 2, 2 and 5 places with their blanks
    parts = [
        strangers._part(np.random.default_rng(seed), samples, words, end=end) for seed in range(9) for end in (0, 1)
    ]
    lengths = {(one.shape[1], " ".join(text)) for one, text in parts}
    assert lengths == {(90, "a b cccc"), (20, "a"), (70, "b cccc")}
    assert all(float(one[0, 0]) == (20 if one.shape[1] == 70 else 0) for one, _ in parts)


def test_every_second_recording_is_backwards_and_none_is_too_long() -> None:
    found = joined()
    by_file = {one.path.name: one for one in data.speech()}
    for one in found[1:40:2]:
        clip = AudioClip.load(by_file[one.key.partition(" (recording")[0]].path)
        made = one.media["audio"].samples
        assert torch.equal(made, clip.samples.flip(1)[:, : made.shape[1]])
    assert max(one.media["audio"].samples.shape[1] for one in found) == 32000


def test_motions_are_pieces_backwards_or_with_the_arms_and_head_of_another() -> None:
    clip, other = items.motions()[14].train, items.motions()[1].train  # 31 frames at 30 Hz, 131 at 60 Hz
    backwards = strangers._backwards(clip)
    assert torch.equal(backwards.root_positions[0], clip.root_positions[-1])
    assert torch.equal(backwards.rotations[3], clip.rotations[-4])
    both = strangers._with_arms(clip, other)
    names = clip.skeleton.names
    taken = {name for name in names if re.search("shoulder|elbow|wrist|neck$", name)}
    theirs = other.resample(30.0).rotations
    assert len(taken) == 7 and len(both) == 31 and torch.equal(both.root_positions, clip.root_positions)
    for joint, name in enumerate(names):
        expected = theirs if name in taken else clip.rotations
        assert torch.equal(both.rotations[:, joint], expected[:31, joint]), name
    longer = strangers._with_arms(other, clip).rotations  # begun anew where the shorter ends
    again = clip.resample(60.0).rotations
    assert torch.equal(longer[len(again), names.index("neck")], again[0, names.index("neck")])


def test_half_of_the_motions_have_their_own_name_and_none_shows_what_is_held_out() -> None:
    found, motions = altered(), items.motions()
    assert len(found) == 20 * strangers.MOTIONS_EACH and len({one.key for one in found}) == len(found)
    unknown, own, strange = set(strangers.unknown_words()), [], []
    for one, text in pairs(found):
        name = re.sub(r"^\d+ | \(motion \d+\)$", "", one.key)
        own.append(text in (name, items.other_side(name)))
        strange.append(text in unknown)
    assert 0.46 < np.mean(own) < 0.58 and 0.21 < np.mean(strange) < 0.29
    shown = {height for one in motions for height in one.train.root_positions[:, 1].tolist()}
    clips = [one.media["motion"] for one in found]
    assert all(isinstance(clip, MotionClip) and 8 <= len(clip) <= 182 for clip in clips)
    assert {height for clip in clips for height in clip.root_positions[:, 1].tolist()} <= shown


def test_what_is_held_out_to_choose_settings_by_is_not_learned_from() -> None:
    pictures = {one.name for one, split in items.split_emoji(True) if split != TRAIN}
    prompts = {one.path.name for one, split in items.split_prompts(True) if split != TRAIN}
    made = strangers.changed_emoji(each=1, validation=True)
    assert len(pictures) == 103 and len(made) == 928 - 103
    assert not pictures & {one.key.partition(" (picture")[0] for one in made} and not pictures & set(captions(made))
    assert not pictures & {one.key.rpartition(" (")[0] for one in recoloured_emoji(validation=True)}
    heard = strangers.joined_speech(each=1, validation=True)
    assert len(prompts) > 20 and not prompts & {one.key.partition(" (recording")[0] for one in heard}
    late = {place for _, _, clip in items.split_motions(True) for place in places(clip)}
    early = {place for _, clip, _ in items.split_motions(True) for place in places(clip)}
    moved = {
        place for one in strangers.changed_motions(each=4, validation=True) for place in places(one.media["motion"])
    }
    assert moved <= early and len(late - early) > 200 and not moved & (late - early)


def places(clip: MotionClip) -> list[tuple[float, ...]]:
    """Where the root is in each frame, whatever side is left."""
    return [tuple(row) for row in clip.root_positions.abs().tolist()]


MAKERS = [strangers.changed_emoji, strangers.joined_speech, strangers.changed_motions]


@pytest.mark.parametrize("make", MAKERS)
def test_the_seed_alone_decides(make) -> None:
    first, again, other = make(each=1, seed=5), make(each=1, seed=5), make(each=1, seed=6)
    assert captions(first) == captions(again) != captions(other)
