"""A tokenizer of another package: k-mers of DNA, k bases a code."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import torch

from tokenmask.files import write_text_atomic
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import (
    DESCRIPTION_FILE,
    check_fingerprint,
    check_free,
    check_media,
    check_stream,
    describe,
    fingerprint,
    read_description,
)


@dataclass(frozen=True, eq=False)
class Dna:
    """Bases A, C, G, T."""

    bases: str
    stream: TokenStream | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dna) and self.bases == other.bases

    __hash__ = None

    @classmethod
    def load(cls, path: str | Path) -> Dna:
        return cls(Path(path).read_text(encoding="ascii").strip())

    def save(self, path: str | Path) -> None:
        write_text_atomic(Path(path), self.bases + "\n")


class DnaTokenizer:
    """Each code is a word of ``k`` bases; what is left over at the end is dropped."""

    media = Dna
    context_seconds = None

    def __init__(self, k: int) -> None:
        self.k = k
        self.code_texts = ["".join(word) for word in itertools.product("ACGT", repeat=k)]
        identity = fingerprint({"tokenizer": "dna", "k": k})
        self.spec = StreamSpec("dna", (4**k,), ("index",), fingerprint=identity)

    @classmethod
    def fit(cls, items, *, seed=0, folder=None, progress=True, k=3):
        return cls(k)

    def encode(self, media: Dna) -> TokenStream:
        check_media(self, media)
        words = [media.bases[at : at + self.k] for at in range(0, len(media.bases) - self.k + 1, self.k)]
        if not words or not set(media.bases) <= set("ACGT"):
            raise ValueError(f"DNA must hold at least {self.k} bases out of ACGT, got {media.bases[:20]!r}")
        codes = [self.code_texts.index(word) for word in words]
        return TokenStream(self.spec, torch.tensor(codes, dtype=torch.int32).view(-1, 1))

    def encode_many(self, items):
        return [self.encode(item) for item in items]

    def decode(self, stream: TokenStream, *, given=None, keep=None) -> Dna:
        check_stream(self, stream)
        return Dna("".join(self.code_texts[code] for code in stream.codes[:, 0].tolist()), stream)

    def evaluate(self, items, train_items=()):
        return {"bases_per_code": float(self.k)}

    def save(self, folder: str | Path) -> None:
        check_free(folder, self.spec.fingerprint)
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_text_atomic(Path(folder) / DESCRIPTION_FILE, describe("dna", {"k": self.k}, self.spec.fingerprint))

    @classmethod
    def load(cls, folder: str | Path) -> DnaTokenizer:
        values = read_description(folder, "dna")
        tokenizer = cls(values["config"]["k"])
        check_fingerprint(folder, values["fingerprint"], tokenizer.spec.fingerprint)
        return tokenizer
