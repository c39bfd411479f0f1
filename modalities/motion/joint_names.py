"""What joints are called: the parts of a body that the names of motion files stand for.

Arrow: Skeleton --**standard_parts**--> "left_upper_leg" and the like -> joint. Does not know: rotations, files, codes.

Known are the names of LaFAN, CMU, Mixamo, Biped, SMPL and URDF bodies, with any prefix ("mixamorig:", "Bip01 ").
"""

from __future__ import annotations

import re

from tokenmask.modalities.motion.joints import Skeleton, side_of, without_side

NEEDED = ("upper_leg", "lower_leg", "foot", "upper_arm", "lower_arm")
"""Parts that either side of a body has; all others may be missing."""
_LIMBS = {
    "hip_joint": ("hipjoint",),
    "upper_leg": ("upleg", "upperleg", "thigh", "hip"),
    "lower_leg": ("leg", "lowerleg", "lowleg", "shin", "calf", "knee"),
    "foot": ("foot", "ankle"),
    "toe": ("toe", "toes", "toebase", "toe0"),
    "clavicle": ("clavicle", "collar"),
    "shoulder": ("shoulder",),
    "upper_arm": ("arm", "uparm", "upperarm"),
    "lower_arm": ("forearm", "lowerarm", "lowarm", "elbow"),
    "hand": ("hand", "wrist"),
}
_TRUNK = {"neck": ("neck", "neck1"), "head": ("head",)}
_SIDED, _MIDDLE = ({word: part for part, words in table.items() for word in words} for table in (_LIMBS, _TRUNK))


def standard_parts(skeleton: Skeleton) -> dict[str, int]:
    """Number of the joint that each part of a body is.

    Returns:
        "root", the first joint; "spine0", "spine1" ... from there to the neck, or to where the arms begin; "neck",
        "head"; and with "left_" or "right_" before them "hip_joint" (between root and leg), "upper_leg", "lower_leg",
        "foot", "toe", "clavicle", "upper_arm", "lower_arm", "hand". Parts without a joint are missing.
    """
    found = {"root": 0}
    for joint, name in enumerate(skeleton.names[1:], 1):
        side = side_of(name)
        part = _part(without_side(name), bool(side))
        if part:
            found.setdefault(f"{side}_{part}" if side else part, joint)  # of two necks the lower one
    for side in ("left", "right"):  # a shoulder is the collar where an arm comes after it, and else the arm itself
        shoulder = found.pop(f"{side}_shoulder", None)
        if shoulder is not None:
            found.setdefault(f"{side}_clavicle" if f"{side}_upper_arm" in found else f"{side}_upper_arm", shoulder)
    top = found.get("neck", found.get("head"))
    if top is not None:
        top = skeleton.parents[top]
    else:
        arm = found.get("left_clavicle", found.get("left_upper_arm"))
        top = 0 if arm is None else skeleton.parents[arm]
    spine = []
    while top > 0:
        spine.append(top)
        top = skeleton.parents[top]
    return found | {f"spine{number}": joint for number, joint in enumerate(reversed(spine))}


def _part(name: str, sided: bool) -> str | None:
    """The part that a name without its side means; words before it (Bip01, mixamorig) do not count."""
    words = re.findall(r"[a-z0-9]+", name.rpartition(":")[2].lower())
    table = _SIDED if sided else _MIDDLE
    return next((table[word] for i in range(len(words)) if (word := "".join(words[i:])) in table), None)
