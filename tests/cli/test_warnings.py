"""Warnings on the command line: a sentence each, as errors are, and Python's own way of showing them afterwards."""

from __future__ import annotations

import sys
import warnings

import pytest

from tokenmask.cli import about, main


def test_a_warning_is_a_sentence_and_python_shows_its_own_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    def info(arguments: object) -> int:
        sys.stderr.write(warnings.formatwarning("a.edf holds\n an offset", UserWarning, "media.py", 12))
        return 0

    written: list[str] = []
    usual = warnings.formatwarning
    monkeypatch.setattr(about, "info", info)
    monkeypatch.setattr(sys.stderr, "write", written.append)
    assert main(["info"]) == 0
    assert written == ["tokenmask: a.edf holds an offset\n"]
    assert warnings.formatwarning is usual
