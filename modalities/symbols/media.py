"""Symbols: something that is spelled, and its files.

Arrow: files of text <--> Symbols. Does not know: codes, alphabets, other modalities.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from tokenmask.arguments import path_of, string
from tokenmask.as_array import NoArray
from tokenmask.files import BYTE_ORDER_MARK, no_text, text_of, why_unread, write_text_atomic
from tokenmask.medium import Medium, knowing_others
from tokenmask.streams import TokenStream


@dataclass(frozen=True)
class Symbols(Medium, NoArray):
    """A strand of DNA, a SMILES string, a puzzle, the name of a class: symbols as they are written down.

    Args:
        text: the symbols; rows of a grid are lines, pictures of a film have an empty line between them.
        stream: the codes it was generated from, if it was; does not count in comparisons.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".symbols",)
    """Endings that are looked for in folders."""

    written_suffixes: ClassVar[tuple[str, ...]] = (".symbols",)
    """Endings that can be written; the first if none is asked for."""

    words: ClassVar[bool] = True
    array_instead: ClassVar[str] = "its text, or the codes that a tokenizer makes of it"
    view: ClassVar[str] = "tokenmask.report.views.words:Words"

    text: str
    stream: TokenStream | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        string("text of Symbols", self.text)

    def __str__(self) -> str:
        return self.text

    @classmethod
    @knowing_others
    def load(cls, path: str | Path) -> Self:
        """Reads a UTF-8 file, or one of UTF-16 or UTF-32 that begins with a byte order mark; neither the mark nor the
        line end that closes it is one of the symbols.

        Raises:
            ValueError: no such file, or none of these.
        """
        try:
            read = text_of(path_of("path of symbols", path).read_bytes())
            return cls(read.replace("\r\n", "\n").removesuffix("\n"))
        except UnicodeDecodeError as error:
            raise ValueError(no_text(path, error)) from error
        except OSError as error:
            raise ValueError(
                f"symbols are read from a file, but {path} cannot be read ({why_unread(error, path)}); check the path"
            ) from error

    def save(self, path: str | Path) -> None:
        """Writes the symbols as UTF-8 with a line end behind them, atomically; ValueError for another ending.

        Those that themselves begin with U+FEFF get a mark before them.
        """
        if path_of("path of symbols", path).suffix.lower() not in self.written_suffixes:
            raise ValueError(f"a file of symbols must end in .symbols, got {Path(path).name!r}; rename it")
        mark = BYTE_ORDER_MARK if self.text.startswith(BYTE_ORDER_MARK) else ""
        write_text_atomic(path, f"{mark}{self.text}\n")
