"""Regions by hand: which codes a region touches, which stretch is seen, what takes the place of a hole."""

import re
import warnings
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch

from tokenmask.generation import hole, put_in, resized, window
from tokenmask.modalities.image import Image
from tokenmask.modalities.image.boxes import box_places
from tokenmask.modalities.text import Text
from tokenmask.modalities.text.places import character_places
from tokenmask.streams import StreamSpec, TokenStream

SOUND = StreamSpec("audio", (4, 4, 4), ("time",), rate_hz=2.0, level_groups=((0, 2), (1,)))
EEG = StreamSpec("eeg", (4,), ("channel", "time"), rate_hz=2.0)
WORDS = StreamSpec("text", (9,), ("index",))
PICTURE = StreamSpec("image", (4,), ("row", "column"), (2, 2))


class Named:
    """Names of two level groups, as of body parts."""

    group_names = ("arm", "leg")


class Spelled:
    """A tokenizer that finds channels by their first letters."""

    def channel_places(self, names, asked):
        return [index for index, name in enumerate(names) for one in asked if name.startswith(one)]


def zeros(spec: StreamSpec, *grid: int, **labels: tuple[str, ...]) -> TokenStream:
    return TokenStream(spec, torch.zeros(*grid, spec.num_levels, dtype=torch.int32), labels=labels)


def test_regions_may_be_an_array_or_a_tensor():
    for regions in (np.array([[0.5, 1.0]]), torch.tensor([[0.5, 1.0]]), [np.array([0.5, 1.0])]):
        assert hole(None, None, zeros(SOUND, 5), regions)[:, 0].tolist() == [False, True, False, False, False]
    with pytest.raises(TypeError, match=re.escape("got 0.5; write [(0.5, 1.0)]")):
        hole(None, None, zeros(SOUND, 5), np.array([0.5, 1.0]))


@pytest.mark.parametrize(
    ("regions", "steps"),
    [
        ([(0, 0.5)], [0]),  # two codes a second
        ([(0.5, 1.0)], [1]),
        ([(0.4, 0.6)], [0, 1]),
        ([(0.5, 1.01)], [1, 2]),
        ([(0.5 + 1e-7, 1.0 + 1e-7)], [1]),  # seconds that a float rounded
        ([(0.5 - 1e-7, 1.0 - 1e-7)], [1]),
        ([(2.4, 3.0)], [4]),
        ([(0, 0.5), (1.5, 2.0)], [0, 3]),
        (None, [0, 1, 2, 3, 4]),
    ],
)
def test_a_region_touches_every_code_that_sounds_in_it(regions, steps):
    found = hole(None, None, zeros(SOUND, 5), regions)
    assert found.shape == (5, 3) and found.dtype == torch.bool
    assert found[:, 0].nonzero().flatten().tolist() == steps
    assert torch.equal(found, found[:, :1].expand(5, 3))


@pytest.mark.parametrize(
    ("levels", "parts", "opened"),
    [
        (None, None, [0, 1, 2]),
        ([0], None, [0, 1]),  # the coarsest of each group
        ([1], None, [2]),  # the finer one of the only group that has it
        (None, ["leg"], [1]),
        (None, ["arm"], [0, 2]),
        ([1], ["arm"], [2]),
        ([0, 1], ["arm", "leg"], [0, 1, 2]),
    ],
)
def test_levels_count_inside_of_their_group_and_parts_are_groups(levels, parts, opened):
    found = hole(Named(), None, zeros(SOUND, 2), [(0, 0.5)], levels=levels, parts=parts)
    assert found[0].nonzero().flatten().tolist() == opened and not found[1].any()


def test_channels_are_found_by_name_or_by_the_tokenizer():
    stream = zeros(EEG, 3, 4, channel=("Fz", "Cz", "Ca"))
    both = hole(None, None, stream, [(0.5, 1.5)], channels=["cZ", "FZ"])[..., 0]
    assert both.tolist() == [[False, True, True, False], [False, True, True, False], [False] * 4]
    spelled = hole(Spelled(), None, stream, [(0, 0.5)], channels=["C"])[..., 0]
    assert spelled[:, 0].tolist() == [False, True, True] and not spelled[:, 1:].any()


