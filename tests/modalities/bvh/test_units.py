"""Sizes in BVH files: units told by the body, positions of joints, bones that change or lack a length."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.modalities.bvh.bodies import WEIGHTS, apart, away, read, rows
from tokenmask.modalities.motion import MotionClip, save_bvh
from tokenmask.tokenizer import load_tokenizer


def with_positions(text: str, scale: float = 1.0, offsets: bool = False) -> str:
    """Every joint with position channels that hold its bone; offsets are zero."""
    bones = re.findall(r"(?:JOINT|ROOT) \w+\s+\{\s+OFFSET (\S+) (\S+) (\S+)", text)
    text = text.replace("CHANNELS 3 Z", "CHANNELS 6 Xposition Yposition Zposition Z")
    if not offsets:
        text = re.sub(r"OFFSET \S+ \S+ \S+", "OFFSET 0 0 0", text)

    def longer(numbers: list[float]) -> list[float]:
        made = numbers[:6]
        for joint, bone in enumerate(bones[1:], 1):
            made += [scale * float(number) for number in bone] + numbers[3 + 3 * joint : 6 + 3 * joint]
        return made

    return rows(text, longer)


def test_positions_of_a_joint_replace_its_offset(tmp_path: Path, text: str, clip: MotionClip) -> None:
    assert away(read(tmp_path, with_positions(text)), clip) < 1e-5
    longer = read(tmp_path, with_positions(text, scale=1.5, offsets=True))
    assert longer.skeleton.offsets[1] == pytest.approx((0, 0.3, 0), abs=1e-6)
    assert away(read(tmp_path, with_positions(text, scale=0.0, offsets=True)), clip) < 1e-5  # zeros say nothing


def test_bones_that_change_their_length_are_told(tmp_path: Path, text: str) -> None:
    lines = with_positions(text).splitlines()
    numbers = lines[-1].split()
    numbers[7] = "30.0"  # the y of the second joint
    found = read(tmp_path, "\n".join([*lines[:-1], " ".join(numbers)]), r"keep their median one \(Spine\)")
    assert found.skeleton.offsets[1] == pytest.approx((0, 0.2, 0), abs=1e-6)


def test_a_body_without_bones_is_one_sentence(tmp_path: Path, text: str) -> None:
    still = re.sub(r"OFFSET \S+ \S+ \S+", "OFFSET 0 0 0", text)
    found = read(tmp_path, still, "all its joints are in one place, so it is read in centimetres; if that is wrong")
    with pytest.raises(ValueError, match="retargeted by the length of its legs, but all their joints are in one place"):
        load_tokenizer(WEIGHTS / "motion").encode(found)


@pytest.mark.parametrize(("units", "name"), [(1.0, "metres"), (1000.0, "millimetres")])
def test_units_are_told_by_the_body(tmp_path: Path, clip: MotionClip, units: float, name: str) -> None:
    save_bvh(clip, tmp_path / "b.bvh", units_per_metre=units)
    text = (tmp_path / "b.bvh").read_text()
    found = read(
        tmp_path, text, rf"m tall, so it is read in {name}, where it is 1\.5\d* m; if that is wrong, give --units, or"
    )
    assert away(found, clip) < 1e-3
    assert away(read(tmp_path, text, units_per_metre=units), clip) < 1e-3


@pytest.mark.parametrize(
    ("tall", "units", "told"),
    [
        (
            1.57,
            1 / 0.05644,
            r"0\.278 m tall, so it is read in units of 5\.644 cm, where it is 1\.57 m \(in inches 0\.7",
        ),
        (1.57, 10.0, r"0\.157 m tall, so it is read in decimetres, where it is 1\.57 m \(in units of 5\.644 cm 0\.88"),
        (1.57, 1 / 0.3048, r"0\.0515 m tall, so it is read in feet, where it is 1\.57 m"),
        (
            1.1,
            1 / 0.0254,
            r"0\.433 m tall, so it is read in inches, where it is 1\.1 m \(in units of 5\.644 cm 2\.4[45] m\)",
        ),
    ],
)
def test_of_several_units_the_one_of_a_grown_up_is_taken(
    tmp_path: Path, clip: MotionClip, tall: float, units: float, told: str
) -> None:
    scale = tall / 1.570791  # the bones of a leg and the trunk of JOINTS
    body = replace(clip.skeleton, offsets=tuple((scale * x, scale * y, scale * z) for x, y, z in clip.skeleton.offsets))
    person = replace(clip, skeleton=body, root_positions=clip.root_positions * scale)
    save_bvh(person, tmp_path / "b.bvh", units_per_metre=units)
    text = (tmp_path / "b.bvh").read_text()
    assert apart(read(tmp_path, text, told), person) < 2e-3
    assert apart(read(tmp_path, text, units_per_metre=units), person) < 1e-4


def test_a_body_that_could_be_another_is_told(tmp_path: Path, clip: MotionClip) -> None:
    """A child in inches is a grown-up in the unit of CMU: the warning names both."""
    small = replace(clip.skeleton, offsets=tuple((x / 2, y / 2, z / 2) for x, y, z in clip.skeleton.offsets))
    child = replace(clip, skeleton=small, root_positions=clip.root_positions / 2)
    save_bvh(child, tmp_path / "b.bvh", units_per_metre=1 / 0.0254)
    text = (tmp_path / "b.bvh").read_text()
    found = read(
        tmp_path, text, r"read in units of 5\.644 cm, where it is 1\.75 m \(in inches 0\.785 m\); if that is wrong"
    )
    assert found.skeleton.offsets[1] == pytest.approx((0, 0.1 / 0.45, 0), abs=1e-5)
    assert away(read(tmp_path, text, units_per_metre=39.3701), child) < 1e-4


def test_a_giant_and_a_thing_without_legs_are_told(tmp_path: Path, clip: MotionClip, text: str) -> None:
    save_bvh(clip, tmp_path / "b.bvh", units_per_metre=200)
    found = read(
        tmp_path,
        (tmp_path / "b.bvh").read_text(),
        "its body is 3.14 m tall, and in no usual unit as people are; if that",
    )
    assert found.skeleton.offsets[1] == pytest.approx((0, 0.4, 0), abs=1e-6)
    thing = re.sub(r"(ROOT|JOINT) \w+", lambda match: f"{match[1]} b{match.start()}", text)
    found = read(
        tmp_path, thing, "names of its joints do not tell legs and trunk, so it is read in centimetres; if that"
    )
    assert found.skeleton.offsets[1] == pytest.approx((0, 0.2, 0), abs=1e-6)


def test_a_grown_up_in_inches_is_told(tmp_path: Path, clip: MotionClip) -> None:
    """1.57 m are 61.8 inches, and 61.8 cm are possible: the file decides nothing, so centimetres stay."""
    save_bvh(clip, tmp_path / "b.bvh", units_per_metre=1 / 0.0254)
    text = (tmp_path / "b.bvh").read_text()
    found = read(
        tmp_path,
        text,
        r"its body is 0\.618 m tall in centimetres; if it is one of 1\.57 m in inches, give --units inches",
    )
    assert found.skeleton.offsets[1] == pytest.approx((0, 0.2 / 2.54, 0), abs=1e-6)
    assert away(read(tmp_path, text, units_per_metre=1 / 0.0254), clip) < 1e-4


@pytest.mark.parametrize(("units", "times", "name"), [(100.0, 100, "centimetres"), (1000.0, 1000, "millimetres")])
def test_a_path_in_metres_beside_other_bones_is_told(
    tmp_path: Path, clip: MotionClip, units: float, times: int, name: str
) -> None:
    small = replace(clip, root_positions=clip.root_positions / times)
    save_bvh(small, tmp_path / "b.bvh", units_per_metre=units)
    text = (tmp_path / "b.bvh").read_text()
    word = rf"its root is 0\.0\d+ of its legs above the ground, .* in metres and its bones in {name}: export it"
    assert away(read(tmp_path, text, word, units_per_metre=units), small) < 1e-4


@pytest.mark.parametrize("height", [0.0, 0.003, 0.03, -0.0085, 0.85])
def test_paths_about_the_ground_are_none_in_another_unit(
    tmp_path: Path, text: str, clip: MotionClip, height: float
) -> None:
    """The root stays at zero, near it or on its own mean, as of motions in place."""
    middle = float(clip.root_positions[:, 1].mean())
    for keep in (0.0, 1.0):

        def placed(numbers: list[float], keep: float = keep) -> list[float]:
            return [numbers[0], 100 * height + keep * (numbers[1] - 100 * middle), *numbers[2:]]

        assert len(read(tmp_path, rows(text, placed))) == len(clip)
