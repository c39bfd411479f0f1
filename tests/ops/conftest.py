"""Runs a test on every instruction set whose CPU kernels this processor can run."""

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
