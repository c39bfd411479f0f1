"""Codes of DNA: words of k bases, as in DNABERT (doi:10.1093/bioinformatics/btab083), here beside one another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from tokenmask.stored_tokenizer import StoredTokenizer
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask_example.dna.media import Dna


@dataclass(frozen=True)
class KmerConfig:
    """Args:
    k: bases of a code.
    """

    k: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.k <= 8:
            raise ValueError(f"k must lie in 1..8, got {self.k}")


class KmerTokenizer(StoredTokenizer):
    """Each code is a word of ``k`` bases, the last code the end; what is left over at the end of a strand has none."""

    name: ClassVar[str] = "dna"
    media: ClassVar[type] = Dna
    config_class: ClassVar[type] = KmerConfig

    @classmethod
    def fit(cls, items: Any, *, k: int = 3, seed: int = 0, folder: Any = None, progress: bool = True) -> KmerTokenizer:
        return cls(KmerConfig(k))

    def make_spec(self) -> StreamSpec:
        return StreamSpec("dna", (4**self.config.k + 1,), ("index",), end_code=4**self.config.k)

    @property
    def code_texts(self) -> list[str]:
        return ["".join(word) for word in itertools.product("ACGT", repeat=self.config.k)] + [""]

    def to_codes(self, media: Dna) -> torch.Tensor:
        k = self.config.k
        digits = torch.tensor(["ACGT".index(base) for base in media.bases[: len(media.bases) // k * k]])
        if not len(digits):
            raise ValueError(f"a strand to encode must have {k} bases at least, got {media.bases!r}; leave it out")
        return (digits.view(-1, k) * 4 ** torch.arange(k - 1, -1, -1)).sum(1, keepdim=True).int()

    def from_codes(self, codes: torch.Tensor) -> Dna:
        texts = self.code_texts
        return Dna("".join(texts[code] for code in codes[:, 0].tolist()))

    def joined(self, made: Dna, given: Dna, keep: torch.Tensor) -> Dna:
        return Dna(made.bases + given.bases[len(given.bases) // self.config.k * self.config.k :])

    def places(self, media: Dna, stream: TokenStream, region: Sequence[float]) -> torch.Tensor:
        size = len(media.bases)
        if len(region) != 2 or not 0 <= region[0] < region[1] <= size:
            raise ValueError(f"a region of dna is (start, end) within its {size} bases, got {tuple(region)}")
        begins = torch.arange(len(stream.codes)) * self.config.k
        return (begins < region[1]) & (begins + self.config.k > region[0])
