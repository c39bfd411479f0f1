"""How the motion tokenizer learns: windows of clips, the error of joint positions, principal components as a start.

Arrow: MotionClips --motion_fitting--> a training run of a MotionNetwork. Does not know: streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import torch
from torch import Tensor, nn

from tokenmask.modalities.learned import CodecFitting, FitSettings, Quantise
from tokenmask.modalities.motion.features import part_columns, positions, to_features
from tokenmask.modalities.motion.media import MotionClip
from tokenmask.modalities.motion.network import MotionNetwork, MotionTokenizerConfig, Start, framed
from tokenmask.modalities.motion.prepare import lateral_of, training_clips
from tokenmask.tokenizer import fingerprint

_TOGETHER = 8  # codes of a training window
_FEATURE_SHARE = 0.3  # of the loss; the rest is joint positions
_ROUND = 1e-6  # square metres that round the distance off at nothing
_NUDGE = 0.05
_VELOCITY_METRES, _YAW_METRES = 0.1, 0.06  # what a unit of speed, m/s and rad/s, counts beside joint positions


def motion_fitting(items: Sequence[MotionClip], config: MotionTokenizerConfig, settings: FitSettings) -> CodecFitting:
    """The training run of :meth:`MotionTokenizer.fit` on clips of one skeleton."""
    skeleton, lateral, margin = config.skeleton(), lateral_of(config), config.stride
    known = [to_features(clip, lateral) for clip in training_clips(items, config)]
    start = start_of(known, config)
    frames = torch.cat([(one - start.mean) * start.weight for one in known])
    clips = torch.split(frames, [len(one) for one in known])
    lengths = torch.tensor([float(len(one)) for one in clips])
    places = torch.cat([positions(one, skeleton) for one in known])
    spread = float((places - places.mean(0)).square().sum(-1).mean().sqrt())

    def draw_batch(draw: torch.Generator) -> Tensor:
        windows = []
        for number in torch.multinomial(lengths, settings.batch_size, replacement=True, generator=draw).tolist():
            clip = clips[number]
            first = int(torch.randint(1 - margin, len(clip) - margin + 1, (), generator=draw))
            frame = torch.arange(-margin, _TOGETHER * config.stride + margin) + first
            windows.append(clip[frame.clamp(0, len(clip) - 1)])
        one, two = frames[torch.randint(len(frames), (2, settings.batch_size), generator=draw)]
        share = config.offset * torch.rand(settings.batch_size, 1, generator=draw)
        return torch.stack(windows) + (share * (one - two))[:, None]  # type: ignore[no-any-return]

    def loss(network: MotionNetwork, batch: Tensor, quantise: Quantise) -> tuple[Tensor, dict[str, float]]:
        wanted = batch[:, margin:-margin]
        windows = batch.unfold(1, 3 * config.stride, config.stride).transpose(2, 3)
        latents = quantise(network.latents(windows.flatten(0, 1)).view(*windows.shape[:2], -1))
        made = network.frames(framed(latents, 3, 1).flatten(0, 1)).view(wanted.shape)
        error = nn.functional.mse_loss(made, wanted)
        away = positions(network.features(made), skeleton) - positions(network.features(wanted), skeleton)
        distance = (away.square().sum(-1) + _ROUND).sqrt().mean()
        total: Tensor = _FEATURE_SHARE * error + distance / spread
        return total, {"mpjpe_mm": 1000 * distance.item()}

    about = {"config": asdict(config), "frames": fingerprint({}, {"frames": torch.cat(known)})}
    return CodecFitting(lambda: MotionNetwork(config, start), draw_batch, loss, settings, about)


def start_of(known: Sequence[Tensor], config: MotionTokenizerConfig) -> Start:
    """Mean, weights and principal axes of training clips, float32 [frames, features] each.

    A feature weighs what a small change of it moves joints, so that distances of latents are about those of poses.
    """
    skeleton, frames = config.skeleton(), torch.cat(list(known))
    mean = frames.mean(0)
    some = frames[:: max(1, len(frames) // 512)]
    still = positions(some, skeleton)
    weight = torch.stack(
        [
            (positions(some + _NUDGE * one, skeleton) - still).square().sum(-1).mean().sqrt() / _NUDGE
            for one in torch.eye(frames.shape[1])
        ]
    )
    weight[1:3], weight[3] = _VELOCITY_METRES, _YAW_METRES
    weight = weight.clamp(min=0.02 * float(weight.median()))
    weight = weight / (weight * frames.std(0)).square().mean().sqrt().clamp(min=1e-6)
    axes = []
    for first, stop in part_columns(skeleton):
        windows = [
            ((one[:, first:stop] - mean[first:stop]) * weight[first:stop])
            .unfold(0, config.stride, 1)
            .transpose(1, 2)
            .flatten(1)
            for one in known
        ]
        scatter = torch.cat(windows).double().T @ torch.cat(windows).double()
        axes.append(torch.linalg.eigh(scatter)[1].flip(1)[:, : config.latent].T.float().contiguous())
    return Start(mean, weight, tuple(axes))
