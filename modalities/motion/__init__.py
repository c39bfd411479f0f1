"""Motion: clips, skeletons and their files, the codec of body parts and how it learns."""

from tokenmask.modalities.motion.bvh import load_bvh, save_bvh
from tokenmask.modalities.motion.deepmimic import load_deepmimic, load_urdf_skeleton
from tokenmask.modalities.motion.features import PARTS, body_parts, part_columns, positions, to_features, to_rotations
from tokenmask.modalities.motion.joints import KINDS, Skeleton, joint_positions
from tokenmask.modalities.motion.media import MotionClip
from tokenmask.modalities.motion.network import MotionTokenizerConfig
from tokenmask.modalities.motion.rotations import from_matrix, matmul3, multiply, slerp, to_matrix, turn, turn_angle
from tokenmask.modalities.motion.tokenizer import MotionTokenizer

__all__ = [
    "KINDS",
    "PARTS",
    "MotionClip",
    "MotionTokenizer",
    "MotionTokenizerConfig",
    "Skeleton",
    "body_parts",
    "from_matrix",
    "joint_positions",
    "load_bvh",
    "load_deepmimic",
    "load_urdf_skeleton",
    "matmul3",
    "multiply",
    "part_columns",
    "positions",
    "save_bvh",
    "slerp",
    "to_features",
    "to_matrix",
    "to_rotations",
    "turn",
    "turn_angle",
]
