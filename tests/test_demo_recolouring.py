import numpy as np
import pytest

from tokenmask import data
from tokenmask.demo.recolouring import COLOURS, HUES, recoloured, recoloured_emoji

SIZE = 12


def square(*colours: tuple[int, int, int]) -> np.ndarray:
    """White, with a square in the middle that is split into stripes of the colours."""
    pixels = np.full((SIZE, SIZE, 3), 255, np.uint8)
    for place, stripe in enumerate(np.array_split(np.arange(2, SIZE - 2), len(colours))):
        pixels[2 : SIZE - 2, stripe] = colours[place]
    return pixels


def hue(rgb: np.ndarray) -> float:
    red, green, blue = rgb.astype(float)
    return float(np.degrees(np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)) % 360)


@pytest.mark.parametrize(("colour", "rgb"), [("red", (255, 0, 0)), ("green", (21, 255, 0)), ("blue", (0, 119, 255))])
def test_a_square_takes_the_hue_and_the_paper_stays(colour: str, rgb: tuple[int, int, int]) -> None:
    turned = recoloured(square((255, 255, 0)), colour)
    assert turned is not None
    np.testing.assert_allclose(turned[5, 5].astype(int), rgb, atol=5)  # hues are kept in steps of 1.4 degrees
    assert (turned[0] == 255).all()


def test_all_hues_turn_by_the_same_angle_and_shades_stay() -> None:
    turned = recoloured(square((200, 0, 0), (200, 60, 0), (100, 0, 0)), "blue")
    assert turned is not None
    first, second, dark = turned[5, 2], turned[5, 6], turned[5, 9]
    assert (hue(second) - hue(first)) == pytest.approx(18, abs=3)  # (200, 60, 0) lies 18 degrees from red
    assert (max(first), max(dark)) == (200, 100)


def test_brown_is_a_dark_orange_and_black_has_no_colour() -> None:
    brown, black = (recoloured(square((250, 0, 0)), colour) for colour in ("brown", "black"))
    assert brown is not None and black is not None
    assert hue(brown[5, 5]) == pytest.approx(24, abs=2) and max(brown[5, 5]) == 150
    assert black[5, 5].tolist() == [75, 75, 75]


@pytest.mark.parametrize("colours", [[(255, 0, 0), (0, 255, 0), (0, 0, 255)], [(90, 90, 90)], [(255, 255, 255)]])
def test_without_one_colour_there_is_nothing_to_turn(colours: list[tuple[int, int, int]]) -> None:
    assert recoloured(square(*colours), "blue") is None


def test_captions_say_the_colour_and_what_is_left_out_is_not_there() -> None:
    names = {entry.name for entry in data.emoji()}
    found = {item.key: item for item in recoloured_emoji(leave_out=["yellow apple", "blue bird"])}
    captions = {key: str(item.media["text"].text) for key, item in found.items()}
    assert captions["red apple (blue)"] == "blue apple" and captions["green apple (purple)"] == "purple apple"
    assert not names & set(captions.values())
    assert "red apple (yellow)" not in found and "green apple (yellow)" not in found
    assert "bird (yellow)" in found and "bird (blue)" not in found
    assert all(caption.split()[0] in COLOURS for caption in captions.values())
    assert len(found) > 4000
    blue = found["red apple (blue)"].media["image"].pixels.numpy()
    inside = blue[(blue.max(2).astype(int) - blue.min(2)) > 100]
    assert abs(hue(inside.mean(0)) - HUES["blue"]) < 15
