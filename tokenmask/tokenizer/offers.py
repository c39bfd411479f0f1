"""What a tokenizer may offer besides, each in a protocol of its own: commands and reports ask for these.

Does not know: any modality, who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from tokenmask.streams import TokenStream


@runtime_checkable
class Learns(Protocol):
    """A tokenizer class that is made from data: ``tokenmask fit`` and ``train --data`` take it."""

    fit: ClassVar[Callable[..., Any]]
    """Class method ``fit(items, *, seed=0, folder=None, progress=True, ...) -> tokenizer``: a ready one. It touches no
    global random state, resumes from ``folder`` where it takes long, and declares the types of its further options,
    which recipes and commands then know. ValueError where the items do not suffice."""


@runtime_checkable
class Opens(Protocol):
    """A tokenizer class that is made from files of others: :func:`open_tokenizer` and ``NAME=KIND:SOURCE`` take it."""

    open: ClassVar[Callable[..., Any]]
    """Class method ``open(source, *, keep="weights", download=False, ...) -> tokenizer``. ``source`` is a local folder
    or the name of one in a cache of the user's; nothing is downloaded unless ``download`` says so. What ``save`` keeps
    is the weights, or with ``keep="reference"`` the fingerprint and the source. ValueError in a sentence where there is
    nothing to open, ImportError where a library is missing."""


@runtime_checkable
class Selects(Protocol):
    """A tokenizer class that cannot learn from every item that it can read, and says from which."""

    def chosen_config(self, items: Sequence[Any]) -> Any:
        """The configuration that ``fit`` takes for items if none is given."""
        ...

    def unusable(self, items: Sequence[Any], config: Any = None) -> dict[int, str]:
        """Numbers of the items that ``fit`` cannot take with a configuration -> why, in words."""
        ...


Show = Callable[[float, float], None]
"""Called while a file is worked on, with seconds of media that are done and seconds in all."""


def nothing_shown(done: float, whole: float) -> None:
    """A :data:`Show` that shows nothing."""


@runtime_checkable
class ReadsFiles(Protocol):
    """A tokenizer that reads files in pieces, so that long ones need not be in memory as a whole."""

    def encode_file(self, path: str | Path, *, show: Show = nothing_shown, **options: Any) -> TokenStream:
        """The codes of ``encode(media.load(path, **options))``, bit for bit; its medium says the options, ``asked``."""
        ...


@runtime_checkable
class WritesFiles(Protocol):
    """A tokenizer that writes files in pieces."""

    def decode_file(
        self,
        stream: TokenStream,
        path: str | Path,
        *,
        given: str | Path | None = None,
        keep: Tensor | None = None,
        show: Show = nothing_shown,
    ) -> None:
        """Writes the file of ``decode(stream, given=media.load(given), keep=keep).save(path)``."""
        ...


@runtime_checkable
class Moves(Protocol):
    """A tokenizer with a network that can compute on another device; codes and media are on the CPU all the same."""

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        ...

    def to(self, device: torch.device | str) -> Self:
        """Moves the network, in place; returns the tokenizer."""
        ...


@runtime_checkable
class DecodesPieces(Protocol):
    """A tokenizer that decodes a stream while it is still being filled: :meth:`tokenmask.run.Run.stream` asks it."""

    def decode_pieces(
        self, streams: Iterable[TokenStream], places: int, *, given: Any = None, keep: Tensor | None = None
    ) -> Iterator[Any]:
        """Media that joined are, bit for bit, those of ``decode``, each as soon as it follows from the codes so far.

        Args:
            streams: pieces of one stream that follow each other along the axis on which it grows; taken one by one.
            places: of all of them along that axis; a text may end before.
            given, keep: as of ``decode``, for all of them. ValueError in a sentence, before any piece is taken, where
                what is kept can't pass through in pieces.
        """
        ...


@runtime_checkable
class Locates(Protocol):
    """A tokenizer of media whose regions are no (start, end) in seconds: characters, boxes of pixels, bases."""

    def places(self, media: Any, stream: TokenStream, region: Sequence[float]) -> Tensor:
        """bool [*grid], the codes of ``stream`` of which the region of ``media`` holds a part.

        ValueError in a sentence for a region of another form, or outside of the media.
        """
        ...


@runtime_checkable
class Continues(Protocol):
    """A tokenizer that puts what is made behind media that are given, which stay as they are; others decode both."""

    continues: ClassVar[bool]
    """``decode(stream, given=media, keep=keep)`` takes media that end before the stream does, and gives them back with
    what the rest of the stream says behind them: in their rate, size and channels, every value as it was. All kept,
    ``decode(encode(media), given=media, keep=ones)`` equals ``media``."""


@runtime_checkable
class FindsChannels(Protocol):
    """A tokenizer whose channels have several spellings ("Fp1", "EEG Fp1-Ref")."""

    def channel_places(self, names: Sequence[str], asked: Sequence[str]) -> list[int]:
        """The places in ``names``, the labels of the channel axis, of the channels that are asked for.

        ValueError in a sentence for one that is not there.
        """
        ...


@runtime_checkable
class NamesGroups(Protocol):
    """A tokenizer whose level groups can be edited by name (the parts of a body)."""

    @property
    def group_names(self) -> Sequence[str]:
        """A name for each of ``spec.level_groups``."""
        ...


@runtime_checkable
class KeepsGroups(Protocol):
    """A tokenizer each of whose level groups makes a part of the media alone, as body parts are, so that the others can
    stay as they were given."""

    keeps_groups: ClassVar[bool]
    """``decode`` and ``decode_file`` take ``keep`` as bool [*grid, levels], too: where not all codes of a place are
    kept, the parts stay as in ``given`` of whose group all codes are."""


@runtime_checkable
class SpellsCodes(Protocol):
    """A tokenizer whose codes stand for pieces of text, so that another one's can be related to them without media."""

    @property
    def code_texts(self) -> Sequence[str]:
        """What each code of level 0 stands for, one string a code; "" for the end code."""
        ...


@runtime_checkable
class GivesVectors(Protocol):
    """A tokenizer whose codes have places in a space in which near ones mean alike."""

    def vectors(self, stream: TokenStream) -> Tensor:
        """float32 [*grid, numbers of a vector], summed over the levels of a group; ValueError for another's stream."""
        ...


@runtime_checkable
class GivesCodebooks(Protocol):
    """A tokenizer whose codes have a vector each, from which the rows of a model can start."""

    @property
    def codebooks(self) -> Sequence[Tensor | None]:
        """For each level float32 [codes, d]; None for one without."""
        ...
