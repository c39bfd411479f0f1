"""encode_table on a process pool, and what it takes and gives by itself."""

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.corpus.engines import check, check_mapped
from tests.worlds import tokenizers
from tokenmask.corpus import ProcessPool, RayCluster, TableEncoder, build_corpus, encode_items, engine_of, write_tables
from tokenmask.corpus.engines.packed import PackedTokenizer
from tokenmask.corpus.engines.tables import item_table
from tokenmask.corpus.items import Item
from tokenmask.modalities.text import Text
from tokenmask.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def text() -> Tokenizer:
    return tokenizers()["text"]


@pytest.fixture(scope="module")
def encode(text: Tokenizer) -> TableEncoder:
    return TableEncoder.of({"text": text})


def test_a_pool_of_processes_makes_the_corpus_of_one(text: Tokenizer, tmp_path: Path) -> None:
    check(ProcessPool(2), text, tmp_path)


def test_any_pool_can_map_it(text: Tokenizer, tmp_path: Path) -> None:
    def mapped(encode: TableEncoder, table: pa.Table) -> list[pa.Table]:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(encode, [table.slice(start, 9) for start in range(0, len(table), 9)]))

    check_mapped(mapped, text, tmp_path)


def test_a_row_has_codes_or_a_reason(encode: TableEncoder, text: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("heart")
    table = pa.table(
        {
            "key": ["words", "file", "neither", "both", "gone"],
            "text_words": ["heart", None, None, "x", None],
            "text_path": [None, str(tmp_path / "a.txt"), None, "y", str(tmp_path / "b.txt")],
            "metadata": ['{"n": 1}', "{}", "{}", "{}", "{}"],
        }
    )
    made = pickle.loads(pickle.dumps(encode))(table)
    assert made.schema == encode.schema and made.column("key").to_pylist() == table.column("key").to_pylist()
    codes = text.encode(Text("heart")).codes.flatten().tolist()
    assert made.column("text.codes").to_pylist() == [codes, codes, None, None, None]
    assert made.column("split").to_pylist() == ["train"] * 5 and made.column("metadata").to_pylist()[0] == '{"n": 1}'
    reasons = made.column("refused").to_pylist()
    assert reasons[:2] == [None, None] and "needs media for some of the streams ['text'], got []" in reasons[2]
    assert reasons[3] == "a stream of an item is a file or words, got text_path and text_words; leave one null"
    assert "b.txt" in reasons[4]
    summary = write_tables([made], encode.specs, tmp_path / "corpus")
    assert summary.written == 2 and [key for key, _ in summary.failed] == ["neither", "both", "gone"]
    (batch,) = encode.batches(table.to_batches())
    assert pa.Table.from_batches([batch]) == made


def test_what_is_warned_of_there_is_said_here(encode: TableEncoder, text: Tokenizer, tmp_path: Path) -> None:
    made = encode(pa.table({"key": ["a"], "text_words": ["a"]}))
    told = made.set_column(made.column_names.index("told"), "told", pa.array([["cut short"]]))
    with pytest.warns(UserWarning, match="cut short"):
        assert write_tables([told], encode.specs, tmp_path).written == 1


def test_other_columns_and_media_sealed_by_others_are_refused(encode: TableEncoder, text: Tokenizer) -> None:
    with pytest.raises(ValueError, match=r"must have the column 'key' and others of .*'text_words'.*, got .*'image"):
        encode(pa.table({"key": ["a"], "image_path": ["a.png"]}))
    table = item_table([Item("a", {"text": Text("a")})], b"secret")
    assert TableEncoder(encode.tokenizers, b"secret")(table).column("refused").to_pylist() == [None]
    for seal in (b"", b"another"):
        with pytest.raises(ValueError, match="sealed media are opened only by the encoder they were made for"):
            TableEncoder(encode.tokenizers, seal)(table)


def test_a_process_opens_a_tokenizer_once_and_checks_it(encode: TableEncoder, text: Tokenizer) -> None:
    packed = encode.tokenizers["text"]
    assert packed.open() is packed.open() and packed.open() is not text and packed.open().spec == text.spec
    files = {name: data.replace(b"fingerprint", b"fingerprinx") for name, data in packed.files.items()}
    with pytest.raises(ValueError, match=r"tokenizer\.json is damaged"):
        PackedTokenizer(packed.spec, files, "changed").open()


def test_engines_have_names(text: Tokenizer, tmp_path: Path) -> None:
    assert engine_of("local") is None and engine_of("processes", 3) == ProcessPool(3)
    assert engine_of("ray") == RayCluster() and engine_of("ray:h:1", 2) == RayCluster("h:1", 2)
    for word in ("spark", "ray:", ""):
        with pytest.raises(ValueError, match="an engine is local, processes, ray"):
            engine_of(word)
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        ProcessPool(0)
    with pytest.raises(ValueError, match=r"give them to the engine, as in engine=ProcessPool\(2\)"):
        build_corpus([], {"text": text}, tmp_path, engine="processes", workers=2)


class Wrong:
    """An engine that answers in another order, to the first table alone, or twice."""

    size = 1

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def map(self, encode: TableEncoder, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        answers = [encode(table) for table in tables]
        yield from {"swapped": answers[::-1], "fewer": answers[:1], "more": [*answers, answers[-1]]}[self.kind]


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("swapped", "to the table of 5 rows from 'k0' it gave 5 rows from 'k15'"),
        ("fewer", "to the table of 5 rows from 'k5' it gave none"),
        ("more", "to the table of none it gave 5 rows from 'k15'"),
    ],
)
def test_an_engine_that_answers_otherwise_is_refused(text: Tokenizer, tmp_path: Path, kind: str, sentence: str) -> None:
    items = [Item(f"k{number}", {"text": Text(f"word {number}")}) for number in range(20)]
    with pytest.raises(ValueError, match=f"Wrong.map must give one answer to each table.*{sentence}"):
        build_corpus(items, {"text": text}, tmp_path / "corpus", engine=Wrong(kind), progress=False)
    with pytest.raises(TypeError, match=r"engine must map a function over tables .*, got .*ProcessPool'>; pass"):
        build_corpus(items, {"text": text}, tmp_path / "other", engine=ProcessPool, progress=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["2", 1.0, True])
