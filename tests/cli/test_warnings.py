"""Warnings on the command line: a sentence each, as errors are, and Python's own way of showing them afterwards."""

from __future__ import annotations

import sys
import warnings

import pytest

from tokenmask.cli import about, main
from tokenmask.cli.warned import Warned


def test_a_warning_is_a_sentence_and_python_shows_its_own_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    def info(arguments: object) -> int:
        sys.stderr.write(warnings.formatwarning("a.edf holds\n an offset", UserWarning, "media.py", 12))
        return 0

    written: list[str] = []
    usual = warnings.formatwarning
    monkeypatch.setattr(about, "info", info)
    monkeypatch.setattr(sys.stderr, "write", written.append)
    assert main(["info"]) == 0
    assert written == ["tokenmask: a.edf holds an offset\n", ""]
    assert warnings.formatwarning is usual


def test_of_many_warnings_alike_the_first_are_shown_and_all_are_named() -> None:
    """Of 123 files with other numbers in the same words 20 are shown, 100 are named, and all are counted."""
    warned = Warned()
    for number in range(123):
        shown = warned(
            UserWarning(f"data/{number}.wav has {number} channels, at {number / 3:g} Hz"), UserWarning, "", 1
        )
        assert shown == (f"tokenmask: data/{number}.wav has {number} channels, at {number / 3:g} Hz\n" * (number < 20))
        assert warned(f"data/{number}.wav is silent", UserWarning, "", 1) or number >= 20
    assert warned("data/x.wav has no name", UserWarning, "", 1) == "tokenmask: data/x.wav has no name\n"
    names = ", ".join(f"{number}.wav" for number in range(20, 120))
    assert warned.rest() == (
        f"tokenmask: 103 more like this one: data/0.wav has 0 channels, at 0 Hz ({names}, ...)\n"
        f"tokenmask: 103 more like this one: data/0.wav is silent ({names}, ...)\n"
    )
