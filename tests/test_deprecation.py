"""Old names: they import what stands under the new one, and say so."""

from __future__ import annotations

import importlib
import sys
import warnings

import pytest

from tokenmask.deprecation import warn_deprecated
from tokenmask.modalities._moved import MOVED


@pytest.mark.parametrize("old", sorted(MOVED))
def test_a_module_that_moved_is_the_same_module_under_its_old_name(old: str) -> None:
    name = f"tokenmask.modalities.{old}"
    sys.modules.pop(name, None)
    with pytest.warns(FutureWarning, match=f"write tokenmask.modalities.{MOVED[old]} instead"):
        module = importlib.import_module(name)
    assert module is importlib.import_module(f"tokenmask.modalities.{MOVED[old]}")


def test_a_module_that_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError, match="pictures"):
        importlib.import_module("tokenmask.modalities.pictures")


def test_a_warning_blames_the_line_that_uses_what_is_old() -> None:
    def old() -> int:
        warn_deprecated("old()", instead="new()", since="0.2")
        return 1

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert old() == 1
    assert [str(entry.message) for entry in caught] == [
        "old() has another name since tokenmask 0.2; write new() instead"
    ]
    assert caught[0].filename == __file__
