"""Checkpoints, atomic files and the step loop: what is on disk is always whole, and a resumed run is the same run."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
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
from safetensors.torch import save_file
from torch import Tensor, nn

from tokenmask.fitting import (
    Interrupted,
    fit,
    load_optimizer_tensors,
    load_tensors,
    optimizer_tensors,
    save_tensors,
    step_generator,
    write_bytes_atomic,
    write_text_atomic,
    writing_atomically,
)
from tokenmask.nn.init import build
from tokenmask.processes import Processes

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


# The loop -------------------------------------------------------------------------------------------------------------


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
