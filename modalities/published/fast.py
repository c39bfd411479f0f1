"""Fast tokenizers of text: any ``tokenizer.json`` of the libraries tokenizers and transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor

from tokenmask.modalities.published.files import json_of, needed
from tokenmask.modalities.published.words import PublishedWords, bytes_as_tensor

FILE = "tokenizer.json"


class FastTokenizer(PublishedWords):
    """Byte-level BPE, WordPiece, unigram ...: what the file says; see :class:`PublishedWords`."""

    name: ClassVar[str] = "fast"
    library: ClassVar[str] = "tokenizers"

    @classmethod
    def read(cls, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The file as it is; one of a slow tokenizer alone is said how to convert."""
        if not (folder / FILE).is_file() and any((folder / one).is_file() for one in ("vocab.txt", "tokenizer.model")):
            raise ValueError(
                f"{folder} has the vocabulary of a slow tokenizer without {FILE}; convert it once: from transformers "
                f"import AutoTokenizer; AutoTokenizer.from_pretrained({str(folder)!r}).save_pretrained('converted')"
            )
        if "model" not in json_of(folder / FILE, cls.__name__):
            raise ValueError(
                f"{folder / FILE} must be of the library tokenizers, but has no model; name another folder"
            )
        return {}, {FILE: bytes_as_tensor((folder / FILE).read_bytes())}

    @classmethod
    def of(cls, tokenizer: Any, *, end: str | None = None) -> Self:
        """One of a ``tokenizers.Tokenizer`` in memory, such as ``backend_tokenizer`` of one of transformers."""
        tensors = {FILE: bytes_as_tensor(tokenizer.to_str().encode())}
        return cls(cls.config_class(source="", keep="weights", model="{}", end=end), tensors, "memory")

    def make_network(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
        """The library's tokenizer, without padding, cutting or special pieces of its own."""
        try:
            made = needed("tokenizers", type(self).__name__).Tokenizer.from_buffer(tensors[FILE].numpy().tobytes())
        except Exception as error:
            raise ValueError(f"{FILE} must be one that the library tokenizers reads, but is not ({error})") from error
        made.no_padding()
        made.no_truncation()
        made.encode_special_tokens = True
        return made

    @property
    def size(self) -> int:
        """The ids of the vocabulary end before it; some may be left out."""
        return int(1 + max(self.network.get_vocab(with_added_tokens=True).values()))

    def number_of(self, piece: str) -> int | None:
        """Of any piece, special ones too."""
        found: int | None = self.network.token_to_id(piece)
        return found

    def numbers(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """As ``encode(text, add_special_tokens=False)`` gives them."""
        made = self.network.encode(text, add_special_tokens=False)
        return made.ids, made.offsets

    def written(self, codes: list[int]) -> str:
        """As ``decode(codes, skip_special_tokens=False)`` gives it."""
        text: str = self.network.decode(codes, skip_special_tokens=False)
        return text
