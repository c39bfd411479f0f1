"""CorpusWriter: records into Parquet shards, whole or not at all.

Arrow: Record --> **shards on disk**.
Does not know: tokenizers, order of reading, shared ids.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import pyarrow.parquet as pq

from tokenmask.corpus.columns import shard_schema, to_table, written_so
from tokenmask.corpus.keys import Keys, check_key
from tokenmask.corpus.reader import check_specs, open_shard, read_keys, shard_paths
from tokenmask.corpus.records import Record
from tokenmask.corpus.stores import is_address
from tokenmask.files import hold, sync_folder
from tokenmask.streams import StreamSpec


class CorpusWriter:
    """Writes records into a folder of Parquet shards; a folder that holds shards is continued.

    A shard is written under a hidden name and appears under its own name when it is whole and on the disk. Leaving the
    ``with`` block by an exception drops the unfinished shard; :meth:`close` keeps it. One writer at a time a folder.
    In memory are the records of one row group and some 40 bytes for the key of every record, see :class:`Keys`.

    Args:
        folder: made if it does not exist.
        specs: stream name -> what its codes mean; the same for every shard of a folder.
        records_per_shard: a shard is finished when it holds this many.
        row_group: records that are compressed, and later read, together.

    Raises:
        ValueError: shards of the folder have other specs or are damaged, or it is an address of a store.
    """

    def __init__(
        self,
        folder: str | Path,
        specs: Mapping[str, StreamSpec],
        *,
        records_per_shard: int = 4096,
        row_group: int = 512,
    ) -> None:
        if records_per_shard < 1 or row_group < 1:
            raise ValueError(
                f"records_per_shard and row_group must be at least 1, got {records_per_shard}, {row_group}"
            )
        if not specs:
            raise ValueError("CorpusWriter needs the spec of at least one stream, got none")
        if is_address(folder):
            raise ValueError(f"a corpus is written on this machine, got {folder}; write it here and copy it there")
        self.folder = Path(folder)
        self.specs = dict(specs)
        self.keys = Keys()  # of whole shards and of records added since
        self._records_per_shard, self._row_group = records_per_shard, row_group
        self._schema = shard_schema(self.specs)
        self._rows: list[Record] = []  # of the row group being filled
        self._in_shard = 0
        self._file: BinaryIO | None = None
        self._parquet: pq.ParquetWriter | None = None
        self._closed = False
        self.folder.mkdir(parents=True, exist_ok=True)
        paths = shard_paths(self.folder)
        for path in paths:
            shard, found = open_shard(path)
            with shard:
                check_specs(found, self.specs, str(path), complete=True)
                self.keys.update(read_keys(path, shard))
        self._index = 1 + max((_shard_index(path) for path in paths), default=-1)

    def add(self, record: Record) -> None:
        """Appends a record.

        Raises:
            ValueError: the key was used or is no relative path, a stream is unknown or has another spec, or metadata
                that JSON cannot hold.
            OSError: a shard could not be written; the shards before it stay, its records are lost.
        """
        if self._closed:
            raise ValueError(f"records are added before the writer is closed, got {record.key!r} after")
        if record.key in self.keys:
            raise ValueError(
                f"keys must be unique in {self.folder}, got {record.key!r} twice; rename or skip the second"
            )
        for name, stream in record.streams.items():
            check_specs({name: stream.spec}, self.specs, f"record {record.key!r}")
        check_key(record.key)
        try:
            json.dumps(dict(record.metadata), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"metadata must be JSON values, got {error} in record {record.key!r}") from error
        self.keys.add(record.key)
        self._rows.append(record)
        self._in_shard += 1
        if len(self._rows) == self._row_group or self._in_shard == self._records_per_shard:
            self._write_row_group()
        if self._in_shard == self._records_per_shard:
            self._finish_shard()

    def close(self) -> None:
        """Finishes the last shard, however short; a second call does nothing."""
        if not self._closed:
            if self._rows:
                self._write_row_group()
            if self._parquet is not None:
                self._finish_shard()
            self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._drop_shard()

    @property
    def _shard(self) -> Path:
        return self.folder / f"shard-{self._index:06d}.parquet"

    @property
    def _partial(self) -> Path:
        return self.folder / f".{self._shard.name}.partial"

    def _write_row_group(self) -> None:
        try:
            if self._parquet is None:
                self._open_shard()
            assert self._parquet is not None
            self._parquet.write_table(to_table(self._rows, self.specs), row_group_size=self._row_group)
            self._rows = []
        except OSError as error:
            raise self._failed(error) from error
        except BaseException:  # Ctrl-C: half a row group may have been written
            self._drop_shard()
            raise

    def _open_shard(self) -> None:
        file = None
        try:
            # Not truncated before it is locked: it may be another writer's.
            file = os.fdopen(os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666), "wb")
            if not hold(file):
                raise OSError(errno.EBUSY, "another writer is writing it")
            file.truncate(0)
            self._file = file
        finally:
            if self._file is None:  # also Ctrl-C, after which nobody else would remove an empty file
                if file is not None:
                    file.close()
                self._remove_unheld()
        self._parquet = pq.ParquetWriter(file, self._schema, **written_so(self.specs))

    def _remove_unheld(self) -> None:
        """Removes the partial file unless another writer holds it."""
        with contextlib.suppress(OSError), os.fdopen(os.open(self._partial, os.O_RDONLY | os.O_NOFOLLOW)) as file:
            if hold(file):
                self._partial.unlink()

    def _finish_shard(self) -> None:
        assert self._parquet is not None and self._file is not None
        try:
            self._parquet.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            if self._shard.exists():
                raise FileExistsError(errno.EEXIST, "another writer wrote it meanwhile")
            os.replace(self._partial, self._shard)
        except OSError as error:
            raise self._failed(error) from error
        except BaseException:  # Ctrl-C: the shard is published or dropped, and this writer is done
            self._drop_shard()
            raise
        self._file.close()
        self._parquet = self._file = None
        self._index, self._in_shard = self._index + 1, 0
        sync_folder(self.folder)

    def _failed(self, error: OSError) -> OSError:
        self._drop_shard()
        reason = error.strerror or str(error)
        return OSError(
            f"{self._shard} could not be written ({reason}); nothing of it is kept, the shards before it are whole: "
            "set that right and build again"
        )

    def _drop_shard(self) -> None:
        self._closed = True
        if self._file is None:
            return
        self._partial.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # what is still written goes to the file just unlinked
            if self._parquet is not None:
                self._parquet.close()
        with contextlib.suppress(OSError):
            self._file.close()
        self._parquet = self._file = None


def _shard_index(path: Path) -> int:
    digits = path.stem.removeprefix("shard-")
    return int(digits) if digits.isdecimal() else -1
