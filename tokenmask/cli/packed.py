"""Media that lie inside other files: members of tar archives, cells of Arrow and Parquet tables.

Arrow: archive or table --**members**, **cells**--> parts --**Packed**--> raw media. Does not know: layouts of folders.
"""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from tokenmask.cli.embedded import embedded
from tokenmask.cli.media import Loader, checked_words
from tokenmask.cli.rows_again import cell_at
from tokenmask.files import why_unread
from tokenmask.medium import load_media


class Part(NamedTuple):
    """Bytes inside a file.

    Args:
        container: the file.
        place: offset and size in a .tar file; column and row of a table; column, and byte at which the row begins, in a
            .jsonl, .json or .tsv file.
        name: what a file with these bytes would be called.
    """

    container: Path
    place: tuple[int, int] | tuple[str, int]
    name: str


@dataclass(frozen=True)
class Packed(Loader):
    """Reads media out of another file, by a temporary one with their own ending.

    Args:
        part: where they are.
    """

    part: Part = Part(Path(), (0, 0), "")

    def __call__(self) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"part{Path(self.part.name).suffix}"
            path.write_bytes(content(self.part))
            try:
                media = load_media(self.kind, path, **dict(self.options))
            except ValueError as error:
                raise ValueError(str(error).replace(str(path), str(self.value))) from error
        checked_words(media, str(self.value))
        return self.kind(" ".join(str(media).split())) if self.one_line else media


def packed(kind: Any, part: Part, *, one_line: bool = False) -> Packed:
    """A loader of a part; its value is the place as it is told."""
    return Packed(kind, part.container / part.name, one_line, part=part)


def content(part: Part) -> bytes:
    """The bytes of a part.

    Raises:
        ValueError: they are not there.
    """
    if part.container.suffix.lower() == ".tar":
        offset, size = part.place
        with part.container.open("rb") as file:
            file.seek(int(offset))
            held = file.read(size)
        if len(held) < size:
            raise ValueError(
                f"{part.container / part.name} must have {size} bytes, but {part.container} ends before; copy it again"
            )
        return held
    import pyarrow as pa

    column, row = part.place
    try:
        in_text = part.container.suffix.lower() in (".jsonl", ".json", ".tsv")
        cell = (cell_at if in_text else _cell)(part.container, str(column), row)
        held_there = embedded(cell)
        if held_there is not None:
            return held_there.content
        if cell["path"] is None:
            raise ValueError("it has neither bytes nor a path")
        return (part.container.parent / str(cell["path"])).read_bytes()
    except (pa.ArrowException, OSError, LookupError, TypeError, ValueError) as error:
        reason = why_unread(error) if isinstance(error, OSError) else " ".join(str(error).split())
        where = f"the row of {part.container / part.name}" if in_text else f"row {row} of {part.container}"
        raise ValueError(f"{where} must hold a file, but cannot be read ({reason}); leave the row out") from error


def _cell(path: Path, column: str, row: int) -> Any:
    if path.suffix != ".parquet":
        return table(path)[column][row].as_py()
    start = 0
    for group, count in enumerate(_group_sizes(path)):
        if row < start + count:
            return _group(path, column, group)[row - start].as_py()
        start += count
    raise ValueError(f"{path} must have more than {row} rows, but has {start}; name a row that is there")


@lru_cache(maxsize=64)
def _group_sizes(path: Path) -> list[int]:
    import pyarrow.parquet as pq

    about = pq.read_metadata(path)
    return [about.row_group(number).num_rows for number in range(about.num_row_groups)]


@lru_cache(maxsize=4)
def _group(path: Path, column: str, group: int) -> Any:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return file.read_row_group(group, [column])[column]


_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def members(path: Path, passed: list[str] | None = None) -> Iterator[tuple[str, Part]]:
    """(name, part) of the files in a .tar archive, in its order.

    Args:
        path: of the archive.
        passed: gets the names of what is left out: hidden files and links.

    Raises:
        ValueError: no archive, one that is compressed, or one that is cut short, after what is whole.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(8)
        packer = next((name for mark, name in _COMPRESSED.items() if begin.startswith(mark)), "")
        if packer:
            raise ValueError(f"{path} must be a .tar archive that is not compressed, but is one of {packer}; unpack it")
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                hidden = any(one.startswith(".") and one not in (".", "..") for one in Path(member.name).parts)
                if member.isfile() and not hidden:
                    yield member.name, Part(path, (member.offset_data, member.size), member.name)
                elif passed is not None and not member.isdir():
                    passed.append(member.name)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ValueError(f"{path} must be a whole .tar archive, but cannot be read ({error}); copy it again") from error


def table(path: Path, words: Collection[str] = ()) -> Any:
    """A table of Arrow, mapped into memory; of Parquet all but the bytes of media.

    Args:
        path: of the table.
        words: columns whose bytes are words.

    Raises:
        ValueError: not readable.
    """
    return _table(path, path.stat().st_mtime_ns if path.is_file() else 0, tuple(words))


@lru_cache(maxsize=4)
def _table(path: Path, changed: int, words: tuple[str, ...]) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            schema = pq.read_schema(path)
            bare = [one.name for one in schema if _is_bytes(one.type) and one.name not in words]
            others = [one for one in schema if one.name not in bare]
            names = [f"{one.name}.path" if _is_file(one.type) else one.name for one in others]
            with pq.ParquetFile(path) as file:
                held = file.read(columns=names)
                for name in bare:
                    held = held.append_column(name, _without_bytes(file, name))
            return held
        source = pa.memory_map(str(path))
        try:
            held = pa.ipc.open_stream(source).read_all()
        except pa.ArrowInvalid:
            held = pa.ipc.open_file(source).read_all()
        held.validate(full=True)  # a damaged one would end the process
        check_names(held.schema)
        double = sorted({name for name in held.column_names if held.column_names.count(name) > 1})
        if double:
            raise pa.ArrowInvalid(f"several columns are called {', '.join(double)}")
        return held
    except (pa.ArrowException, OSError, UnicodeError) as error:  # names of columns are decoded when they are read
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} must be a whole table, but cannot be read ({reason}); copy it again") from error


def check_names(fields: Any) -> None:
    """UnicodeDecodeError if the name of a column, or of a part of one, is not UTF-8: each is decoded when it is asked
    for."""
    for one in fields:
        assert one.name is not None
        check_names([one.type.field(place) for place in range(one.type.num_fields)])


def holds_media(kind: Any) -> bool:
    """Whether a type of Arrow is that of pictures and sounds of the library `datasets` (bytes, a path, or both), or
    bare bytes."""
    return _is_file(kind) or _is_bytes(kind)


def _is_file(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_struct(kind)) and {one.name for one in kind.fields} in ({"bytes", "path"}, {"path"})


def _is_bytes(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _without_bytes(file: Any, name: str) -> Any:
    """A column of bytes as one of paths that are not known, some rows at a time: what is missing stays missing."""
    import pyarrow as pa

    valid = [one.is_valid() for batch in file.iter_batches(16, columns=[name]) for one in batch.columns]
    cells = [{"path": None} if there else None for some in valid for there in some.to_pylist()]
    return pa.array(cells, pa.struct([("path", pa.string())]))
