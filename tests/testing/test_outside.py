"""Components of others: of an installed package, of a notebook, within one of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from tests.components.outside import MODULE
from tests.procedures.test_procedure import Pull
from tokenmask.models import Window
from tokenmask.run import load_tokenizer
from tokenmask.scores import RandomScore, Score, SumScore
from tokenmask.testing import check_component, component_checks, refusal

OUTSIDE: dict[str, Any] = {"__name__": "outside_of_tokenmask"}
exec(compile(MODULE, "outside.py", "exec", dont_inherit=True), OUTSIDE)
NEST = OUTSIDE["Nest"](Window(2), {"a": OUTSIDE["Near"](3)}, (Window(1),), [1, 2], "word", 3)


@pytest.mark.parametrize("name", ["Backwards", "Near", "Pairs", "Mild", "Cool", "Pair", "Boost"])
def test_what_is_not_installed_can_be_checked(name):
    assert "comes_back_from_a_file" in check_component(OUTSIDE[name]())


SUM = SumScore((OUTSIDE["Backwards"](), RandomScore()), (1.0, 0.5))


@pytest.mark.parametrize("component", [NEST, Pull(), SUM], ids=["nest", "pull", "sum"])
def test_parts_and_kept_tensors_of_others(component):
    assert check_component(component) == [check.name for check in component_checks(component)]


@dataclass(frozen=True)
class Weighted(Score):
    """Holds a tensor, which no file of names and numbers could."""

    weights: torch.Tensor

    def __call__(self, context):
        return torch.zeros(context.is_open.shape)


class Counting(RandomScore):
    """Is made with another number than it keeps."""

    def __init__(self, count: int = 1) -> None:
        object.__setattr__(self, "count", count + 1)


def test_what_no_file_could_hold_is_named():
    with pytest.raises(
        AssertionError, match="Weighted: must come back from a file as it was, got: a file holds words, numbers"
    ):
        check_component(Weighted(torch.ones(3)))
    with pytest.raises(AssertionError, match="Counting: must be made again as it was by its arguments, got "):
        check_component(Counting())


def test_a_refusal_is_one_sentence_of_the_right_kind():
    def raises(error):
        raise error

    assert refusal(ValueError, lambda: raises(ValueError("a must be 1, got 2")), "a 2") == "a must be 1, got 2"
    for error, told in (
        (ValueError("two\nlines"), "a 2 must be refused in one sentence, got 'two"),
        (ValueError(""), "a 2 must be refused in one sentence, got ''"),
        (KeyError("x"), "a 2 must raise ValueError, got KeyError: 'x'"),
    ):
        with pytest.raises(AssertionError, match=told):
            refusal(ValueError, lambda error=error: raises(error), "a 2")
    with pytest.raises(AssertionError, match="a 2 must raise ValueError, but was accepted"):
        refusal(ValueError, lambda: None, "a 2")


def test_an_option_that_is_missing_or_misspelt_is_named():
    with pytest.raises(
        TypeError, match=r"check_tokenizer needs items beside the tokenizer, got none; pass items=\.\.\."
    ):
        check_component(load_tokenizer("text"))
    with pytest.raises(TypeError, match=r"check_score has the options .*, got itmes; leave it out"):
        check_component(RandomScore(), itmes=3)
