"""Stores: where shards lie, a folder or an address that fsspec opens, such as ``s3://bucket/corpus``.

Arrow: folder or address --**shards_of**--> shards --**open_parquet**--> Parquet files. Does not know: what is in them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import pyarrow.parquet as pq
from pyarrow.fs import FSSpecHandler, PyFileSystem

Place: TypeAlias = "Path | str"  # a path, or an address


def place_of(folder: str | Path) -> Place:
    """A path, or the address as it is."""
    return str(folder) if is_address(folder) else Path(folder)


def is_address(folder: str | Path) -> bool:
    """Whether this is an address of a store and no path."""
    return isinstance(folder, str) and "://" in folder


def shards_of(place: Place) -> list[Place]:
    """The whole shards of a place, sorted by name; hidden files are unfinished and left out.

    Raises:
        ValueError: the place is no folder or holds none, or the store can't be asked.
    """
    found: list[Place]
    if isinstance(place, Path):
        found, there = [*place.glob("*.parquet")], place.is_dir()
    else:
        store, path = _store(place)
        try:
            store.invalidate_cache()  # another process may have written since
            there = bool(store.isdir(path))
            names = store.ls(path, detail=False) if there else []
            found = [str(store.unstrip_protocol(name)) for name in names if str(name).endswith(".parquet")]
        except Exception as error:
            raise ValueError(
                f"{place} must be a folder of a store, but asking it failed ({first_line(error)}); correct the "
                "address, or the keys to the store"
            ) from error
    shards = sorted(one for one in found if not str(one).rpartition("/")[2].startswith("."))
    if not shards:
        what = "holds no *.parquet shard" if there else "is not a folder"
        raise ValueError(f"a corpus is a folder of Parquet shards, but {place} {what}; build the corpus first")
    return shards


def open_parquet(shard: Place) -> pq.ParquetFile:
    """Opens a Parquet file; the caller closes it.

    Raises:
        OSError, pyarrow.ArrowException: the file can't be read, or is damaged.
    """
    if isinstance(shard, Path):
        return pq.ParquetFile(shard, page_checksum_verification=True)
    store, path = _store(shard)
    files = PyFileSystem(FSSpecHandler(store))
    try:
        # Columns that are wanted together are asked for together: a store answers late, but fast.
        return pq.ParquetFile(path, filesystem=files, page_checksum_verification=True, pre_buffer=True)
    except (OSError, ValueError):
        raise
    except Exception as error:
        raise OSError(first_line(error)) from error


def first_line(error: Exception) -> str:
    """What an error says, in one line without its full stop; its kind if it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def _store(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    from fsspec.core import url_to_fs  # type: ignore[import-untyped, unused-ignore]

    try:
        store, path = url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise ValueError(
            f"{address} must be an address of a store that fsspec opens, got one that it does not "
            f"({first_line(error)}); install what it asks for, or correct the address"
        ) from error
    return store, str(path)