@pytest.mark.parametrize(
    ("stream", "regions", "more", "sentence"),
    [
        (zeros(SOUND, 5), [(2.5, 3.0)], {}, r"inside the 2.5 s of the media, got \(2.5, 3.0\)"),
        (zeros(SOUND, 5), [(1.0, 1.0)], {}, r"is \(start, end\) in seconds, got \(1.0, 1.0\)"),
        (zeros(SOUND, 5), [(-1.0, 1.0)], {}, r"is \(start, end\) in seconds, got \(-1.0, 1.0\)"),
        (zeros(SOUND, 5), [(0.0, 1.0, 2.0)], {}, r"is \(start, end\) in seconds"),
        (zeros(PICTURE, 2, 2), [(0, 1)], {}, "a stream of image has no clock to place the region"),
        (zeros(SOUND, 5), None, {"levels": [2]}, r"levels must lie in 0\.\.1, got 2"),
        (zeros(SOUND, 5), None, {"levels": [-1]}, "each of levels must be at least 0, got -1"),
        (zeros(SOUND, 5), None, {"levels": [1], "parts": ["leg"]}, r"levels must lie in 0\.\.0, got 1"),
        (zeros(SOUND, 5), None, {"parts": ["head"]}, "parts must be among arm, leg, got head"),
        (zeros(SOUND, 5), None, {"parts": []}, "parts must be among arm, leg, got none"),
        (zeros(SOUND, 5), [(1.0, 0.5)], {}, r"got \(1.0, 0.5\); begin at 0 or later, and end after that"),
        (zeros(SOUND, 5), None, {"levels": []}, r"levels must lie in 0\.\.1, got none; count from 0"),
        (
            zeros(EEG, 2, 4, channel=("Fz", "Cz")),
            None,
            {"channels": ["O1"]},
            "must be among Fz, Cz, got O1; name one, or leave",
        ),
        (zeros(EEG, 2, 4, channel=("Fz", "Cz")), None, {"channels": []}, "must be among Fz, Cz, got none"),
    ],
)
def test_wrong_regions_get_one_sentence(stream, regions, more, sentence):
    with pytest.raises(ValueError, match=sentence):
        hole(Named(), None, stream, regions, **more)


@pytest.mark.parametrize("names", ["channels", "parts"])
def test_names_are_words(names):
    with pytest.raises(TypeError, match=f"each of {names} must be a name, got 3; write a word"):
        hole(Named(), None, zeros(EEG, 2, 4, channel=("Fz", "Cz")), **{names: [3]})


def test_a_hole_is_resized_and_all_around_it_stays():
    stream = TokenStream(WORDS, torch.tensor([[1], [2], [3], [4], [5]], dtype=torch.int32), 0.5)
    chosen = torch.tensor([[False], [True], [True], [False], [False]])
    for length, codes in ((1, [1, 2, 4, 5]), (2, [1, 2, 2, 4, 5]), (4, [1, 2, 2, 2, 2, 4, 5])):
        canvas, again = resized(stream, chosen, length)
        assert canvas.codes.flatten().tolist() == codes and canvas.start_seconds == 0.5
        assert again.flatten().nonzero().flatten().tolist() == list(range(1, 1 + length))


@pytest.mark.parametrize(("behind", "filled"), [(False, [1, 2]), (True, [3, 4])])
def test_codes_are_put_in_before_or_behind_those_that_stay(behind, filled):
    stream = TokenStream(WORDS, torch.tensor([[1], [2], [3], [4]], dtype=torch.int32))
    chosen = torch.tensor([[False], [True], [True], [False]])
    canvas, opened = put_in(stream, chosen, 2, behind)
    assert opened[:, 0].nonzero()[:, 0].tolist() == filled
    assert torch.equal(canvas.codes[~opened[:, 0]], stream.codes)
    with pytest.raises(ValueError, match="length must be at least 1, got 0"):
        put_in(stream, chosen, 0, behind)


@pytest.mark.parametrize(
    ("stream", "places", "length", "sentence"),
    [
        (zeros(SOUND, 5), [1], 2, "only words can be replaced by more or fewer codes, got a length for audio"),
        (zeros(replace(WORDS, grid=(5,)), 5), [1], 2, "only words can be replaced"),
        (zeros(WORDS, 5), [1, 3], 2, "length goes with one region, got several that lie apart"),
        (zeros(WORDS, 5), [1], 0, "length must be at least 1, got 0"),
        (zeros(WORDS, 5), [1], 10**9, "length must be in 1..268435456, got 1000000000"),
    ],
)
def test_what_cannot_be_resized_is_refused(stream, places, length, sentence):
    chosen = torch.zeros(stream.codes.shape, dtype=torch.bool)
    chosen[places] = True
    with pytest.raises(ValueError, match=sentence):
        resized(stream, chosen, length)


