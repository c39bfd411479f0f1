"""Motion codecs of others: features and codes are those of their published code, recorded; the rest by the contract.

``recorded/t2m.safetensors`` holds what github.com/EricGuo5513/momask-codes (process_file without its common body,
RVQVAE) and github.com/exitudio/MMM (VQVAE_251) gave for the motion and the weights that are drawn here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import tokenmask as tm
from tokenmask.modalities.motion import MotionClip
from tokenmask.modalities.motion.humanml import clip_of, joints_of
from tokenmask.modalities.motion.humanml_features import features_of
from tokenmask.modalities.published.motion_network import MotionVq
from tokenmask.modalities.published.t2m import T2mTokenizer
from tokenmask.testing import tokenizer_checks

from .contract import each_check, run_check

RECORDED = Path(__file__).parent / "recorded" / "t2m.safetensors"
REST = (
    *((0, 0.9, 0), (0.1, 0.82, 0), (-0.1, 0.82, 0), (0, 1.0, 0), (0.11, 0.45, 0), (-0.11, 0.45, 0), (0, 1.15, 0)),
    *((0.11, 0.05, 0), (-0.11, 0.05, 0), (0, 1.2, 0), (0.11, 0, 0.12), (-0.11, 0, 0.12), (0, 1.4, 0)),
    *((0.06, 1.35, 0), (-0.06, 1.35, 0), (0, 1.5, 0.08), (0.2, 1.36, 0), (-0.2, 1.36, 0), (0.22, 1.1, 0)),
    *((-0.22, 1.1, 0), (0.22, 0.85, 0.02), (-0.22, 0.85, 0.02)),
)
WIDTH, SIZE = 8, 32


def walk(frames: int = 53, pace: float = 0.03) -> Tensor:
    """Joints float64 [frames, 22, 3] of a body that sways, walks and turns."""
    time = torch.arange(frames, dtype=torch.float64)
    phase = torch.arange(66, dtype=torch.float64).view(22, 3) * 2.4
    body = torch.tensor(REST, dtype=torch.float64) + 0.03 * torch.sin(0.3 * time[:, None, None] + phase)
    cos, sin = (pace * time + 0.7).cos()[:, None], (pace * time + 0.7).sin()[:, None]
    x, y, z = body.unbind(-1)
    turned = torch.stack([cos * x + sin * z, y, cos * z - sin * x], -1)
    return turned + torch.stack([0.05 * time, 0 * time, 0.02 * time], -1)[:, None]


def weights(levels: int, seed: int = 0) -> dict[str, Tensor]:
    """A small network by the published names; one level as T2M-GPT and MMM have it, more as MoMask."""
    draw = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}

    def conv(name: str, wide: int, out: int, size: int) -> None:
        found[f"{name}.weight"] = torch.randn(out, wide, size, generator=draw) * 1.6 / (wide * size) ** 0.5
        found[f"{name}.bias"] = torch.randn(out, generator=draw) * 0.1

    conv("encoder.model.0", 263, WIDTH, 3)
    for stage in (2, 3):
        conv(f"encoder.model.{stage}.0", WIDTH, WIDTH, 4)
        conv(f"decoder.model.{stage}.2", WIDTH, WIDTH, 3)
        for block in range(3):
            for part in (f"encoder.model.{stage}.1", f"decoder.model.{stage}.0"):
                conv(f"{part}.model.{block}.conv1", WIDTH, WIDTH, 3)
                conv(f"{part}.model.{block}.conv2", WIDTH, WIDTH, 1)
    conv("encoder.model.4", WIDTH, WIDTH, 3)
    conv("decoder.model.0", WIDTH, WIDTH, 3)
    conv("decoder.model.4", WIDTH, WIDTH, 3)
    conv("decoder.model.6", WIDTH, 263, 3)
    for level in range(levels):
        name = "quantizer.codebook" if levels == 1 else f"quantizer.layers.{level}.codebook"
        found[name] = torch.randn(SIZE, WIDTH, generator=draw) * 2 / (level + 1)
    return found


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    return load_file(RECORDED)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Small codecs that see the walk around its mean."""
    features = features_of(walk())
    made = {}
    for levels in (1, 3):
        folder = made[levels] = tmp_path_factory.mktemp(f"levels{levels}")
        save_file(weights(levels), folder / "model.safetensors")
        np.save(folder / "mean.npy", features.mean(0).float().numpy())
        np.save(folder / "std.npy", (features.std(0) + 0.05).float().numpy())
    return made


@pytest.fixture(scope="module")
def tokenizer(folders: dict[int, Path]) -> T2mTokenizer:
    return tm.tokenizer("t2m", folders[3])  # type: ignore[return-value]


def test_features_are_those_of_the_published_code(recorded: dict[str, Tensor]) -> None:
    features = features_of(walk())
    assert features.shape == (52, 263)
    torch.testing.assert_close(features[::12].float(), recorded["features"], rtol=1e-5, atol=1e-5)
    points = joints_of(features)
    distances = (points[10:12, 3:9, None] - points[10:12, None, 3:9]).norm(dim=-1)
    wanted = (walk()[10:12, 3:9, None] - walk()[10:12, None, 3:9]).norm(dim=-1)
    torch.testing.assert_close(distances, wanted, rtol=1e-9, atol=1e-9)  # the body is the same
    with pytest.raises(ValueError, match="two frames or more, got 1"):
        features_of(walk(1))


