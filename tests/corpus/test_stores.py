"""Corpora in stores that fsspec opens: the same records, the same batches, one sentence where something is wrong.

The S3 store is a server of moto on this machine; ``make stores`` installs it.
"""

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import fsspec
import pytest
import torch

from tokenmask.cli import main
from tokenmask.corpus import Corpus, CorpusWriter, Mixture, Record, statistics
from tokenmask.run.folder import _stored

Records = Callable[..., list[Record]]
Write = Callable[..., Corpus]


@pytest.fixture
def local(tmp_path: Path, random_records: Records, write: Write) -> Corpus:
    return write(tmp_path / "corpus", random_records(60), records_per_shard=25, row_group=8)


@pytest.fixture
def memory(local: Corpus) -> Iterator[str]:
    store = fsspec.filesystem("memory")
    store.put(f"{local.folder}/", "/corpora/small/", recursive=True)
    store.pipe("/corpora/small/.shard-000009.parquet.partial", b"unfinished")
    store.pipe("/corpora/small/.hidden.parquet", b"unfinished")
    yield "memory://corpora/small"
    store.rm("/corpora", recursive=True)


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A store of S3's kind on this machine."""
    pytest.importorskip("s3fs", reason="s3fs is not installed (make stores)")
    server = pytest.importorskip("moto.server", reason="moto is not installed (make stores)")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    patch = pytest.MonkeyPatch()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": os.environ.get("NO_PROXY", "") + f",{host}",
    }.items():
        patch.setenv(name, value)
    store = fsspec.filesystem("s3")
    store.mkdir("bucket")
    yield store
    patch.undo()
    running.stop()


def assert_same(there: Corpus, here: Corpus) -> None:
    assert len(there) == len(here) and there.specs == here.specs and list(there) == list(here)
    for name, counts in statistics(here).items():
        assert all(map(torch.equal, statistics(there)[name], counts))
    drawn = []
    for corpus in (there, here):
        mixture = Mixture([(corpus, 1)], seed=3, batch_size=5, shuffle_window=20)
        drawn.append([(draw.records, draw.sample_ids.tolist()) for draw in islice(mixture, 30)])
        position = mixture.position()
        mixture = Mixture([(corpus, 1)], seed=3, batch_size=5, shuffle_window=20)
        mixture.seek(position)
        drawn[-1].append(next(mixture).records)
    assert drawn[0] == drawn[1]


def test_a_corpus_in_memory_is_the_one_on_the_disk(memory: str, local: Corpus) -> None:
    there = Corpus(memory)
    assert there.folder == memory and urlparse(str(there.row_groups[0].path)).scheme == "memory"
    assert_same(there, local)
    for split in ("train", "held-out"):
        assert list(Corpus(memory, split)) == list(Corpus(local.folder, split))
    assert repr(there).startswith("Corpus(memory://corpora/small: 60 records")


def test_a_corpus_in_s3_is_the_one_on_the_disk(s3: Any, local: Corpus) -> None:
    s3.put(f"{local.folder}/", "bucket/small/", recursive=True)
    assert_same(Corpus("s3://bucket/small"), local)
    with pytest.raises(ValueError, match=r"s3://bucket/none is not a folder; build the corpus first"):
        Corpus("s3://bucket/none")
    there = Corpus("s3://bucket/small")
    s3.pipe("bucket/small/shard-000001.parquet", s3.cat("bucket/small/shard-000001.parquet")[:500])
    with pytest.raises(ValueError, match=r"^s3://bucket/small/shard-000001\.parquet must be a whole Parquet shard"):
        Corpus("s3://bucket/small")
    s3.rm("bucket/small/shard-000002.parquet")
    with pytest.raises(ValueError, match=r"^s3://bucket/small/shard-000002\.parquet must be a whole Parquet shard"):
        there.read_table(len(there.row_groups) - 1)


def test_what_is_wrong_in_a_store_gets_one_sentence(memory: str) -> None:
    for place, words in (
        ("memory://corpora/none", r"a corpus is a folder of Parquet shards, but memory://corpora/none is not a folder"),
        ("sftpx://host/corpus", r"sftpx://host/corpus must be an address of a store that fsspec opens"),
    ):
        with pytest.raises(ValueError, match=words) as found:
            Corpus(place)
        assert "\n" not in str(found.value)
    store = fsspec.filesystem("memory")
    store.makedirs("/corpora/empty")
    with pytest.raises(ValueError, match=r"memory://corpora/empty holds no \*\.parquet shard"):
        Corpus("memory://corpora/empty")
    there = Corpus(memory)
    good = store.cat("/corpora/small/shard-000001.parquet")
    store.pipe("/corpora/small/shard-000001.parquet", good[: len(good) // 2])
    for act in (lambda: Corpus(memory), lambda: [there.read(n) for n in range(len(there.row_groups))]):
        with pytest.raises(ValueError, match=r"^memory://.*shard-000001\.parquet must be a whole .*; try again, and"):
            act()
    with pytest.raises(ValueError, match="written on this machine, got memory://corpora/new; write it here and copy"):
        CorpusWriter("memory://corpora/new", there.specs)


def test_a_corpus_in_a_store_is_shown(memory: str, local: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "show", memory]) == 0
    there = capsys.readouterr().out
    assert main(["corpus", "show", str(local.folder)]) == 0
    assert there.replace(memory, str(local.folder)) == capsys.readouterr().out


def test_a_run_keeps_an_address_as_it_is(tmp_path: Path) -> None:
    assert _stored("s3://bucket/small", tmp_path) == "s3://bucket/small"
    assert _stored(tmp_path / "corpus", tmp_path) == "corpus"


def test_row_groups_are_read_side_by_side_in_order(local: Corpus) -> None:
    tables = local.read_tables([2, 0, 5, 1])
    assert [table.records() for table in tables] == [local.read(number) for number in (2, 0, 5, 1)]
    assert local.read_tables([]) == []
