"""The commands of docs/processes-and-memory.md, run as they stand there, and Ctrl-C under torchrun."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tokenmask as tm
from tests.training.test_parallel import metrics
from tokenmask import data
from tokenmask.tensor_files import load_tensors

ROOT = Path(__file__).parents[2]
SETTINGS = os.environ | {"OMP_NUM_THREADS": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
COMMANDS = [
    line
    for block in re.findall(r"```console\n(.*?)```", (ROOT / "docs/processes-and-memory.md").read_text(), re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every command of the page was run, in their order."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "lines.txt").write_text("\n".join(data.gospel_verses()[:200]) + "\n")
    for command in COMMANDS:
        done = subprocess.run(
            shlex.split(command), cwd=folder, env=SETTINGS, capture_output=True, text=True, timeout=240
        )
        assert not done.returncode, f"{command}\n{done.stderr}"
        assert not command.startswith("torchrun") or done.stdout.count("parameters") == 1, done.stdout
    return folder


def test_the_page_has_runs_of_one_and_of_two_processes(place):
    assert sum(command.startswith("torchrun --standalone --nproc-per-node 2") for command in COMMANDS) == 2
    assert {path.name for path in (place / "runs").iterdir()} == {"one", "two", "sharded"}


@pytest.mark.parametrize("name", ["two", "sharded"])
def test_they_train_alike(place, name):
    one, other = metrics(place / "runs/one"), metrics(place / "runs" / name)
    assert len(one) == len(other) == 20
    for step in range(10):
        assert other[step] == pytest.approx(one[step], rel=2e-5)
    assert other[-1]["loss"] == pytest.approx(one[-1]["loss"], rel=1e-3)
    expected, ours = (tm.load(place / "runs" / folder).held_out_scores(draws=1) for folder in ("one", name))
    assert [score.cross_entropy for score in ours] == pytest.approx([s.cross_entropy for s in expected], rel=1e-3)


def test_ctrl_c_under_torchrun_leaves_a_run_that_goes_on(place):
    words = shlex.split(COMMANDS[2].replace("runs/two", "runs/stopped"))
    folder = place / "runs/stopped"
    more = ["--set", "training.steps=100000"]
    process = subprocess.Popen([*words, *more], cwd=place, env=SETTINGS, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (folder / "metrics.jsonl").exists() or (folder / "metrics.jsonl").stat().st_size < 2000:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode and errors.count("run the same command again to go on") == 1, errors
    step = load_tensors(folder / "checkpoint.safetensors")[1]["step"]
    assert step == len(metrics(folder)) > 2
