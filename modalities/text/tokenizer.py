"""Text: SentencePiece codes from which every string comes back unchanged.

Arrow: Text --TextTokenizer.encode--> TokenStream [index, 1], and back.
Does not know: shared ids, models, other modalities.
"""

from __future__ import annotations

import codecs
import io
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from tokenmask.files import write_bytes_atomic
from tokenmask.modalities.text.media import Text, characters_of, joined
from tokenmask.modalities.text.places import character_places
from tokenmask.stored_tokenizer import FolderTokenizer
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import check_fingerprint, check_media, check_stream, fingerprint

MODEL_FILE = "text.model"
SPACE_MARK = "\u2581"  # how SentencePiece spells a space; as a character of a text it is coded by its bytes
_BYTES = 256
_MOST = re.compile(r"<= (\d+)")  # in SentencePiece's complaint: codes that the texts can fill
_LONGEST = 1 << 16  # characters of a line that are learned from in one go


@dataclass(frozen=True)
class TextTokenizerConfig:
    """How a text tokenizer is fitted.

    Args:
        vocab_size: number of codes, the 256 byte codes and the end code included.
        model: "unigram" (Kudo 2018) or "bpe" (Sennrich et al. 2016).
        character_coverage: share of the characters seen in fitting that get a code; others are coded by their bytes. So
            are the rare ones where there are more characters than codes.
    """

    vocab_size: int = 1024
    model: Literal["unigram", "bpe"] = "unigram"
    character_coverage: float = 0.9995

    def __post_init__(self) -> None:
        if self.vocab_size < _BYTES + 3:
            raise ValueError(
                f"vocab_size must be at least {_BYTES + 3}, room beyond 256 byte codes, got {self.vocab_size}; 512 or "
                "more is usual, where the texts give as many"
            )
        if self.model not in ("unigram", "bpe"):
            raise ValueError(f"model must be 'unigram' or 'bpe', got {self.model!r}; choose one of these")
        if not 0.9 <= self.character_coverage <= 1:
            raise ValueError(f"character_coverage must lie in 0.9..1, got {self.character_coverage}; 0.9995 is usual")


