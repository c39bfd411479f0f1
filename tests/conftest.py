"""What holds for every test: global random states stay as they were, and a run that skips everything fails."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

# Before torch loads OpenMP: threads that spin while they wait stall each other where cores are shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pytest
import torch

# Where a test of an op runs. Take the fixture ``device``, or parametrize over this.
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.needs_cuda)]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--damaged", type=int, default=1000, help="files of each format that slow tests damage")
    parser.addoption("--damaged-seed", type=int, default=1, help="of how they are damaged")


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def _why_no_cuda() -> str:
    if not torch.cuda.is_available():
        return "needs a CUDA device"
    from tokenmask.ops import build_info

    return "" if build_info().get("cuda") else "needs a build with CUDA kernels (TOKENMASK_CUDA=1)"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("needs_cuda") and (reason := _why_no_cuda()):
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def _global_random_states_are_untouched() -> Iterator[None]:
    """Every draw takes a seed or a generator; nothing, tests included, uses the global generators."""
    before = torch.get_rng_state(), np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
    yield
    assert torch.equal(torch.get_rng_state(), before[0]), "torch's global generator was used; pass a torch.Generator"
    after: dict[str, dict[str, object]] = np.random.get_state(legacy=False)  # noqa: NPY002
    assert str(after) == str(before[1]), "numpy's global generator was used; pass a numpy Generator"
    assert random.getstate() == before[2], "random's global generator was used; pass a random.Random"


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or exitstatus != pytest.ExitCode.OK:
        return
    ran = sum(len(reporter.stats.get(kind, [])) for kind in ("passed", "failed", "error", "xfailed", "xpassed"))
    if not ran and reporter.stats.get("skipped"):
        reporter.write_line("every selected test was skipped, so nothing was tested: this run fails", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
