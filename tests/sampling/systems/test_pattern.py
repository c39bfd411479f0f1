"""Regular expressions: what Python's own say of every word, and of every word with holes."""

import itertools
import re

import pytest

from tokenmask.sampling.pattern import Pattern

PATTERNS = [
    "ab*", "(ab|ba)+", "a?b{2}", "a{2,}", "a{1,3}b", "[^a]c*", "[a-b]+c", "a|", "((a|b)c)*", ".b.", "\\w\\w?",
    "(a?){2,3}b", "a{0,2}c", "[]a]b", "[a\\-]+", "\\Da", "(a*)*b", "()b",
    "^a[^b]*$", "(?:a|b)+?c", "a*?b??", "a{1,2}?.*", "\\^|\\$a", "[$^]*", "a|b$",
]  # fmt: skip


@pytest.mark.parametrize("words", PATTERNS)
def test_words_are_matched_as_by_python(words):
    pattern, every = Pattern(words), re.compile(words)
    for length in range(5):
        for word in map("".join, itertools.product("abc-", repeat=length)):
            state = pattern.start
            for one in word:
                state = pattern.step(state, one)
            assert pattern.accepts(state) == bool(every.fullmatch(word)), word


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("(a", "must have a bracket that closes the group at place 2, got its end"),
        ("a)", r"must have no bracket that closes nothing at place 1, got '\)'"),
        ("*a", "must have something before a number of times at place 0"),
        ("a{x}", r"must have \{2\}, \{2,\} or \{2,5\} at place 1"),
        ("a{3,2}", r"must have \{2\}, \{2,\} or \{2,5\}"),
        ("[b-a]", "a range whose end is not below its start"),
        ("[a", "must have another character at place 2"),
        ("(?=a)b", r"must have groups that are \( or \(\?: and no others at place 1, got '\?'"),
        ("(?i)b", r"must have groups that are \( or \(\?: and no others"),
        (r"(a)\1", r"must have d, w, s, D, W, S, n, t, r or a sign behind \\ at place 4, got '1'"),
        (r"\bred", r"a sign behind \\ at place 1, got 'b'"),
        (r"[\x41]", r"a sign behind \\ at place 2, got 'x'"),
        ("a^b", r"must have \^ at its beginning only and \$ at its end only, as signs .* at place 1, got '\^'"),
        ("a$|b", r"must have \^ at its beginning only .* at place 1, got '\$'"),
    ],
)
def test_what_is_no_pattern_is_refused(words, sentence):
    with pytest.raises(ValueError, match=sentence):
        Pattern(words)
