"""One of four processes is killed: torchrun starts them again, and the run has the bytes of one that nobody killed."""

from pathlib import Path

import pytest
import torch

from tests.training import worker, worlds
from tests.training.test_parallel import PARTS, RTOL, launch, metrics
from tokenmask.processes import Processes
from tokenmask.tensor_files import load_tensors
from tokenmask.training.sharded import newest


@pytest.mark.slow
def test_four_processes_go_on_when_one_is_killed(tmp_path: Path) -> None:
    worlds.write_corpus(tmp_path / "corpus")
    whole = {"name": "whole", "steps": 12}
    killed = [
        {**whole, "name": "killed", "kill_at": 6, "once": True},
        {**PARTS, "name": "killed-parts", "kill_at": 9, "once": True},
    ]
    done = launch(tmp_path, "jobs", [whole, *killed], 4, "--max-restarts", "2")
    assert not done.returncode, done.stderr
    assert all((tmp_path / f"{job['name']}.killed").exists() for job in killed) and "exitcode: -9" in done.stderr
    assert worlds.files(tmp_path / "killed") == worlds.files(tmp_path / "whole")
    expected, about = load_tensors(tmp_path / "whole/checkpoint.safetensors")
    _, tensors, said = newest(tmp_path / "killed-parts")
    assert said["task"] == about["task"] and len(said["files"]) == 4
    for name, value in tensors.items():
        other = expected[f"task.{name}"]
        assert torch.allclose(value, other, atol=1e-3 * float(other.abs().max()) + 1e-6), name
    # Three processes, then one, go on from what four left: the same data, losses to rounding.
    worker.run(tmp_path, {**whole, "name": "alone", "steps": 12}, Processes())
    assert not launch(tmp_path, "four", [{**PARTS, "name": "fewer", "until": 4}], 4).returncode
    assert not launch(tmp_path, "three", [{**whole, "name": "fewer", "until": 8}], 3).returncode
    worker.run(tmp_path, {**whole, "name": "fewer"}, Processes())
    for name in ("killed", "killed-parts", "fewer"):
        found, other = metrics(tmp_path / name), metrics(tmp_path / "alone")
        assert len(found) == len(other) == 12
        for step, (one, two) in enumerate(zip(found, other, strict=True)):
            assert one == pytest.approx(two, rel=4 * RTOL, abs=1e-7), f"{name}, step {step}"
