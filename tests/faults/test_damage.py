"""Damaged and hostile files end in a sentence or in something valid: no crash, no hang, no other error."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.crew import damaged
from tests.faults.formats import FORMATS
from tests.faults.hostile import CASES

ROOT = Path(__file__).parents[2]
LENIENT = {"channels of BIDS"}  # what stands beside a recording and cannot be understood says nothing of it


def output_of(*words: str) -> tuple[list[dict[str, Any]], str]:
    """The lines that a program of this folder prints, and how it ended."""
    command = [sys.executable, "-m", *words]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return lines, f"code {result.returncode}: {result.stderr[-3000:]}"


@pytest.fixture(scope="module")
def some() -> dict[str, dict[str, Any]]:
    return damaged(FORMATS, 60, processes=1)  # the suite itself runs in two


@pytest.mark.parametrize("name", FORMATS)
def test_sixty_damaged_files(name: str, some: dict[str, dict[str, Any]]) -> None:
    found = some[name]
    assert "ended" not in found, f"reading one of them ended the process, {found['ended']}"
    assert found["wrong"] == [] and found["read"] + found["refused"] == 60
    assert found["refused"] > 0 or name in LENIENT


def count_of(config: pytest.Config) -> tuple[int, int]:
    return config.getoption("--damaged"), config.getoption("--damaged-seed")


@pytest.fixture(scope="module")
def many(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """All formats whose test was asked for, in two processes side by side."""
    asked = [item for item in request.session.items if getattr(item, "originalname", "") == "test_many_damaged_files"]
    names = [item.callspec.params["name"] for item in asked]  # type: ignore[attr-defined]
    return damaged(names, *count_of(request.config))


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_many_damaged_files(name: str, many: dict[str, dict[str, Any]], pytestconfig: pytest.Config) -> None:
    found, (count, _) = many[name], count_of(pytestconfig)
    assert "ended" not in found, f"reading one of them ended the process, {found['ended']}"
    assert found["wrong"] == [] and found["read"] + found["refused"] == count


def test_what_ends_a_process_costs_one_format_and_is_told() -> None:
    found = damaged(["text", "one that is not known", "ppm"], 3, processes=1)
    assert [found[name]["read"] + found[name]["refused"] for name in ("text", "ppm")] == [3, 3]
    assert found["one that is not known"]["ended"].startswith("code 1: ")
    assert "KeyError: 'one that is not known'" in found["one that is not known"]["ended"]


def test_a_hang_ends_the_process_with_the_place_where_it_was() -> None:
    code = (
        "import time; from pathlib import Path; from tests.faults import mutations as m; m.limited();"
        "m.try_once(lambda path: time.sleep(20), Path(), limit_seconds=0.2)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == -signal.SIGALRM
    assert "tests/faults/mutations.py" in ended.stderr and "in try_once" in ended.stderr


@pytest.fixture(scope="module")
def hostile() -> tuple[dict[str, str], str]:
    found, end = output_of("tests.faults.hostile")
    return {result["case"]: result["outcome"] for result in found}, end


# Valid in their way: what is declared is not believed, but what is there can be read.
VALID = ("bvh of 10**18 frames", "edf of 99,999,999 records", "recipe that is its own base")


@pytest.mark.parametrize("name", CASES)
def test_hostile_files(name: str, hostile: tuple[dict[str, str], str]) -> None:
    found, end = hostile
    assert name in found, f"reading it ended the process, {end}"
    assert found[name] == ("read" if name in VALID else "refused")
