"""Motion files in pieces: the codes and the frames of the whole, whatever the size of the pieces."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.modalities.bvh.bodies import JOINTS, with_z_up
from tokenmask.modalities.motion import MotionClip, Skeleton, bvh_frames, long, upright
from tokenmask.run import Run, load
from tokenmask.tokenizer import ReadsFiles, WritesFiles


@pytest.fixture(scope="module")
def run() -> Run:
    return load()


@pytest.fixture
def motion(run: Run, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tokenizer that ships, with pieces so small that seconds have several."""
    monkeypatch.setattr(bvh_frames, "AT_ONCE", 37)
    monkeypatch.setattr(long, "_BLOCK", 44)
    monkeypatch.setattr(upright, "_FRAMES", 50)
    return run.tokenizers["motion"]


def walked(skeleton: Skeleton, frames: int, rate: float) -> MotionClip:
    """A path that sways, and joints that swing a little, each in a way of its own."""
    draw = torch.Generator().manual_seed(frames)
    time = torch.arange(frames)[:, None] / rate
    root = torch.cat([time.sin(), 0.9 + 0.02 * (5 * time).sin(), 0.8 * time], 1)
    fast, wide = torch.rand(2, len(skeleton), generator=draw)
    swing = 0.3 * wide * (time * (1 + 3 * fast)).sin()
    axes = torch.zeros(frames, len(skeleton), 3)
    axes[..., 0] = swing.sin()
    rotations = torch.cat([swing.cos()[..., None], axes], -1)
    for joint, (kind, axis) in enumerate(zip(skeleton.kinds, skeleton.axes, strict=True)):
        if kind == "fixed":
            rotations[:, joint] = torch.tensor([1.0, 0, 0, 0])
        elif kind == "hinge":
            rotations[:, joint, 1:] = swing[:, joint].sin()[:, None] * torch.tensor(axis)
    return MotionClip(root, rotations, rate, skeleton)


def person() -> Skeleton:
    """Another body, with other names and joints."""
    parents, places = zip(*JOINTS.values(), strict=True)
    kinds = ("ball",) * len(JOINTS)
    return Skeleton(tuple(JOINTS), parents, places, kinds, ((0.0, 0.0, 0.0),) * len(JOINTS))


def files(motion: Any, folder: Path) -> dict[str, Path]:
    own = motion.config.skeleton()
    walked(own, 250, 30.0).save(folder / "own.bvh")
    walked(own, 187, 30.0).save(folder / "own.safetensors")
    walked(own, 3 * 37, 24.0).save(folder / "slow.bvh")
    walked(person(), 301, 100.0).save(folder / "other.bvh")
    text = (folder / "other.bvh").read_text()
    (folder / "z.bvh").write_text(with_z_up(text).replace("Frames: 301", "Frames: 602"))
    (folder / "lies.bvh").write_text((folder / "own.bvh").read_text().replace("Frames: 250", "Frames: 251"))
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["own.bvh", "own.safetensors", "slow.bvh", "other.bvh", "z.bvh", "lies.bvh"])
def test_codes_and_warnings_are_those_of_the_whole(motion: Any, tmp_path: Path, name: str) -> None:
    path = files(motion, tmp_path)[name]
    with warnings.catch_warnings(record=True) as whole:
        warnings.simplefilter("always")
        expected = motion.encode(MotionClip.load(path))
    shown: list[tuple[float, float]] = []
    with warnings.catch_warnings(record=True) as pieces:
        warnings.simplefilter("always")
        stream = motion.encode_file(path, show=lambda *seconds: shown.append(seconds))
    assert isinstance(motion, ReadsFiles)
    assert torch.equal(stream.codes, expected.codes) and stream.spec == expected.spec
    assert sorted(str(one.message) for one in pieces) == sorted(str(one.message) for one in whole)
    assert shown == sorted(shown) and shown[-1][0] == shown[-1][1]
    words = {"z.bvh": "z, which was turned up", "lies.bvh": "announces 251 frames", "other.bvh": "retargeted"}
    assert any(words.get(name, "") in str(one.message) for one in pieces) or name.startswith("own")