@pytest.mark.parametrize(
    ("first", "stop", "steps", "seen"),
    [
        (4, 6, 6, (2, 8)),
        (4, 7, 6, (2, 8)),  # three codes in six: one beside them on the left more than on the right
        (0, 1, 6, (0, 6)),
        (9, 10, 6, (4, 10)),
        (4, 6, 2, (4, 6)),
        (4, 6, 10, (0, 10)),
        (4, 6, 40, (0, 10)),
        (8, 10, 12, (0, 10)),
    ],
)
def test_the_window_holds_the_hole_in_its_middle(first, stop, steps, seen):
    for stream, along in (
        (zeros(EEG, 2, 10), (slice(None), slice(first, stop))),
        (zeros(WORDS, 10), (slice(first, stop),)),
    ):
        chosen = torch.zeros(stream.codes.shape, dtype=torch.bool)
        chosen[along] = True
        assert window(stream, chosen, steps) == seen


def test_a_region_that_ends_after_the_media_is_cut_and_said(recwarn):
    assert hole(None, None, zeros(SOUND, 5), [(2.0, 2.9)])[:, 0].nonzero().flatten().tolist() == [4]
    assert not recwarn.list  # the last code may be longer than the media
    with pytest.warns(
        UserWarning, match=r"region \(2.0, 9\) of audio ends after the 2.5 s of the media; what lies"
    ) as told:
        assert hole(None, None, zeros(SOUND, 5), [(2.0, 9)])[:, 0].nonzero().flatten().tolist() == [4]
    assert told[0].filename == __file__


class Lasting(NamedTuple):
    duration_seconds: float


@pytest.mark.parametrize(
    ("region", "lasts", "told"),  # two codes a second, five of them
    [
        ((0.5, 1.0), 2.5, None),
        ((0.5 + 1e-7, 1.0 - 1e-7), 2.5, None),
        ((0.4998, 1.0004), 2.5, None),
        (
            (0.6, 1.0),
            2.5,
            "the region (0.6, 1) of audio begins or ends inside of a code, .*: (0.5, 1) s is what is",
        ),
        ((0.5, 1.1), 2.5, "the region (0.5, 1.1) of audio .*: (0.5, 1.5) s is what is filled anew"),
        ((1.0, 2.3), 2.3, None),  # all of the last code that is there
        ((1.0, 2.2), 2.3, "the region (1, 2.2) of audio .*: (1, 2.3) s is what is filled anew"),
    ],
)
def test_a_region_inside_of_a_code_of_sound_says_what_is_filled(region, lasts, told):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        hole(None, Lasting(lasts), zeros(SOUND, 5), [region])
    assert len(caught) == (told is not None)
    if told is not None:
        assert re.match(told.replace("(", r"\(").replace(")", r"\)"), str(caught[0].message))


@pytest.mark.parametrize(
    ("box", "told"),  # 3 x 2 codes of 15 pixels in height, 20 in width
    [
        ((10, 5, 20, 15), None),
        ((10, 5, 99, 99), "ends outside of 20 x 15 pixels"),
        ((11, 5, 20, 15), "the box (11, 5, 20, 15) begins or ends inside of a code, .*: (10, 5, 20, 15) is what is"),
        ((0, 4.5, 10, 9), "the box (0, 4.5, 10, 9) begins .*: (0, 0, 10, 10) is what is filled anew"),
    ],
)
def test_a_box_inside_of_a_code_of_a_picture_says_what_is_filled(box, told):
    picture = Image(torch.zeros(15, 20, 3, dtype=torch.uint8))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        box_places(picture, (3, 2), box)
    assert len(caught) == (told is not None)
    if told is not None:
        assert re.search(told.replace("(", r"\(").replace(")", r"\)"), str(caught[0].message))


def test_a_region_inside_of_a_code_of_text_says_what_is_filled():
    """Codes: "the", " re", "d", and the four bytes of a face."""
    begins, ends = torch.tensor([0, 3, 6, 7, 7, 7, 7]), torch.tensor([3, 6, 7, 8, 8, 8, 8])
    text = Text("the red\U0001f600")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = character_places(text, begins, ends, (3, 7))
        assert whole.tolist() == [False, True, True, False, False, False, False]
        assert character_places(text, begins, ends, (7, 8)).tolist() == [False] * 3 + [True] * 4
    with pytest.warns(
        UserWarning, match=r"region \(5, 7\) of the text 'ed' .* ' red', \(3, 7\), is what is filled"
    ) as told:
        assert torch.equal(character_places(text, begins, ends, (5, 7)), whole)
    assert told[0].filename == __file__
    with pytest.warns(UserWarning, match=r"'the re', \(0, 6\)"):
        assert character_places(text, begins, ends, (2, 4)).tolist() == [True, True] + [False] * 5
