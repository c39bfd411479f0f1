"""tiktoken's vocabularies of text, from a folder with a .tiktoken file or from tiktoken's own cache."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from tokenmask.modalities.published.files import needed
from tokenmask.modalities.published.tiktoken_encodings import address, encodings, pattern_of
from tokenmask.modalities.published.words import PublishedWords, PublishedWordsConfig, bytes_as_tensor

_RANKS = "ranks"


@dataclass(frozen=True)
class TiktokenConfig(PublishedWordsConfig):
    """A vocabulary of tiktoken.

    Args:
        pattern: what texts are split by: an encoding of tiktoken such as "cl100k_base", or a regular expression; None
            for the encoding that the file is named after.
    """

    pattern: str | None = None


class TiktokenTokenizer(PublishedWords):
    """Byte-pair encoding of tiktoken without its special pieces; see :class:`PublishedWords`.

    The source is a folder with one .tiktoken file, or an encoding such as "cl100k_base", whose file is looked for in
    tiktoken's cache and fetched by tiktoken if ``download`` says so.
    """

    name: ClassVar[str] = "tiktoken"
    library: ClassVar[str] = "tiktoken"
    config_class: ClassVar[type] = TiktokenConfig

    @classmethod
    def found(cls, source: str | Path, download: bool = False) -> Path:
        """The file of an encoding in tiktoken's cache, or a folder."""
        if str(source) not in encodings() or Path(source).is_dir():
            return super().found(source, download)
        url, path = address(str(source))
        if not path.is_file() and download:
            needed("tiktoken.load", cls.__name__).read_file_cached(url)
        if not path.is_file():
            raise ValueError(
                f"{source} is neither a folder here nor in tiktoken's cache ({path}), and nothing is downloaded "
                f"unasked; name a folder with {source}.tiktoken, or pass download=True"
            )
        return path

    @classmethod
    def read(cls, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The name of the encoding and the file as it is."""
        paths = [folder] if folder.is_file() else sorted(folder.glob("*.tiktoken"))
        if len(paths) != 1:
            raise ValueError(
                f"{cls.__name__} is opened from a folder with one .tiktoken file, but {folder} has {len(paths)}"
            )
        named = [name for name in encodings() if address(name)[1].name == paths[0].name]
        return {"encoding": [*named, paths[0].stem][0]}, {_RANKS: bytes_as_tensor(paths[0].read_bytes())}

    def make_network(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
        """tiktoken's own encoding of the ranks, and of a pattern."""
        tiktoken = needed("tiktoken", type(self).__name__)
        try:
            pairs = (line.split() for line in tensors[_RANKS].numpy().tobytes().splitlines() if line)
            ranks = {base64.b64decode(piece, validate=True): int(rank) for piece, rank in pairs}
            pattern = self.config.pattern or values["encoding"]
            if pattern in encodings():
                pattern = pattern_of(pattern)
            elif not self.config.pattern:
                raise ValueError(f"{pattern} is no encoding of tiktoken ({', '.join(encodings())}); pass pattern=...")
            return tiktoken.Encoding("vocabulary", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        except Exception as error:
            raise ValueError(
                f"a .tiktoken file has a piece and its rank a line, or its pattern is no good: {error}"
            ) from error

    @property
    def size(self) -> int:
        """Ranks and ids are one."""
        return int(self.network.n_vocab)

    def number_of(self, piece: str) -> int | None:
        """Of a piece of the file."""
        found: int | None = self.network._mergeable_ranks.get(piece.encode())
        return found

    def numbers(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """As ``encode_ordinary`` gives them."""
        codes = self.network.encode_ordinary(text)
        ends, done = [], 0
        for piece in self.network.decode_tokens_bytes(codes):
            done += len(piece)
            ends.append(done)
        places = [index for index, letter in enumerate(text) for _ in letter.encode()]  # character of each byte
        return codes, [(places[start], places[end - 1] + 1) for start, end in zip([0, *ends], ends, strict=False)]

    def written(self, codes: list[int]) -> str:
        """As ``decode`` gives it; numbers between the ranks stand for nothing."""
        ids = self.network._mergeable_ranks.values()
        if len(ids) <= max(ids):
            ids = set(ids)
            codes = [code for code in codes if code in ids]
        text: str = self.network.decode(codes, errors="replace")
        return text
