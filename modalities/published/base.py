"""Published tokenizers: the weights of others behind our protocol.

Arrow: folder of others --**PublishedTokenizer.open**--> tokenizer --> codes that are those of the library itself.
Does not know: any modality. An adapter says which class of which library it is, and where codes go in and out.
"""

from __future__ import annotations

import functools
import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from tokenmask.modalities.published.files import CONFIG_FILE, json_if_there, json_of, located, needed, tensors_of
from tokenmask.modalities.published.networks import pretrained
from tokenmask.stored_tokenizer import TENSORS_FILE, FolderTokenizer
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tensor_files import load_tensors, save_tensors
from tokenmask.tokenizer import check_fingerprint, fingerprint

KEEPS = ("weights", "reference")
_NOT_MEANT = ("_name_or_path", "transformers_version", "_diffusers_version", "architectures", "dtype", "torch_dtype")


@dataclass(frozen=True)
class PublishedConfig:
    """What every published tokenizer is made of, besides its tensors.

    Args:
        source: folder or hub name that it needs to be opened again, "" if what is saved stands alone.
        keep: "weights", what is saved stands alone, or "reference".
        model: the configuration of its network, as JSON text.
    """

    source: str
    keep: str
    model: str

    def __post_init__(self) -> None:
        if self.keep not in KEEPS:
            raise ValueError(f"keep must be one of {', '.join(KEEPS)}, got {self.keep!r}")


@contextmanager
def one_thread() -> Iterator[None]:
    """While open, torch has one thread: sums of others' networks depend on the number, and codes must not."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(before)


def exactly(call: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of what runs a network of others."""

    @functools.wraps(call)
    def run(*arguments: Any, **named: Any) -> Any:
        with one_thread():
            return call(*arguments, **named)

    return run


