"""Motion and its codes: features that come back, exact chunks, kept frames, and quality on unseen frames."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import tokenmask
from tokenmask.modalities.motion import (
    PARTS,
    MotionClip,
    MotionTokenizer,
    MotionTokenizerConfig,
    Skeleton,
    body_parts,
    load_deepmimic,
    load_urdf_skeleton,
    multiply,
    part_columns,
    positions,
    to_features,
    to_matrix,
    to_rotations,
    turn,
)
from tokenmask.modalities.motion import tokenizer as module
from tokenmask.modalities.motion.features import heading
from tokenmask.modalities.motion.fit import start_of
from tokenmask.modalities.motion.network import MotionNetwork, framed
from tokenmask.modalities.windows import Windows
from tokenmask.nn.init import build
from tokenmask.testing import Check, global_random_state_untouched, tokenizer_checks
from tokenmask.tokenizer import stream_of

from .contract import each_check, goes_on_bit_for_bit, refused_resume, run_check

DATA = Path(tokenmask.__file__).parent / "data" / "motion"
UP = (0.0, 1.0, 0.0)


@pytest.fixture(scope="module")
def clips() -> dict[str, MotionClip]:
    skeleton = load_urdf_skeleton(DATA / "humanoid.urdf")
    return {path.stem: load_deepmimic(path, skeleton) for path in sorted(DATA.glob("*.txt"))}


@pytest.fixture(scope="module")
def humanoid(clips: dict[str, MotionClip]) -> Skeleton:
    return clips["humanoid3d_walk"].skeleton


@pytest.fixture(scope="module")
def known(clips: dict[str, MotionClip]) -> list[MotionClip]:
    """The first 80 % of every clip."""
    return [clip.cut(0, int(0.8 * len(clip))) for clip in clips.values()]


@pytest.fixture(scope="module")
def held_out(clips: dict[str, MotionClip]) -> list[MotionClip]:
    """The last 20 % of every clip."""
    slow = [clip.resample(30) for clip in clips.values()]
    return [clip.cut(int(0.8 * len(clip)), len(clip)) for clip in slow]


@pytest.fixture(scope="module")
def tokenizer(known: list[MotionClip], humanoid: Skeleton) -> MotionTokenizer:
    """Trained for seconds: principal components and k-means do most of the work."""
    config = MotionTokenizerConfig.of(humanoid, width=64)
    return MotionTokenizer.fit(known, config=config, steps=40, seed=1, progress=False)


def tiny(humanoid: Skeleton, **settings: Any) -> MotionTokenizerConfig:
    return MotionTokenizerConfig.of(humanoid, **{"codes": 8, "latent": 4, "width": 64, **settings})


def moved(clip: MotionClip, angle: float, x: float, z: float) -> MotionClip:
    """The same motion elsewhere on the ground, facing elsewhere."""
    around = turn(UP, torch.tensor(angle))
    places = (to_matrix(around) * clip.root_positions[:, None]).sum(-1) + torch.tensor([x, 0.0, z])
    rotations = clip.rotations.clone()
    rotations[:, 0] = multiply(around, rotations[:, 0])
    return replace(clip, root_positions=places, rotations=rotations)


# The contract ---------------------------------------------------------------------------------------------------------


def checks(tokenizer: MotionTokenizer, clips: dict[str, MotionClip]) -> list[Check]:
    walk = clips["humanoid3d_walk"]
    items = [clips["humanoid3d_run"], walk.cut(0, 4), clips["humanoid3d_backflip"], clips["humanoid3d_jump"]]
    names = tuple(name.replace("knee", "fin") for name in walk.skeleton.names)
    foreign = replace(walk, skeleton=replace(walk.skeleton, names=names))
    return list(tokenizer_checks(tokenizer, items, refused=[walk.cut(0, 3), foreign], suffix=".safetensors"))


@each_check
def test_contract(name: str, tokenizer: MotionTokenizer, clips: dict[str, MotionClip]) -> None:
    run_check(name, checks(tokenizer, clips))


# Features -------------------------------------------------------------------------------------------------------------


def test_parts(humanoid: Skeleton) -> None:
    parts = {
        name: [humanoid.names[joint] for joint in part] for name, part in zip(PARTS, body_parts(humanoid), strict=True)
    }
    assert parts["root"] == ["root"]
    assert parts["spine"] == ["chest", "neck"]
    assert parts["left_leg"] == ["left_hip", "left_knee", "left_ankle"]
    assert parts["right_arm"] == ["right_shoulder", "right_elbow"]
    assert [stop - start for start, stop in part_columns(humanoid)] == [10, 12, 14, 8, 14, 8]
    with pytest.raises(ValueError, match="got none for"):
        body_parts(replace(humanoid, names=tuple(f"joint{i}" for i in range(len(humanoid)))))


@pytest.mark.parametrize("name", ["humanoid3d_cartwheel", "humanoid3d_roll", "walker_turn_left0"])
def test_features_hold_the_whole_pose(clips: dict[str, MotionClip], name: str) -> None:
    """Positions and rotations of features are those of the clip, seen from the heading."""
    clip = clips[name]
    features = to_features(clip, 2)
    points = clip.joint_positions() - clip.root_positions[:, None] * torch.tensor([1.0, 0.0, 1.0])
    angles = heading(to_matrix(clip.rotations[:, 0]), 2)
    back = to_matrix(turn(UP, -angles))
    seen = (back[:, None] * points[:, :, None]).sum(-1)
    assert torch.allclose(positions(features, clip.skeleton), seen, atol=1e-5)
    whole = to_rotations(features, clip.skeleton)
    for joint, parent in enumerate(clip.skeleton.parents[1:], 1):
        local = whole[parent].transpose(1, 2) @ whole[joint]
        assert torch.allclose(local, to_matrix(clip.rotations[:, joint]), atol=1e-5)


def test_features_do_not_know_where_and_whither(clips: dict[str, MotionClip], tokenizer: MotionTokenizer) -> None:
    clip = clips["walker_turn_right0"]
    away = moved(clip, 2.5, 10.0, -3.0)
    assert torch.allclose(to_features(clip, 2), to_features(away, 2), atol=1e-4)
    assert (tokenizer.encode(clip).codes != tokenizer.encode(away).codes).float().mean() < 0.02


def test_velocities_lead_back_to_the_path(
    clips: dict[str, MotionClip], tokenizer: MotionTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding exact features gives the clip, moved to the origin."""
    clip = clips["walker_turn_left1"].cut(0, 36)
    stream = tokenizer.encode(clip)
    monkeypatch.setattr(MotionTokenizer, "_features", lambda self, stream: to_features(clip, 2))
    made = tokenizer.decode(stream)
    angle = float(heading(to_matrix(clip.rotations[:1, 0]), 2))
    start = clip.root_positions[0].tolist()
    back = moved(moved(clip, 0.0, -start[0], -start[2]), -angle, 0.0, 0.0)
    assert (made.joint_positions() - back.joint_positions()).abs().max() < 1e-4