class TextTokenizer(FolderTokenizer):
    """SentencePiece with identity normalisation and byte fallback, so that decoding returns the very string.

    Codes 0 .. vocab_size - 2 are pieces and bytes; the last code means "nothing follows", is never emitted by
    :meth:`encode` and ends :meth:`decode`. A prefix to be continued is encoded like any text.

    Source: SentencePiece, arXiv:1808.06226; unigram model, arXiv:1804.10959. Deviations: the unknown piece has no
    code (byte fallback leaves no use for it), and U+2581, which SentencePiece cannot tell from a space, is coded by
    its three bytes.
    """

    name: ClassVar[str] = "text"
    config_class: ClassVar[type] = TextTokenizerConfig
    remedy: ClassVar[str] = "fit it again"
    media: ClassVar[type] = Text
    context_seconds: ClassVar[float | None] = None

    def __init__(self, config: TextTokenizerConfig, model: bytes) -> None:
        """Args:
        config: what the model was fitted with.
        model: a serialised SentencePiece model; :meth:`fit` makes one.
        """
        import sentencepiece

        self.config, self.model = config, model
        try:
            self._pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise ValueError(
                f"a SentencePiece model is needed, but its bytes do not parse ({error}); fit it again"
            ) from error
        if len(self._pieces) != config.vocab_size or self._pieces.unk_id() != 0:
            raise ValueError(f"the model must have {config.vocab_size} pieces, got {len(self._pieces)}; fit it again")
        # Piece 0 is the unknown one: codes are pieces less one, which leaves the last code free for the end.
        self._bytes = [self._bytes_of(piece) for piece in range(1, config.vocab_size)]
        space_mark = [self._pieces.piece_to_id(f"<0x{byte:02X}>") for byte in SPACE_MARK.encode()]
        self._space_mark = [piece - 1 for piece in space_mark]
        self._space = self._pieces.piece_to_id("<0x20>") - 1
        self._spec = StreamSpec(
            "text",
            (config.vocab_size,),
            ("index",),
            end_code=config.vocab_size - 1,
            fingerprint=fingerprint({"tokenizer": "text", **asdict(config)}, model),
        )

    def _bytes_of(self, piece: int) -> bytes:
        text: str = self._pieces.id_to_piece(piece)
        if self._pieces.is_byte(piece):
            return bytes([int(text[1:-1], 16)])
        return text.replace(SPACE_MARK, " ").encode()

    @property
    def spec(self) -> StreamSpec:
        """One level over ("index",), of any length, with an end code."""
        return self._spec

    @property
    def code_texts(self) -> list[str]:
        """What each code stands for, for people to read: half a character shows as U+FFFD, the end code as ""."""
        return [data.decode(errors="replace") for data in self._bytes] + [""]

    @property
    def code_bytes(self) -> list[bytes]:
        """What each code stands for, exactly; the end code is nothing."""
        return [*self._bytes, b""]

    def encode(self, media: Text) -> TokenStream:
        """The codes of a text.

        Returns:
            A stream of codes int32 [index, 1], at least one, without the end code.

        Raises:
            TypeError: not a Text.
            ValueError: an empty text, or one with lone surrogates (half of a UTF-16 pair: no character).
        """
        check_media(self, media)
        text = media.text
        if not text:
            raise ValueError(
                "a text to encode must have at least one character, got an empty one; leave it out instead"
            )
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"a text must consist of characters, but position {error.start} holds the lone surrogate "
                f"U+{ord(text[error.start]):04X}; repair or drop it first"
            ) from error
        codes: list[int] = []
        for number, part in enumerate(text.split(SPACE_MARK)):
            if number:
                codes += self._space_mark
            if part:
                codes += self._with_spaces([piece - 1 for piece in self._pieces.encode(part)])
        return TokenStream(self._spec, torch.tensor(codes, dtype=torch.int32).view(-1, 1))

    def _with_spaces(self, codes: list[int]) -> list[int]:
        """Codes in which the bytes of U+2581 are a space: SentencePiece so spells one that it never met."""
        mark, found = self._space_mark, list[int]()
        for code in codes:
            found.append(code)
            if found[-len(mark) :] == mark:
                found[-len(mark) :] = [self._space]
        return found

    def encode_many(self, items: Sequence[Text]) -> list[TokenStream]:
        """The codes of many texts, those of :meth:`encode`."""
        return [self.encode(item) for item in items]

    def decode(self, stream: TokenStream, *, given: Any = None, keep: Any = None) -> Text:
        """The text of any codes, up to the first end code; bytes that form no character become U+FFFD.

        Args:
            stream: codes of this tokenizer.
            given: accepted and not needed: codes lose nothing of a text, so kept codes give back kept text.
            keep: likewise.

        Returns:
            A Text that keeps its stream, without the end code and what came after it.

        Raises:
            ValueError: the codes of another tokenizer.
        """
        check_stream(self, stream)
        codes = stream.codes[:, 0].tolist()
        if self._spec.end_code in codes:
            codes = codes[: codes.index(self._spec.end_code)]
        pieces = [self._bytes[code] for code in codes]
        kept = TokenStream(self._spec, stream.codes[: len(codes)], stream.start_seconds)
        filled: tuple[tuple[int, int], ...] = ()
        if stream.filled is not None:
            kept = kept.with_filled(stream.filled[: len(codes)])
            marks = stream.filled[: len(codes), 0].tolist()
            filled = joined(span for span, is_filled in zip(characters_of(pieces), marks, strict=True) if is_filled)
        return Text(b"".join(pieces).decode(errors="replace"), kept, filled)

    def decode_pieces(
        self, streams: Iterable[TokenStream], places: int, *, given: Any = None, keep: Any = None
    ) -> Iterator[Text]:
        """Texts that joined are that of :meth:`decode`; see :class:`~tokenmask.tokenizer.DecodesPieces`."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for stream in streams:
            check_stream(self, stream)
            made, end = stream.codes[:, 0].tolist(), self._spec.end_code
            is_last = end in made
            made = made[: made.index(end)] if is_last else made
            if words := decoder.decode(b"".join(self._bytes[code] for code in made)):
                yield Text(words)
            if is_last:
                break
        if words := decoder.decode(b"", final=True):
            yield Text(words)

    def places(self, media: Text, stream: TokenStream, region: Sequence[float]) -> Tensor:
        """bool [index], codes of which a character of ``media.text[start:end]`` is a part.

        Raises:
            ValueError: no (start, end), or one outside of the text.
        """
        spans = characters_of(self._bytes[code] for code in stream.codes[:, 0].tolist())
        begins, ends = torch.tensor(spans).view(-1, 2).unbind(1)
        return character_places(media, begins, ends, region, exact=True)

    def evaluate(self, items: Sequence[Text], train_items: Sequence[Text] = ()) -> dict[str, float]:
        """How well texts are coded.

        Returns:
            characters_per_code; round_trip_share, the share of texts that come back unchanged (1 unless something is
            broken); codes_used_share, the share of the codes that occur at all.
        """
        if not items:
            raise ValueError("evaluate needs at least one text, got none")
        streams = self.encode_many(items)
        same = sum(self.decode(stream).text == item.text for stream, item in zip(streams, items, strict=True))
        codes = torch.cat([stream.codes[:, 0] for stream in streams])
        return {
            "characters_per_code": sum(len(item.text) for item in items) / len(codes),
            "round_trip_share": same / len(items),
            "codes_used_share": int(codes.bincount().count_nonzero()) / (self.config.vocab_size - 1),
        }

    @classmethod
    def fit(
        cls,
        items: Iterable[Text | str],
        *,
        vocab_size: int = 1024,
        model: Literal["unigram", "bpe"] = "unigram",
        character_coverage: float = 0.9995,
        shrink: bool = False,
        seed: int = 0,
        folder: str | Path | None = None,
        progress: bool = True,
    ) -> Self:
        """Learns pieces from texts; one thread, so equal texts give an equal model.

        Where there are more characters than codes, the most frequent ones get half of the codes beside the bytes,
        pieces of them the rest, and the others are coded by their bytes.

        Args:
            items: texts, read once; lines of them are learned from one by one.
            vocab_size: see :class:`TextTokenizerConfig`, as for ``model`` and ``character_coverage``.
            shrink: takes as many codes as the texts can fill where these are fewer than ``vocab_size``.
            seed: accepted like by every tokenizer; nothing here is random.
            folder: accepted likewise; fitting takes seconds and keeps no checkpoint.
            progress: accepted likewise.

        Raises:
            ValueError: too little text for so many codes.
        """
        import sentencepiece

        lines = _common(list(_lines(items)), character_coverage, vocab_size)

        def learn(size: int) -> tuple[TextTokenizerConfig, bytes]:
            config, written = TextTokenizerConfig(size, model, character_coverage), io.BytesIO()
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines),
                model_writer=written,
                model_type=model,
                vocab_size=size,
                character_coverage=character_coverage,
                normalization_rule_name="identity",
                byte_fallback=True,
                add_dummy_prefix=False,
                remove_extra_whitespaces=False,
                unk_id=0,
                bos_id=-1,
                eos_id=-1,
                pad_id=-1,
                num_threads=1,
                max_sentence_length=8 * _LONGEST,
                minloglevel=3,
            )
            return config, written.getvalue()

        try:
            return cls(*learn(vocab_size))
        except (RuntimeError, OSError) as error:
            most = _MOST.search(str(error))
            if most and shrink:
                return cls(*learn(int(most[1])))
            raise ValueError(_why_not(str(error), vocab_size)) from error

    def write_files(self, folder: Path) -> None:
        """Writes the SentencePiece model."""
        write_bytes_atomic(folder / MODEL_FILE, self.model)

    @classmethod
    def read_files(cls, config: TextTokenizerConfig, folder: Path, identity: str, **others: Any) -> Self:
        """With the model that is there."""
        path = folder / MODEL_FILE
        try:
            model = path.read_bytes()
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error.strerror}); copy or fit the tokenizer again") from error
        stored = fingerprint({"tokenizer": cls.name, **asdict(config)}, model)
        check_fingerprint(folder, identity, stored)  # before anything parses the model
        return cls(config, model)


def _common(lines: list[str], coverage: float, vocab_size: int) -> list[str]:
    """The lines, cut at characters for which there is no code (SentencePiece itself leaves out 2 % at most)."""
    counted = Counter(character for line in lines for character in line).most_common()
    shares = list(accumulate(count for _, count in counted))
    needed = bisect_left(shares, coverage * sum(count for _, count in counted)) + 1
    room = vocab_size - _BYTES - 1  # less the unknown piece
    if needed <= room:
        return lines
    rare = dict.fromkeys((ord(character) for character, _ in counted[max(1, room // 2) :]), "\n")
    return [part for line in lines for part in line.translate(rare).split("\n") if part]


def _why_not(message: str, vocab_size: int) -> str:
    """What SentencePiece meant, as a sentence for a user."""
    most, needed = _MOST.search(message), re.search(r"required_chars\. \d+ vs (\d+)", message)
    if most:
        return (
            f"the texts must fill {vocab_size} codes, but give {most[1]} at most; give more text, or set vocab_size "
            f"to at most {most[1]}, or shrink to true, which takes as many as there are"
        )
    if needed:
        return f"vocab_size must hold all characters, at least {needed[1]} codes, got {vocab_size}; raise it"
    reason = " ".join(message.rpartition("] ")[2].split()) or "they are empty"
    return f"texts to fit on must hold something to learn from, but SentencePiece says: {reason}; give more text"


def _lines(items: Iterable[Text | str]) -> Iterator[str]:
    """Lines without their ends (a line end is a byte code), in pieces SentencePiece accepts; surrogates are refused."""
    for number, item in enumerate(items):
        text = item.text if isinstance(item, Text) else item
        if not isinstance(text, str):
            raise TypeError(f"texts to fit on must be Text or str, got {type(text).__name__} at {number}")
        for line in text.split("\n"):
            for start in range(0, len(line), _LONGEST):
                piece = line[start : start + _LONGEST]
                if any(0xD800 <= ord(character) < 0xE000 for character in piece):
                    raise ValueError(
                        f"texts must consist of characters, but text {number} holds a lone surrogate; drop it"
                    )
                yield piece
