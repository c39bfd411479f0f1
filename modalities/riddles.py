"""What libraries say of files that they cannot read, in our words: theirs are of their own insides.

Arrow: an error of a library, what it can mean --**in_our_words**--> a clause. Does not know: files.
"""

from __future__ import annotations

from collections.abc import Sequence

Meanings = Sequence[tuple[str, str]]
"""Words of a library, and a clause of what they mean; the first that occur count."""


ARRAYS: Meanings = (  # of NumPy and of zip archives
    ("pickle", "it holds objects of Python, which are not read; save arrays of numbers"),
    ("Cannot load file containing", "it holds objects of Python, which are not read; save arrays of numbers"),
    ("not a zip file", "it is no archive of arrays, or is cut short"),
    ("CRC", "its arrays do not have their check sums"),
    ("compression method", "its arrays are packed in a way that is not known here, or its header is damaged"),
)


class Unfit(ValueError):
    """Something that was understood and cannot be used: its words are ours already."""


def in_our_words(error: BaseException, meanings: Meanings, otherwise: str) -> str:
    """The clause on an error.

    Args:
        error: of a library, or ours.
        meanings: what can be known from its words.
        otherwise: the clause where nothing is known.
    """
    said = " ".join(str(error).split())
    if isinstance(error, Unfit):
        return said
    return next((meant for words, meant in meanings if words in said), otherwise)
