"""Tokenizers that travel: what lies in their folders, opened once in each process that gets it.

Arrow: Tokenizer --**PackedTokenizer**--> the same one in another process. Does not know: items, engines, any modality.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenmask.streams import StreamSpec
from tokenmask.tokenizer import Tokenizer, load_tokenizer

_opened: dict[str, Tokenizer] = {}  # of this process, by digest
_opening = threading.Lock()


@dataclass(frozen=True)
class PackedTokenizer:
    """A tokenizer folder as bytes; it needs no path that another machine would have to see.

    Args:
        spec: what its codes mean; its fingerprint must come out again.
        files: path below the folder -> bytes.
        digest: of the files.
    """

    spec: StreamSpec
    files: Mapping[str, bytes]
    digest: str

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> PackedTokenizer:
        """What ``tokenizer.save`` writes."""
        with tempfile.TemporaryDirectory(prefix="tokenmask-") as scratch:
            folder = Path(scratch) / "tokenizer"
            tokenizer.save(folder)
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
            files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        digest = hashlib.sha256()
        for name, data in files.items():
            digest.update(f"{len(name)} {name} {len(data)} ".encode() + data)
        return cls(tokenizer.spec, files, digest.hexdigest())

    def open(self) -> Tokenizer:
        """The tokenizer; the first call of a process loads it, the others give the same one.

        Raises:
            ValueError: its class is not installed here, or another fingerprint comes out.
        """
        with _opening:
            if self.digest not in _opened:
                with tempfile.TemporaryDirectory(prefix="tokenmask-") as scratch:
                    for name, data in self.files.items():
                        path = Path(scratch) / name
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(data)
                    tokenizer = load_tokenizer(scratch)
                if tokenizer.spec != self.spec:
                    raise ValueError(
                        f"a tokenizer must be the same in every process, got {tokenizer.spec} here and {self.spec} "
                        "where the work was given out; install the same packages on all machines"
                    )
                _opened[self.digest] = tokenizer
            return _opened[self.digest]
