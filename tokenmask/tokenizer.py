"""The tokenizer protocol: what turns media into token streams and back, and how one is found, stored and loaded.

Arrow: raw media --**Tokenizer.encode**--> TokenStream, and TokenStream --**Tokenizer.decode**--> raw media.
Does not know: any modality, shared ids, models. A front-end knows its own codes only.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, cast, runtime_checkable

import torch
from torch import Tensor

from tokenmask.streams import StreamSpec, TokenStream

FORMAT = 1
DESCRIPTION_FILE = "tokenizer.json"
ENTRY_POINT_GROUP = "tokenmask.tokenizers"

# What ships with tokenmask; other packages join by the entry-point group above.
TOKENIZERS = {
    "text": "tokenmask.modalities.text:TextTokenizer",
    "image": "tokenmask.modalities.image:ImageTokenizer",
    "audio": "tokenmask.modalities.audio:AudioTokenizer",
    "motion": "tokenmask.modalities.motion:MotionTokenizer",
    "eeg": "tokenmask.modalities.eeg:EegTokenizer",
    "video": "tokenmask.modalities.video:VideoTokenizer",
    "codec2": "tokenmask.modalities.audio.system_codecs:Codec2Tokenizer",
    "lpcnet": "tokenmask.modalities.audio.system_codecs:LpcnetTokenizer",
}


@runtime_checkable
class Tokenizer(Protocol):
    """Turns one kind of media into codes and back.

    What a tokenizer may offer besides is in protocols of their own: :class:`Learns`, :class:`Selects`,
    :class:`Locates`, :class:`FindsChannels`, :class:`NamesGroups`, :class:`SpellsCodes`, :class:`GivesVectors` and
    :class:`GivesCodebooks`; :class:`ReadsFiles` and :class:`WritesFiles`
    are of those that need not have a whole file in memory.
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


# What a tokenizer may offer besides -----------------------------------------------------------------------------------


@runtime_checkable
class Learns(Protocol):
    """A tokenizer class that is made from data: ``tokenmask fit`` and ``train --data`` take it."""

    fit: ClassVar[Callable[..., Any]]
    """Class method ``fit(items, *, seed=0, folder=None, progress=True, ...) -> tokenizer``: a ready one. It touches no
    global random state, resumes from ``folder`` where it takes long, and declares the types of its further options,
    which recipes and commands then know. ValueError where the items do not suffice."""


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

    def encode_file(self, path: str | Path, *, show: Show = nothing_shown) -> TokenStream:
        """The codes of ``encode(media.load(path))``, bit for bit."""
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
class Locates(Protocol):
    """A tokenizer of media whose regions are no (start, end) in seconds: characters, boxes of pixels, bases."""

    def places(self, media: Any, stream: TokenStream, region: Sequence[float]) -> Tensor:
        """bool [*grid], the codes of ``stream`` of which the region of ``media`` holds a part.

        ValueError in a sentence for a region of another form, or outside of the media.
        """
        ...


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


# Fingerprints and checks ----------------------------------------------------------------------------------------------


def fingerprint(config: Mapping[str, Any], stored: Mapping[str, Tensor] | bytes = b"") -> str:
    """SHA-256, in hex, of a configuration and of weights as they are stored.

    Args:
        config: JSON values; the order of keys does not matter.
        stored: tensors by name (name, dtype, shape and bytes count), or the bytes of a model file.

    Returns:
        64 hex digits.
    """
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())
    if isinstance(stored, bytes):
        digest.update(stored)
        return digest.hexdigest()
    for name in sorted(stored):
        tensor = stored[name].detach().cpu().contiguous()
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def check_media(tokenizer: object, media: object) -> None:
    """TypeError in one sentence unless ``media`` is what the tokenizer (an object or a class) encodes."""
    wanted = cast(Any, tokenizer).media
    if not isinstance(media, wanted):
        name = (tokenizer if isinstance(tokenizer, type) else type(tokenizer)).__name__
        raise TypeError(
            f"{name} encodes {wanted.__name__}, got {type(media).__name__}; "
            f"make one with {wanted.__name__}(...) or {wanted.__name__}.load(path)"
        )


def check_stream(tokenizer: object, stream: TokenStream) -> None:
    """TypeError or ValueError in one sentence unless the stream was made by this very tokenizer."""
    name = type(tokenizer).__name__
    if not isinstance(stream, TokenStream):
        raise TypeError(f"{name} decodes a TokenStream, got {type(stream).__name__}; make one with encode")
    mine, theirs = cast(Any, tokenizer).spec, stream.spec
    if mine.fingerprint != theirs.fingerprint or mine.modality != theirs.modality:
        raise ValueError(
            f"this {name} decodes {mine.modality} streams with fingerprint {mine.fingerprint[:16] or '(none)'}, "
            f"got a {theirs.modality} stream with {theirs.fingerprint[:16] or '(none)'}; "
            "decode it with the tokenizer that made it, or encode the media again"
        )


