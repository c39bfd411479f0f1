"""DNA: a strand of bases, and the FASTA files that hold many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

from tokenmask.files import write_text_atomic
from tokenmask.medium import Medium
from tokenmask.streams import TokenStream

_LINE = 70  # bases


@dataclass(frozen=True)
class Dna(Medium):
    """A strand.

    Args:
        bases: of A, C, G and T.
        stream: the codes it was generated from, if it was.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".fa", ".fasta")
    written_suffixes: ClassVar[tuple[str, ...]] = suffixes
    view: ClassVar[str] = "tokenmask_example.dna.view:DnaView"

    bases: str
    stream: TokenStream | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not set(self.bases) <= set("ACGT"):
            raise ValueError(f"a strand must hold bases out of ACGT, got {self.bases[:20]!r}; cut out the others")

    @classmethod
    def load(cls, path: str | Path) -> Dna:
        records = cls.records(path)
        if len(records) > 1:
            raise ValueError(f"{path} must hold one strand, got {len(records)}; name one as FILE#RECORD")
        return next(iter(records.values()))()

    @classmethod
    def records(cls, path: str | Path) -> Mapping[str, Callable[[], Dna]]:
        try:
            head, *parts = ("\n" + Path(path).read_text(encoding="ascii")).split("\n>")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} must be a FASTA file, but cannot be read ({error}); check the path") from error
        named = [part.partition("\n") for part in parts]
        found = {title.split()[0]: "".join(lines.split()).upper() for title, _, lines in named if title.split()}
        if head.strip() or not parts or len(found) < len(parts):
            raise ValueError(f"{path} must be FASTA, strands under different >names, but is not; convert it")
        return {name if len(found) > 1 else "": partial(cls, bases) for name, bases in found.items()}

    def save(self, path: str | Path) -> None:
        if Path(path).suffix.lower() not in self.written_suffixes:
            raise ValueError(f"a strand's file must end in .fa or .fasta, got {Path(path).name!r}; rename it")
        lines = [self.bases[at : at + _LINE] for at in range(0, len(self.bases), _LINE)]
        write_text_atomic(path, "\n".join([f">{Path(path).stem}", *lines, ""]))
