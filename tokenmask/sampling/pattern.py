"""Pattern: a regular expression as a machine over characters.

Arrow: words of a pattern --**Pattern**--> states and the steps between them. Does not know: codes, constraints.
"""

from __future__ import annotations

import string
from dataclasses import dataclass

State = frozenset[int]
_CLASSES = {"d": string.digits, "w": string.ascii_letters + string.digits + "_", "s": " \t\n\r\f\v"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True)
class _Chars:
    """A character out of those named, or any but those."""

    named: frozenset[str]
    inside: bool = True

    def takes(self, one: str) -> bool:
        return (one in self.named) == self.inside


@dataclass(frozen=True)
class _All:
    """Parts one after the other."""

    parts: tuple[_Part, ...]


@dataclass(frozen=True)
class _Either:
    """One of some parts."""

    parts: tuple[_Part, ...]


@dataclass(frozen=True)
class _Times:
    """A part several times; without a most, as often as one likes."""

    part: _Part
    least: int
    most: int | None


_Part = _Chars | _All | _Either | _Times


class Pattern:
    """What a whole string must match: characters, ``.``, ``[a-z]``, ``[^a]``, ``\\d \\w \\s`` (in upper case: all
    others), groups, ``|``, ``*``, ``+``, ``?``, ``{2}``, ``{2,}``, ``{2,5}``. A ``^`` at its beginning, a ``$`` at
    its end, ``(?:`` and a ``?`` behind a number of times say nothing more: all of the string matches anyway.

    A state is the set of places of the machine where the string may be. Source: Thompson 1968,
    doi:10.1145/363347.363387.

    Args:
        words: the pattern.

    Raises:
        ValueError: something else, such as what looks ahead or refers back, or a group that is not closed.
    """

    def __init__(self, words: str) -> None:
        self._steps: list[list[tuple[_Chars | None, int]]] = []
        start, self._last = self._made(_Reader(words).whole())
        self.start = self._closed({start})

    def step(self, state: State, one: str) -> State:
        """The state after one more character; empty where nothing can match any more."""
        return self._closed(
            {to for at in state for chars, to in self._steps[at] if chars is not None and chars.takes(one)}
        )

    def accepts(self, state: State) -> bool:
        """Whether the string may end here."""
        return self._last in state

    def _closed(self, places: set[int]) -> State:
        waiting = list(places)
        while waiting:
            for chars, to in self._steps[waiting.pop()]:
                if chars is None and to not in places:
                    places.add(to)
                    waiting.append(to)
        return frozenset(places)

    def _pair(self) -> tuple[int, int]:
        self._steps += [[], []]
        return len(self._steps) - 2, len(self._steps) - 1

    def _made(self, part: _Part) -> tuple[int, int]:
        """First and last place of a part."""
        first, last = self._pair()
        match part:
            case _Chars():
                self._steps[first].append((part, last))
            case _Either(parts):
                for start, end in map(self._made, parts):
                    self._steps[first].append((None, start))
                    self._steps[end].append((None, last))
            case _All(parts):
                at = first
                for start, end in map(self._made, parts):
                    self._steps[at].append((None, start))
                    at = end
                self._steps[at].append((None, last))
            case _Times(inner, least, most):
                at = first
                for number in range(max(least, most or 0, 1)):
                    start, end = self._made(inner)
                    self._steps[at].append((None, start))
                    if number >= least:
                        self._steps[at].append((None, last))
                    at = end
                if most is None:
                    self._steps[at].append((None, start))
                self._steps[at].append((None, last))
        return first, last


class _Reader:
    """Reads the words of a pattern into parts."""

    def __init__(self, words: str) -> None:
        self.words, self.at = words, 0

    def whole(self) -> _Part:
        part = self._either()
        if self.at < len(self.words):
            raise self._wrong("no bracket that closes nothing")
        return part

    def _wrong(self, must: str) -> ValueError:
        got = repr(self.words[self.at]) if self.at < len(self.words) else "its end"
        return ValueError(
            f"a pattern must have {must} at place {self.at}, got {got} in {self.words!r}; mend the pattern"
        )

    def _peek(self) -> str:
        return self.words[self.at : self.at + 1]

    def _take(self) -> str:
        one = self._peek()
        if not one:
            raise self._wrong("another character")
        self.at += 1
        return one

    def _either(self) -> _Part:
        parts = [self._all()]
        while self._peek() == "|":
            self._take()
            parts.append(self._all())
        return _Either(tuple(parts))

    def _all(self) -> _Part:
        parts: list[_Part] = []
        while self._peek() and self._peek() not in "|)":
            part = self._one()
            least, most = self._times()
            parts.append(part if (least, most) == (1, 1) else _Times(part, least, most))
        return _All(tuple(parts))

    def _one(self) -> _Part:
        one = self._take()
        if one == "(":
            if self.words.startswith("?:", self.at):
                self.at += 2
            elif self._peek() == "?":
                raise self._wrong("groups that are ( or (?: and no others")
            part = self._either()
            if self._peek() != ")":
                raise self._wrong("a bracket that closes the group")
            self._take()
            return part
        if one == "[":
            return self._set()
        if one == ".":
            return _Chars(frozenset("\n"), inside=False)
        if one == "\\":
            return self._escaped()
        if one in "*+?{":
            self.at -= 1
            raise self._wrong("something before a number of times")
        if one in "^$":
            if self.at == (1 if one == "^" else len(self.words)):
                return _All(())
            self.at -= 1
            raise self._wrong("^ at its beginning only and $ at its end only, as signs \\^ and \\$,")
        return _Chars(frozenset(one))

    def _escaped(self) -> _Chars:
        one = self._take()
        if one.lower() in _CLASSES:
            return _Chars(frozenset(_CLASSES[one.lower()]), one.islower())
        if one not in _ESCAPES and one.isalnum():
            self.at -= 1
            raise self._wrong("d, w, s, D, W, S, n, t, r or a sign behind \\")
        return _Chars(frozenset(_ESCAPES.get(one, one)))

    def _set(self) -> _Chars:
        inside, named = self._peek() != "^", set[str]()
        if not inside:
            self._take()
        while self._peek() != "]" or not named:
            one = self._take()
            if one == "\\":
                chars = self._escaped()
                if not chars.inside:
                    raise self._wrong("no class of all others within brackets")
                named |= chars.named
            elif self._peek() == "-" and self.words[self.at + 1 : self.at + 2] not in ("", "]"):
                self._take()
                last = self._take()
                if last < one:
                    raise self._wrong("a range whose end is not below its start")
                named |= {chr(number) for number in range(ord(one), ord(last) + 1)}
            else:
                named.add(one)
        self._take()
        return _Chars(frozenset(named), inside)

    def _times(self) -> tuple[int, int | None]:
        """How often; whether as often as it can or as seldom makes no difference to what matches."""
        start, found = self.at, self._often()
        if self.at > start and self._peek() == "?":
            self._take()
        return found

    def _often(self) -> tuple[int, int | None]:
        one = self._peek()
        if one and one in "*+?":
            self._take()
            return int(one == "+"), 1 if one == "?" else None
        if one != "{":
            return 1, 1
        end = self.words.find("}", self.at)
        low, comma, high = self.words[self.at + 1 : max(end, 0)].partition(",")
        if (
            not low.isdigit()
            or not (high.isdigit() or not high)
            or (high and int(high) < max(int(low), 1))
            or low == high == "0"
        ):
            raise self._wrong("{2}, {2,} or {2,5}")
        self.at = end + 1
        return int(low), int(high) if high else (None if comma else int(low))
