"""The medium: what a kind of media says about its files, its time and how it is shown.

Arrow: file --**Medium.load**--> media --Tokenizer.encode--> TokenStream. Does not know: codes, any modality, reports.

A tokenizer of another package brings its medium with it: the endings that stand here are looked for in folders, offered
where something is written, and shown by the view that is named here, without a line elsewhere.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial, wraps
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, cast

from tokenmask.arguments import moment
from tokenmask.files import by_its_content, check_fetched

Load = TypeVar("Load", bound=Callable[..., Any])
RECORD_MARK = "#"  # FILE#RECORD names one of many records of a file


class Medium(ABC):
    """Base of a kind of media: a frozen dataclass with units in its field names, one object for one item.

    Media are equal by value, and have a field ``stream: TokenStream | None = None`` that does not count in that: the
    codes that they were decoded from. ``tokenmask.testing.check_medium`` states this contract as checks.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Endings of files that are looked for in folders, in small letters, the usual one first; () looks for none."""

    written_suffixes: ClassVar[tuple[str, ...]] = ()
    """Endings that :meth:`save` can write, likewise; the first is taken where none is asked for."""

    words: ClassVar[bool] = False
    """Whether media are words: ``cls(text)`` makes one of a string, ``str(media)`` gives it back. Such media are given
    and printed in commands as they are, stand in manifests themselves, and caption the files beside them."""

    asked: ClassVar[tuple[str, ...]] = ()
    """Keywords of :meth:`load`, all with defaults, for what files of this kind may not say of themselves; the command
    line has an option for those of the media that ship."""

    arrays: ClassVar[str] = ""
    """The dtype and shape of arrays that :meth:`of` takes, for sentences; "" where it takes none."""

    view: ClassVar[str] = ""
    """ "module:class" of the :class:`tokenmask.report.views.View` that shows it; "" for none."""

    @classmethod
    @abstractmethod
    def load(cls, path: str | Path) -> Self:
        """The one item of a file.

        Raises:
            ValueError: in a sentence that names the file: it is absent, damaged, of another kind, or holds many
                records, of which one has to be named.
            TypeError: no path.
        """

    @abstractmethod
    def save(self, path: str | Path) -> None:
        """Writes a file of one of ``written_suffixes``, atomically; ValueError for another ending."""

    @classmethod
    def records(cls, path: str | Path) -> Mapping[str, Callable[[], Self]]:
        """The items of a file: its names for them, in its order, and what reads each when its turn comes.

        A file of one item, like most, has it under the name "", which is all that the default says. Names of many are
        not empty and differ.

        Raises:
            ValueError: as :meth:`load`.
        """
        return {"": partial(cls.load, path)}

    @classmethod
    def of(cls, value: Any) -> Self | None:
        """Media of what another library calls such a thing (a ``PIL.Image``); None if it is not one, as by default."""
        return None

    def _repr_html_(self) -> str | None:
        """How a notebook shows it: as a report does; None where it names no view."""
        if not self.view:
            return None
        from tokenmask.report.alone import framed  # late, as CONTRIBUTING lists it: views are of media

        return framed(self)

    @classmethod
    def claims(cls, path: str | Path) -> float:
        """How much a file with one of ``suffixes`` is of this medium: 1 it is, 0 it says that it holds something else.

        A share between is for what can be read as this medium and is more of another's (a film as its first frame): of
        several media that are looked for, those with the highest claim get the file. A damaged file is claimed, so that
        reading it tells why it cannot be read. Looks at names and headers only, and raises nothing.
        """
        return 1.0


def knowing_others(load: Load) -> Load:
    """Decorates :meth:`Medium.load`, below ``@classmethod``: files that are something else than their ending says are
    called by their name, see :func:`tokenmask.files.by_its_content`."""

    @wraps(load)
    def read(cls: type, path: Any, *others: Any, **options: Any) -> Any:
        with by_its_content(path, said(cls, "words")):
            return load(cls, path, *others, **options)

    return cast(Load, read)


class Timed(Medium):
    """Media with a clock: regions of them are (start, end) in seconds."""

    @property
    @abstractmethod
    def duration_seconds(self) -> float:
        """Length."""

    @abstractmethod
    def between(self, start_seconds: float, end_seconds: float) -> Self:
        """A piece, copied, without its stream: the samples or frames whose time is in start <= t < end.

        Pieces that meet hold each sample once, so that they add up to the whole.

        Raises:
            ValueError: nothing lies there. TypeError: no numbers.
        """


def steps_between(start_seconds: float, end_seconds: float, rate_hz: float, count: int) -> tuple[int, int]:
    """First and last but one of ``count`` steps at ``rate_hz`` that lie in a piece of time, for :meth:`Timed.between`.

    Raises:
        ValueError: none does, or NaN. TypeError: no numbers.
    """
    moment("start_seconds of a piece", start_seconds)
    moment("end_seconds of a piece", end_seconds)
    first, stop = (math.ceil(min(max(at * rate_hz - 1e-6, 0.0), count)) for at in (start_seconds, end_seconds))
    if first >= stop:
        raise ValueError(
            f"a piece must hold something of the {count / rate_hz:g} s that there are, got {start_seconds:g} to "
            f"{end_seconds:g} s; take a longer one"
        )
    return first, stop


# Asked of any media class ---------------------------------------------------------------------------------------------


def said(kind: type, what: str) -> Any:
    """What a media class says under a name of :class:`Medium`; the default of one that only has ``load`` and ``save``.

    Args:
        kind: a subclass of Medium, or any class with ``load(path)`` and ``save(path)``.
        what: "suffixes", "written_suffixes", "words", "asked", "arrays", "view" or "claims".
    """
    return getattr(kind, what, getattr(Medium, what))


def records_of(kind: Any, path: str | Path) -> Mapping[str, Callable[[], Any]]:
    """The records of a file, see :meth:`Medium.records`, of any media class."""
    return kind.records(path) if issubclass(kind, Medium) else {"": partial(kind.load, path)}


def file_and_record(path: str | Path) -> tuple[Path, str | None]:
    """FILE#RECORD in two; (path, None) where there is no such file, or one whose own name holds the mark."""
    text = str(path)
    marks = [] if Path(path).exists() else [at for at, letter in enumerate(text) if letter == RECORD_MARK]
    for at in marks:
        if Path(text[:at]).is_file():
            return Path(text[:at]), text[at + 1 :]
    return Path(path), None


def load_media(kind: Any, path: str | Path, **options: Any) -> Any:
    """The item of a file, or of FILE#RECORD.

    Args:
        kind: a media class.
        path: of the file.
        options: of its ``load``, see :attr:`Medium.asked`; a record of a file of many has none.

    Raises:
        ValueError: as :meth:`Medium.load`, or a file without such a record.
    """
    file, name = file_and_record(path)
    check_fetched(file)
    if name is None:
        with by_its_content(path, said(kind, "words")):
            return kind.load(path, **options)
    records = records_of(kind, file)
    if name not in records or not name:
        held = ", ".join(list(records)[:8]) or "none"
        raise ValueError(
            f"a record of {file} must be one of {held}{', ...' if len(records) > 8 else ''}, got {name!r}; "
            "name one of these behind the #"
        )
    return records[name]()
