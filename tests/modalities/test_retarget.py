"""Motion on another body: bones point where they did, whatever the joints are called and however the body rests."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tokenmask.modalities.motion import (
    MotionClip,
    MotionTokenizer,
    MotionTokenizerConfig,
    Skeleton,
    load_deepmimic,
    load_urdf_skeleton,
    retarget,
)
from tokenmask.modalities.motion.joint_names import standard_parts

DATA = Path(__file__).parents[2] / "tokenmask/data/motion"
Joint = tuple[int, str, tuple[float, float, float], tuple[float, float, float]]
"""Depth, name, offset in centimetres, and the angles about z, y and x, in degrees, with which it stands upright."""
REST = (0.0, 0.0, 0.0)


def lafan() -> list[Joint]:
    """Every bone lies along its own x axis, z is sideways; the hips' offset is their place in the first frame."""
    legs = [
        [
            (1, f"{side}UpLeg", (0.1, 1.9, sign * 10.5), (180.0, 0.0, 0.0)),
            (2, f"{side}Leg", (43.5, 0.0, 0.0), REST),
            (3, f"{side}Foot", (42.4, 0.0, 0.0), (90.0, 0.0, 0.0)),
            (4, f"{side}Toe", (17.3, 0.0, 0.0), REST),
        ]
        for side, sign in (("Left", 1), ("Right", -1))
    ]
    arms = [
        [
            (4, f"{side}Shoulder", (19.7, -1.5, sign * 6.0), (0.0, -90.0 * sign, 0.0)),
            (5, f"{side}Arm", (11.3, 0.0, 0.0), REST),
            (6, f"{side}ForeArm", (33.0, 0.0, 0.0), REST),
            (7, f"{side}Hand", (25.2, 0.0, 0.0), REST),
        ]
        for side, sign in (("Left", 1), ("Right", -1))
    ]
    trunk: list[Joint] = [
        (1, "Spine", (6.9, -2.6, 0.0), REST),
        (2, "Spine1", (12.6, 0.0, 0.0), REST),
        (3, "Spine2", (12.3, 0.0, 0.0), REST),
        (4, "Neck", (25.8, 0.0, 0.0), REST),
        (5, "Head", (11.8, 0.0, 0.0), REST),
    ]
    return [(0, "Hips", (-224.3, 92.0, 490.8), (90.0, 0.0, 0.0)), *legs[0], *legs[1], *trunk, *arms[0], *arms[1]]


def mixamo() -> list[Joint]:
    """Arms stretched out, x is sideways, a prefix before each name; fingers."""
    joints: list[Joint] = [(0, "Hips", (0.0, 99.8, 0.0), REST)]
    trunk = [("Spine", 10.0), ("Spine1", 11.7), ("Spine2", 13.5), ("Neck", 15.0), ("Head", 10.3)]
    joints += [(depth, name, (0.0, height, 0.0), REST) for depth, (name, height) in enumerate(trunk, 1)]
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        joints += [
            (4, f"{side}Shoulder", (6.1 * sign, 9.1, 0.7), REST),
            (5, f"{side}Arm", (12.9 * sign, 0.0, 0.0), REST),
            (6, f"{side}ForeArm", (27.4 * sign, 0.0, 0.0), REST),
            (7, f"{side}Hand", (27.6 * sign, 0.0, 0.0), REST),
            (8, f"{side}HandIndex1", (12.3 * sign, 0.0, 2.0), REST),
        ]
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        joints += [
            (1, f"{side}UpLeg", (9.1 * sign, -6.7, 0.0), REST),
            (2, f"{side}Leg", (0.0, -40.6, 0.0), REST),
            (3, f"{side}Foot", (0.0, -42.1, 0.0), REST),
            (4, f"{side}ToeBase", (0.0, -10.0, 14.0), REST),
        ]
    return [(depth, f"mixamorig:{name}", offset, stands) for depth, name, offset, stands in joints]


