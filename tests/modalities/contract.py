"""What the tests of all front-ends ask alike: the contract, check by check, and fits that go on where they stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tokenmask.modalities.learned import CodecFitting, LearnedTokenizer
from tokenmask.testing import Check, tokenizer_checks

NAMES = [check.name for check in tokenizer_checks(object(), [0, 0, 0])]  # type: ignore[arg-type]
each_check = pytest.mark.parametrize("name", NAMES)
"""One test for each check of the contract, so that a report names what broke."""


def run_check(name: str, checks: list[Check]) -> None:
    (check,) = (check for check in checks if check.name == name)
    check()


def goes_on_bit_for_bit(
    fitted: Callable[..., LearnedTokenizer],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    stop_at: int,
    fitting: type = CodecFitting,
) -> LearnedTokenizer:
    """A fit that was stopped before step ``stop_at`` and run again leaves the bytes of one that was not.

    Args:
        fitted: takes the folder of the checkpoint.
        folder: gets "whole" and "cut"; the second can be used to ask more.
        monkeypatch: of the test.
        stop_at: a step between two checkpoints.
        fitting: the kind of run whose ``step`` is stopped.

    Returns:
        What was fitted without a stop.
    """
    whole, step = fitted(folder / "whole"), fitting.step

    def stops(task: Any, index: int) -> dict[str, float]:
        if index == stop_at:
            raise RuntimeError("stopped")
        return step(task, index)

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "step", stops)
        with pytest.raises(RuntimeError, match="stopped"):
            fitted(folder / "cut")
    again = fitted(folder / "cut")
    assert again.spec == whole.spec and again.decoder_fingerprint == whole.decoder_fingerprint
    for name in ("metrics.jsonl", "checkpoint.safetensors"):
        assert (folder / "cut" / name).read_bytes() == (folder / "whole" / name).read_bytes()
    whole.save(folder / "cut")  # the folder of a fit can hold its result
    assert type(whole).load(folder / "cut").spec == whole.spec
    return whole


def refused_resume(fitted: Callable[..., Any], folder: Path, message: str, **changes: Any) -> None:
    """The folder that :func:`goes_on_bit_for_bit` left is no place for another run."""
    with pytest.raises(ValueError, match=message):
        fitted(folder / "cut", **changes)
