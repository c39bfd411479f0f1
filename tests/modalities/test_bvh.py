"""BVH files as other programs write them: axes, units, positions, rates, numbers of frames, letters, names."""

from __future__ import annotations

import math
import re
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tokenmask.modalities.motion import MotionClip, Skeleton, bvh_frames, load_bvh, save_bvh
from tokenmask.modalities.motion.bvh_frames import has_few_digits, rate_of
from tokenmask.modalities.motion.rotations import multiply, turn
from tokenmask.tokenizer import load_tokenizer

WEIGHTS = Path(__file__).parents[2] / "tokenmask" / "weights" / "tokenizers"
JOINTS = {  # name -> (parent, place in its parent's frame in metres, y up)
    "Hips": (-1, (0.0, 0.0, 0.0)),
    "Spine": (0, (0.0, 0.2, 0.0)),
    "Neck": (1, (0.0, 0.3, 0.02)),
    "Head": (2, (0.0, 0.15, 0.0)),
}
for side, sign in (("Left", 1), ("Right", -1)):
    above = {"UpLeg": "Hips", "Leg": "LeftUpLeg", "Foot": "LeftLeg"}
    above |= {"Arm": "Spine", "ForeArm": "LeftArm", "Hand": "LeftForeArm"}
    places = {"UpLeg": (0.1, 0, 0), "Leg": (0, -0.42, 0), "Foot": (0, -0.4, 0.01), "Arm": (0.18, 0.25, 0)}
    places |= {"ForeArm": (0.28, 0.0, 0.0), "Hand": (0.25, 0.0, 0.0)}
    for part, upper in above.items():
        x, y, z = places[part]
        JOINTS[f"{side}{part}"] = (list(JOINTS).index(upper.replace("Left", side)), (sign * x, y, z))
FRAMES = 24


@pytest.fixture(autouse=True)
def _every_warning_counts() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(scope="module")
def clip() -> MotionClip:
    """A body that walks along z and swings its joints, z, x and y in turn."""
    nothing = (0.0, 0.0, 0.0)
    skeleton = Skeleton(
        tuple(JOINTS),
        tuple(parent for parent, _ in JOINTS.values()),
        tuple((float(x), float(y), float(z)) for _, (x, y, z) in JOINTS.values()),
        ("ball",) * len(JOINTS),
        (nothing,) * len(JOINTS),
    )
    time = torch.arange(FRAMES, dtype=torch.float64) / 30
    rotations = torch.zeros(FRAMES, len(JOINTS), 4, dtype=torch.float64)
    for joint in range(len(JOINTS)):
        swing = 0.3 * torch.sin(6 * time + joint)
        spin = multiply(turn((0.0, 0.0, 1.0), swing), turn((1.0, 0.0, 0.0), swing.roll(3)))
        rotations[:, joint] = multiply(spin, turn((0.0, 1.0, 0.0), swing.roll(5)))
    root = torch.stack([0.1 * time, 0.85 + 0.02 * torch.sin(9 * time), time], 1)
    return MotionClip(root.float(), rotations.float(), 30.0, skeleton)


@pytest.fixture
def text(tmp_path: Path, clip: MotionClip) -> str:
    clip.save(tmp_path / "plain.bvh")
    return (tmp_path / "plain.bvh").read_text()


def rows(text: str, change: Callable[[list[float]], list[float]]) -> str:
    """The text with each row of numbers changed."""
    head, motion = text.split("MOTION\n")
    first, second, *lines = motion.splitlines()
    made = [" ".join(f"{number:.6f}" for number in change([float(word) for word in line.split()])) for line in lines]
    return "\n".join([head + "MOTION", first, second, *made]) + "\n"


def away(found: MotionClip, clip: MotionClip) -> float:
    """Largest distance of a joint of the same name from where it was, in metres."""
    order = [found.skeleton.names.index(name) for name in clip.skeleton.names]
    return float((found.joint_positions()[:, order] - clip.joint_positions()).norm(dim=-1).max())


def read(tmp_path: Path, text: str, word: str = "", **options: Any) -> MotionClip:
    (tmp_path / "a.bvh").write_text(text)
    if not word:
        return load_bvh(tmp_path / "a.bvh", **options)
    with pytest.warns(UserWarning, match=rf"a\.bvh: .*{word}"):
        return load_bvh(tmp_path / "a.bvh", **options)


