"""What a picture shows beyond its sides: the picture itself stays, windows fill what is beyond."""

import pytest
import torch

import tokenmask as tm
from tokenmask.modalities.image import Image
from tokenmask.run.outpainting import _boxes, _seed, windows_of

ASKED = {"given": {"text": "sun"}, "steps": 2}


@pytest.fixture(scope="module")
def run():
    return tm.load()


def picture(height: int = 64, width: int = 64) -> Image:
    draw = torch.Generator().manual_seed(3)
    return Image(torch.randint(0, 256, (height, width, 3), generator=draw, dtype=torch.uint8))


def test_windows_go_outward_by_half_of_them_and_cover_all():
    assert windows_of((64, 64), (0, 16), (64, 160)) == [(0, 0), (0, 48), (0, 80), (0, 96)]
    assert windows_of((64, 64), (0, 0), (88, 96)) == [(24, 0), (0, 32), (24, 32)]
    for first, size in (((5, 9), (101, 73)), ((0, 100), (40, 200)), ((33, 0), (75, 30))):
        seen = torch.zeros(size, dtype=torch.bool)
        seen[first[0] : first[0] + 40, first[1] : first[1] + 30] = True
        for row, column in windows_of((40, 30), first, size):
            part = seen[row : row + 40, column : column + 30]
            assert part.shape == (40, 30) and part.sum() >= 40 * 30 / 4, "each has something to go on from"
            part[:] = True
        assert bool(seen.all())


def test_places_with_an_unknown_pixel_are_filled():
    unknown = torch.zeros(8, 12, dtype=torch.bool)
    unknown[7, 3:7] = True
    assert _boxes(unknown, (2, 4)) == [(3.0, 4.0, 6.0, 8.0), (6.0, 4.0, 9.0, 8.0)]
    assert len(_boxes(~unknown, (2, 4))) == 8


def test_one_window_is_an_edit_of_what_is_beyond(run):
    given = picture()
    (made,) = run.outpaint(given, right=24, seed=5, **ASKED)
    assert made.pixels.shape == (64, 88, 3) and torch.equal(made.pixels[:, :64], given.pixels)
    edge = given.pixels[:, -1:].expand(-1, 24, -1)
    shifted = Image(torch.cat([given.pixels[:, 24:], edge], 1))
    (edited,) = run.edit(shifted, [(40, 0, 64, 64)], seed=_seed(5, 0, 0), **ASKED)
    assert torch.equal(made.pixels[:, 64:], edited.pixels[:, 40:])


def test_all_sides_samples_and_sizes(run):
    given = picture(30, 45)
    asked = {"left": 10, "top": 7, "right": 60, "bottom": 20, "seed": 1}
    first, second = run.outpaint(given, num_samples=2, **asked, **ASKED)
    for one in (first, second):
        assert one.pixels.shape == (57, 115, 3) and torch.equal(one.pixels[7:37, 10:55], given.pixels)
    assert not torch.equal(first.pixels, second.pixels)
    assert torch.equal(run.outpaint(given, **asked, **ASKED)[0].pixels, first.pixels)
    assert not torch.equal(run.outpaint(given, **{**asked, "seed": 2}, **ASKED)[0].pixels, first.pixels)


def test_steps_of_windows_are_steps_of_their_sample_under_one_bar(run, capsys):
    seen, asked = [], {"right": 40, "num_samples": 2, "seed": 4}
    made = run.outpaint(picture(), **asked, on_step=seen.append, progress=True, **ASKED)
    places = [(one.request, one.step, one.steps) for one in seen]
    assert places == [(sample, step, 4) for sample in range(2) for step in (1, 2, 3, 4)], "two windows of two steps"
    shown = capsys.readouterr().err.splitlines()
    assert shown == [f"outpainting: window {number} of 4" for number in (1, 2, 3, 4)]
    for one, quiet in zip(made, run.outpaint(picture(), **asked, **ASKED), strict=True):
        assert torch.equal(one.pixels, quiet.pixels)


def test_transparent_stays_and_codes_are_taken(run):
    pixels = picture().pixels
    rgba = torch.cat([pixels, torch.full_like(pixels[..., :1], 9)], 2)
    (made,) = run.outpaint(Image(pixels, rgba=rgba), top=8, seed=0, **ASKED)
    assert torch.equal(made.rgba[8:], rgba) and bool((made.rgba[:8, :, 3] == 255).all())
    drawn = run.generate("image", seed=0, **ASKED)[0]
    (more,) = run.outpaint(drawn.stream, left=8, **ASKED)
    assert torch.equal(more.pixels[:, 8:], drawn.pixels)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({}, "needs pixels beyond a side, got none; write right=32"),
        ({"left": -1}, "left must be at least 0, got -1"),
        ({"bottom": 1 << 24}, "at most 67108864 pixels, got 64 x 16777280; ask for fewer"),
        ({"right": 1 << 18}, "at most 1024 windows of the picture's size, got 8192; ask for"),
        ({"right": 8, "seed": [1]}, r"one seed, got \[1\]"),
        ({"right": 8, "stream": "audio"}, "of pictures, got 'audio', a stream of AudioClip; use generate"),
    ],
)
def test_wrong_sides_are_a_sentence(run, asked, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        run.outpaint(picture(), **asked)


def test_an_array_that_is_no_picture_is_told_which_one_is(run):
    grey = torch.zeros(8, 8, dtype=torch.uint8).numpy()
    with pytest.raises(TypeError, match=r"encodes Image, got ndarray uint8 \[8, 8\]; make one with Image\(uint8"):
        run.outpaint(grey, stream="image", right=8)
