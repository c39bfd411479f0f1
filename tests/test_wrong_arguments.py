"""What is refused of units, of an edit's regions and of single arguments, and the advice that a sentence gives.

Does not know: what has another type in a constructor or a method, which ``test_wrong_types.py`` holds.
"""

from __future__ import annotations

import ast
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tokenmask.arguments import above_zero, moment, names, path_of, string, tensor_of
from tokenmask.generation.regions import hole
from tokenmask.modalities.motion import MotionClip, Skeleton
from tokenmask.modalities.motion.bvh import load_bvh, save_bvh
from tokenmask.modalities.motion.long import LongMotion
from tokenmask.streams import StreamSpec, TokenStream

NAN, INF = math.nan, math.inf
BONE = Skeleton(("root", "tip"), (-1, 0), ((0.0,) * 3, (0.0, 1.0, 0.0)), ("ball", "fixed"), ((0.0,) * 3,) * 2)
CLIP = MotionClip(torch.zeros(4, 3), torch.tensor([1.0, 0, 0, 0]).expand(4, 2, 4).contiguous(), 30.0, BONE)


@pytest.mark.parametrize("read", [MotionClip.load, load_bvh, LongMotion])
@pytest.mark.parametrize(
    ("units", "kind", "sentence"),
    [
        (-100, ValueError, "units_per_metre must be positive, got -100; write a finite number above 0"),
        (0, ValueError, "units_per_metre must be positive, got 0; write a finite number above 0"),
        (NAN, ValueError, "units_per_metre must be positive, got nan; write a finite number above 0"),
        (INF, ValueError, "units_per_metre must be positive, got inf; write a finite number above 0"),
        (True, TypeError, "units_per_metre must be a number, got True; write a float"),
        (
            "inches",
            TypeError,
            "units_per_metre must be a number above 0 or None, got 'inches'; write how many make a metre, as 39.37 for "
            "inches",
        ),
    ],
)
def test_units_are_a_number_above_zero(
    read: Any, units: Any, kind: type[Exception], sentence: str, tmp_path: Path
) -> None:
    save_bvh(CLIP, tmp_path / "w.bvh")
    with pytest.raises(kind) as told:
        read(tmp_path / "w.bvh", units_per_metre=units)
    assert str(told.value) == sentence
    if not isinstance(units, str):
        with pytest.raises(kind) as told:
            save_bvh(CLIP, tmp_path / "w.bvh", units)
        assert str(told.value) == sentence


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"regions": 5}, "regenerate must be a list, got 5; write [(0.1, 0.2)]"),
        ({"regions": "0.1:0.2"}, "regenerate must be a list, got '0.1:0.2'; write [(0.1, 0.2)]"),
        ({"regions": "all"}, "regenerate must be a list, got 'all'; write [(0.1, 0.2)]"),
        ({"regions": ["1:2"]}, "a region must be a list or tuple of numbers, got '1:2'; write [(1.0, 2.0)]"),
        ({"levels": "1"}, "levels must be a list, got '1'; write [1]"),
        ({"levels": 1}, "levels must be a list, got 1; write [1]"),
        ({"levels": 0.5}, "levels must be a list, got 0.5; write [0]"),
        ({"channels": "Cz"}, "channels must be a list, got 'Cz'; write ['Cz']"),
        ({"parts": 5}, "parts must be a list, got 5; write a list of names"),
    ],
    ids=str,
)
def test_advice_on_an_edit_works_when_it_is_taken(change: dict[str, Any], sentence: str) -> None:
    """The stream has two channels, two levels in one group, and two seconds."""
    of_sound = StreamSpec("audio", (16, 16), ("channel", "time"), rate_hz=50.0)
    codes = torch.zeros(2, 100, 2, dtype=torch.int32)
    stream = TokenStream(of_sound, codes, labels={"channel": ("Fz", "Cz")})
    with pytest.raises(TypeError) as told:
        hole(object(), None, stream, **change)
    assert str(told.value) == sentence
    if advice := re.search(r"write (\[.*\])$", sentence):
        taken = hole(object(), None, stream, **{name: ast.literal_eval(advice[1]) for name in change})
        assert taken.any() and not taken.all()


def test_arguments() -> None:
    assert path_of("it", "a") == path_of("it", Path("a")) == Path("a")
    assert names("it", ["a", "b"]) == names("it", iter("ab")) == ("a", "b")
    assert above_zero("it", 2) == 2.0 and moment("it", -INF) == -INF and string("it", "") == ""
    for value in (0, -1.0, NAN, INF):
        with pytest.raises(ValueError, match=r"^it must be positive, got "):
            above_zero("it", value)
    with pytest.raises(TypeError, match=r"^it must be a list of names, got b'ab'; write each in quotes"):
        names("it", b"ab")
    same = torch.zeros(2)
    assert tensor_of("it", same) is same
    turned = np.arange(3, dtype=">f4")[::-1]
    assert tensor_of("it", turned).tolist() == [2.0, 1.0, 0.0]
    with pytest.raises(TypeError, match=r"^it must be an array of numbers, got one of object; convert it$"):
        tensor_of("it", np.array([None]))
    with pytest.raises(TypeError) as told:
        string("it", [0] * 100)
    assert str(told.value) == f"it must be a string, got {str([0] * 100)[:80]}...; write one in quotes"
