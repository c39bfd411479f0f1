"""Files, whole or not at all: what is damaged is noticed, what cannot be written leaves what was there."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tokenmask.files import write_bytes_atomic, write_text_atomic, writing_atomically
from tokenmask.tensor_files import load_tensors, save_tensors


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# Tensor files ---------------------------------------------------------------------------------------------------------


def some_tensors() -> dict[str, Tensor]:
    base = torch.arange(12, dtype=torch.float32)
    return {
        "half": torch.linspace(-1, 1, 5).bfloat16(),
        "view": base[3:6],
        "tied": base[3:6],
        "turned": base.view(3, 4).T,
        "scalar": torch.tensor(7, dtype=torch.int64),
        "none": torch.empty(0, 3),
        "bits": torch.tensor([True, False]),
    }


def test_tensors_and_description_come_back(tmp_path: Path) -> None:
    about = {"steps": 3, "name": "ü\u2028", "nested": [1.5, None, {"a": True}]}
    save_tensors(tmp_path / "new" / "a.safetensors", some_tensors(), about)
    tensors, got = load_tensors(tmp_path / "new" / "a.safetensors")
    assert got == about
    assert tensors.keys() == some_tensors().keys()
    for name, value in some_tensors().items():
        assert tensors[name].dtype == value.dtype
        assert torch.equal(tensors[name], value)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.safetensors"]


def test_equal_contents_give_equal_files(tmp_path: Path) -> None:
    save_tensors(tmp_path / "a", {"x": torch.ones(3), "y": torch.zeros(2)}, {"p": 1, "q": 2})
    save_tensors(tmp_path / "b", {"y": torch.zeros(2), "x": torch.ones(3)}, {"q": 2, "p": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"weight": torch.arange(40.0), "b": torch.ones(3, dtype=torch.int32)}, {"step": 3})
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x11]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"use a backup|use the version") as caught:
            load_tensors(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_cut_file_is_noticed(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"weight": torch.arange(400.0)}, {})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match="not a whole tokenmask tensor file"):
        load_tensors(path)


def test_missing_foreign_and_newer_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is none"):
        load_tensors(tmp_path / "absent")
    save_file({"x": torch.ones(2)}, tmp_path / "foreign")
    with pytest.raises(ValueError, match="not a whole tokenmask tensor file"):
        load_tensors(tmp_path / "foreign")
    header = {"format": 2, "sha256": "", "about": "{}"}
    save_file({"x": torch.ones(2)}, tmp_path / "newer", metadata={"tokenmask": json.dumps(header)})
    with pytest.raises(ValueError, match="has format 2"):
        load_tensors(tmp_path / "newer")
    with pytest.raises(ValueError, match="JSON"):
        save_tensors(tmp_path / "nan", {}, {"loss": float("nan")})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign", "newer"]


# Atomic files ---------------------------------------------------------------------------------------------------------


def test_text_and_bytes_are_replaced_whole(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "a.txt", "one\r\ntwo\n")
    write_bytes_atomic(tmp_path / "a.txt", b"three")
    assert files(tmp_path) == {"a.txt": b"three"}


def test_a_failing_writer_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_text_atomic(path, "old")
    with pytest.raises(RuntimeError, match="stopped"), writing_atomically(path) as partial:
        partial.write_text("new")
        raise RuntimeError("stopped")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"a\.txt could not be written \(No space left on device\)"):
        write_text_atomic(path, "new")
    with pytest.raises(OSError, match="No space left"):
        save_tensors(path, {"x": torch.ones(2)}, {})
    assert files(tmp_path) == {"a.txt": b"old"}


def test_a_file_too_large_for_the_disk_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"x": torch.ones(2)}, {})
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, limits[1]))
    try:
        with pytest.raises(OSError, match=r"a\.safetensors could not be written"):
            save_tensors(path, {"x": torch.ones(100_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert files(tmp_path) == {"a.safetensors": before}
