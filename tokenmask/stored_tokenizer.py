"""Stored tokenizers: what keeps a tokenizer in a folder, and a short form for those that learn nothing.

Arrow: tokenizer <--> folder of ``tokenizer.json`` and the files that its codes follow from. Does not know: any
modality, networks.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor

from tokenmask.files import write_text_atomic
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tensor_files import load_tensors, save_tensors
from tokenmask.tokenizer import (
    DESCRIPTION_FILE,
    check_decoder,
    check_fingerprint,
    check_free,
    check_media,
    check_stream,
    describe,
    fingerprint,
    read_description,
)

TENSORS_FILE = "tensors.safetensors"


class FolderTokenizer(ABC):
    """Base of tokenizers that are a configuration and files: it keeps their folder, description and fingerprint.

    A tokenizer adds what :class:`tokenmask.tokenizer.Tokenizer` asks for besides, and :meth:`write_files` and
    :meth:`read_files` if more than its configuration is to be kept.
    """

    name: ClassVar[str]
    """The name of its entry point, as in ``tokenmask info``."""

    config_class: ClassVar[type]
    """A frozen dataclass that its JSON values make again, with tuples for lists; it refuses values that cannot be."""

    remedy: ClassVar[str] = "save it again"
    """What to do about a folder whose configuration is not known, for the sentence that says so."""

    config: Any
    _spec: StreamSpec

    @property
    def decoder_fingerprint(self) -> str | None:
        """Of a decoder that was fitted later, to codes that stay as they are; None where there is none."""
        return None

    @property
    def spec(self) -> StreamSpec:
        """What the codes mean."""
        return self._spec

    def write_files(self, folder: Path) -> None:  # noqa: B027 (most have none)
        """Writes what the codes follow from beside the configuration, each file atomically; the default has none."""

    @classmethod
    @abstractmethod
    def read_files(cls, config: Any, folder: Path, identity: str, **others: Any) -> Self:
        """The tokenizer of a configuration and of what :meth:`write_files` wrote.

        Args:
            config: a ``config_class``.
            folder: of the files.
            identity: fingerprint that was saved, for files that have to be known as whole before they are parsed.
            others: what :meth:`load` was given besides, of tokenizers that need something of the machine.

        Raises:
            ValueError: a file that is absent or damaged.
            TypeError: a configuration that no tokenizer has; it becomes the sentence about ``remedy``.
        """

    def save(self, folder: str | Path) -> None:
        """Writes ``tokenizer.json`` and what belongs to it, the description last; another tokenizer's is refused."""
        written = json.loads(json.dumps(asdict(self.config)))
        if self._configuration(written, type(self.config)) != self.config:
            raise ValueError(
                f"the configuration of {type(self).__name__} must be made again by its JSON values, got {self.config}, "
                "which would be another one; write fields that are no words, numbers or tuples as such"
            )
        check_free(folder, self.spec.fingerprint)
        self.write_files(Path(folder))
        text = describe(self.name, asdict(self.config), self.spec.fingerprint, self.decoder_fingerprint)
        write_text_atomic(Path(folder) / DESCRIPTION_FILE, text)

    @staticmethod
    def _configuration(values: Mapping[str, Any], kind: type) -> Any:
        return kind(**{key: _tupled(value) for key, value in values.items()})

    @classmethod
    def load(cls, folder: str | Path, **others: Any) -> Self:
        """Reads what :meth:`save` wrote; ValueError in one sentence for a damaged folder."""
        values = read_description(folder, cls.name)
        try:
            config = cls._configuration(values["config"], cls.config_class)
            tokenizer = cls.read_files(config, Path(folder), values["fingerprint"], **others)
        except TypeError as error:
            raise ValueError(
                f"{folder} has a configuration this tokenmask does not know ({error}); {cls.remedy}"
            ) from error
        check_fingerprint(folder, values["fingerprint"], tokenizer.spec.fingerprint)
        check_decoder(folder, values.get("decoder"), tokenizer.decoder_fingerprint)
        return tokenizer


