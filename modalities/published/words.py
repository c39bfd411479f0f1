"""Published tokenizers of text: texts in and out of a vocabulary of others.

Arrow: Text --PublishedWords.encode--> TokenStream [index, 1], and back. Does not know: which library.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from tokenmask.modalities.published.base import PublishedConfig, PublishedTokenizer
from tokenmask.modalities.text.media import Text, joined
from tokenmask.modalities.text.places import character_places
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import check_media, check_stream


@dataclass(frozen=True)
class PublishedWordsConfig(PublishedConfig):
    """A vocabulary of text.

    Args:
        end: the piece of the vocabulary that means "nothing follows", such as "</s>" or "[SEP]"; None adds a code
            behind the last.
    """

    end: str | None = None


class PublishedWords(PublishedTokenizer):
    """Base of tokenizers of text.

    An adapter has :meth:`numbers`, :meth:`written` and :attr:`size`. Codes are the ids of the vocabulary. Nothing is
    added to a text, and what looks like a special piece in it ("</s>") is coded as the characters that it is.
    """

    model_class = model_type = ""
    media: ClassVar[type] = Text
    config_class: ClassVar[type] = PublishedWordsConfig

    @abstractmethod
    def numbers(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """(ids of a text, the characters (start, end) that each stands for)."""

    @abstractmethod
    def written(self, codes: list[int]) -> str:
        """The text of any ids."""

    @abstractmethod
    def number_of(self, piece: str) -> int | None:
        """The id of a piece of the vocabulary, None of another."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many ids there are; each is below."""

    def resolved(self, config: Any) -> Any:
        """Refuses an end that the vocabulary does not have."""
        if config.end is not None and self.number_of(config.end) is None:
            raise ValueError(
                f"end must be a piece of the vocabulary of {self.source}, got {config.end!r}; leave it out"
            )
        return config

    @functools.cached_property
    def _end(self) -> int:
        found = None if self.config.end is None else self.number_of(self.config.end)
        return self.size if found is None else found

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    def to(self, device: torch.device | str) -> Self:
        """Itself: a vocabulary is on the CPU."""
        return self

    def make_spec(self) -> StreamSpec:
        """One level over ("index",), of any length, with an end code."""
        return StreamSpec("text", (max(self.size, self._end + 1),), ("index",), end_code=self._end)

    @functools.cached_property
    def code_texts(self) -> list[str]:
        """What each code stands for alone, for people to read: half a character shows as U+FFFD, the end code as ""."""
        return ["" if code == self._end else self._safely([code]) for code in range(self.spec.codebook_sizes[0])]

    def encode(self, media: Text) -> TokenStream:
        """The codes of a text.

        Returns:
            A stream of codes int32 [index, 1], at least one, without the end code.

        Raises:
            TypeError: not a Text.
            ValueError: an empty text, one with lone surrogates, or one of which nothing is in the vocabulary.
        """
        check_media(self, media)
        if not media.text:
            raise ValueError(
                "a text to encode must have at least one character, got an empty one; leave it out instead"
            )
        try:
            media.text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"a text must consist of characters, but position {error.start} holds a lone surrogate; repair it first"
            ) from error
        codes = self.numbers(media.text)[0]
        if not codes or self._end in codes:
            what = "none" if not codes else "the one that ends a text"
            raise ValueError(
                f"{type(self).__name__} must have codes for a text, but for {media.text[:40]!r} has {what}"
            )
        return TokenStream(self._spec, torch.tensor(codes, dtype=torch.int32).view(-1, 1))

    def encode_many(self, items: Sequence[Text]) -> list[TokenStream]:
        """The codes of many texts, those of :meth:`encode`."""
        return [self.encode(item) for item in items]

    def decode(self, stream: TokenStream, *, given: Any = None, keep: Any = None) -> Text:
        """The text of any codes, up to the first end code.

        Args:
            stream: codes of this tokenizer.
            given: accepted and not used: what is kept is kept as codes, and a vocabulary that loses something of a text
                (capitals, spaces) loses it there too.
            keep: likewise.

        Returns:
            A Text that keeps its stream, without the end code and what came after it.

        Raises:
            ValueError: the codes of another tokenizer.
        """
        check_stream(self, stream)
        codes = stream.codes[:, 0].tolist()
        codes = codes[: codes.index(self._end)] if self._end in codes else codes
        kept = TokenStream(self._spec, stream.codes[: len(codes)], stream.start_seconds)
        filled: tuple[tuple[int, int], ...] = ()
        if stream.filled is not None:
            kept = kept.with_filled(stream.filled[: len(codes)])
            marks = stream.filled[: len(codes), 0].tolist()
            filled = joined(span for span, is_filled in zip(self._spans_of(codes), marks, strict=True) if is_filled)
        return Text(self._safely(codes), kept, filled)

    def _safely(self, codes: list[int]) -> str:
        """Ids that the vocabulary leaves out stand for nothing."""
        return self.written(codes).encode(errors="replace").decode()

    def places(self, media: Text, stream: TokenStream, region: Sequence[float]) -> Tensor:
        """bool [index], codes of which a character of ``media.text[start:end]`` is a part.

        Raises:
            ValueError: no (start, end), one outside of the text, or a text whose codes are not those of ``stream``.
        """
        codes, spans = self.numbers(media.text)
        if codes != stream.codes[:, 0].tolist():
            spans = self._spans_of(stream.codes[:, 0].tolist())
        begins, ends = torch.tensor(spans, dtype=torch.int64).view(-1, 2).unbind(1)
        return character_places(media, begins, ends, region)

    def _spans_of(self, codes: list[int]) -> list[tuple[int, int]]:
        """Characters of the text of codes that did not come from :meth:`encode`, by how the text grows."""
        ends = [len(self._safely(codes[: count + 1])) for count in range(len(codes))]
        return list(zip([0, *ends][: len(ends)], ends, strict=True))

    def evaluate(self, items: Sequence[Text], train_items: Sequence[Text] = ()) -> dict[str, float]:
        """How well texts are coded: characters_per_code, round_trip_share of texts unchanged, codes_used_share."""
        if not items:
            raise ValueError("evaluate needs at least one text, got none")
        streams = self.encode_many(items)
        same = sum(self.decode(stream).text == item.text for stream, item in zip(streams, items, strict=True))
        codes = torch.cat([stream.codes[:, 0] for stream in streams])
        return {
            "characters_per_code": sum(len(item.text) for item in items) / len(codes),
            "round_trip_share": same / len(items),
            "codes_used_share": int(codes.bincount().count_nonzero()) / self.size,
        }

    @classmethod
    def fit(
        cls,
        items: Sequence[Text],
        *,
        source: str,
        end: str | None = None,
        keep: str = "weights",
        download: bool = False,
        seed: int = 0,
        folder: str | Path | None = None,
        progress: bool = True,
    ) -> Self:
        """Opens it, for recipes: nothing is learned, and ``items``, ``seed`` and the others are accepted and not used.

        Args:
            items: not looked at.
            source: see :meth:`open`, as for ``keep`` and ``download``.
            end: see :class:`PublishedWordsConfig`.
        """
        return cls.open(source, keep=keep, download=download, end=end)


def bytes_as_tensor(data: bytes) -> Tensor:
    """uint8 [bytes]; so a file of a vocabulary is kept as weights are."""
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)
