"""Clips as the motion tokenizer takes them: its skeleton, its rate, whole windows; and what it is trained on.

Does not know: networks, codes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tokenmask.modalities.motion.media import MotionClip
from tokenmask.modalities.motion.network import MotionTokenizerConfig


def lateral_of(config: MotionTokenizerConfig) -> int:
    """0 or 2: the axis from side to side of the configuration's skeleton, see :meth:`Skeleton.lateral_axis`."""
    axis = config.skeleton().lateral_axis()
    if axis == 1:
        raise ValueError("left and right of a skeleton must lie along x or z, got y; y is up")
    return axis


def sized(clip: MotionClip, config: MotionTokenizerConfig) -> MotionClip:
    """At the configuration's rate and in its order of joints."""
    brought = clip.on(config.skeleton()).resample(config.frame_rate_hz)
    check_length(len(brought), config, repr(clip))
    return brought


def check_length(frames: int, config: MotionTokenizerConfig, clip: str) -> None:
    """ValueError for fewer frames than a code covers; ``clip`` is what has them, in words."""
    if frames < config.stride:
        raise ValueError(
            f"a clip must have {config.stride} frames or more at {config.frame_rate_hz:g} Hz, got {clip}; pass more"
        )


def padded(clip: MotionClip, config: MotionTokenizerConfig) -> MotionClip:
    """A multiple of ``stride`` frames, the last one repeated."""
    frames = torch.arange(-(-len(clip) // config.stride) * config.stride).clamp(max=len(clip) - 1)
    return MotionClip(clip.root_positions[frames], clip.rotations[frames], clip.frame_rate_hz, clip.skeleton)


def training_clips(items: Sequence[MotionClip], config: MotionTokenizerConfig) -> list[MotionClip]:
    """At the configuration's rate; fast clips also from their second frame on, and all in the mirror if so set."""
    clips = [sized(item, config) for item in items]
    for item in items:
        ratio = item.frame_rate_hz / config.frame_rate_hz
        if ratio >= 1.5 and len(item) > (config.stride + 1) * ratio:
            clips.append(sized(item.cut(1, len(item)), config))
    return clips + [clip.mirrored() for clip in clips] if config.mirror else clips


def changes(clip: MotionClip, config: MotionTokenizerConfig) -> list[str]:
    """What :func:`sized` does to a clip, in words."""
    wanted, told = config.skeleton(), []
    if clip.skeleton.order_of(wanted) is None:
        joints, made = (sum(kind != "fixed" for kind in one.kinds) for one in (clip.skeleton, wanted))
        told.append(f"is retargeted from its {joints} joints to {made}")
    if clip.frame_rate_hz != config.frame_rate_hz:
        told.append(f"is resampled from {clip.frame_rate_hz:g} to {config.frame_rate_hz:g} Hz")
    return told