def cmu() -> list[Joint]:
    """Joints without length between hips and legs, two necks, letters for sides."""
    joints: list[Joint] = [(0, "Hips", REST, REST)]
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        joints += [
            (1, f"{side[0]}HipJoint", REST, REST),
            (2, f"{side}UpLeg", (9.0 * sign, -9.5, 4.0), REST),
            (3, f"{side}Leg", (13.0 * sign, -36.0, 0.0), REST),
            (4, f"{side}Foot", (13.0 * sign, -37.0, 0.0), REST),
            (5, f"{side}ToeBase", (1.0 * sign, -3.0, 11.0), REST),
        ]
    trunk = ["LowerBack", "Spine", "Spine1", "Neck", "Neck1", "Head"]
    joints += [(depth, name, (0.0, 10.0, 1.0 - depth / 3), REST) for depth, name in enumerate(trunk, 1)]
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        joints += [
            (4, f"{side}Shoulder", (3.0 * sign, 8.0, 0.0), REST),
            (5, f"{side}Arm", (14.0 * sign, 4.0, -1.0), REST),
            (6, f"{side}ForeArm", (26.0 * sign, 0.0, 0.0), REST),
            (7, f"{side}Hand", (18.0 * sign, 0.0, 0.0), REST),
            (8, f"{side[0]}Thumb", (4.0 * sign, 0.0, 4.0), REST),
        ]
    return joints


BODIES = {"lafan": lafan, "mixamo": mixamo, "cmu": cmu}


def bvh(joints: list[Joint], frames: int = 24, bones: float = 1.0, swing: float = 25.0) -> str:
    """A BVH file of a body that stands upright and moves all its joints by up to ``swing`` degrees."""
    lines = ["HIERARCHY"]
    for index, (depth, name, offset, _) in enumerate(joints):
        following = joints[index + 1][0] if index + 1 < len(joints) else 0
        x, y, z = (bones * number for number in offset)
        lines += ["ROOT " + name if not depth else "JOINT " + name, "{", f"OFFSET {x:.4f} {y:.4f} {z:.4f}"]
        moves = "" if depth else "Xposition Yposition Zposition "
        lines.append(f"CHANNELS {3 if depth else 6} {moves}Zrotation Yrotation Xrotation")
        if following <= depth:
            ahead = {"Toe": (5, 0, 0), "Foot": (0, -3, 8)}.get(name[-3:], (0, 0, 0) if "Hand" in name else (0, 9, 0))
            lines += ["End Site {", f"OFFSET {ahead[0]} {ahead[1]} {ahead[2]}", "}", *["}"] * (depth - following + 1)]
    lines += ["MOTION", f"Frames: {frames}", "Frame Time: 0.033333"]
    for frame in range(frames):
        row = [bones * (-224.3 + 3 * frame), bones * (92 + 2 * math.sin(frame)), bones * 490.8]
        for number, (_, name, _, stands) in enumerate(joints):
            most = 0.0 if "HipJoint" in name else swing  # those of CMU never turn
            row += [angle + most * math.sin(0.3 * frame + 2 * number + k) for k, angle in enumerate(stands)]
        lines.append(" ".join(f"{number:.4f}" for number in row))
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def humanoid() -> Skeleton:
    return load_urdf_skeleton(DATA / "humanoid.urdf")


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, MotionClip]:
    place = tmp_path_factory.mktemp("bodies")
    for name, make in BODIES.items():
        (place / f"{name}.bvh").write_text(bvh(make()))
    return {name: MotionClip.load(place / f"{name}.bvh") for name in BODIES}


def between(clip: MotionClip, first: str, second: str) -> Tensor:
    """Directions in the world from one part to another, [frames, 3]."""
    parts, points = standard_parts(clip.skeleton), clip.joint_positions().double()
    return torch.nn.functional.normalize(points[:, parts[second]] - points[:, parts[first]], dim=-1)