class StoredTokenizer(FolderTokenizer):
    """Short form of a tokenizer that learns nothing: k-mers, bytes, a codec of someone else, a table of vectors.

    A subclass has ``name``, ``media``, ``config_class``, :meth:`make_spec`, :meth:`to_codes` and :meth:`from_codes`;
    with a class method ``fit`` (:class:`tokenmask.tokenizer.Learns`) that only makes it from options, ``tokenmask
    train --data`` takes it too. Arrays that its codes follow from are ``tensors``: stored, and part of the fingerprint.
    """

    media: ClassVar[type]
    context_seconds: ClassVar[float | None] = None

    def __init__(self, config: Any, tensors: Mapping[str, Tensor] | None = None) -> None:
        """Args:
        config: a ``config_class``.
        tensors: arrays by name, if there are any.
        """
        self.config, self.tensors = config, dict(tensors or {})
        self._spec = replace(self.make_spec(), fingerprint=self._identity(config, self.tensors))

    @abstractmethod
    def make_spec(self) -> StreamSpec:
        """What the codes mean, from ``config`` and ``tensors``; its fingerprint is put in afterwards."""

    @abstractmethod
    def to_codes(self, media: Any) -> Tensor:
        """int32 [*grid, K], the codes of one item of ``media``, at least one; ValueError for what has none."""

    @abstractmethod
    def from_codes(self, codes: Tensor) -> Any:
        """Media of any codes int32 [*grid, K] on the CPU; the end code, and what comes after it, is cut off before."""

    def joined(self, made: Any, given: Any, keep: Tensor) -> Any:
        """``made``, with the parts that ``keep`` names passed through from ``given``; see :meth:`decode`.

        The default is for codes that lose nothing of their media: there, kept codes give back kept media.

        Raises:
            ValueError: ``given`` does not come back from its codes.
        """
        if self.from_codes(self.to_codes(given)) != given:
            raise ValueError(
                f"{type(self).__name__} must say in joined(...) how kept parts pass through, since {given!r} does not "
                "come back from its codes; add that, or ask with keep_original=False"
            )
        return made

    def encode(self, media: Any) -> TokenStream:
        """The codes of one item; TypeError for another kind of media."""
        check_media(self, media)
        return TokenStream(self.spec, self.to_codes(media))

    def encode_many(self, items: Sequence[Any]) -> list[TokenStream]:
        """The codes of many items, those of :meth:`encode`."""
        return [self.encode(item) for item in items]

    def decode(self, stream: TokenStream, *, given: Any = None, keep: Tensor | None = None) -> Any:
        """Media of the codes, with their stream.

        Args:
            stream: codes of this very tokenizer.
            given: media from which kept parts are passed through, with ``keep``, or None.
            keep: bool [*grid], which codes are kept.

        Raises:
            ValueError: the codes of another tokenizer, or only one of given and keep.
        """
        check_stream(self, stream)
        if (given is None) != (keep is None):
            raise ValueError("kept parts need both given and keep, got one of them; pass both or none")
        end = self.spec.end_code
        if end is not None:
            ends = (stream.codes[..., 0].flatten() == end).nonzero()
            stream = replace(stream, codes=stream.codes[: int(ends[0])] if len(ends) else stream.codes)
        made = self.from_codes(stream.codes)
        if given is not None and keep is not None:
            check_media(self, given)
            made = self.joined(made, given, keep)
        return replace(made, stream=stream)

    def evaluate(self, items: Sequence[Any], train_items: Sequence[Any] = ()) -> dict[str, float]:
        """round_trip_share, of the items that come back unchanged; codes_per_item; codes_used_share of level 0."""
        if not len(items):
            raise ValueError("evaluate needs at least one item, got none; pass some media")
        streams = self.encode_many(list(items))
        same = sum(self.decode(stream) == item for stream, item in zip(streams, items, strict=True))
        used = {code for stream in streams for code in stream.codes[..., 0].flatten().tolist()}
        return {
            "round_trip_share": same / len(items),
            "codes_per_item": sum(stream.codes[..., 0].numel() for stream in streams) / len(items),
            "codes_used_share": len(used) / (self.spec.codebook_sizes[0] - (self.spec.end_code is not None)),
        }

    def write_files(self, folder: Path) -> None:
        """Writes ``tensors``, if there are any."""
        if self.tensors:
            save_tensors(folder / TENSORS_FILE, self.tensors, {"tokenizer": self.name})

    @classmethod
    def read_files(cls, config: Any, folder: Path, identity: str, **others: Any) -> Self:
        """With the tensors that are there."""
        path = folder / TENSORS_FILE
        tensors = load_tensors(path)[0] if path.is_file() else {}
        check_fingerprint(folder, identity, cls._identity(config, tensors))  # before anything is made of them
        return cls(config, tensors)

    @classmethod
    def _identity(cls, config: Any, tensors: Mapping[str, Tensor]) -> str:
        return fingerprint({"tokenizer": cls.name, **asdict(config)}, tensors)


def _tupled(value: Any) -> Any:
    """JSON has no tuples, frozen configurations have no lists."""
    return tuple(_tupled(one) for one in value) if isinstance(value, list) else value
