"""The unit of a length in BVH files, which they do not say: told by how tall the body is.

Does not know: files, axes, codes.
"""

from __future__ import annotations

import math

from torch import Tensor

from tokenmask.modalities.motion.joint_names import standard_parts
from tokenmask.modalities.motion.joints import Skeleton, joint_positions
from tokenmask.modalities.motion.rotations import to_matrix

UNITS = {
    "centimetres": 100.0,
    "metres": 1.0,
    "inches": 1 / 0.0254,
    "millimetres": 1000.0,
    "decimetres": 10.0,
    "feet": 1 / 0.3048,
    "units of 5.644 cm": 0.45 / 0.0254,
}
"""Units of a metre. The last is that of the CMU motion capture data, inches times 0.45 (mocap.cs.cmu.edu/faqs.php)."""

_TALL = (0.5, 2.5)  # metres from the sole to the top of the trunk, of people and of what is animated like them
_USUAL = 1.5  # of grown-up people
_LOW = 0.02  # of a body's height: a root that stays below is on or under the ground, or in another unit
_LEGS = 0.3  # of a body's height: what reaches that far below the root stands, or hangs
_SMALLER = {"centimetres": 100.0, "millimetres": 1000.0}  # of a metre
_MISSED = 0.2  # by which the ground may be missed: feet may end at the ankles
_SMALL, _LEAST = 0.9, 1.3  # metres: a body so small in centimetres may be a grown-up one in inches
_CURE = "if that is wrong, give --units, or load_bvh(FILE, units_per_metre=N)"


def ends(skeleton: Skeleton) -> tuple[int, int] | None:
    """The left foot and the upper end of the trunk; None if the names of the joints do not tell them."""
    parts = standard_parts(skeleton)
    top = parts.get("head", parts.get("neck"))
    if top is None and "left_upper_arm" in parts:
        top = skeleton.parents[parts["left_upper_arm"]]
    foot = parts.get("left_foot")
    return None if foot is None or not top else (foot, top)


def height(skeleton: Skeleton) -> float | None:
    """Length of the bones of a leg and the trunk, in the unit of the skeleton; None if names do not tell them."""
    found = ends(skeleton)
    if found is None:
        return None
    total = 0.0
    for joint in found:
        while joint > 0:
            total += math.hypot(*skeleton.offsets[joint])
            joint = skeleton.parents[joint]
    return total


def doubted(skeleton: Skeleton) -> str:
    """What is told of a body in metres that is twice as tall or half as tall as any is; "" of others."""
    tall, (low, high) = height(skeleton), _TALL
    if tall is None or low / 2 <= tall <= 2 * high:
        return ""
    return (
        f"its body is {tall:.3g} m tall, as nobody is; its numbers must be metres, as they are before they are brought "
        "to a mean of 0 and a variance of 1: save them so"
    )


def path_doubted(root: Tensor, rotations: Tensor, skeleton: Skeleton) -> str:
    """What is told of a path in metres beside bones in centimetres or millimetres: a body whose root is far below its
    knees, and would have its lowest joints on the ground were its path so many times as large; "" of others.

    Bodies that lie, or whose root stays at or about zero, as of motions in place, are none of these.

    Args:
        root: float [frames, 3], y up, in the unit of the skeleton.
        rotations: float [frames, joints, 4], quaternions, each in its parent's frame.
        skeleton: the joints.
    """
    tall, above = height(skeleton), float(root[:, 1].double().median())
    if not tall or not 0 < above < _LOW * tall or float(root[:, 1].min()) <= 0:
        return ""
    below = -float(joint_positions(to_matrix(rotations), skeleton)[..., 1].amin(1).double().median())
    if below < _LEGS * tall:
        return ""
    for name, times in _SMALLER.items():
        if abs(times * above / below - 1) <= _MISSED:
            return (
                f"its root is {above / below:.2g} of its legs above the ground, so that its feet are below; its path "
                f"seems to be in metres and its bones in {name}: export it in one unit"
            )
    return ""


def units_of(skeleton: Skeleton, notes: list[str]) -> float:
    """Units of a metre: centimetres if people are so tall, else the unit in which the body is nearest to a grown-up's.

    What was guessed is noted, and what could be meant otherwise.
    """
    tall, low, high = height(skeleton), *_TALL
    if not tall:  # without legs and trunk, or without bones, nothing can be told
        why = "all its joints are in one place" if tall == 0 else "the names of its joints do not tell legs and trunk"
        notes.append(f"{why}, so it is read in centimetres; {_CURE}")
        return UNITS["centimetres"]
    likely = {name: tall / units for name, units in UNITS.items() if low <= tall / units <= high}
    centimetres = tall / UNITS["centimetres"]
    if not likely:
        notes.append(
            f"in centimetres its body is {centimetres:.3g} m tall, and in no usual unit as people are; {_CURE}"
        )
        return UNITS["centimetres"]
    if "centimetres" in likely:
        inches = tall / UNITS["inches"]
        if inches >= _LEAST and centimetres < _SMALL:
            notes.append(
                f"its body is {centimetres:.3g} m tall in centimetres; if it is one of {inches:.3g} m in inches, give "
                "--units inches, or load_bvh(FILE, units_per_metre=39.37)"
            )
        return UNITS["centimetres"]
    unit = min(likely, key=lambda name: abs(math.log(likely[name] / _USUAL)))
    others = ", ".join(f"in {name} {size:.3g} m" for name, size in likely.items() if name != unit)
    notes.append(
        f"in centimetres its body would be {centimetres:.3g} m tall, so it is read in {unit}, where it is "
        f"{likely[unit]:.3g} m{f' ({others})' if others else ''}; {_CURE}"
    )
    return UNITS[unit]
