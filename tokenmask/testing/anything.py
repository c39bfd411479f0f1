"""Anything: what every component must do, whatever its kind.

Does not know: any kind; each is told how to use a component once in a small world.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from tokenmask.components import named, same
from tokenmask.testing.alike import alike, copied, same_where_both_are
from tokenmask.testing.contract import Requirement, require
from tokenmask.testing.draws import global_random_state_untouched
from tokenmask.testing.world import World, others

_UNNAMED = "to be named in a file"  # what components.class_path says of a class that is not installed
Use = Callable[[Any, World], Any]
"""Uses what is checked in a world, and gives all that it answers."""


def component_of(subject: Any) -> Any:
    """The component of a subject, which is the subject itself where a check has no options."""
    return getattr(subject, "component", subject)


def comes_back_from_a_file(subject: Any) -> None:
    """It is written and read as :mod:`tokenmask.components` does, and is equal.

    What no file may name yet (a notebook's class, or ours with such a one within) is made again from its attributes.
    """
    value = component_of(subject)
    try:
        named(value, type(value), type(value).__module__)
    except ValueError as error:
        if _UNNAMED not in str(error):
            raise AssertionError(f"must come back from a file as it was, got: {error}") from error
        again = made_again(value)
        require(
            same(value, again), f"must be made again as it was by its arguments, got {again!r} instead of {value!r}"
        )


def made_again(value: Any) -> Any:
    """The component made anew from its arguments, which must be its attributes."""
    arguments = list(inspect.signature(type(value)).parameters)
    lost = [name for name in arguments if not hasattr(value, name)]
    require(not lost, f"must keep its arguments as attributes, or no file could hold it, but lost {', '.join(lost)}")
    return type(value)(**{name: getattr(value, name) for name in arguments})


def value_requirements(use: Use, *, given: bool = True) -> tuple[Requirement, ...]:
    """What holds for every component that is a value: it repeats, and touches nothing but its own answer.

    Args:
        use: of a component in a world.
        given: whether it is given tensors at all.
    """

    def repeats(subject: Any) -> None:
        require(alike(use(subject, World()), use(subject, World())), "must give the same answer to the same question")

    def leaves_global_draws_alone(subject: Any) -> None:
        with global_random_state_untouched():
            use(subject, World())

    def leaves_its_inputs_alone(subject: Any) -> None:
        world, untouched = World(), World()
        use(subject, world)
        for name in ("batch", "seeds", "predictions", "state"):
            before, after = copied(getattr(untouched, name)), copied(getattr(world, name))
            require(alike(before, after), f"must not change what it is given, but changed the {name}")
        for name, (now, was) in world.lent.items():
            require(alike(now, was), f"must not change what it is given, but changed the {name.partition(' ')[2]}")

    always = (comes_back_from_a_file, repeats, leaves_global_draws_alone)
    return (*always, leaves_its_inputs_alone) if given else always


def in_any_company(answers: Callable[[World], Sequence[Tensor]], whole: World | None = None) -> None:
    """AssertionError unless each row has the same answers in any order, among any rows and any padding.

    Args:
        answers: float, int or bool [B, ...] of the rows of a world; further axes may have padding behind.
        whole: the rows; all if None. Where it says K, batches of that K are compared alone.
    """
    whole = whole or World()
    expected = answers(whole)
    for company, world in others(whole):
        for one, other in zip(expected, answers(world), strict=True):
            for place, number in enumerate(world.numbers):
                require(
                    same_where_both_are(one[whole.numbers.index(number)], other[place]),
                    f"must give row {number} the same answer {company} as among the others, got another one",
                )
