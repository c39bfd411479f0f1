"""Media: a class is one if its items pass :func:`check_medium`, see :class:`tokenmask.medium.Medium`.

Arrow: media of one class --**check_medium**--> nothing, or what is broken. Does not know: tokenizers.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import torch

from tokenmask.medium import RECORD_MARK, Medium, Timed, load_media
from tokenmask.report.views import view_of
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.testing.contract import Contract, refusal, require

_ANGLES = 'a <b>label</b> & "more"'
_CODES = TokenStream(StreamSpec("some", (2,), ("index",)), torch.zeros(1, 1, dtype=torch.int32))


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """What is checked; see :func:`check_medium`."""

    items: Sequence[Any]
    exact: str
    many: Path | None
    headless: Sequence[str]

    @property
    def kind(self) -> Any:
        """The class of the media."""
        return type(self.items[0])


def check_medium(
    items: Sequence[Any], *, exact: str, many: str | Path | None = None, headless: Sequence[str] = ()
) -> list[str]:
    """Runs every check of a medium.

    Args:
        items: two media at least, different ones, of one class, without streams or what no file holds.
        exact: one of its ``written_suffixes``, which loses nothing.
        many: a file of several records, for a medium that has such.
        headless: endings of formats without a header, any bytes of which are media.

    Returns:
        Names of the checks; all passed.

    Raises:
        AssertionError: names each check that failed, and why.
        TypeError: media of a class that is no :class:`~tokenmask.medium.Medium`.
    """
    return MEDIA.check(items[0], items=items, exact=exact, many=many, headless=headless)


def _subject(
    value: Any,
    *,
    items: Sequence[Any],
    exact: str,
    many: str | Path | None = None,
    headless: Sequence[str] = (),
) -> Subject:
    return Subject(items, exact, None if many is None else Path(many), headless)


def _check_is_a_frozen_dataclass(subject: Subject) -> None:
    kind = subject.kind
    params: Any = getattr(kind, "__dataclass_params__", None)
    frozen = params is not None and params.frozen
    require(frozen, f"{kind.__name__} must be a frozen dataclass")


def _check_is_equal_by_value(subject: Subject) -> None:
    kind, items = subject.kind, subject.items
    fields = {field.name: field for field in dataclasses.fields(kind)}
    require(
        "stream" in fields and fields["stream"].default is None,
        f"{kind.__name__} must have a field stream, None unless it was decoded",
    )
    require(
        all(dataclasses.replace(item, stream=_CODES) == item for item in items),
        f"the stream of {kind.__name__} must not count when media are compared",
    )
    require(
        items[0] != items[1] and items[0] == dataclasses.replace(items[0]),
        f"{kind.__name__} must be equal where its values are, and only there",
    )


def _check_endings_are_said(subject: Subject) -> None:
    kind, exact = subject.kind, subject.exact
    for name in ("suffixes", "written_suffixes"):
        endings = getattr(kind, name)
        require(isinstance(endings, tuple) and len(endings) > 0, f"{kind.__name__}.{name} must name an ending at least")
        odd = [end for end in endings if not (end.startswith(".") and len(end) > 1 and end == end.lower())]
        require(
            not odd and len(set(endings)) == len(endings),
            f"{kind.__name__}.{name} must be different endings in small letters with a point, got {endings}",
        )
    require(exact in kind.written_suffixes, f"{kind.__name__} must write {exact}, which is said to lose nothing of it")
    require(
        kind.written_suffixes[0] in kind.suffixes,
        f"{kind.__name__} must look for what it writes by itself, {kind.written_suffixes[0]}",
    )


def _check_files_come_back(subject: Subject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _files_come_back(subject.kind, subject.items, subject.exact, Path(folder))


def _files_come_back(kind: Any, items: Sequence[Any], exact: str, folder: Path) -> None:
    for number, item in enumerate(items):
        path = folder / f"exact{number}{exact}"
        item.save(path)
        require(kind.load(path) == item, f"{kind.__name__}.load must give back what save wrote as {exact}")
    for ending in kind.written_suffixes:
        for spelled in (ending, ending.upper()):
            path = folder / f"written{spelled}"
            items[0].save(path)
            require(isinstance(kind.load(path), kind), f"{kind.__name__} must load the {spelled} that it writes")
            claim = kind.claims(path)
            require(0 < claim <= 1, f"{kind.__name__} must claim the {spelled} that it writes, got {claim}")
    wrong = folder / "wrong.nothing-known"
    try:
        items[0].save(wrong)
    except ValueError as error:
        require(wrong.name in str(error), f"{kind.__name__}.save must name the file whose ending it refuses")
        require(not wrong.exists(), f"{kind.__name__}.save must leave nothing behind where it refuses")
    else:
        require(_comes_back(kind, wrong, items[0]), f"{kind.__name__}.save must refuse an ending that it cannot write")


def _comes_back(kind: Any, path: Path, item: Any) -> bool:
    try:
        return bool(kind.load(path) == item)
    except ValueError:
        return False


def _check_damage_is_told(subject: Subject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _damage_is_told(subject.kind, subject.exact, Path(folder), subject.headless)


def _damage_is_told(kind: Any, exact: str, folder: Path, headless: Sequence[str]) -> None:
    absent = folder / f"absent{exact}"
    _refused(lambda: kind.load(absent), f"{kind.__name__}.load of a missing file", str(absent))
    for ending in (one for one in kind.suffixes if one not in headless):
        path = folder / f"damaged{ending}"
        path.write_bytes(b"\x80 damaged \x00" * 40)
        _refused(lambda path=path: kind.load(path), f"{kind.__name__}.load of a damaged {ending}", str(path))  # type: ignore[misc]
        claim = kind.claims(path)
        require(claim > 0, f"{kind.__name__} must claim a damaged {ending}, so that reading it tells why")


def _check_records_are_named(subject: Subject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _records_are_named(subject.kind, subject.items[0], subject.exact, Path(folder), subject.many)


def _records_are_named(kind: Any, item: Any, exact: str, folder: Path, many: Path | None) -> None:
    path = folder / f"one{exact}"
    item.save(path)
    found = kind.records(path)
    require(
        list(found) == [""] and found[""]() == item,
        f"{kind.__name__}.records must hold the one item of a file under the name '', got {list(found)[:3]}",
    )
    if many is None:
        return
    found = kind.records(many)
    names = list(found)
    require(len(names) > 1 and "" not in names, f"{kind.__name__}.records must name the records of {many}")
    require(names == list(kind.records(many)), f"{kind.__name__}.records must keep the order of a file")
    for name in names:
        one = found[name]()
        require(isinstance(one, kind), f"{kind.__name__}.records must read {kind.__name__}, got {type(one).__name__}")
        require(
            load_media(kind, f"{many}{RECORD_MARK}{name}") == one,
            f"a record of {kind.__name__} must be the same each time it is read",
        )
    _refused(lambda: kind.load(many), f"{kind.__name__}.load of a file of many records", str(many))


def _check_words_come_back(subject: Subject) -> None:
    kind = subject.kind
    for item in subject.items if kind.words else ():
        require(kind(str(item)) == item, f"{kind.__name__}(str(media)) must be the media, since they are words")


def _check_pieces_of_time_add_up(subject: Subject) -> None:
    kind, items = subject.kind, subject.items
    if not issubclass(kind, Timed):
        return
    for item in items:
        whole = float(item.duration_seconds)
        require(whole > 0, f"{kind.__name__}.duration_seconds must be positive, got {whole}")
        require(item.between(0.0, whole) == item, f"all of a {kind.__name__} must be the {kind.__name__}")
        for cut in (0.3 * whole, whole / 2):
            first, second = item.between(0.0, cut), item.between(cut, whole)
            total = first.duration_seconds + second.duration_seconds
            require(
                abs(total - whole) < 1e-6 * max(whole, 1.0),
                f"pieces of a {kind.__name__} that meet must add up to {whole:g} s, got {total:g} s",
            )
            require(first.stream is None, f"a piece of a {kind.__name__} must not carry the codes of the whole")
        _refused(lambda item=item, whole=whole: item.between(whole + 1, whole + 2), "a piece behind the end", "")  # type: ignore[misc]


def _check_is_shown(subject: Subject) -> None:
    kind, items = subject.kind, subject.items
    if not kind.view:
        return
    view: Any = view_of(kind)
    require(view is not None, f"the view of {kind.__name__} must be there")
    first, second = items[:2]
    shown = [view.single(first, _ANGLES), view.brief(first, _ANGLES), view.pair((first, second), ("a", "b"), _ANGLES)]
    for text in shown:
        require(_ANGLES not in text, f"the view of {kind.__name__} must escape its label")
        _closed(text, kind.__name__)
    again = view.single(first, _ANGLES)
    require(again == shown[0], f"the view of {kind.__name__} must show the same media alike")
    require(view.single(second, _ANGLES) != again, f"the view of {kind.__name__} must show other media otherwise")
    region = view.middle(first, 100.0)
    if region is not None:
        words, spans = view.told(region, first, second)
        require(bool(words), f"the view of {kind.__name__} must say in words what region is edited")
        _closed(view.pair((first, second), ("a", "b"), words, spans), kind.__name__)


class _Tags(HTMLParser):
    """Elements that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("img", "input", "br", "line", "hr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        """Closed where it opens."""

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong = tag


def _closed(text: str, name: str) -> None:
    tags = _Tags()
    tags.feed(text)
    left = tags.wrong or ", ".join(tags.open)
    require(not left, f"the view of {name} must close every element it opens, but not so {left}")


def _refused(call: Callable[[], object], what: str, named: str) -> None:
    message = refusal(ValueError, call, what)
    require(named in message, f"{what} must be refused in one sentence that names {named or 'it'}, got {message!r}")


MEDIA = Contract(
    "medium",
    Medium,
    (
        _check_is_a_frozen_dataclass,
        _check_is_equal_by_value,
        _check_endings_are_said,
        _check_files_come_back,
        _check_damage_is_told,
        _check_records_are_named,
        _check_words_come_back,
        _check_pieces_of_time_add_up,
        _check_is_shown,
    ),
    _subject,
    plural="media",
)
