"""Contracts: what must hold for every component of a kind, as requirements that are run one by one.

Arrow: component --**Contract.checks**--> Checks. Does not know: any kind of component.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Requirement = Callable[[Any], None]
"""Takes what is checked and raises AssertionError where it breaks; its name is the name of the check."""


@dataclass(frozen=True)
class Check:
    """One named check; calling it raises AssertionError where the contract is broken.

    Args:
        name: what is required.
        run: the requirement.
        subject: what it is run on.
        of: name of the class that is checked.
    """

    name: str
    run: Requirement
    subject: Any
    of: str = ""

    def __call__(self) -> None:
        """Raises AssertionError, with the name of the class, where the requirement does not hold or cannot be asked."""
        try:
            self.run(self.subject)
        except AssertionError as error:
            raise AssertionError(f"{self.of}: {error}") from error
        except Exception as error:
            asked = self.name.replace("_", " ")
            raise AssertionError(f"{self.of}: {asked}: must not fail, got {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class Contract:
    """The requirements of a kind.

    Args:
        kind: in one word, as in ``check_score``.
        base: class of which every component of the kind is.
        requirements: in the order in which they are run.
        subject: makes what is checked of a component and the options of its check.
        plural: of ``kind``, if it does not end in "s".
    """

    kind: str
    base: type
    requirements: tuple[Requirement, ...]
    subject: Callable[..., Any] = lambda value: value
    plural: str = ""

    def checks(self, value: Any, **options: Any) -> Iterator[Check]:
        """Every check of a component, ready to be called.

        Raises:
            TypeError: it is not of the kind.
        """
        if not isinstance(value, self.base):
            raise TypeError(f"check_{self.kind} takes a {self.base.__name__}, got {type(value).__name__}; subclass it")
        yield from self.named_checks(value, type(value).__name__, **options)

    def named_checks(self, value: Any, of: str, **options: Any) -> Iterator[Check]:
        """The same for a value that need not be of the base, with the name that its errors have."""
        self._refuse_other_options(options)
        subject = self.subject(value, **options)
        for requirement in self.requirements:
            yield Check(requirement.__name__.removeprefix("_check_"), requirement, subject, of)

    def _refuse_other_options(self, options: Mapping[str, Any]) -> None:
        """TypeError for an option that is not known, or that is needed and not given."""
        known = dict(list(inspect.signature(self.subject).parameters.items())[1:])
        lacks = [name for name, one in known.items() if one.default is one.empty and name not in options]
        odd = [name for name in options if name not in known]
        if lacks:
            raise TypeError(
                f"check_{self.kind} needs {', '.join(lacks)} beside the {self.kind}, got none; pass "
                f"{', '.join(f'{name}=...' for name in lacks)}"
            )
        if odd:
            raise TypeError(
                f"check_{self.kind} has the options {', '.join(known) or '(none)'}, got {', '.join(odd)}; leave it out"
            )

    def check(self, value: Any, **options: Any) -> list[str]:
        """Runs every check, see :func:`run_all`."""
        return run_all(self.checks(value, **options), type(value).__name__, self.plural or f"{self.kind}s")


def run_all(checks: Iterator[Check], of: str, kinds: str) -> list[str]:
    """Runs checks.

    Returns:
        Their names; all passed.

    Raises:
        AssertionError: names each check that failed, and why, a line each.
    """
    passed: list[str] = []
    failed: list[str] = []
    for check in checks:
        try:
            check()
        except AssertionError as error:
            failed.append(f"{check.name}: {error}")
        else:
            passed.append(check.name)
    if failed:
        raise AssertionError(f"{of} breaks the contract of {kinds}:\n" + "\n".join(failed))
    return passed


def require(holds: bool, otherwise: str) -> None:
    """AssertionError with a sentence, unless it holds."""
    if not holds:
        raise AssertionError(otherwise)


def refusal(kind: type[Exception], call: Callable[[], object], what: str) -> str:
    """The message with which a call was refused; it must be one sentence.

    Raises:
        AssertionError: it was accepted, refused with another error, or in more or less than a line.
    """
    try:
        call()
    except kind as error:
        message = str(error)
        require(
            bool(message.strip()) and "\n" not in message, f"{what} must be refused in one sentence, got {message!r}"
        )
        return message
    except Exception as error:
        raise AssertionError(f"{what} must raise {kind.__name__}, got {type(error).__name__}: {error}") from error
    raise AssertionError(f"{what} must raise {kind.__name__}, but was accepted")
