"""Motion in one place: the clip, its skeleton, rotations, and the files they are read from."""

from tokenmask.modalities.bvh import load_bvh, save_bvh
from tokenmask.modalities.deepmimic import load_deepmimic, load_urdf_skeleton
from tokenmask.modalities.joints import KINDS, Skeleton, joint_positions
from tokenmask.modalities.motion_clip import MotionClip
from tokenmask.modalities.rotations import from_matrix, matmul3, multiply, slerp, to_matrix, turn, turn_angle

__all__ = [
    "KINDS",
    "MotionClip",
    "Skeleton",
    "from_matrix",
    "joint_positions",
    "load_bvh",
    "load_deepmimic",
    "load_urdf_skeleton",
    "matmul3",
    "multiply",
    "save_bvh",
    "slerp",
    "to_matrix",
    "turn",
    "turn_angle",
]