class PublishedTokenizer(FolderTokenizer):
    """Base of tokenizers whose network and weights are others'.

    An adapter has ``name``, ``model_class``, ``model_type`` and what its modality's base asks for. Items are coded one
    at a time, in float32 and by one thread, so that codes are equal whatever the batch, and are those that the library
    gives for the same input. The fingerprint is of the tensors as they are stored, of the network's configuration, and
    of the options that codes depend on; so it is the same whatever is kept.
    """

    config_class: ClassVar[type] = PublishedConfig
    remedy: ClassVar[str] = "open it again from its source"
    library: ClassVar[str] = "transformers"
    model_class: ClassVar[str]
    """Class of the library."""
    model_type: ClassVar[str]
    """What ``config.json`` calls it."""
    within: ClassVar[str] = ""
    """What it calls a larger model that holds this one as its ``vqmodel``, if there is one."""
    how: ClassVar[str] = ""
    """A line of Python that converts what is published, where no class of a library saves it: :meth:`read_by_name`."""
    usual: ClassVar[Mapping[str, Any]] = {}
    """Values that ``config.json`` may then say otherwise, where there is one."""
    parts: ClassVar[tuple[str, ...]] = ()
    """Names of tensors that codes and media then follow from, or their beginnings, which end in a point; () for all."""
    context_seconds: ClassVar[float | None] = None
    network: Any

    def __init__(self, config: Any, tensors: Mapping[str, Tensor], source: str = "") -> None:
        """Args:
        config: a ``config_class``.
        tensors: the weights, by the names of the file.
        source: where they come from, to be told.

        Raises:
            ValueError: a configuration or weights that the library's class does not take, or that give no codes alone.
            ImportError: the library is missing.
        """
        self.config, self.source = config, source or config.source
        with one_thread():
            self.network = self.make_network(json.loads(config.model), dict(tensors))
        self.config = self.resolved(config)
        self._tensors = dict(tensors) if config.keep == "weights" else {}
        self._spec = replace(self.make_spec(), fingerprint=self._identity(self.config, tensors))

    @classmethod
    def _identity(cls, config: Any, tensors: Mapping[str, Tensor]) -> str:
        options = {key: value for key, value in asdict(config).items() if key not in ("source", "keep")}
        return fingerprint({"tokenizer": cls.name, **options}, tensors)

    # What an adapter or its modality says ----------------------------------------------------------------------------

    @abstractmethod
    def make_spec(self) -> StreamSpec:
        """What the codes mean; the fingerprint is put in afterwards."""

    def resolved(self, config: Any) -> Any:
        """``config`` with what was left to the network, or ValueError for what this network has not."""
        return config

    def make_network(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
        """The network of ``config.json`` and tensors, ready to use."""
        kind = getattr(needed(self.library, type(self).__name__), self.model_class)
        return pretrained(kind, values, tensors, type(self).__name__)

    @classmethod
    def found(cls, source: str | Path, download: bool = False) -> Path:
        """Where a source is; see :func:`located`."""
        return located(source, cls.__name__, download=download)

    @classmethod
    def read(cls, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """(values of ``config.json``, tensors) of a folder of others; ValueError for one of another kind."""
        return cls.read_by_name(folder) if cls.how else cls.read_saved(folder)

    @classmethod
    def read_by_name(cls, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Of one whose tensors have the names of the published code."""
        values, tensors = json_if_there(folder / CONFIG_FILE, cls.__name__), tensors_of(folder, how=cls.how)
        said = {name: values.get(name, own) for name, own in cls.usual.items()}
        return said, {name: own for name, own in tensors.items() if cls.belongs(name)}

    @classmethod
    def belongs(cls, name: str) -> bool:
        """Whether a tensor is one of :attr:`parts`."""
        begins = tuple(part for part in cls.parts if part.endswith("."))
        return not cls.parts or name in cls.parts or name.startswith(begins)

    @classmethod
    def read_saved(cls, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Of one that a library saved."""
        values = json_of(folder / CONFIG_FILE, cls.__name__)
        found = values.get("model_type", values.get("_class_name"))
        convert = f"{cls.library}.{cls.model_class}"
        if cls.within and found == cls.within:
            return dict(values.get("vq_config") or {}), tensors_of(folder, ("model.vqmodel.", "vqmodel."), convert)
        if found != cls.model_type:
            raise ValueError(
                f"{cls.__name__} is made of a {cls.model_type}, but {folder / CONFIG_FILE} is of {found!r}; name "
                "another folder, or the tokenizer of that kind (see `tokenmask info`)"
            )
        return values, tensors_of(folder, convert=convert)

    @classmethod
    def check_options(cls, config: Any) -> None:
        """ValueError for options that no network of this kind takes; :meth:`resolved` asks the network itself."""

    # Opening and folders ----------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, source: str | Path, *, keep: str = "weights", download: bool = False, **options: Any) -> Self:
        """The tokenizer of a published folder.

        Args:
            source: a local folder, or the name of a repository in the hub cache.
            keep: what :meth:`save` keeps: "weights", or "reference", the fingerprint and where the source is.
            download: fetches a repository that is not in the cache.
            options: of the kind.

        Raises:
            ValueError: nothing to open, another kind of network, weights as pickle only, or options that it has not.
            ImportError: a library is missing.
        """
        known = [one.name for one in fields(cls.config_class) if one.name not in ("source", "keep", "model")]
        if odd := [name for name in options if name not in known]:
            raise ValueError(
                f"{cls.__name__} has the options {', '.join([*known, 'keep', 'download'])}, got {', '.join(odd)}; "
                "leave it out"
            )
        cls.check_options(cls.config_class(source="", keep=keep, model="{}", **options))  # before weights are read
        needed(cls.library, cls.__name__)
        values, tensors = cls.read(cls.found(source, download))
        kept = str(Path(source).expanduser().resolve()) if Path(source).expanduser().is_dir() else str(source)
        needed_again = kept if keep == "reference" else ""
        config = cls.config_class(source=needed_again, keep=keep, model=canonical(values), **options)
        return cls(config, tensors, kept)

    def write_files(self, folder: Path) -> None:
        """Writes the tensors, unless only a reference is kept."""
        if self.config.keep == "weights":
            told = Path(self.source).name if Path(self.source).is_absolute() else self.source  # no paths of a machine
            save_tensors(folder / TENSORS_FILE, self._tensors, {"tokenizer": self.name, "source": told})

    @classmethod
    def read_files(cls, config: Any, folder: Path, identity: str, **others: Any) -> Self:
        """With the tensors that are there, or those of the source, which must be as they were."""
        if config.keep == "weights":
            tensors, about = load_tensors(folder / TENSORS_FILE)
            check_fingerprint(folder, identity, cls._identity(config, tensors))  # before anything is made of them
            return cls(config, tensors, str(about.get("source", "")))
        values, tensors = cls.read(cls.found(config.source))
        now = cls._identity(replace(config, model=canonical(values)), tensors)
        if now != identity:
            raise ValueError(
                f"{folder} refers to {config.source} as it was with fingerprint {identity[:16]}, but what is there now "
                f"gives {now[:16]}; bring the old files back, or open it anew and encode again"
            )
        return cls(config, tensors)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        device: torch.device = next(self.network.parameters()).device
        return device

    def to(self, device: torch.device | str) -> Self:
        """Moves the network; codes and media come back to the CPU all the same."""
        self.network.to(device)
        return self

    def encode(self, media: Any) -> TokenStream:
        """The codes of one item; see :meth:`encode_many`."""
        return self.encode_many([media])[0]

    @abstractmethod
    def encode_many(self, items: Sequence[Any]) -> list[TokenStream]:
        """The codes of many items, one after the other."""


def canonical(values: Mapping[str, Any]) -> str:
    """The JSON text of a configuration, without what only tells who wrote it."""
    return json.dumps({key: value for key, value in values.items() if key not in _NOT_MEANT}, sort_keys=True)