def with_z_up(text: str) -> str:
    """The same motion seen from axes of which z is up: y is z then, and z is -y; so are turns about them."""
    text = re.sub(r"OFFSET (\S+) (\S+) (\S+)", lambda m: f"OFFSET {m[1]} {-float(m[3]):.6f} {float(m[2]):.6f}", text)
    text = text.replace("Zrotation Xrotation Yrotation", "Yrotation Xrotation Zrotation")

    def flipped(numbers: list[float]) -> list[float]:
        x, y, z, *turns = numbers
        made = [x, -z, y]
        for place in range(0, len(turns), 3):
            made += [-turns[place], turns[place + 1], turns[place + 2]]
        return made

    return rows(text, flipped)


def test_a_plain_file_comes_back(tmp_path: Path, text: str, clip: MotionClip) -> None:
    found = read(tmp_path, text)
    assert away(found, clip) < 1e-5
    assert found.frame_rate_hz == 30


def test_bodies_that_stand_along_z_are_turned_up(tmp_path: Path, text: str, clip: MotionClip) -> None:
    found = read(
        tmp_path, with_z_up(text), r"its body stands along z, which was turned up; if that is wrong, give --up=y, or "
    )
    assert away(found, clip) < 1e-5
    assert found.skeleton.offsets[found.skeleton.names.index("Spine")] == pytest.approx((0, 0.2, 0), abs=1e-6)
    assert away(read(tmp_path, with_z_up(text), up="z"), clip) < 1e-5
    lying = read(tmp_path, with_z_up(text), up="y").joint_positions()
    assert abs(float(lying[0, 0, 2]) - 0.85) < 0.05
    tokenizer = load_tokenizer(WEIGHTS / "motion")
    made = tokenizer.decode(tokenizer.encode(found))
    points, names = made.joint_positions(), made.skeleton.names
    assert float((points[:, names.index("neck")] - points[:, 0])[:, 1].mean()) > 0.3
    with pytest.raises(ValueError, match="up must be one of x, y, z, -x, -y, -z or None, got 'w'"):
        read(tmp_path, text, up="w")


def test_a_body_that_only_rests_along_z_stays(tmp_path: Path, text: str, clip: MotionClip) -> None:
    """Programs with z up that write for y up leave the rest pose and turn the root in every frame."""
    file = read(tmp_path, with_z_up(text), up="y")
    up = turn((1.0, 0.0, 0.0), torch.tensor(-math.pi / 2))
    rotations = file.rotations.clone()
    rotations[:, 0] = multiply(up.expand(FRAMES, 4), rotations[:, 0])
    root = file.root_positions[:, [0, 2, 1]] * torch.tensor([1.0, 1.0, -1.0])
    replace(file, rotations=rotations, root_positions=root).save(tmp_path / "b.bvh")
    assert away(load_bvh(tmp_path / "b.bvh"), clip) < 1e-4


def laid(clip: MotionClip, axis: tuple[float, float, float], degrees: float, root: list[list[float]]) -> MotionClip:
    """The clip turned about an axis of the world, its root's path by a matrix of its own."""
    turned = turn(axis, torch.tensor(math.radians(degrees)))
    rotations = clip.rotations.clone()
    rotations[:, 0] = multiply(turned.expand(FRAMES, 4), rotations[:, 0].double()).float()
    return replace(clip, rotations=rotations, root_positions=clip.root_positions @ torch.tensor(root).T)