def degrees(one: Tensor, two: Tensor) -> float:
    """The largest angle between directions."""
    return float((2 * ((one - two).norm(dim=-1) / 2).clamp(max=1).asin()).max().rad2deg())


BONES = [
    (f"{side}_{one}", f"{side}_{two}")
    for side in ("left", "right")
    for one, two in (
        ("upper_leg", "lower_leg"),
        ("lower_leg", "foot"),
        ("upper_arm", "lower_arm"),
        ("lower_arm", "hand"),
    )
]
HIPS = [("left_upper_leg", "right_upper_leg")]


@pytest.mark.parametrize("name", list(BODIES))
def test_parts_of_the_usual_bodies(name: str, bodies: dict[str, MotionClip]) -> None:
    skeleton = bodies[name].skeleton
    parts = {part: skeleton.names[joint].removeprefix("mixamorig:") for part, joint in standard_parts(skeleton).items()}
    assert parts["root"] == "Hips" and parts["neck"] == "Neck" and parts["head"] == "Head"
    assert parts["spine0"] == ("LowerBack" if name == "cmu" else "Spine") and "spine2" in parts
    for side in ("left", "right"):
        title = side.title()
        assert [parts[f"{side}_{part}"] for part in ("upper_leg", "lower_leg", "foot")] == [
            f"{title}UpLeg",
            f"{title}Leg",
            f"{title}Foot",
        ]
        assert [parts[f"{side}_{part}"] for part in ("clavicle", "upper_arm", "lower_arm", "hand")] == [
            f"{title}Shoulder",
            f"{title}Arm",
            f"{title}ForeArm",
            f"{title}Hand",
        ]


def test_parts_by_other_names(humanoid: Skeleton) -> None:
    assert {"spine0", "neck", "left_upper_arm", "right_hand"} <= set(standard_parts(humanoid))
    names = {
        "left_upper_leg": ("L_Hip", "Bip01 L Thigh", "thigh.L", "LeftThigh", "l_upper_leg"),
        "right_lower_arm": ("R_Elbow", "Bip01 R Forearm", "forearm.R", "RightLowerArm", "lower_arm_R"),
        "right_foot": ("R_Ankle", "Bip01 R Foot", "foot.R", "RightAnkle", "character1:RightFoot"),
    }
    for part, spellings in names.items():
        joint = standard_parts(humanoid)[part]
        for spelling in spellings:
            changed = [spelling if own == joint else name for own, name in enumerate(humanoid.names)]
            assert standard_parts(replace(humanoid, names=tuple(changed)))[part] == joint, spelling


@pytest.mark.parametrize("name", list(BODIES))
@pytest.mark.parametrize("other", [*BODIES, "humanoid"])
def test_bones_point_where_they_did(name: str, other: str, bodies: dict[str, MotionClip], humanoid: Skeleton) -> None:
    clip = bodies[name]
    moved = clip.on(humanoid if other == "humanoid" else bodies[other].skeleton)
    assert moved.skeleton == (humanoid if other == "humanoid" else bodies[other].skeleton)
    for one, two in BONES + HIPS:
        # A hinge below a limb that is nearly straight may miss by what is blended there, sin a = 0.05 or 3 degrees.
        hinged = other == "humanoid" and one.endswith(("lower_leg", "lower_arm"))
        away = degrees(between(clip, one, two), between(moved, one, two))
        assert away < (3 if hinged else 0.1), (one, away)
    # Each bone of a trunk keeps its direction, so the sum of bones of other lengths does not quite.
    assert degrees(between(clip, "spine0", "neck"), between(moved, "spine0", "neck")) < 6


@pytest.mark.parametrize("name", list(BODIES))
def test_there_and_back_turns_nothing(name: str, bodies: dict[str, MotionClip], humanoid: Skeleton) -> None:
    for other in BODIES:
        back = bodies[name].on(bodies[other].skeleton).on(bodies[name].skeleton)
        for one, two in BONES + HIPS:
            assert degrees(between(bodies[name], one, two), between(back, one, two)) < 0.2