def test_only_pieces_of_a_file_are_in_memory(motion: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = files(motion, tmp_path)
    lengths: set[int] = set()
    made = MotionClip.__post_init__
    monkeypatch.setattr(MotionClip, "__post_init__", lambda self: lengths.add(len(self)) or made(self))
    stream = motion.encode_file(paths["own.bvh"])
    motion.decode_file(stream, tmp_path / "made.bvh")
    assert max(lengths) <= 44 + 2


def test_options_of_a_file_are_those_of_load(motion: Any, tmp_path: Path) -> None:
    path = files(motion, tmp_path)["own.bvh"]
    options = {"up": "z", "units_per_metre": 60.0}
    expected = motion.encode(MotionClip.load(path, **options))
    assert torch.equal(motion.encode_file(path, **options).codes, expected.codes)
    assert not torch.equal(motion.encode_file(path).codes, expected.codes)
    with pytest.raises(ValueError, match="up must be one of"):
        motion.encode_file(path, up="w")


def test_files_that_are_no_motion_are_refused_as_by_load(motion: Any, tmp_path: Path) -> None:
    text = files(motion, tmp_path)["own.bvh"].read_text()
    (tmp_path / "none.bvh").write_text("HIERARCHY\nnothing")
    lines = text.splitlines()
    (tmp_path / "cut.bvh").write_text("\n".join(lines[:-250]))
    (tmp_path / "wild.bvh").write_text("\n".join([*lines[:-100], lines[-100].replace(lines[-100].split()[9], "1e9")]))
    (tmp_path / "short.bvh").write_text("\n".join(lines[:-249]).replace("Frames: 250", "Frames: 1"))
    for name in ("none.bvh", "cut.bvh", "wild.bvh", "absent.bvh", "short.bvh"):
        with pytest.raises(ValueError) as whole, warnings.catch_warnings(action="ignore"):
            motion.encode(MotionClip.load(tmp_path / name))
        with pytest.raises(ValueError) as pieces, warnings.catch_warnings(action="ignore"):
            motion.encode_file(tmp_path / name)
        assert str(pieces.value) == str(whole.value)


@pytest.mark.parametrize("suffix", [".bvh", ".safetensors"])
@pytest.mark.parametrize("codes", [1, 11, 60])
def test_decoded_files_are_those_of_the_whole(motion: Any, tmp_path: Path, codes: int, suffix: str) -> None:
    clip = walked(motion.config.skeleton(), 4 * codes, 30.0)
    stream = motion.encode(clip)
    shown: list[tuple[float, float]] = []
    motion.decode_file(stream, tmp_path / f"pieces{suffix}", show=lambda *seconds: shown.append(seconds))
    motion.decode(stream).save(tmp_path / f"whole{suffix}")
    assert isinstance(motion, WritesFiles) and shown[-1] == (4 * codes / 30,) * 2
    assert (tmp_path / f"pieces{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()


@pytest.mark.parametrize("holes", [[(0, 8)], [(5, 9)], [(20, 62)], [(3, 4), (5, 6), (30, 40)], [(0, 63)], []], ids=str)
def test_what_is_kept_is_that_of_the_whole(motion: Any, tmp_path: Path, holes: list[tuple[int, int]]) -> None:
    path = files(motion, tmp_path)["own.bvh"]  # 250 frames, 63 codes
    stream = motion.encode(walked(motion.config.skeleton(), 252, 30.0).mirrored())
    keep = torch.ones(63, dtype=torch.bool)
    for start, stop in holes:
        keep[start:stop] = False
    motion.decode_file(stream, tmp_path / "pieces.bvh", given=path, keep=keep)
    motion.decode(stream, given=MotionClip.load(path), keep=keep).save(tmp_path / "whole.bvh")
    assert (tmp_path / "pieces.bvh").read_bytes() == (tmp_path / "whole.bvh").read_bytes()


def test_wrong_wishes_are_refused(motion: Any, tmp_path: Path) -> None:
    path = files(motion, tmp_path)["own.bvh"]
    stream = motion.encode(walked(motion.config.skeleton(), 40, 30.0))
    before = set(tmp_path.iterdir())
    with pytest.raises(ValueError, match="given and keep belong together"):
        motion.decode_file(stream, tmp_path / "made.bvh", given=path)
    with pytest.raises(ValueError, match="no more frames than the stream, got 252 for 40; cut it"):
        motion.decode_file(stream, tmp_path / "made.bvh", given=path, keep=torch.ones(10, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"must end in \.bvh or \.safetensors, got 'made\.fbx'"):
        motion.decode_file(stream, tmp_path / "made.fbx")
    assert set(tmp_path.iterdir()) == before


def test_an_edited_file_is_that_of_edit(run: Run, motion: Any, tmp_path: Path) -> None:
    path = files(motion, tmp_path)["other.bvh"]
    options = {"steps": 2, "seed": 3}
    with warnings.catch_warnings(action="ignore"):
        run.edit(path, [(1.0, 1.3)], stream="motion", **options)[0].save(tmp_path / "whole.bvh")
        run.edit_file(path, [tmp_path / "pieces.bvh"], [(1.0, 1.3)], stream="motion", **options)
    assert (tmp_path / "pieces.bvh").read_bytes() == (tmp_path / "whole.bvh").read_bytes()
