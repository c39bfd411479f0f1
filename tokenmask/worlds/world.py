"""World: a law over codes that is known exactly, as records, tokenizers and probabilities.

Arrow: **World** --records--> Corpus, and codes with some hidden --**World.conditionals**--> probabilities of the rest.
Does not know: models, samplers, shared ids.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from tokenmask.batch import FILL, GIVEN, Batch, collate
from tokenmask.corpus import HELD_OUT, TRAIN, CorpusWriter, Record
from tokenmask.layout import Layout
from tokenmask.streams import TokenStream
from tokenmask.tokenizer import Tokenizer, load_tokenizer_class

_HELD_OUT = 10  # every tenth record


@dataclass(frozen=True)
class Part:
    """A stream of a world.

    Args:
        alphabet: what its codes stand for, code 0 first.
        grid: its sizes, as for ``SymbolTokenizer``.
        separator: stands between two symbols where they are written down.
    """

    alphabet: tuple[str, ...]
    grid: tuple[int, ...]
    separator: str = ""

    def __len__(self) -> int:
        return math.prod(self.grid)


class World(ABC):
    """Base of laws over the codes of a few streams of fixed size; a frozen dataclass.

    Its N slots are those of its streams one after the other, each from row to row. What is drawn follows from a seed.
    """

    @property
    @abstractmethod
    def parts(self) -> Mapping[str, Part]:
        """Its streams by name, in their order."""

    @abstractmethod
    def draw(self, count: int, seed: int = 0) -> Tensor:
        """int64 [count, N], codes of as many independent draws; the first ones do not depend on ``count``."""

    @abstractmethod
    def conditionals(self, codes: Tensor) -> Tensor:
        """The law of every slot, given those that are known: float64 [B, N, V], V the size of the largest alphabet.

        A known slot has its code. Where what is known has no probability, slots that are not known have the law given
        as many of the known ones as can be: the limit of knowing them through a channel that errs ever more rarely.

        Args:
            codes: int64 [B, N], -1 where a slot is not known.
        """

    @abstractmethod
    def log_prob(self, codes: Tensor) -> Tensor:
        """float64 [B], natural logarithm of the probability of codes int64 [B, N]; -inf where there is none."""

    def worth(self, text: str) -> float | None:
        """How good what its one stream says is, for those who look for the best; None for what it never says.

        Raises:
            ValueError: a world that does not know better and worse.
        """
        raise ValueError(f"{self} knows no better and worse; take Molecules, say")

    @property
    def sizes(self) -> tuple[int, ...]:
        """N numbers of codes, that of each slot."""
        return tuple(len(part.alphabet) for part in self.parts.values() for _ in range(len(part)))

    @property
    def tokenizers(self) -> dict[str, Tokenizer]:
        """A ``SymbolTokenizer`` for each stream."""
        made = cast(Any, load_tokenizer_class("symbols"))
        return {name: made(one.alphabet, one.grid, separator=one.separator) for name, one in self.parts.items()}

    @property
    def layout(self) -> Layout:
        """Of its streams alone."""
        return Layout({name: tokenizer.spec for name, tokenizer in self.tokenizers.items()})

    def streams(self, codes: Tensor) -> dict[str, TokenStream]:
        """Streams of the codes of one draw, int64 [N]."""
        split = torch.split(codes.int(), [len(part) for part in self.parts.values()])
        specs = {name: tokenizer.spec for name, tokenizer in self.tokenizers.items()}
        return {
            name: TokenStream(specs[name], own.view(*part.grid, 1).clone())
            for (name, part), own in zip(self.parts.items(), split, strict=True)
        }

    def records(self, count: int, seed: int = 0) -> Iterator[Record]:
        """As many draws as records; every tenth is held out."""
        for number, codes in enumerate(self.draw(count, seed)):
            split = HELD_OUT if number % _HELD_OUT == _HELD_OUT - 1 else TRAIN
            yield Record(f"{type(self).__name__.lower()}-{seed}-{number}", self.streams(codes), split=split)

    def write(self, folder: str | Path, count: int, seed: int = 0) -> Path:
        """Writes records as a corpus and the tokenizers of its streams: ``corpus``, ``tokenizers/NAME``.

        Returns:
            the folder of the corpus.
        """
        tokenizers, corpus = self.tokenizers, Path(folder) / "corpus"
        for name, tokenizer in tokenizers.items():
            tokenizer.save(Path(folder) / "tokenizers" / name)
        with CorpusWriter(corpus, {name: tokenizer.spec for name, tokenizer in tokenizers.items()}) as writer:
            for record in self.records(count, seed):
                writer.add(record)
        return corpus

    def batch(self, codes: Tensor, is_open: Tensor | None = None, layout: Layout | None = None) -> Batch:
        """Rows of codes as a batch; ``SamplerState.start`` hides what is open.

        Args:
            codes: int64 [B, N].
            is_open: bool [B, N] or [N], what is to be filled; None fills all. The rest is given.
            layout: of the ids, :attr:`layout` if None; its streams may have other grids and levels.
        """
        layout = layout or self.layout
        is_open = torch.ones(codes.shape[1], dtype=torch.bool) if is_open is None else is_open
        rows = []
        lengths = [len(part) for part in self.parts.values()]
        for row, fill in zip(codes.int(), is_open.expand(codes.shape), strict=True):
            record, roles = {}, dict[str, int | Tensor]()
            for name, own, mine in zip(self.parts, row.split(lengths), fill.split(lengths), strict=True):
                spec = layout.streams[name]
                shape = (*spec.grid, spec.num_levels) if None not in spec.grid else (-1, spec.num_levels)
                record[name] = TokenStream(spec, own.reshape(cast(Any, shape)).clone())
                roles[name] = torch.where(mine, FILL, GIVEN).to(torch.int8).reshape(cast(Any, shape))
            rows.append(layout.pack(record, roles=roles))
        return collate(rows)