# Codes ----------------------------------------------------------------------------------------------------------------


def test_spec(tokenizer: MotionTokenizer, clips: dict[str, MotionClip]) -> None:
    spec = tokenizer.spec
    assert (spec.modality, spec.axes, spec.rate_hz, spec.codebook_sizes) == ("motion", ("time",), 7.5, (64,) * 12)
    assert spec.level_groups == ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11))
    walk = clips["humanoid3d_walk"]
    stream = tokenizer.encode(walk)
    assert stream.codes.shape == (10, 12)  # 39 frames
    assert len(tokenizer.decode(stream)) == 40


def test_other_rates_and_orders_of_joints(
    tmp_path: Path, tokenizer: MotionTokenizer, clips: dict[str, MotionClip]
) -> None:
    jump = clips["humanoid3d_jump"]
    assert jump.frame_rate_hz == 60
    assert tokenizer.encode(jump) == tokenizer.encode(jump.resample(30))
    jump.save(tmp_path / "a.bvh")
    again = tokenizer.encode(MotionClip.load(tmp_path / "a.bvh"))
    assert (again.codes != tokenizer.encode(jump).codes).float().mean() < 0.02


def test_chunks_with_a_halo_have_the_codes_of_the_whole(
    tokenizer: MotionTokenizer, clips: dict[str, MotionClip]
) -> None:
    clip = clips["humanoid3d_getup_faceup"].resample(30)
    whole = tokenizer.encode(clip).codes
    assert tokenizer.context_seconds is not None
    halo = round(tokenizer.context_seconds * 30)
    for start in (0, 8, 40, 60):
        first, stop = max(start - halo, 0), min(start + 32 + halo, len(clip))
        part = tokenizer.encode(clip.cut(first, stop)).codes[(start - first) // 4 :][:8]
        assert torch.equal(part, whole[start // 4 : start // 4 + 8])


def test_latents_are_bit_equal_alone_in_batches_and_with_threads(
    tokenizer: MotionTokenizer, known: list[MotionClip]
) -> None:
    """On latents, not only on codes: a change of the last bit almost never flips a code."""
    network = tokenizer._network
    features = network.normalised(torch.cat([to_features(clip, 2) for clip in known])[:600])
    frames, places = Windows(4, 4, module._ROWS), Windows(1, 1, module._ROWS)
    windows = list(frames.of(features, "nearest"))
    before, seen = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for size in (1, 7, 64, 150):
                parts = [windows[first : first + size] for first in range(0, len(windows), size)]
                latents = torch.stack([one for part in parts for one in frames.run(part, network.latents)])
                made = torch.cat(list(places.run(places.of(latents, "nearest"), network.frames)))
                seen.append((latents, made))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(latents, seen[0][0]) and torch.equal(made, seen[0][1]) for latents, made in seen)


def test_clips_that_were_decoded_are_not_encoded_again(
    tokenizer: MotionTokenizer, clips: dict[str, MotionClip]
) -> None:
    made = tokenizer.decode(tokenizer.encode(clips["humanoid3d_kick"]))
    assert stream_of(tokenizer, made) is made.stream
    changed = replace(made, root_positions=made.root_positions.flip(0))
    assert stream_of(tokenizer, changed) == tokenizer.encode(changed)


# Kept frames ----------------------------------------------------------------------------------------------------------


def largest_step(points: Tensor) -> float:
    return float(points.diff(dim=0).norm(dim=-1).max())


@pytest.mark.parametrize("gap", [(0, 16), (12, 24), (20, 36)])
def test_kept_frames_are_untouched_and_joined(
    tokenizer: MotionTokenizer, clips: dict[str, MotionClip], gap: tuple[int, int]
) -> None:
    given = moved(clips["walker_turn_left0"].cut(0, 36), 1.0, 5.0, -2.0)
    stream = tokenizer.encode(clips["walker_turn_left0"].cut(0, 36))
    keep = torch.ones(36, dtype=torch.bool)
    keep[slice(*gap)] = False
    made = tokenizer.decode(stream, given=given, keep=keep)
    assert made.stream == stream
    assert torch.equal(made.root_positions[keep], given.root_positions[keep])
    assert torch.equal(made.rotations[keep], given.rotations[keep])
    assert not torch.equal(made.rotations[~keep], given.rotations[~keep])
    # The decoded frames stay near the path they replace, and nobody leaps at the seams.
    away = (made.root_positions - given.root_positions)[~keep]
    assert away.norm(dim=-1).max() < 0.15
    assert largest_step(made.root_positions) < largest_step(given.root_positions) + 0.05
    assert (made.joint_positions() - given.joint_positions()).norm(dim=-1)[~keep].mean() < 0.2
    assert tokenizer.decode(stream, given=given, keep=keep[::4]) == made


def test_keeping_all_or_nothing(tokenizer: MotionTokenizer, clips: dict[str, MotionClip]) -> None:
    given = clips["humanoid3d_punch"].cut(0, 20)
    stream = tokenizer.encode(given)
    everything = tokenizer.decode(stream, given=given, keep=torch.ones(5, dtype=torch.bool))
    assert replace(everything, stream=None) == given
    nothing = tokenizer.decode(stream, given=given, keep=torch.zeros(20, dtype=torch.bool))
    assert nothing == tokenizer.decode(stream)
    with pytest.raises(ValueError, match="given and keep belong together"):
        tokenizer.decode(stream, given=given)
    with pytest.raises(ValueError, match=r"keep must be bool \[20\] or \[5\] or \[5, 12\], got bool \[7\]"):
        tokenizer.decode(stream, given=given, keep=torch.ones(7, dtype=torch.bool))
    with pytest.raises(ValueError, match="no more frames than the stream, got 36 for 20"):
        tokenizer.decode(stream, given=clips["humanoid3d_punch"].cut(0, 33), keep=torch.ones(5, dtype=torch.bool))
    with pytest.raises(TypeError, match="encodes MotionClip, got Tensor"):
        tokenizer.decode(stream, given=given.rotations, keep=torch.ones(5, dtype=torch.bool))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must hold a code or more"):
        tokenizer.decode(replace(stream, codes=stream.codes[:0]))


# Fitting and figures --------------------------------------------------------------------------------------------------


def test_seconds_of_fitting_beat_the_bars(
    tokenizer: MotionTokenizer, held_out: list[MotionClip], known: list[MotionClip]
) -> None:
    figures = tokenizer.evaluate(held_out, known)
    assert figures["bits_per_second"] == 72 * 7.5
    assert figures["mpjpe_mm"] < 75
    assert figures["mpjpe_of_mean_pose"] < 0.25
    assert 250 < figures["mean_pose_mpjpe_mm"] < 400
    assert 40 < figures["pca_mpjpe_mm"] < 90
    assert 0 < figures["root_drift_m_per_s"] < 0.6
    assert 0 < figures["heading_drift_deg_per_s"] < 60
    assert 0.2 < figures["codes_used_share"] <= 1
    assert 8 < figures["perplexity"] <= 64
    assert "pca_mpjpe_mm" not in tokenizer.evaluate(held_out[:2])


def test_mirrored_clips_are_coded_as_well(tokenizer: MotionTokenizer, known: list[MotionClip]) -> None:
    one = tokenizer.evaluate(known)["mpjpe_mm"]
    two = tokenizer.evaluate([clip.mirrored() for clip in known])["mpjpe_mm"]
    assert two == pytest.approx(one, rel=0.15)


def test_principal_components_are_the_start(known: list[MotionClip], humanoid: Skeleton) -> None:
    """The latent of as many numbers as a part has loses nothing before the network has learned a thing."""
    config = tiny(humanoid, latent=32)
    start = start_of([to_features(clip.resample(30), 2) for clip in known], config)
    network = build(lambda: MotionNetwork(config, start), 0)
    clip = known[0].resample(30)
    wanted = to_features(clip.cut(0, 20), 2)
    latents = network.latents(framed(network.normalised(wanted), 12, 4))
    made = network.features(network.frames(framed(latents, 3, 1)).flatten(0, 1))
    arms = slice(*part_columns(humanoid)[3])
    assert torch.allclose(made[:, arms], wanted[:, arms], atol=1e-3)
    away = (positions(made, humanoid) - positions(wanted, humanoid)).norm(dim=-1).mean()
    assert away < 0.01


def test_equal_seeds_give_equal_tokenizers(known: list[MotionClip], humanoid: Skeleton) -> None:
    def fitted(seed: int) -> str:
        with global_random_state_untouched():
            return MotionTokenizer.fit(
                known[:3], config=tiny(humanoid), steps=2, batch_size=64, seed=seed, progress=False
            ).spec.fingerprint

    assert fitted(0) == fitted(0)
    assert fitted(0) != fitted(1)


def test_a_stopped_fit_goes_on_bit_for_bit(
    tmp_path: Path, known: list[MotionClip], humanoid: Skeleton, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fitted(folder: Path, **changes: Any) -> MotionTokenizer:
        settings = {"config": tiny(humanoid), "steps": 6, "batch_size": 64, "checkpoint_every": 3, **changes}
        return MotionTokenizer.fit(known[:3], folder=folder, progress=False, **settings)

    goes_on_bit_for_bit(fitted, tmp_path, monkeypatch, stop_at=4)
    refused_resume(fitted, tmp_path, "resumed with the config it began with", config=tiny(humanoid, offset=0.1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stride": 0}, "stride must be positive"),
        ({"width": 100}, "width a multiple of 64"),
        ({"latent": 33}, "latent must be at most 32"),
        ({"offset": 1.0}, "offset must be in 0..1"),
        ({"codes": 1}, "a codebook needs"),
        ({"frame_rate_hz": 0.0}, "frame_rate_hz and stride must be positive"),
    ],
)
def test_settings_out_of_range_are_one_sentence(humanoid: Skeleton, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MotionTokenizerConfig.of(humanoid, **change)


def test_wrong_items_are_one_sentence(
    tokenizer: MotionTokenizer, clips: dict[str, MotionClip], humanoid: Skeleton
) -> None:
    with pytest.raises(ValueError, match="fitting needs a clip"):
        MotionTokenizer.fit([])
    with pytest.raises(TypeError, match="MotionTokenizer encodes MotionClip, got str"):
        MotionTokenizer.fit(["a"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="evaluate needs at least one clip"):
        tokenizer.evaluate([])
    with pytest.raises(ValueError, match="4 frames or more at 30 Hz"):
        tokenizer.encode(clips["humanoid3d_jump"].cut(0, 5))


@pytest.mark.parametrize("turned", [lambda point: (-point[2], point[1], point[0])])
def test_a_body_that_faces_along_z(
    clips: dict[str, MotionClip], humanoid: Skeleton, turned: Callable[[Any], Any]
) -> None:
    """Most BVH files: x is sideways."""
    other = replace(humanoid, offsets=tuple(map(turned, humanoid.offsets)), axes=tuple(map(turned, humanoid.axes)))
    assert other.lateral_axis() == 0
    around = turn(UP, torch.tensor(-math.pi / 2))
    clip = clips["humanoid3d_run"]
    back = around * torch.tensor([1.0, -1, -1, -1])
    rotations = multiply(multiply(around.expand_as(clip.rotations), clip.rotations), back.expand_as(clip.rotations))
    facing = MotionClip(
        (to_matrix(around) * clip.root_positions[:, None]).sum(-1), rotations, clip.frame_rate_hz, other
    )
    fitted = MotionTokenizer.fit([facing], config=tiny(other, codes=4), steps=2, batch_size=128, progress=False)
    assert fitted.evaluate([facing], [facing])["mpjpe_mm"] < 150
    wanted = to_features(clip, 2)
    assert torch.allclose(to_features(facing, 0)[:, [0, 3]], wanted[:, [0, 3]], atol=1e-4)


@pytest.mark.slow
def test_a_minute_of_training(
    clips: dict[str, MotionClip], held_out: list[MotionClip], known: list[MotionClip]
) -> None:
    """The last fifth of every clip at 72 bits per four frames, and a whole clip that was never seen."""
    figures = MotionTokenizer.fit(known, progress=False).evaluate(held_out, known)
    assert figures["mpjpe_mm"] < 48
    assert figures["mpjpe_mm"] < 0.85 * figures["pca_mpjpe_mm"]
    assert figures["root_drift_m_per_s"] < 0.35
    names = list(clips)
    without = [clip for name, clip in zip(names, known, strict=True) if name != "humanoid3d_dance_a"]
    unseen = MotionTokenizer.fit(without, progress=False).evaluate([clips["humanoid3d_dance_a"]])
    assert unseen["mpjpe_mm"] < 115
