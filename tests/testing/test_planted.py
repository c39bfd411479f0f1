"""A component that breaks one requirement is told so, by name: every requirement of every kind has a planted one."""

from __future__ import annotations

import re

import pytest
import torch

from tests.testing.broken import BROKEN
from tests.testing.broken.in_the_loop import CHAINS, halves
from tests.testing.broken.planting import planted
from tokenmask.testing import check_component, component_checks
from tokenmask.testing.component import CONTRACTS

# tests/modalities/test_contract.py and test_medium.py, test_networks.py
ELSEWHERE = {"tokenizer", "medium", "backbone", "head", "optimiser"}
REQUIRED = {
    (contract.kind, requirement.__name__)
    for contract in CONTRACTS
    if contract.kind not in ELSEWHERE
    for requirement in contract.requirements
}
MADE_ANEW = {"goes_on_from_what_is_kept", "takes_another_strength", "at_scale_1_is_none", "takes_another_temperature"}
"""Requirements that make a component of the same class, which one that loses its arguments cannot do."""


def test_every_requirement_has_a_component_that_breaks_it():
    assert set(BROKEN) == REQUIRED


@pytest.mark.parametrize(("kind", "requirement"), sorted(REQUIRED))
def test_a_planted_fault_is_named(kind, requirement):
    component, options = planted_one(kind, requirement)
    (check,) = (one for one in component_checks(component, **options) if one.name == requirement)
    with torch.random.fork_rng(devices=[]), pytest.raises(AssertionError) as told:
        check()
    sentence = str(told.value)
    assert re.match(r"Broken: .*\bmust\b", sentence) and "\n" not in sentence
    assert "must not fail" not in sentence  # it is named, and not stumbled over


def test_a_group_causal_policy_is_compared_with_one_pass():
    with pytest.raises(AssertionError, match="exact_means_equal: Broken: must give what one pass over the chain gives"):
        check_component(planted(CHAINS, score=halves))


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in REQUIRED}))
def test_all_that_is_broken_is_listed_and_nothing_else(kind):
    component, options = planted_one(kind, "comes_back_from_a_file")
    with pytest.raises(AssertionError, match="Broken breaks the contract of ") as told:
        check_component(component, **options)
    _, *lines = str(told.value).splitlines()
    lost = (
        "Broken must be a dataclass, or keep its arguments as attributes, to be written to a file, but lost could not"
    )
    assert any(
        line.startswith(f"comes_back_from_a_file: Broken: must come back from a file as it was, got: {lost}")
        for line in lines
    )
    assert {line.partition(":")[0] for line in lines} <= {"comes_back_from_a_file", *MADE_ANEW}


def planted_one(kind, requirement):
    """The component and the options of its check."""
    made = BROKEN[kind, requirement]
    return made() if type(made).__name__ == "function" else (made, {})