def test_feet_stand_as_high_as_the_legs_are_long(humanoid: Skeleton, tmp_path: Path) -> None:
    """A body that stands upright: hips as high above the ankles as its legs are long."""
    for make in BODIES.values():
        (tmp_path / "a.bvh").write_text(bvh(make(), swing=0.0))
        still = MotionClip.load(tmp_path / "a.bvh")
        heights = [
            clip.joint_positions()[:, standard_parts(clip.skeleton)["left_foot"], 1]
            for clip in (still, still.on(humanoid))
        ]
        assert (heights[0] - heights[1]).abs().max() < 0.06


def test_the_place_of_the_root_is_what_its_channels_say(bodies: dict[str, MotionClip]) -> None:
    """An offset of the root, where a file was recorded, is not added to it; and does not make a body lopsided."""
    clip = bodies["lafan"]
    assert torch.allclose(clip.root_positions[0], torch.tensor([-2.243, 0.92, 4.908]), atol=1e-4)
    assert clip.skeleton.offsets[0] == (0, 0, 0) and clip.skeleton.lateral_axis() == 2


def test_real_motion_comes_back_from_another_body(bodies: dict[str, MotionClip], humanoid: Skeleton) -> None:
    walk = load_deepmimic(DATA / "humanoid3d_walk.txt", humanoid)
    for name in BODIES:
        back = walk.on(bodies[name].skeleton).on(humanoid)
        away = (back.joint_positions() - back.root_positions[:, None]) - (
            walk.joint_positions() - walk.root_positions[:, None]
        )
        assert away.norm(dim=-1).mean() < 0.03 and (back.root_positions - walk.root_positions).abs().max() < 1e-3


def test_bodies_of_other_sizes_are_fitted_together(tmp_path: Path) -> None:
    for number, bones in enumerate((1.0, 1.08, 0.9)):
        (tmp_path / f"{number}.bvh").write_text(bvh(lafan(), frames=40, bones=bones))
    clips = [MotionClip.load(path) for path in sorted(tmp_path.glob("*.bvh"))]
    config = MotionTokenizerConfig.of(clips[0].skeleton, codes=8, latent=4)
    tokenizer = MotionTokenizer.fit(clips, config=config, steps=2, batch_size=4, progress=False)
    assert tokenizer.decode(tokenizer.encode(clips[2])).skeleton == clips[0].skeleton
    (tmp_path / "other.bvh").write_text(bvh(mixamo()))
    assert len(tokenizer.encode(MotionClip.load(tmp_path / "other.bvh")).codes) == 6


@pytest.mark.parametrize("name", ["lafan", "mixamo", "cmu"])
def test_long_motions_are_brought_over_in_parts(
    name: str, bodies: dict[str, MotionClip], humanoid: Skeleton, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bodies[name].on(humanoid)
    monkeypatch.setattr(retarget, "_AT_ONCE", 7)
    parts = bodies[name].on(humanoid)
    assert torch.equal(parts.root_positions, whole.root_positions)
    assert (parts.rotations - whole.rotations).abs().max() < 1e-6


def test_joints_without_a_known_name_are_listed(bodies: dict[str, MotionClip], humanoid: Skeleton) -> None:
    clip = bodies["lafan"]
    names = tuple(name.replace("LeftForeArm", "LeftTentacle") for name in clip.skeleton.names)
    changed = replace(clip, skeleton=replace(clip.skeleton, names=names))
    with pytest.raises(
        ValueError, match=r"left_lower_arm are, got .*LeftTentacle.*; rename them as in LaFAN"
    ) as caught:
        changed.on(humanoid)
    assert "\n" not in str(caught.value) and "right_lower_arm" not in str(caught.value)
