"""Runs a test on every instruction set whose CPU kernels it can run; on a GPU ops raise their own failures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tokenmask import _C


@pytest.fixture(params=_C.cpu_capabilities())
def capability(request: pytest.FixtureRequest) -> Iterator[str]:
    before = _C.cpu_capability()
    name: str = request.param
    _C.use_cpu_capability(name)
    try:
        yield name
    finally:
        _C.use_cpu_capability(before)


@pytest.fixture(autouse=True)
def _failures_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of sentences expect them from the call itself; those of later ones take this away."""
    monkeypatch.setenv("TOKENMASK_CHECK", "now")