@pytest.mark.parametrize("levels", [1, 3])
@torch.no_grad()
def test_codes_and_features_are_those_of_the_published_network(levels: int, recorded: dict[str, Tensor]) -> None:
    """At a thousandth of the largest, as convolutions of another processor may sum otherwise; codes are equal."""
    network = MotionVq(weights(levels))
    x = (features_of(walk()) - features_of(walk()).mean(0)).float() * 4
    codes = network.codes(x.T[None])
    assert torch.equal(codes.int(), recorded[f"codes{levels}"]) and len(codes.unique()) > 4
    torch.testing.assert_close(network.features(codes)[::12], recorded[f"made{levels}"], rtol=1e-5, atol=1e-5)
    assert (network.width, network.frames, network.sizes) == (263, 4, (SIZE,) * levels)


@each_check
def test_contract(name: str, tokenizer: T2mTokenizer) -> None:
    fast = clip_of(walk(40))
    items = [clip_of(walk(21)), clip_of(walk(1)), MotionClip(fast.root_positions, fast.rotations, 40.0, fast.skeleton)]
    run_check(name, list(tokenizer_checks(tokenizer, items, suffix=".safetensors")))


def test_what_the_codes_mean(tokenizer: T2mTokenizer, folders: dict[int, Path]) -> None:
    spec = tokenizer.spec
    assert (spec.modality, spec.codebook_sizes, spec.rate_hz, spec.level_groups) == (
        "motion",
        (32,) * 3,
        5.0,
        ((0, 1, 2),),
    )
    one = tm.tokenizer("t2m", folders[1])
    assert one.spec.codebook_sizes == (32,) and one.spec.fingerprint != spec.fingerprint
    clip = clip_of(walk())
    two = tm.tokenizer("t2m", folders[3], levels=2)
    assert torch.equal(two.encode(clip).codes, tokenizer.encode(clip).codes[:, :2])
    assert tokenizer.encode(clip).codes.shape == (14, 3)
    figures = tokenizer.evaluate([clip])
    assert figures["mpjpe_mm"] > 1 and 0 < figures["codes_used_share"] <= 1


def test_kept_frames_are_those_of_the_given_clip(tokenizer: T2mTokenizer) -> None:
    clip = clip_of(walk(24))
    stream = tokenizer.encode(clip)
    keep = torch.tensor([True, True, False, False, True, True])
    made = tokenizer.decode(stream, given=clip, keep=keep)
    frames = keep.repeat_interleave(4)
    assert torch.equal(made.root_positions[frames], clip.root_positions[frames])
    assert torch.equal(made.rotations[frames], clip.rotations[frames]) and made.skeleton == clip.skeleton
    assert not torch.allclose(made.rotations[~frames], clip.rotations[~frames], atol=1e-2)


def test_what_cannot_be_is_one_sentence(tokenizer: T2mTokenizer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must hold weights as safetensors \(model\.safetensors"):
        tm.tokenizer("t2m", tmp_path)
    (tmp_path / "net_best_fid.tar").write_bytes(b"")
    with pytest.raises(ValueError, match=r"as pickle only \(net_best_fid\.tar\).* trust it: save_file\(torch"):
        tm.tokenizer("t2m", tmp_path)
    save_file({**weights(1), "decoder.model.9.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"must hold mean\.npy and std\.npy beside .* but does not; copy them"):
        tm.tokenizer("t2m", tmp_path)
    for name in ("mean", "std"):
        (tmp_path / f"{name}.npy").write_bytes(b"no array")
    with pytest.raises(
        ValueError, match=r"mean\.npy must hold the mean of each feature, but cannot be read \(.*; copy"
    ):
        tm.tokenizer("t2m", tmp_path)
    for name in ("mean", "std"):
        np.save(tmp_path / f"{name}.npy", np.ones(263, np.float32))
    with pytest.raises(ValueError, match=r"has no place for the tensor decoder\.model\.9\.weight; take the weights of"):
        tm.tokenizer("t2m", tmp_path)
    save_file(weights(1), tmp_path / "model.safetensors")
    np.save(tmp_path / "std.npy", np.ones(251, np.float32))
    with pytest.raises(ValueError, match=r"sees 263 features, got \[251, 263\]; take one of that data"):
        tm.tokenizer("t2m", tmp_path)
    clip = clip_of(walk(8))
    few = MotionClip(clip.root_positions, clip.rotations[:, :3], 20.0, type(clip.skeleton)(
        clip.skeleton.names[:3], clip.skeleton.parents[:3], clip.skeleton.offsets[:3], ("ball",) * 3, ((0.0,) * 3,) * 3
    ))  # fmt: skip
    with pytest.raises(ValueError, match=r"codes the 22 joints of SMPL, but this skeleton lacks spine1, left_knee"):
        tokenizer.encode(few)
