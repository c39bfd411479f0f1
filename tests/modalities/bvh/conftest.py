"""A walking body, and its file as we write it; every warning of a reader counts."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.modalities.bvh.bodies import FRAMES, JOINTS
from tokenmask.modalities.motion import MotionClip, Skeleton
from tokenmask.modalities.motion.rotations import multiply, turn


@pytest.fixture(autouse=True)
def _every_warning_counts() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(scope="session")
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