X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
Z_UP = [[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]  # as a turn about x by 90 degrees moves points
X_UP = [[0, 1.0, 0], [-1, 0, 0], [0, 0, 1]]
TURNS = {
    "z": (X, 90, Z_UP),
    "-z": (X, -90, [[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "x": (Z, -90, X_UP),
    "-x": (Z, 90, [[0, -1.0, 0], [1, 0, 0], [0, 0, 1]]),
    "-y": (X, 180, [[1.0, 0, 0], [0, -1, 0], [0, 0, -1]]),
}


@pytest.mark.parametrize("up", TURNS)
def test_a_rest_pose_along_y_that_moves_along_another_axis_is_turned_up(
    tmp_path: Path, clip: MotionClip, up: str
) -> None:
    laid(clip, *TURNS[up]).save(tmp_path / "b.bvh")
    found = read(tmp_path, (tmp_path / "b.bvh").read_text(), f"its body stands along {up}, which was turned up")
    assert apart(found, clip) < 1e-4
    assert apart(load_bvh(tmp_path / "b.bvh", up=up), clip) < 1e-4
    assert apart(load_bvh(tmp_path / "b.bvh", up="y"), laid(clip, *TURNS[up])) < 1e-4
    load_bvh(tmp_path / "b.bvh", up="y").save(tmp_path / "kept.safetensors")  # what the warning advises
    assert apart(MotionClip.load(tmp_path / "kept.safetensors"), laid(clip, *TURNS[up])) < 1e-4


def matrices(turns: torch.Tensor) -> torch.Tensor:
    """Quaternions float64 [..., 4] -> [..., 3, 3], as textbooks have it."""
    w, x, y, z = turns.unbind(-1)
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]
    rows += [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]
    rows += [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    return torch.stack(rows, -1).view(*w.shape, 3, 3)


def apart(found: MotionClip, clip: MotionClip) -> float:
    """Largest distance of a joint from where it was, told by matrices of this test alone."""

    def places(one: MotionClip) -> torch.Tensor:
        local = matrices(one.rotations.double())
        spots, turned = [one.root_positions.double()], [local[:, 0]]
        for joint, parent in enumerate(one.skeleton.parents[1:], 1):
            bone = torch.tensor(one.skeleton.offsets[joint], dtype=torch.float64)
            spots.append(spots[parent] + turned[parent] @ bone)
            turned.append(turned[parent] @ local[:, joint])
        return torch.stack(spots, 1)

    order = [found.skeleton.names.index(name) for name in clip.skeleton.names]
    return float((places(found)[:, order] - places(clip)).norm(dim=-1).max())


@pytest.mark.parametrize("order", ["XYZ", "ZYX", "YZX", "XZY"])
def test_z_up_in_any_order_of_channels(tmp_path: Path, clip: MotionClip, order: str) -> None:
    """Angles of every order are worked out here, from the matrix of each rotation."""
    still = replace(clip, rotations=clip.rotations.clone())
    still.rotations[:, 1:] = torch.tensor([1.0, 0, 0, 0])
    standing = laid(still, *TURNS["z"])
    standing.save(tmp_path / "b.bvh")
    text = (
        (tmp_path / "b.bvh")
        .read_text()
        .replace("Zrotation Xrotation Yrotation", " ".join(f"{a}rotation" for a in order))
    )
    m = matrices(standing.rotations[:, 0].double())
    i, j, k = ("XYZ".index(a) for a in order)
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    middle = torch.asin((sign * m[:, i, k]).clamp(-1, 1))
    first, last = torch.atan2(-sign * m[:, j, k], m[:, k, k]), torch.atan2(-sign * m[:, i, j], m[:, i, i])
    angles = torch.stack([first, middle, last], -1).rad2deg().tolist()
    frame = iter(angles)
    text = rows(text, lambda numbers: [*numbers[:3], *next(frame), *numbers[6:]])
    assert apart(read(tmp_path, text, "its body stands along z, which was turned up"), still) < 1e-4


def crawling(clip: MotionClip) -> MotionClip:
    """On its belly, a hand above the floor, with bones that do not move."""
    down = replace(clip, root_positions=clip.root_positions * torch.tensor([1.0, 0, 1]) + torch.tensor([0, 0.2, 2.0]))
    down.rotations[:, 1:] = torch.tensor([1.0, 0, 0, 0])
    down.rotations[:, 0] = multiply(turn(Y, torch.tensor(0.785)), turn(X, torch.tensor(math.pi / 2))).float()
    return down


def test_a_body_that_crawls_with_z_up_is_turned_up(tmp_path: Path, clip: MotionClip) -> None:
    """It never stands: the rest pose tells the axis, and the floor beneath it that the motion has the same."""
    crawl = crawling(replace(clip, rotations=clip.rotations.clone()))
    crawl.save(tmp_path / "b.bvh")
    plain = (tmp_path / "b.bvh").read_text()
    assert apart(load_bvh(tmp_path / "b.bvh"), crawl) < 1e-4
    assert apart(read(tmp_path, with_z_up(plain), "its body stands along z, which was turned up"), crawl) < 1e-4


def test_a_body_that_lies_down_is_not_turned(tmp_path: Path, clip: MotionClip) -> None:
    """Some way above the floor it is told, as nothing shows which way is up; on the floor it lies."""
    high = laid(clip, X, 90, [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    high.save(tmp_path / "b.bvh")
    told = r"its body lies along z throughout; if z is up, give --up=z, or load_bvh\(FILE, up='z'\)"
    assert apart(read(tmp_path, (tmp_path / "b.bvh").read_text(), told), high) < 1e-4
    low = replace(high, root_positions=high.root_positions - torch.tensor([0.0, 0.75, -3.0]))
    low.rotations[:, 1:] = torch.tensor([1.0, 0, 0, 0])
    low.rotations[:, 0] = turn(X, torch.tensor(math.pi / 2)).float()
    low.save(tmp_path / "b.bvh")
    assert apart(load_bvh(tmp_path / "b.bvh"), low) < 1e-4


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


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        *(("0.041708", 24000 / 1001), ("0.0417083", 24000 / 1001), ("0.041667", 24.0), ("0.0417", 24.0)),
        *(("0.033333", 30.0), ("0.0333", 30.0), ("0.0333333333", 30.0), ("0.033367", 30000 / 1001)),
        *((".008333", 120.0), ("0.016666", 60.0), ("0.016683", 60000 / 1001), ("8.3333e-3", 120.0)),
        *(("0.041708375", 23.976), ("0.040000", 25.0), ("0.5", 2.0), ("2", 0.5), ("0.02222222", 45.0)),
        # Padded with zeros, and printed from single floats.
        *(("0.0333330", 30.0), ("0.01666670", 60.0), ("0.00833300", 120.0), ("0.00416700", 240.0)),
        *(("0.0333333351", 30.0), ("0.0416666679084301", 24.0), ("0.01666666753590107", 60.0)),
        *(("0.03336666524410248", 30000 / 1001), ("0.0330000", 1 / 0.033), ("0.0171000", 1 / 0.0171)),
        # Few digits: a usual rate within a percent, else what is written.
        *(("0.03", 1 / 0.03), ("0.033", 30.0), ("0.017", 1 / 0.017), ("0.07", 1 / 0.07), ("0.06", 1 / 0.06)),
        *(("0.008", 125.0), ("0.04", 25.0), ("0.0083", 120.0), ("0.0042", 240.0), ("0.016", 62.5)),
        # Cut off instead of rounded; of film and television where only that rounds to it.
        *(("0.0166", 60.0), ("0.033366", 30000 / 1001), ("0.0334", 30000 / 1001), ("0.01668", 60000 / 1001)),
    ],
)
def test_rates_are_those_that_the_digits_allow(text: str, rate: float) -> None:
    assert rate_of(text) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "few"),
    [
        *(("0.03", True), ("0.033", True), ("0.016", True), ("0.017", True), ("0.0042", True)),
        *(("0.04", False), ("0.008", False), ("0.5", False), ("1", False), ("0.0333", False), ("0.0330000", False)),
    ],
)
def test_few_digits_are_told(tmp_path: Path, text: str, few: bool, clip: MotionClip) -> None:
    assert has_few_digits(text) == few
    clip.save(tmp_path / "b.bvh")
    changed = (tmp_path / "b.bvh").read_text().replace("Frame Time: 0.033333333333", f"Frame Time: {text}")
    told = rf"its frame time of {text} s has few digits and is read as {rate_of(text):.6g} frames a second; write"
    assert read(tmp_path, changed, told if few else "").frame_rate_hz == rate_of(text)


@pytest.mark.parametrize("text", ["0", "-0.1", "nan", "Infinity", "fast", "1e-400x"])
def test_times_of_frames_that_are_none(tmp_path: Path, text: str, clip: MotionClip) -> None:
    clip.save(tmp_path / "b.bvh")
    changed = (tmp_path / "b.bvh").read_text().replace("Frame Time: 0.033333333333", f"Frame Time: {text}")
    with pytest.raises(ValueError, match=rf"a\.bvh must be .*its frame time must be positive, got {text}"):
        read(tmp_path, changed)


@pytest.mark.parametrize(
    "rate", [23.976, 24000 / 1001, 29.97, 30000 / 1001, 30.0, 27.123, 1 / 0.033, 59.94, 119.88, 25.0]
)
def test_rates_survive_a_file(tmp_path: Path, clip: MotionClip, rate: float) -> None:
    replace(clip, frame_rate_hz=rate).save(tmp_path / "a.bvh")
    assert MotionClip.load(tmp_path / "a.bvh").frame_rate_hz == pytest.approx(rate, rel=1e-9)


@pytest.mark.parametrize("announced", [FRAMES - 1, FRAMES + 1, 0, 2 * FRAMES])
def test_whole_rows_count(tmp_path: Path, text: str, clip: MotionClip, announced: int) -> None:
    changed = text.replace(f"Frames: {FRAMES}", f"Frames: {announced}")
    found = read(tmp_path, changed, rf"announces {announced} frames, but it holds {FRAMES} whole ones$")
    assert away(found, clip) < 1e-5


def test_a_file_that_lost_more_than_half_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=rf"49 frames of 51 numbers were announced, but {FRAMES * 51} came"):
        read(tmp_path, text.replace(f"Frames: {FRAMES}", f"Frames: {2 * FRAMES + 1}"))


def test_a_row_that_is_cut_off_is_dropped(tmp_path: Path, text: str, clip: MotionClip) -> None:
    changed = " ".join(text.rstrip().split(" ")[:-7])
    found = read(tmp_path, changed, rf"it holds {FRAMES - 1} whole ones before a row that is cut off")
    assert away(found, clip.cut(0, FRAMES - 1)) < 1e-5


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


# What is odd, and what is wrong ---------------------------------------------------------------------------------------


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


SPINE = "\tOFFSET 0.000000 20.000000 0.000000\n"
LIST = "\tCHANNELS 3 Zrotation Xrotation Yrotation\n"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (SPINE, "", "its joint 'Spine' must have an OFFSET"),
        (SPINE, 2 * SPINE, "its joint 'Spine' has two offsets"),
        (LIST, 2 * LIST, "its joint 'Spine' has two lists of channels"),
        ("Frames: 24", "Frames: 24.5", r"its number of frames must be a whole one, got '24\.5'"),
        ("CHANNELS 3 Z", "CHANNELS 4 Xscale Z", "its channels '4 Xscale Zrotation .*' are not the standard ones"),
    ],
)
def test_what_would_be_guessed_is_refused(tmp_path: Path, text: str, old: str, new: str, reason: str) -> None:
    assert old in text
    with pytest.raises(ValueError, match=rf"a\.bvh must be a whole BVH file, but cannot be read \({reason}\)"):
        read(tmp_path, text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("place", "number", "reason"),
    [
        (5, 1e40, r"an angle of its frame 7 is 1e\+40 degrees"),
        (0, 1e9, r"its root is 1e\+07 m away in frame 7"),
        (9, math.nan, "rotations of a MotionClip must be finite, but some are not; drop those frames"),
    ],
)
def test_an_absurd_number_is_refused_by_its_frame(
    tmp_path: Path, text: str, place: int, number: float, reason: str
) -> None:
    frames = iter(range(1, FRAMES + 1))

    def spoiled(numbers: list[float]) -> list[float]:
        return [*numbers[:place], number, *numbers[place + 1 :]] if next(frames) == 7 else numbers

    with pytest.raises(ValueError, match=rf"a\.bvh must be a whole BVH file, but cannot be read \({reason}\)"):
        read(tmp_path, rows(text, spoiled))


