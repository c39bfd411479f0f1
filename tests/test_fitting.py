"""The step loop and its checkpoints: a resumed run is the same run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tokenmask.fitting import Interrupted, fit, load_optimizer_tensors, optimizer_tensors, step_generator
from tokenmask.nn.init import build
from tokenmask.processes import Processes
from tokenmask.tensor_files import load_tensors, save_tensors

STEPS = 60


class Regression:
    """A small network with AdamW: the shape of every real task."""

    def __init__(self, seed: int = 0, rate: float = 1e-2) -> None:
        self.seed = seed
        self.model = build(lambda: nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 1)), seed)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=rate)

    def step(self, index: int) -> dict[str, float]:
        x = torch.randn(16, 8, generator=step_generator(self.seed, index))
        loss = (self.model(x).squeeze(1) - x.square().sum(1)).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.item(), "norm": next(self.model.parameters()).norm().item()}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        model = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        return model | optimizer_tensors(self.optimizer), {"seed": self.seed}

    def load_state(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        if about["seed"] != self.seed:
            raise ValueError(f"the checkpoint has seed {about['seed']}, got {self.seed}; use another folder")
        own = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
        self.model.load_state_dict(own)
        load_optimizer_tensors(self.optimizer, tensors)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_loss_falls_and_metrics_are_one_line_a_step(tmp_path: Path) -> None:
    seen: list[int] = []
    history = fit(Regression(), steps=STEPS, folder=tmp_path, progress=False, on_step=lambda i, _: seen.append(i))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line.pop("step") for line in lines] == seen == list(range(STEPS))
    assert lines == history
    assert history[-1]["loss"] < history[0]["loss"]
    assert sorted(files(tmp_path)) == ["checkpoint.safetensors", "metrics.jsonl"]
    assert history == fit(Regression(), steps=STEPS, progress=False)


@pytest.mark.parametrize("stop", [1, 7, 20, 59, STEPS])
def test_resume_is_the_same_run(tmp_path: Path, stop: int) -> None:
    class Stop(Exception):
        pass

    def leave(index: int, _: dict[str, float]) -> None:
        if index + 1 == stop:
            raise Stop

    whole = fit(Regression(), steps=STEPS, folder=tmp_path / "whole", checkpoint_every=7, progress=False)
    with pytest.raises(Stop):
        fit(Regression(), steps=STEPS, folder=tmp_path / "cut", checkpoint_every=7, progress=False, on_step=leave)
    again = fit(Regression(), steps=STEPS, folder=tmp_path / "cut", checkpoint_every=7, progress=False)
    assert again == whole
    assert files(tmp_path / "cut") == files(tmp_path / "whole")
    task = Regression()
    assert fit(task, steps=STEPS, folder=tmp_path / "cut", progress=False) == whole  # finished: only loads
    assert all(torch.equal(a, b) for a, b in zip(task.state()[0].values(), task.state()[0].values(), strict=True))


def test_first_ctrl_c_ends_the_step_and_keeps_a_checkpoint(tmp_path: Path) -> None:
    class Pressed(Regression):
        def step(self, index: int) -> dict[str, float]:
            if index == 11:
                os.kill(os.getpid(), signal.SIGINT)
            return super().step(index)

    whole = fit(Regression(), steps=STEPS, folder=tmp_path / "whole", progress=False)
    with pytest.raises(Interrupted, match=r"after 12 of 60 steps .*holds step 12\); run the same command again"):
        fit(Pressed(), steps=STEPS, folder=tmp_path / "cut", progress=False)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert fit(Regression(), steps=STEPS, folder=tmp_path / "cut", progress=False) == whole
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_second_ctrl_c_stops_inside_the_step(tmp_path: Path) -> None:
    class Pressed(Regression):
        def step(self, index: int) -> dict[str, float]:
            if index == 11:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
            return super().step(index)

    with pytest.raises(Interrupted, match=r"after 11 of 60 steps .*holds step 10\)"):
        fit(Pressed(), steps=STEPS, folder=tmp_path, checkpoint_every=10, progress=False)
    with pytest.raises(Interrupted, match="nothing was kept"):
        fit(Pressed(), steps=STEPS, progress=False)
    assert len(fit(Regression(), steps=STEPS, folder=tmp_path, progress=False)) == STEPS


def test_a_loss_that_is_not_finite_stops(tmp_path: Path) -> None:
    class Diverges(Regression):
        def step(self, index: int) -> dict[str, float]:
            return super().step(index) | ({"loss": float("nan")} if index == 25 else {})

    with pytest.raises(ValueError, match=r"loss is nan at step 25 .*holds step 20\); try a lower learning rate"):
        fit(Diverges(), steps=STEPS, folder=tmp_path, checkpoint_every=10, progress=False)
    assert load_tensors(tmp_path / "checkpoint.safetensors")[1]["step"] == 20


def test_folders_that_cannot_be_resumed_are_refused(tmp_path: Path) -> None:
    fit(Regression(), steps=10, folder=tmp_path, progress=False)
    with pytest.raises(ValueError, match="beyond the 5 asked for"):
        fit(Regression(), steps=5, folder=tmp_path, progress=False)
    with pytest.raises(ValueError, match="seed 0, got 1"):
        fit(Regression(seed=1), steps=20, folder=tmp_path, progress=False)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    (tmp_path / "metrics.jsonl").write_bytes(before[:-30])
    with pytest.raises(ValueError, match="must hold the 10 steps"):
        fit(Regression(), steps=20, folder=tmp_path, progress=False)
    (tmp_path / "metrics.jsonl").write_bytes(before)
    save_tensors(tmp_path / "checkpoint.safetensors", {}, {"other": 1})
    with pytest.raises(ValueError, match="must be a checkpoint of a fit"):
        fit(Regression(), steps=20, folder=tmp_path, progress=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="must be a folder"):
        fit(Regression(), steps=20, folder=tmp_path / "file", progress=False)


def test_one_run_at_a_time_in_a_folder(tmp_path: Path) -> None:
    def again(index: int, _: dict[str, float]) -> None:
        with pytest.raises(ValueError, match="another process is fitting"):
            fit(Regression(), steps=3, folder=tmp_path, progress=False)

    fit(Regression(), steps=2, folder=tmp_path, progress=False, on_step=again)


def test_a_process_that_only_takes_part_writes_nothing(tmp_path: Path) -> None:
    fit(Regression(), steps=10, folder=tmp_path, progress=False)
    before = files(tmp_path)
    history = fit(Regression(), steps=20, folder=tmp_path, progress=False, processes=Processes(rank=1))
    assert history == fit(Regression(), steps=20, progress=False)
    assert files(tmp_path) == before


def test_progress_is_a_line_for_each_tenth(capfd: pytest.CaptureFixture[str]) -> None:
    fit(Regression(), steps=30, label="small net")
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 10
    assert err.splitlines()[-1].startswith("small net: step 30 of 30  loss ")


def test_a_bar_on_a_terminal_leaves_the_global_generator_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    before = random.getstate()
    history = fit(Regression(), steps=30)
    time.sleep(0.2)  # the bar's thread redraws ten times a second
    assert len(history) == 30 and random.getstate() == before


def test_optimizer_state_of_another_model_is_refused() -> None:
    task = Regression()
    task.step(0)
    state = optimizer_tensors(task.optimizer)
    assert sorted(state)[:3] == ["optimizer.0.exp_avg", "optimizer.0.exp_avg_sq", "optimizer.0.step"]
    for inputs, outputs in ((3, 2), (8, 5)):
        other = build(partial(nn.Linear, inputs, outputs), 0)
        with pytest.raises(ValueError, match="resume the same model"):
            load_optimizer_tensors(torch.optim.AdamW(other.parameters()), state)


def test_step_generators_differ_by_seed_step_and_purpose() -> None:
    draws = [torch.rand(4, generator=step_generator(*key)) for key in ((0, 0), (0, 1), (1, 0), (0, 0, "flip"))]
    assert len({tuple(draw.tolist()) for draw in draws}) == 4
    assert torch.equal(draws[0], torch.rand(4, generator=step_generator(0, 0)))


def kill_many(folder: Path, kills: int) -> None:
    """Runs in a process of its own that has done no parallel work: forks warm children and kills them at random."""
    torch.set_num_threads(1)
    draw = random.Random(0)
    steps, every = 120, 5

    def child(place: Path) -> int:
        process = os.fork()
        if process == 0:
            fit(Regression(), steps=steps, folder=place, checkpoint_every=every, progress=False)
            os._exit(0)
        return process

    os.waitpid(child(folder / "whole"), 0)
    whole = files(folder / "whole")
    done, number = 0, 0
    while done < kills or number:
        place = folder / f"cut{number}"
        process = child(place)
        if done < kills:
            time.sleep(draw.uniform(0.002, 0.06))
            os.kill(process, signal.SIGKILL)
        status = os.waitpid(process, 0)[1]
        if os.WIFSIGNALED(status):
            done += 1
            checkpoint = place / "checkpoint.safetensors"
            if checkpoint.exists():
                load_tensors(checkpoint)
            continue
        if status or files(place) != whole:
            raise SystemExit(f"{place} differs from the run that was never stopped")
        if done >= kills:
            break
        number += 1


def test_killed_at_any_moment_and_resumed_it_is_the_same_run(tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, __file__, str(tmp_path), "25"], check=True, timeout=120, env=environment)


if __name__ == "__main__":
    kill_many(Path(sys.argv[1]), int(sys.argv[2]))
