"""Whether what a run draws is what was asked for, judged without a model: by pixels and by poses.

Arrow: Run + names --> shares of right ones, with what chance would bring. Does not know: how slots are filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tokenmask import data
from tokenmask.analysis.intervals import share_interval
from tokenmask.corpus import TRAIN
from tokenmask.demo import items
from tokenmask.modalities.motion import MotionClip
from tokenmask.run import Run

PICTURES = 32  # training captions, evenly spread
EACH = 2  # motions of each name
MOTION_SECONDS = 1.4
POSES_HZ = 30.0


@dataclass(frozen=True)
class Share:
    """How many of several are right.

    Args:
        what: is right of them, in words.
        right, of: counts, ``of`` at least 1.
        chance: the share that drawing at random would bring.
    """

    what: str
    right: int
    of: int
    chance: float

    def __str__(self) -> str:
        interval = share_interval(np.repeat([1.0, 0.0], [self.right, self.of - self.right]))
        between = "" if interval is None else f"95 %: {interval[0]:.0%} to {interval[1]:.0%}; "
        return f"{self.right} of {self.of} ({between}chance {self.chance:.1%})"


def pictures(run: Run, seed: int = 0) -> Share:
    """For each of some training captions: of all training emoji the caption's own is nearest in pixels, at their size.

    Args:
        run: with the streams text and image.
        seed: of the samples.
    """
    known = [entry for entry in data.emoji() if entry.split == TRAIN]
    asked = known[:: len(known) // PICTURES][:PICTURES]
    pixels = torch.stack([torch.from_numpy(entry.pixels).float().flatten() for entry in known])
    drawn = run.generate("image", given=[{"text": entry.name} for entry in asked], seed=seed)
    small = [image.resize(*known[0].pixels.shape[:2]) for image in drawn]
    made = torch.stack([image.pixels.float().flatten() for image in small])
    nearest = [known[at].name for at in torch.cdist(made, pixels).argmin(1).tolist()]
    right = sum(entry.name == name for entry, name in zip(asked, nearest, strict=True))
    what = "Pictures of training captions nearest, in pixels, to their own emoji"
    return Share(what, right, len(asked), 1 / len(known))


def motions(run: Run, seed: int = 0) -> Share:
    """For each name of a motion: of all training clips, mirrored ones too, the nearest by poses has the name.

    Args:
        run: with the streams text and motion.
        seed: of the samples.
    """
    names = list(dict.fromkeys(one.name for one in items.motions()))
    known = [(one.name, poses(one.train)) for one in items.motions()]
    known += [(items.other_side(one.name), poses(one.train.mirrored())) for one in items.motions()]
    made = run.generate(
        "motion", given=[{"text": name} for name in names], duration_seconds=MOTION_SECONDS, num_samples=EACH, seed=seed
    )
    wanted = [name for name in names for _ in range(EACH)]
    right = sum(nearest(known, poses(clip)) == name for clip, name in zip(made, wanted, strict=True))
    chance = sum(name == own for name in wanted for own, _ in known) / len(wanted) / len(known)
    return Share("Motions nearest, by poses, to a training clip of their name", right, len(wanted), chance)


def poses(clip: MotionClip) -> Tensor:
    """Float [frames, joints * 3]: joints seen from the root, turned so that it faces ahead, at 30 a second; metres."""
    positions = clip.resample(POSES_HZ).joint_positions()
    centred = positions - positions[:, :1]
    left, right = (clip.skeleton.names.index(f"{side}_hip") for side in ("left", "right"))
    across = centred[:, left] - centred[:, right]
    angle = torch.atan2(across[:, 2], across[:, 0])
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    x, z = centred[:, :, 0] * cos + centred[:, :, 2] * sin, centred[:, :, 2] * cos - centred[:, :, 0] * sin
    return torch.stack([x, centred[:, :, 1], z], -1).flatten(1)


def nearest(known: Sequence[tuple[str, Tensor]], made: Tensor) -> str:
    """The name whose clip has, for the frames of ``made``, the nearest frames on average."""
    return min(known, key=lambda one: float(torch.cdist(made, one[1]).min(1).values.mean()))[0]