def test_radians_are_told(tmp_path: Path, text: str) -> None:
    changed = rows(text, lambda numbers: [*numbers[:3], *map(math.radians, numbers[3:])])
    told = r"none of its angles is larger than 0\.\d+, which is little for degrees; if they are radians"
    clip = read(tmp_path, changed, told)
    assert float(clip.rotations[..., 1:].norm(dim=-1).max()) < math.sin(math.radians(180) / 180)  # taken for degrees


@pytest.mark.parametrize(("step", "rate"), [("33.3333", "0.03"), ("30", "0.0333")])
def test_times_that_are_no_seconds_are_told(tmp_path: Path, text: str, step: str, rate: str) -> None:
    changed = re.sub(r"Frame Time: \S+", f"Frame Time: {step}", text)
    clip = read(tmp_path, changed, rf"its frame time of {step} is {rate} frames a second; write it in seconds")
    assert clip.frame_rate_hz == pytest.approx(1 / float(step), rel=1e-3)


def test_long_files_need_little_more_memory_than_their_motion(tmp_path: Path, text: str) -> None:
    """Rows are read one by one: as words, the numbers would take more than ten times as much as they do."""
    head, motion = text.split("MOTION\n")
    lines = motion.splitlines()
    (tmp_path / "a.bvh").write_text("\n".join([f"{head}MOTION", "Frames: 24000", lines[1], *lines[2:] * 1000]))
    with (tmp_path / "a.bvh").open() as file:
        next(line for line in file if line == "MOTION\n")
        tracemalloc.start()
        table, rate = bvh_frames.rows(file, 51, [])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (table.shape, rate) == ((24000, 51), 30.0)
    assert torch.equal(table[:24], table[-24:]) and peak < 1.5 * 8 * table.numel()


