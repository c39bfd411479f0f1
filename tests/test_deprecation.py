"""Old names: they import what stands under the new one, and say so."""

from __future__ import annotations

import importlib
import sys
import warnings

import pytest

import tokenmask
from tokenmask.components import component
from tokenmask.deprecation import warn_deprecated
from tokenmask.modalities import _moved
from tokenmask.recipes import load_recipe
from tokenmask.sampling import Reuse, StaleReuse
from tokenmask.scores import RandomScore, Score

MOVED = {f"tokenmask.modalities.{old}": f"tokenmask.modalities.{new}" for old, new in _moved.MOVED.items()}
MOVED |= tokenmask.MOVED


@pytest.mark.parametrize("old", sorted(MOVED))
def test_a_module_that_moved_is_the_same_module_under_its_old_name(old: str) -> None:
    sys.modules.pop(old, None)
    with pytest.warns(FutureWarning, match=f"write {MOVED[old]} instead"):
        module = importlib.import_module(old)
    assert module is importlib.import_module(MOVED[old])


def test_a_class_that_moved_is_the_same_class_under_its_old_name() -> None:
    with pytest.warns(FutureWarning, match="write tokenmask.sampling.reuse.StaleReuse instead"):
        from tokenmask.models import StaleReuse as Old
    assert Old is StaleReuse
    with pytest.raises(ImportError, match="Nothing"):
        from tokenmask.models import Nothing  # noqa: F401


@pytest.mark.parametrize("room", ["masking", "sampling"])
def test_a_score_has_one_home(room: str) -> None:
    with pytest.warns(
        FutureWarning, match=r"tokenmask\.\w+\.RandomScore has .* write tokenmask.scores.RandomScore instead"
    ):
        old = importlib.import_module(f"tokenmask.{room}").RandomScore
    assert old is RandomScore
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in ("RandomScore", f"tokenmask.{room}.RandomScore", "tokenmask.scores.RandomScore"):
            values = {"class_path": path, "init_args": {}}
            assert component(values, Score, f"tokenmask.{room}") == RandomScore()


@pytest.mark.parametrize("path", ["tokenmask.models.StaleReuse", "tokenmask.sampling.StaleReuse", "StaleReuse"])
def test_a_file_keeps_the_names_of_its_day(path: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = {"class_path": path, "init_args": {"n_local": 3}}
        assert component(values, Reuse, "tokenmask.sampling") == StaleReuse(n_local=3)


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


def test_an_old_recipe_with_old_names_opens_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = "sampler.reuse={class_path: tokenmask.models.StaleReuse, init_args: {n_local: 2}}"
        assert load_recipe("maskgit", overrides=[values]).sampler.reuse == StaleReuse(n_local=2)
