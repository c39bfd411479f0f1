"""Damaged and hostile files end in a sentence or in something valid: no crash, no hang, no other error."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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
def some() -> tuple[dict[str, dict[str, Any]], str]:
    found, end = output_of("tests.faults.mutations", "60")
    return {result["format"]: result for result in found}, end


@pytest.mark.parametrize("name", FORMATS)
def test_sixty_damaged_files(name: str, some: tuple[dict[str, dict[str, Any]], str]) -> None:
    found, end = some
    assert name in found, f"reading one of them ended the process, {end}"
    assert found[name]["wrong"] == [] and found[name]["read"] + found[name]["refused"] == 60
    assert found[name]["refused"] > 0 or name in LENIENT


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_many_damaged_files(name: str, pytestconfig: pytest.Config) -> None:
    count, seed = (pytestconfig.getoption(option) for option in ("--damaged", "--damaged-seed"))
    found, end = output_of("tests.faults.mutations", str(count), "--seed", str(seed), "--format", name)
    assert found, f"reading one of them ended the process, {end}"
    assert found[0]["wrong"] == [] and found[0]["read"] + found[0]["refused"] == count


@pytest.fixture(scope="module")
def hostile() -> tuple[dict[str, str], str]:
    found, end = output_of("tests.faults.hostile")
    return {result["case"]: result["outcome"] for result in found}, end


# Valid in their way: what is declared is not believed, but what is there can be read.
VALID = ("edf of 99,999,999 records", "recipe that is its own base")


@pytest.mark.parametrize("name", CASES)
def test_hostile_files(name: str, hostile: tuple[dict[str, str], str]) -> None:
    found, end = hostile
    assert name in found, f"reading it ended the process, {end}"
    assert found[name] == ("read" if name in VALID else "refused")