# Damaged or spelled otherwise -----------------------------------------------------------------------------------------


def test_an_end_site_without_an_offset_lies_in_its_joint(tmp_path: Path, text: str, clip: MotionClip) -> None:
    bare = re.sub(r"(End Site\s*\{)\s*OFFSET[^\n]*", r"\1", text, count=1)
    assert bare != text
    found = read(tmp_path, bare, r"end sites without an OFFSET are taken to lie in their joints \(Head_end\)")
    assert apart(found, clip) < 1e-4
    assert found.skeleton.offsets[found.skeleton.names.index("Head_end")] == (0.0, 0.0, 0.0)


def test_a_hierarchy_on_one_line(tmp_path: Path, text: str, clip: MotionClip) -> None:
    head, motion = text.split("MOTION\n")
    assert apart(read(tmp_path, " ".join(head.split()) + "\nMOTION\n" + motion), clip) < 1e-4


@pytest.mark.parametrize(
    ("frames", "step"),
    [("Frames :", "Frame Time :"), ("FRAMES:", "FrameTime:"), ("Frames", "Frame Time"), ("Frames:\t", "Frame  time:")],
)
def test_spellings_of_the_frames(tmp_path: Path, text: str, clip: MotionClip, frames: str, step: str) -> None:
    found = read(tmp_path, text.replace("Frames:", frames).replace("Frame Time:", step))
    assert (len(found), found.frame_rate_hz) == (FRAMES, 30.0)
    assert apart(found, clip) < 1e-4


