"""Codes of symbols: the place of each in an alphabet, on a grid or in a row of any length.

Arrow: Symbols --SymbolTokenizer.encode--> TokenStream [*grid, 1], and back. Does not know: what the symbols mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from tokenmask.modalities.symbols.media import Symbols
from tokenmask.stored_tokenizer import StoredTokenizer
from tokenmask.streams import StreamSpec
from tokenmask.telling import tell

_AXES = {1: ("index",), 2: ("row", "column"), 3: ("time", "row", "column")}


@dataclass(frozen=True)
class SymbolConfig:
    """Which symbols there are and how they are written down.

    Args:
        alphabet: the symbols, code 0 first; of any length each.
        grid: sizes of ("index",), ("row", "column") or ("time", "row", "column"), None where one varies; () is a row of
            any length, with an end code behind those of the alphabet.
        separator: stands between two symbols of a line; "" writes them side by side and reads the longest first.
    """

    alphabet: tuple[str, ...]
    grid: tuple[int | None, ...] = ()
    separator: str = ""

    def __post_init__(self) -> None:
        symbols, between = self.alphabet, self.separator
        if not symbols or len(set(symbols)) != len(symbols) or not all(symbols):
            raise ValueError(f"an alphabet must be different symbols, none of them empty, got {symbols[:20]!r}")
        if len(self.grid) > 3 or any(size is not None and size < 1 for size in self.grid):
            raise ValueError(f"the grid of symbols has up to three sizes of 1 or more, or None, got {self.grid}")
        taken = [mark for mark in (between, "\n" if len(self.grid) > 1 else "") if mark]
        inside = next((symbol for symbol in symbols for mark in taken if mark in symbol), None)
        if inside is not None:
            raise ValueError(f"{inside!r} must not hold what stands between symbols, {taken}; take another separator")
        if not between and (found := misread(symbols)):
            raise ValueError(
                f"side by side, {found[0]!r} and what may follow it can be read as {found[1]!r}; set a separator"
            )


class SymbolTokenizer(StoredTokenizer):
    """A code for each symbol of an alphabet; nothing is learned, and whatever is encoded comes back."""

    name: ClassVar[str] = "symbols"
    media: ClassVar[type] = Symbols
    config_class: ClassVar[type] = SymbolConfig

    def __init__(
        self, alphabet: Sequence[str], grid: Sequence[int | None] | None = None, *, separator: str = ""
    ) -> None:
        """Args:
        alphabet: a string of characters, or symbols of any length.
        grid: None is a row of any length; (1,) a class label, (9, 9) a puzzle, (None, None) a label map.
        separator: see :class:`SymbolConfig`.
        """
        super().__init__(SymbolConfig(tuple(alphabet), tuple(grid or ()), separator))
        longest_first = sorted(self.config.alphabet, key=len, reverse=True)
        self._any = re.compile("|".join(map(re.escape, longest_first)), re.S)
        self._code = {symbol: code for code, symbol in enumerate(self.config.alphabet)}

    @classmethod
    def read_files(cls, config: Any, folder: Path, identity: str, **others: Any) -> Self:
        """There are none: the alphabet is all."""
        return cls(config.alphabet, config.grid, separator=config.separator)

    @classmethod
    def fit(
        cls,
        items: Sequence[Any],
        *,
        alphabet: tuple[str, ...] = (),
        grid: tuple[int | None, ...] = (),
        separator: str = "",
        seed: int = 0,
        folder: Any = None,
        progress: bool = True,
    ) -> Self:
        """A tokenizer of an alphabet; without one, of the symbols that the items hold, sorted.

        Side by side, every character is then a symbol, but for the line ends of a grid.

        Raises:
            ValueError: items that hold none.
        """
        if not alphabet:
            lines = [line for item in items for line in (item.text.split("\n") if len(grid) > 1 else [item.text])]
            found = {symbol for line in lines for symbol in (line.split(separator) if separator else line) if symbol}
            if not found:
                raise ValueError("an alphabet is learned from symbols, but the items hold none; name it as alphabet")
            alphabet = tuple(sorted(found))
        return cls(alphabet, grid, separator=separator)

    def make_spec(self) -> StreamSpec:
        config: SymbolConfig = self.config
        size, axes = len(config.alphabet), _AXES[max(1, len(config.grid))]
        if not config.grid:
            return StreamSpec(self.name, (size + 1,), axes, end_code=size)
        return StreamSpec(self.name, (size,), axes, grid=config.grid)

    @property
    def code_texts(self) -> list[str]:
        """The symbol of each code; "" for the end code."""
        return [*self.config.alphabet, *([""] if self.spec.end_code is not None else [])]

    def to_codes(self, media: Symbols) -> Tensor:
        """int32 [*grid, 1].

        Raises:
            ValueError: no symbols, one that the alphabet lacks, lines of different lengths, or another grid.
        """
        if not media.text:
            raise ValueError("symbols to encode must be one at least, got none; leave the item out")
        axes = len(self.spec.axes)
        pictures = media.text.split("\n\n") if axes == 3 else [media.text]
        lines = [[list(self._spans(line)) for line in (one.split("\n") if axes > 1 else [one])] for one in pictures]
        rows, columns = {len(one) for one in lines}, {len(line) for one in lines for line in one}
        if len(rows) > 1 or len(columns) > 1 or 0 in columns:
            raise ValueError(f"lines of a grid must be equally long, got {sorted(columns)} symbols; fill them up")
        codes = torch.tensor([[[code for code, _, _ in line] for line in one] for one in lines], dtype=torch.int32)
        return codes.reshape(*codes.shape[3 - axes :], 1)

    def from_codes(self, codes: Tensor) -> Symbols:
        texts = self.config.alphabet
        wide = codes[..., 0].reshape(*(1,) * (4 - codes.dim()), *codes.shape[:-1]).tolist()
        lines = [[self.config.separator.join(texts[code] for code in line) for line in one] for one in wide]
        return Symbols("\n\n".join("\n".join(one) for one in lines))

    def places(self, media: Symbols, stream: Any, region: Sequence[float]) -> Tensor:
        """bool [*grid], the symbols of which ``media.text[start:end]`` holds a character.

        Raises:
            ValueError: no (start, end), or one outside of the text.
        """
        size = len(media.text)
        if len(region) != 2 or not 0 <= region[0] < region[1] or region[0] >= size:
            raise ValueError(
                f"a region of symbols is (start, end) that begins within {size} characters, got {tuple(region)}"
            )
        if region[1] > size:
            tell(
                f"the region {tuple(region)} of symbols ends after their {size} characters; what lies inside is filled "
                "anew"
            )
        spans, at = list[bool](), 0
        for line in re.split("\n+", media.text) if len(self.spec.axes) > 1 else [media.text]:
            at = media.text.index(line, at)
            spans += [at + start < region[1] and at + end > region[0] for _, start, end in self._spans(line)]
            at += len(line)
        return torch.tensor(spans).view(stream.grid)

    def _spans(self, line: str) -> Iterator[tuple[int, int, int]]:
        """(code, start, end) of the symbols of a line."""
        between = self.config.separator
        at, parts = 0, line.split(between) if between else self._any.findall(line)
        for symbol in parts:
            if symbol not in self._code or not line.startswith(symbol, at):
                break
            yield self._code[symbol], at, at + len(symbol)
            at += len(symbol) + len(between)
        if at != len(line) + (len(between) if parts else 0):
            known = ", ".join(map(repr, self.config.alphabet[:12]))
            raise ValueError(
                f"symbols must be of the alphabet {known}{', ...' * (len(self._code) > 12)}, got "
                f"{(line[at:].split(between)[0] if between else line[at : at + 8])!r} at character {at}; "
                "add it, or leave the item out"
            )


def misread(alphabet: Sequence[str]) -> tuple[str, str] | None:
    """A symbol that, with others behind it, reading the longest first takes for another one; None if there is none."""
    if len({len(symbol) for symbol in alphabet}) == 1:
        return None
    known: dict[str, bool] = {}

    def begins(rest: str) -> bool:  # whether symbols side by side may begin with it
        if rest not in known:
            known[rest] = False
            known[rest] = any(
                one.startswith(rest) or (rest.startswith(one) and begins(rest[len(one) :])) for one in alphabet
            )
        return known[rest]

    pairs = ((one, other) for other in alphabet for one in alphabet if one != other and other.startswith(one))
    return next(((one, other) for one, other in pairs if begins(other[len(one) :])), None)
