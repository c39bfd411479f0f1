"""Words of BVH files: letters of any coding and case, names, what is spelled otherwise, what would be guessed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.modalities.bvh.bodies import FRAMES, apart, away, read
from tokenmask.modalities.motion import MotionClip, load_bvh


def test_letters_are_small_or_large(tmp_path: Path, text: str, clip: MotionClip) -> None:
    for word in ("position", "rotation"):
        text = re.sub(rf"[XYZ]{word}", lambda match: match[0].lower(), text)
    assert away(read(tmp_path, text), clip) < 1e-5
    text = text.replace("End Site", "End site").replace("JOINT", "Joint").replace("Frame Time:", "Frame time:")
    assert away(read(tmp_path, text), clip) < 1e-5


def test_the_word_before_the_numbers_may_be_in_a_name(tmp_path: Path, text: str, clip: MotionClip) -> None:
    found = read(tmp_path, text.replace("JOINT Spine", "JOINT LOCOMOTION").replace("\n", "\r\n"))
    assert found.skeleton.names[1] == "LOCOMOTION"
    assert len(found) == FRAMES
    renamed = replace(clip, skeleton=replace(clip.skeleton, names=("Hips", "LOCOMOTION", *clip.skeleton.names[2:])))
    assert away(found, renamed) < 1e-5


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_letters_of_any_coding_and_ends_of_any_line(
    tmp_path: Path, text: str, clip: MotionClip, coding: str, ends: str
) -> None:
    (tmp_path / "a.bvh").write_bytes(
        text.replace("JOINT Spine", "JOINT R\u00fccken").replace("\n", ends).encode(coding)
    )
    found = load_bvh(tmp_path / "a.bvh")
    assert found.skeleton.names[1] == "R\u00fccken"
    assert (
        apart(
            replace(found, skeleton=replace(found.skeleton, names=("Hips", "Spine", *found.skeleton.names[2:]))), clip
        )
        < 1e-4
    )


def test_the_words_of_the_format_in_any_case(tmp_path: Path, text: str, clip: MotionClip) -> None:
    changed = text.replace("MOTION", "Motion").replace("HIERARCHY", "Hierarchy").replace("OFFSET", "Offset")
    assert apart(read(tmp_path, changed.replace("CHANNELS", "channels").replace("Frames:", "frames:")), clip) < 1e-4


def test_joints_of_one_name_are_both_kept_and_said(tmp_path: Path, text: str, clip: MotionClip) -> None:
    found = read(
        tmp_path,
        text.replace("JOINT RightHand", "JOINT LeftHand").replace("JOINT RightFoot", "JOINT LeftFoot"),
        r"joints of one name are kept under names of their own "
        r"\(Left(Hand|Foot) again is Left\1_, Left(Hand|Foot) again is Left\2_\)",
    )
    names = [name for name in found.skeleton.names if not name.endswith("_end")]
    called = {"RightHand": "LeftHand_", "RightFoot": "LeftFoot_"}
    assert sorted(names) == sorted(called.get(name, name) for name in clip.skeleton.names)
    where = found.joint_positions()[:, [found.skeleton.names.index(called.get(n, n)) for n in clip.skeleton.names]]
    assert (where - clip.joint_positions()).abs().max() < 1e-4
    found.save(tmp_path / "again.bvh")
    assert MotionClip.load(tmp_path / "again.bvh").skeleton.names == found.skeleton.names


SPINE = "\tOFFSET 0.000000 20.000000 0.000000\n"
LIST = "\tCHANNELS 3 Zrotation Xrotation Yrotation\n"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (SPINE, "", "its joint 'Spine' must have an OFFSET"),
        (SPINE, 2 * SPINE, "its joint 'Spine' has two offsets"),
        (LIST, 2 * LIST, "its joint 'Spine' has two lists of channels"),
        ("Frames: 24", "Frames: 24.5", r"its number of frames must be a whole one, got '24\.5'"),
        (
            "CHANNELS 3 Z",
            "CHANNELS 4 Xscale Z",
            "its channels '4 Xscale Zrotation .*' are not their number and the standard ones",
        ),
    ],
)
def test_what_would_be_guessed_is_refused(tmp_path: Path, text: str, old: str, new: str, reason: str) -> None:
    assert old in text
    with pytest.raises(ValueError, match=rf"a\.bvh must be a whole BVH file, but cannot be read \({reason}\)"):
        read(tmp_path, text.replace(old, new, 1))


def test_an_end_site_without_an_offset_lies_in_its_joint(tmp_path: Path, text: str, clip: MotionClip) -> None:
    bare = re.sub(r"(End Site\s*\{)\s*OFFSET[^\n]*", r"\1", text, count=1)
    assert bare != text
    found = read(tmp_path, bare, r"end sites without an OFFSET are taken to lie in their joints \(Head_end\)")
    assert apart(found, clip) < 1e-4
    assert found.skeleton.offsets[found.skeleton.names.index("Head_end")] == (0.0, 0.0, 0.0)


def test_a_hierarchy_on_one_line(tmp_path: Path, text: str, clip: MotionClip) -> None:
    head, motion = text.split("MOTION\n")
    assert apart(read(tmp_path, " ".join(head.split()) + "\nMOTION\n" + motion), clip) < 1e-4
