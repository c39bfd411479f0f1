"""Checkpoints that every process writes its part of, while training goes on; and what goes on from them."""

import json

import pytest
import torch

from tests.training import worlds
from tokenmask.tensor_files import load_tensors
from tokenmask.training.sharded import NAMES, newest


@pytest.fixture
def corpus(tmp_path):
    worlds.write_corpus(tmp_path / "corpus")
    return tmp_path / "corpus"


def test_it_holds_what_one_file_holds_and_either_goes_on_from_the_other(corpus, tmp_path):
    whole, parts = ({"checkpoints": one, "ema": 0.5} for one in ("whole", "sharded"))
    worlds.make_trainer(corpus, steps=10, **whole).fit(tmp_path / "whole", progress=False)
    worlds.make_trainer(corpus, steps=10, **parts).fit(tmp_path / "parts", progress=False)
    expected, about = load_tensors(tmp_path / "whole/checkpoint.safetensors")
    _, found, said = newest(tmp_path / "parts")
    assert {f"task.{name}" for name in found} == set(expected) and said["step"] == 10 and said["task"] == about["task"]
    for name, value in found.items():
        assert torch.equal(value, expected[f"task.{name}"]), name
    assert (tmp_path / "parts/metrics.jsonl").read_bytes() == (tmp_path / "whole/metrics.jsonl").read_bytes()
    assert [path.name for path in (tmp_path / "parts/checkpoints").iterdir()] == ["step-00000010"]
    assert not (tmp_path / "parts/checkpoint.safetensors").exists()
    for name, kinds in {"a": (parts, whole), "b": (whole, parts), "c": (parts, parts)}.items():
        for steps, kind in zip((6, 10), kinds, strict=True):
            trainer = worlds.make_trainer(corpus, steps=10, **kind)
            worlds.fit_until(trainer, steps, tmp_path / name)
        _, there, _ = newest(tmp_path / name)
        assert all(torch.equal(there[key], value) for key, value in found.items()), name
        assert (tmp_path / name / "metrics.jsonl").read_bytes() == (tmp_path / "whole/metrics.jsonl").read_bytes()


def test_what_was_never_finished_is_taken_away_and_what_is_damaged_is_told(corpus, tmp_path):
    trainer = worlds.make_trainer(corpus, steps=4, checkpoints="sharded")
    trainer.fit(tmp_path / "run", progress=False)
    (tmp_path / "run/checkpoints/step-00000008").mkdir()
    trainer = worlds.make_trainer(corpus, steps=4, checkpoints="sharded")
    assert len(trainer.fit(tmp_path / "run", progress=False)) == 4
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == ["step-00000004"]
    (file,) = (tmp_path / "run/checkpoints/step-00000004").iterdir()
    data = file.read_bytes()
    file.write_bytes(data[:-1])
    with pytest.raises(ValueError, match=f"must hold the files that .*{NAMES} names, whole, but {file.name} is not"):
        newest(tmp_path / "run")
    file.write_bytes(b"\xff" * len(data))
    with pytest.raises(ValueError, match="must hold whole safetensors, but reading failed"):
        newest(tmp_path / "run")
    (tmp_path / "run" / NAMES).write_text(json.dumps({"format": 2}))
    with pytest.raises(ValueError, match=f"{NAMES} must name a checkpoint of this tokenmask"):
        newest(tmp_path / "run")


def test_a_full_disk_is_told_at_the_next_save(corpus, tmp_path, monkeypatch):
    import torch.distributed.checkpoint as dcp

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dcp.HuggingFaceStorageWriter, "write_data", full)
    trainer = worlds.make_trainer(corpus, steps=12, checkpoints="sharded")
    with pytest.raises(OSError, match=r"a checkpoint could not be written .*the one before it stands"):
        trainer.fit(tmp_path / "run", progress=False)
    assert newest(tmp_path / "run") is None
