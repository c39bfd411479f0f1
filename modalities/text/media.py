"""Text: a piece of text and its files.

Arrow: files of Unicode <--> Text. Does not know: codes, other modalities.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from tokenmask.arguments import path_of, string
from tokenmask.as_array import NoArray
from tokenmask.files import BYTE_ORDER_MARK, no_text, tell_mark, text_of, why_unread, write_text_atomic
from tokenmask.medium import Medium, knowing_others
from tokenmask.streams import TokenStream


@dataclass(frozen=True)
class Text(Medium, NoArray):
    """A piece of text.

    Args:
        text: any Unicode string; only lone surrogates cannot be encoded.
        stream: the codes it was generated from, if it was; does not count in comparisons.
        filled: characters (start, end) that a model filled in, for those who show the text; does not count either.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".txt",)
    """Endings that are looked for in folders."""

    written_suffixes: ClassVar[tuple[str, ...]] = (".txt",)
    """Endings that can be written; the first if none is asked for."""

    words: ClassVar[bool] = True
    array_instead: ClassVar[str] = "its text, or the codes that a tokenizer makes of it"
    view: ClassVar[str] = "tokenmask.report.views.words:Words"

    text: str
    stream: TokenStream | None = field(default=None, compare=False, repr=False)
    filled: tuple[tuple[int, int], ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        string("text of a Text", self.text)

    def __str__(self) -> str:
        return self.text

    @classmethod
    @knowing_others
    def load(cls, path: str | Path) -> Self:
        """Reads a UTF-8 file, or one of UTF-16 or UTF-32 that begins with a byte order mark; the mark is no part of the
        words, one further inside is and is told, and no line end is changed.

        Raises:
            ValueError: no such file, or none of these.
        """
        try:
            text = text_of(path_of("path of a text", path).read_bytes())
        except UnicodeDecodeError as error:
            raise ValueError(no_text(path, error)) from error
        except OSError as error:
            raise ValueError(
                f"a text is read from a file, but {path} cannot be read ({why_unread(error, path)}); check the path"
            ) from error
        tell_mark(str(path), text)
        return cls(text)

    def save(self, path: str | Path) -> None:
        """Writes the text as UTF-8, atomically; a text that itself begins with U+FEFF gets a mark before it."""
        mark = BYTE_ORDER_MARK if self.text.startswith(BYTE_ORDER_MARK) else ""
        write_text_atomic(path, mark + self.text)


def characters_of(pieces: Iterable[bytes]) -> list[tuple[int, int]]:
    """(start, end) of the characters that each piece of UTF-8 is a part of, U+FFFD for what is none among them."""
    decoder, found, before = codecs.getincrementaldecoder("utf-8")("replace"), list[tuple[int, int]](), 0
    for piece in pieces:
        after = before + len(decoder.decode(piece))
        found.append((before, after + bool(decoder.getstate()[0])))
        before = after
    return found


def joined(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Spans in order, those that meet or overlap as one; empty ones are left out."""
    found: list[tuple[int, int]] = []
    for start, end in spans:
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif end > start:
            found.append((start, end))
    return tuple(found)