def test_what_is_no_number_of_workers_is_refused(wrong: Any, text: Tokenizer) -> None:
    for make in (ProcessPool, lambda workers: RayCluster(None, workers)):
        with pytest.raises(
            TypeError, match=f"workers must be a whole number or None, got {wrong!r}; None takes one for each"
        ):
            make(wrong)
    with pytest.raises(TypeError, match="workers must be a whole number"):
        list(encode_items([], {"text": text}, workers=wrong))
    with pytest.raises(TypeError, match="an engine is named by a word, such as 'processes', got 2; write one"):
        engine_of(2)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match='address must be that of a cluster, such as "auto", got 6379'):
        RayCluster(6379)  # type: ignore[arg-type]


def test_what_makes_no_encoder_is_refused(text: Tokenizer) -> None:
    with pytest.raises(ValueError, match="needs a tokenizer for at least one stream, got none"):
        TableEncoder.of({})
    with pytest.raises(TypeError, match="tokenizers are given by stream"):
        TableEncoder.of(text)  # type: ignore[arg-type]
    for wrong in ("tokenizers/text", type(text)):
        with pytest.raises(TypeError, match=r"'text' needs a tokenizer, got .*; open it first"):
            TableEncoder.of({"text": wrong})  # type: ignore[dict-item]


def test_what_is_no_table_is_refused(encode: TableEncoder, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"takes a pyarrow\.Table with a row an item, got list; make one of it"):
        encode([{"key": "a"}])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="holds words, but its column 'text_words' holds int64; cast it to string"):
        encode(pa.table({"key": ["a"], "text_words": [3]}))
    made = encode(pa.table({"key": ["a"], "text_words": ["heart"]}))
    for tables, sentence in (
        (made, "takes tables one after the other, got Table; pass a list of them"),
        (5, "takes tables one after the other, got int"),
        (made.to_batches(), "takes what a TableEncoder gave, a pyarrow.Table, got RecordBatch; make a table of it"),
    ):
        with pytest.raises(TypeError, match=sentence):
            write_tables(tables, encode.specs, tmp_path)
    with pytest.raises(TypeError, match=r"needs the specs of the encoder, encode_table\.specs, got"):
        write_tables([made], encode.tokenizers, tmp_path)  # type: ignore[arg-type]
    assert list(tmp_path.glob("*.parquet")) == []
