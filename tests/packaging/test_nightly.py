"""The nightly run goes on after a step that fails, and says at its end what failed and what was not run."""

import os
import shutil
import subprocess
from pathlib import Path

NIGHTLY = Path(__file__).parents[2] / ".ci" / "nightly"
BASICS = ("bash", "env", "dirname", "date", "tee", "grep", "mkdir")


def night(place: Path, tests: str, programs: dict[str, str]) -> tuple[int, list[str], list[str]]:
    """Exit code, the last lines, and what make was asked for, where all that exists are these programs."""
    (place / ".ci").mkdir(parents=True)
    shutil.copy(NIGHTLY, place / ".ci")
    note = f'#!/bin/bash\necho "$@" >> {place}/asked\n'
    files = {".venv/bin/python": f"{note}{tests}", **{f"bin/{name}": note + text for name, text in programs.items()}}
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    for name in BASICS:
        (place / "bin" / name).symlink_to(shutil.which(name))
    environment = {"PATH": str(place / "bin"), "DAMAGED": "7", "SEED": "5", "HOME": os.environ["HOME"]}
    done = subprocess.run(
        [place / "bin/bash", place / ".ci/nightly"], env=environment, capture_output=True, text=True, check=False
    )
    told = [line for line in done.stdout.splitlines() if line.startswith(("failed: ", "not run: "))]
    return done.returncode, told, (place / "asked").read_text().splitlines()


def test_what_failed_and_what_was_not_run_is_named(tmp_path: Path) -> None:
    broken = {"make": "[ $1 != sanitize ]"}
    code, told, asked = night(tmp_path, 'echo "SKIPPED [1] tests/x.py:3: no index"; exit 1', broken)
    assert code == 1
    assert told == [
        "not run: slow test: [1] tests/x.py:3: no index",
        "not run: make arm: no ARM cross compiler is on the path",
        "not run: make kernels: nvcc is not on the path, so CUDA kernels were only emulated",
        "not run: tests that need a CUDA device: there is none",
        "failed: .venv/bin/python -m pytest -m slow -rs --damaged 7 --damaged-seed 5",
        "failed: make sanitize",
    ]
    assert asked == [
        "all",
        "-m pytest -m slow -rs --damaged 7 --damaged-seed 5",
        "hub",
        "play",
        "sanitize",
        "cuda-emulated-long",
    ]


def test_a_night_in_which_all_was_run_says_nothing(tmp_path: Path) -> None:
    programs = dict.fromkeys(("make", "aarch64-linux-gnu-g++", "qemu-aarch64", "nvcc", "nvidia-smi"), "exit 0")
    assert night(tmp_path / "all", "exit 0", programs)[:2] == (0, [])
    del programs["qemu-aarch64"]
    told = ["not run: make arm was compiled, not run: qemu-aarch64 is not on the path"]
    code, said, asked = night(tmp_path / "some", "exit 0", programs)
    assert (code, said) == (0, told) and "arm" in asked


def test_a_build_that_fails_ends_the_night(tmp_path: Path) -> None:
    assert night(tmp_path, "exit 0", {"make": "exit 1"}) == (1, [], ["all"])
