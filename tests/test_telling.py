"""What is told points at the line outside of tokenmask that led to it, and is said once for each such line."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from tokenmask.telling import tell
from tokenmask.threads import free_cores

OURS = """
class Told(Mapping):
    def __getitem__(self, key):
        tell(f"of {key}")
        return key

    def __iter__(self):
        return iter(["a", "b"])

    def __len__(self):
        return 2

def plainly():
    tell("of a")

@no_grad()
@free_cores()
def wrapped():
    plainly()

def viewed():
    return list(Told().items())
"""


@pytest.fixture(scope="module")
def ours() -> dict[str, Any]:
    """Functions as of a module of tokenmask."""
    space = {"__name__": "tokenmask.made", "tell": tell, "Mapping": Mapping}
    space |= {"no_grad": torch.no_grad, "free_cores": free_cores}
    exec(compile(OURS, "made.py", "exec"), space)
    return space


@pytest.mark.parametrize(("name", "count"), [("plainly", 1), ("wrapped", 1), ("viewed", 2)])
def test_the_line_outside_is_blamed(ours: dict[str, Any], name: str, count: int) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        first = here(ours[name])
    assert [(one.filename, one.lineno, one.category) for one in caught] == [(__file__, first, UserWarning)] * count
    assert [str(one.message) for one in caught] == ["of a", "of b"][:count]


def here(call: Callable[[], object]) -> int:
    """Calls it, and says in which line."""
    call()
    return here.__code__.co_firstlineno + 2


def test_the_same_words_are_said_once_for_a_line(ours: dict[str, Any]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            ours["plainly"]()
        ours["plainly"]()
    assert len(caught) == 2 and caught[0].lineno < caught[1].lineno
