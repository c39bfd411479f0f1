"""The lists that the shared model is judged by name what they should, and their rules judge real pictures right."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tokenmask import data
from tokenmask.analysis.recogniser import WORDS, in_dictionary, words_heard
from tokenmask.modalities.audio import AudioClip

_PATH = Path(__file__).parents[2] / "benchmarks" / "asked.py"
_SPEC = importlib.util.spec_from_file_location("asked", _PATH)
asked = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(asked)

EMOJI = {entry.name: entry for entry in data.emoji()}


def test_lists_have_their_sizes_and_do_not_overlap():
    judged, chosen = ([one.name for one in found] for found in (asked.pictures(), asked.settings_pictures()))
    assert len(set(judged)) == len(set(chosen)) == len(asked.unseen_names()) == 60 and not set(judged) & set(chosen)
    assert judged[:2] == [asked.emoji()[0].name, asked.emoji()[15].name]
    assert all(EMOJI[name].split == "held-out" for name in asked.unseen_names())
    assert len(asked.motion_names()) == 18 and len(asked.phrases()) == 40
    assert not set(asked.single_words()) & set(WORDS["digits"].split())


def test_combinations_are_unseen_and_their_words_are_seen():
    captions = [caption for one in EMOJI.values() for caption in (one.name, *one.keywords)]
    seen = {word for one in asked.emoji() for caption in (one.name, *one.keywords) for word in caption.split()}
    assert len(set(asked.UNSEEN)) == 20
    for caption in asked.UNSEEN:
        assert caption not in captions and set(caption.split()) <= seen


@pytest.mark.parametrize("name", ["blue heart", "green apple", "red apple", "brown mushroom", "purple heart"])
def test_colour_of_real_pictures(name):
    assert asked.colour(EMOJI[name].pixels) == name.split()[0]


def test_colour_of_plain_pictures():
    page = np.full((32, 32, 3), 255, dtype=np.uint8)
    assert asked.colour(page) == "white"
    for name, rgb in {
        "black": (20, 20, 20),
        "brown": (120, 70, 30),
        "pink": (250, 90, 180),
        "red": (200, 0, 0),
    }.items():
        square = page.copy()
        square[8:24, 8:24] = rgb
        assert asked.colour(square) == name


def test_outline_of_real_pictures():
    for name, word in (("blue heart", "heart"), ("red apple", "apple"), ("green book", "book"), ("black bird", "bird")):
        assert asked.has_shape(EMOJI[name].pixels, word, leave_out=[name])
        assert not asked.has_shape(EMOJI[name].pixels, "car", leave_out=[name])


def test_recorded_digits_are_heard():
    pytest.importorskip("pocketsphinx")
    digits = WORDS["digits"].split()
    said = {one.text.lower(): one.path for one in data.speech() if one.text.lower() in digits}
    clips = [AudioClip.load(said[word]).mono().resample(16000).samples[0].numpy() for word in digits]
    assert words_heard(clips, digits) == digits
    assert in_dictionary(["seven", "unistim"]) == ["seven"]
