"""The tokenizer protocol: what turns media into token streams and back.

Arrow: raw media --**Tokenizer.encode**--> TokenStream, and TokenStream --**Tokenizer.decode**--> raw media.
Does not know: any modality, shared ids, models. A front-end knows its own codes only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from tokenmask.streams import StreamSpec, TokenStream


@runtime_checkable
class Tokenizer(Protocol):
    """Turns one kind of media into codes and back.

    What a tokenizer may offer besides is in protocols of their own: :class:`Learns`, :class:`Opens`, :class:`Selects`,
    :class:`Moves`, :class:`Locates`, :class:`Continues`, :class:`FindsChannels`, :class:`NamesGroups`,
    :class:`KeepsGroups`, :class:`SpellsCodes`, :class:`GivesVectors` and :class:`GivesCodebooks`; :class:`ReadsFiles`
    and :class:`WritesFiles` are of those that need not have a whole file in memory, :class:`DecodesPieces` of those
    that need not have a whole stream.
    ``tokenmask.testing.check_tokenizer`` states this contract as checks that any tokenizer can be put through.
    """

    media: ClassVar[type]
    """The media dataclass, best a :class:`tokenmask.medium.Medium`: that says which files are its own, how many items
    each holds and how a report shows them. Of a class that has ``load(path)`` and ``save(path)`` alone, files have to
    be named one by one, and reports have no picture.
    """

    context_seconds: ClassVar[float | None]
    """Halo with which encoding in chunks equals encoding whole, exactly; None for a fixed window or no clock."""

    @property
    def spec(self) -> StreamSpec:
        """What the codes mean; its fingerprint changes with the configuration and with any stored weight.

        Its modality is the name under which a tokenizer of these media is installed: by it, files are found.
        """
        ...

    def encode(self, media: Any) -> TokenStream:
        """The codes of one item; the same call gives the same codes. TypeError for another kind of media."""
        ...

    def encode_many(self, items: Sequence[Any]) -> list[TokenStream]:
        """The codes of many items: bit for bit those of one by one, only faster."""
        ...

    def decode(self, stream: TokenStream, *, given: Any = None, keep: Any = None) -> Any:
        """Media of the codes, with the stream attached.

        Args:
            stream: codes of this very tokenizer; another fingerprint is a ValueError.
            given: media from which kept parts are passed through untouched, or None.
            keep: which parts of ``given`` are kept; what it looks like belongs to the modality.
        """
        ...

    def evaluate(self, items: Sequence[Any], train_items: Sequence[Any] = ()) -> dict[str, float]:
        """Figures of merit over held-out items; ``train_items`` serve baselines that have to be fitted."""
        ...

    def save(self, folder: str | Path) -> None:
        """Writes a tokenizer folder; one that holds another tokenizer is refused, never overwritten."""
        ...

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Reads what :meth:`save` wrote and verifies its fingerprint."""
        ...