@pytest.mark.parametrize(("longer", "shorter"), [(4, 5), (5, 4), (4, None), (None, 4)])
def test_rows_of_a_wrong_length_are_refused_by_their_number(
    tmp_path: Path, text: str, longer: int | None, shorter: int | None
) -> None:
    head, motion = text.split("MOTION\n")
    first, second, *lines = motion.splitlines()
    width = len(lines[0].split())
    if longer is not None:
        lines[longer] += " 1.0"
    if shorter is not None:
        lines[shorter] = lines[shorter].rsplit(" ", 1)[0]
    held = width + 1 if longer == 4 else width - 1
    with pytest.raises(ValueError, match=rf"a\.bvh must be .*its row 5 has {held} numbers instead of {width}"):
        read(tmp_path, "\n".join([head + "MOTION", first, second, *lines]) + "\n")


def test_rows_that_go_on_in_the_next_line_are_read(tmp_path: Path, text: str, clip: MotionClip) -> None:
    head, motion = text.split("MOTION\n")
    first, second, *lines = motion.splitlines()
    halves = [" ".join(part) for line in lines for part in (line.split()[:20], line.split()[20:])]
    assert apart(read(tmp_path, "\n".join([head + "MOTION", first, second, *halves]) + "\n"), clip) < 1e-4


def test_commas_for_points(tmp_path: Path, text: str, clip: MotionClip) -> None:
    """In offsets, frame times and rows; a comma in a name stays."""
    last = max(place for place, kind in enumerate(clip.skeleton.kinds) if kind != "fixed")
    name = clip.skeleton.names[last]
    named = text.replace(f"JOINT {name}\n", f"JOINT {name}1,5\n")
    commas = "\n".join(line.replace(".", ",") for line in named.splitlines())
    found = read(tmp_path, commas, "its numbers have commas, which are read as points")
    plain = read(tmp_path, named)
    assert f"{name}1,5" in found.skeleton.names and found == plain