def stream_of(tokenizer: Tokenizer, media: Any) -> TokenStream:
    """The codes of media, without encoding what was generated.

    The stream that media carry is taken if it is of this tokenizer and decodes to these very media; if they were
    changed since, or come from elsewhere, they are encoded.
    """
    stream = getattr(media, "stream", None)
    if isinstance(stream, TokenStream) and stream.spec == tokenizer.spec and tokenizer.decode(stream) == media:
        return stream
    return tokenizer.encode(media)


def tokenizer_name(tokenizer: Tokenizer) -> str:
    """The name under which the class of a tokenizer is installed.

    Raises:
        ValueError: it is not installed under any.
    """
    kind, modality = type(tokenizer), tokenizer.spec.modality
    for name in sorted(find_tokenizers(), key=lambda name: (name != modality, name)):  # most are named so
        if load_tokenizer_class(name) is kind:
            return name
    raise ValueError(
        f"{kind.__name__} must be installed under a name of the entry-point group {ENTRY_POINT_GROUP}, but it is not"
    )


# Finding --------------------------------------------------------------------------------------------------------------


def find_tokenizers() -> dict[str, str]:
    """Where each tokenizer is, by name: "module:class". Nothing of them is imported.

    Raises:
        ValueError: an installed package claims a name that is taken.
    """
    found = dict(TOKENIZERS)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if found.setdefault(point.name, point.value) != point.value:
            raise ValueError(
                f"each tokenizer needs a name of its own, but {point.name!r} is both {found[point.name]} "
                f"and {point.value}; uninstall one of the packages"
            )
    return found


def load_tokenizer_class(name: str) -> type[Tokenizer]:
    """Imports the tokenizer of a name.

    Raises:
        ValueError: no tokenizer has that name, or its package cannot be imported.
    """
    found = find_tokenizers()
    if name not in found:
        raise ValueError(f"a tokenizer must be one of {', '.join(sorted(found))}, got {name!r}; install what brings it")
    module, _, attribute = found[name].partition(":")
    try:
        return cast(type[Tokenizer], getattr(importlib.import_module(module), attribute))
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"tokenizer {name!r} must be importable as {found[name]}, but is not ({error}); mend or uninstall what "
            "brings it"
        ) from error


# Tokenizer folders ----------------------------------------------------------------------------------------------------


def describe(name: str, config: Mapping[str, Any], fingerprint: str) -> str:
    """The text of ``tokenizer.json``: which class, its configuration, and the fingerprint that must come out again."""
    values = {"format": FORMAT, "tokenizer": name, "config": dict(config), "fingerprint": fingerprint}
    return json.dumps(values, indent=2, sort_keys=True) + "\n"


def read_description(folder: str | Path, name: str | None = None) -> dict[str, Any]:
    """Reads ``tokenizer.json`` of a folder.

    Args:
        folder: a tokenizer folder.
        name: the tokenizer it must be for, or None for any.

    Raises:
        ValueError: no tokenizer folder, a damaged one, a newer format, or one of another tokenizer.
    """
    path = Path(folder) / DESCRIPTION_FILE
    if not path.is_file():
        raise ValueError(f"a tokenizer folder holds {DESCRIPTION_FILE}, but {folder} does not; check the path")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        kinds = {"format": int, "tokenizer": str, "config": dict, "fingerprint": str}
        if not isinstance(values, dict) or any(not isinstance(values[key], kind) for key, kind in kinds.items()):
            raise ValueError("a field has the wrong type")
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}); copy or fit the tokenizer again") from error
    if values["format"] != FORMAT:
        raise ValueError(
            f"{path} has format {values['format']}, this tokenmask reads {FORMAT}; use the version that wrote it"
        )
    if name is not None and values["tokenizer"] != name:
        raise ValueError(
            f"{folder} must hold a tokenizer for {name}, got one for {values['tokenizer']}; see load_tokenizer"
        )
    return values


def check_free(folder: str | Path, fingerprint: str) -> None:
    """ValueError if the folder holds another tokenizer: streams made with that one would lose their decoder."""
    if (Path(folder) / DESCRIPTION_FILE).exists():
        held = read_description(folder)["fingerprint"]
        if held != fingerprint:
            raise ValueError(
                f"{folder} must be free for tokenizer {fingerprint[:16]}, but holds {held[:16]}; choose another folder"
            )


def check_fingerprint(folder: str | Path, stored: str, computed: str) -> None:
    """ValueError if what was loaded is not what was saved."""
    if stored != computed:
        raise ValueError(
            f"the tokenizer in {folder} must have fingerprint {stored[:16]}, but its files give {computed[:16]}: "
            "they were changed or mixed up; copy or fit it again"
        )


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """Loads any tokenizer folder; its class is looked up by name among the installed ones, never imported by path.

    Raises:
        ValueError: no tokenizer folder, a damaged one, or one whose tokenizer is not installed.
    """
    values = read_description(folder)
    tokenizer = load_tokenizer_class(values["tokenizer"]).load(folder)
    check_fingerprint(folder, values["fingerprint"], tokenizer.spec.fingerprint)
    return tokenizer
