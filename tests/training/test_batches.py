"""Batches made of columns are those made record by record, bit for bit; each process makes its own rows alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies

from tests.training import worlds
from tokenmask.batch import Batch, Sequence, collate
from tokenmask.corpus import Record, RecordTable
from tokenmask.layout import Delay, Flatten, Layout, Parallel
from tokenmask.masking import Conditioning, Cosine, FixedRate, GroupChain, LevelStages, MaskedBatch, Masker, ProcessRate
from tokenmask.processes import Processes
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.training import Packing
from tokenmask.training.preparing import Preparing

ARRANGEMENTS = (Parallel(), Flatten(), Delay())


def equal(one: Any, other: Any) -> bool:
    """Whether two batches have equal tensors of equal types."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if hasattr(one, "__dataclass_fields__"):
        return all(equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    return bool(one == other)


@dataclass(frozen=True)
class Case:
    """Streams of any kind in records that may lack some, and rules that cut them."""

    layout: Layout
    records: list[Record]
    packing: Packing
    conditioning: Conditioning
    seed: int

    @property
    def table(self) -> RecordTable:
        return RecordTable.of(self.records)


@strategies.composite
def cases(draw: Any) -> Case:
    def number(low: int, high: int) -> int:
        return int(draw(strategies.integers(low, high)))

    specs, grids = dict[str, StreamSpec](), dict[str, tuple[int | None, ...]]()
    arrangements = dict[str, Any]()
    for name in draw(strategies.permutations(["text", "clock", "image", "audio", "eeg"]))[: number(1, 5)]:
        sizes = tuple(number(2, 300) for _ in range(number(1, 12)))
        if name in ("text", "clock"):
            axes, grids[name] = ("index",) if name == "text" else ("time",), (None,)
            spec = StreamSpec(name, sizes, axes, end_code=sizes[0] - 1, rate_hz=7.0 if name == "clock" else None)
        elif name == "image":
            spec, grids[name] = StreamSpec(name, sizes, ("row", "column"), (2, 3)), (2, 3)
        elif name == "audio":
            spec, grids[name] = StreamSpec(name, sizes, ("time",), rate_hz=50.0), (None,)
        else:
            spec, grids[name] = StreamSpec(name, sizes, ("channel", "time"), rate_hz=8.0), (3, None)
        specs[name] = spec
        arrangements[name] = ARRANGEMENTS[number(0, 2 if len(spec.axes) == 1 else 1)]
    generator = torch.Generator().manual_seed(number(0, 10**6))
    records = []
    for row in range(number(1, 9)):
        chosen = [name for name in specs if number(0, 2)] or [next(iter(specs))]
        streams = {}
        for name in chosen:
            grid = tuple(number(0, 40) if size is None else size for size in grids[name])
            sizes = [size - (specs[name].end_code is not None and not level) for level, size in _sizes(specs[name])]
            codes = [torch.randint(size, grid, generator=generator, dtype=torch.int32) for size in sizes]
            streams[name] = TokenStream(specs[name], torch.stack(codes, -1), number(0, 9) / 7)
        records.append(Record(str(row), streams, {"row": row}))
    budgets = {name: number(1, 60) for name in specs if number(0, 1)}
    packing = Packing(number(2, 150), number(1, 9), budgets)
    conditioning = Conditioning(number(0, 4) / 4, number(0, 2) / 2, {name: 1.0 + number(0, 3) for name in specs})
    return Case(Layout(specs, arrangements), records, packing, conditioning, number(0, 99))


def _sizes(spec: StreamSpec) -> list[tuple[int, int]]:
    return list(enumerate(spec.codebook_sizes))


def words(error: Exception) -> list[str]:
    """Of its sentence; the streams of a record may come in another order."""
    return sorted(re.findall(r"\w+", str(error)))


def one_by_one(case: Case, keys: torch.Tensor) -> Batch:
    packed = [
        case.packing(case.layout, record.streams, seed=case.seed, sample_id=key)
        for record, key in zip(case.records, keys.tolist(), strict=True)
    ]
    return collate(packed, keys)


@settings(max_examples=100, deadline=None)
@given(cases(), strategies.integers(0, 2**40), strategies.integers(0, 9), strategies.integers(0, 9))
def test_a_batch_of_columns_is_that_of_its_records(case: Case, first: int, start: int, count: int) -> None:
    table, keys = case.table, torch.arange(len(case.records)) * 3 + first
    assert table.records() == case.records
    said = [case.packing.positions(case.layout, record.streams) for record in case.records]
    assert case.packing.table_positions(case.layout, table).tolist() == said
    try:
        expected = one_by_one(case, keys)
    except ValueError as error:
        with pytest.raises(ValueError) as found:
            case.packing.batch(case.layout, table, keys, seed=case.seed)
        assert words(found.value) == words(error)
        return
    assert equal(case.packing.batch(case.layout, table, keys, seed=case.seed), expected)
    order = np.arange(len(keys))[::-1].copy()
    turned = case.packing.batch(case.layout, table.select(order), keys[order], seed=case.seed)
    assert equal(turned, expected.rows(torch.from_numpy(order)))
    stop = min(start + count, len(keys))
    own = slice(min(start, stop), stop)
    part = case.packing.batch(case.layout, table.take(np.arange(len(keys))), keys, seed=case.seed, own=own)
    assert equal(part, expected.rows(torch.arange(own.start, own.stop)))
    if not all((row[row >= 0]).numel() for row in expected.stream):
        return  # nothing to fill
    given = case.conditioning(expected, case.layout, seed=case.seed)
    if not len(part.sample_ids):
        return
    mine = case.conditioning(part, case.layout, seed=case.seed)
    assert equal(mine, given.rows(torch.arange(own.start, own.stop)))


class Halved(Packing):
    """Another's packing: it says what it makes of one record."""

    def __call__(self, layout: Layout, record: Mapping[str, TokenStream], **options: Any) -> Sequence:
        short = {name: TokenStream(one.spec, one.codes[: len(one.codes) // 2]) for name, one in record.items()}
        return super().__call__(layout, short, **options)

    def positions(self, layout: Layout, record: Mapping[str, TokenStream]) -> int:
        return super().positions(layout, record) - 1


def test_a_packing_of_others_is_asked_record_by_record() -> None:
    spec = StreamSpec("text", (30,), ("index",), end_code=29)
    layout = Layout({"text": spec})
    lengths = (4, 20, 11)
    streams = [TokenStream(spec, torch.arange(length, dtype=torch.int32)[:, None]) for length in lengths]
    table = RecordTable.of([Record(str(n), {"text": one}) for n, one in enumerate(streams)])
    batch = Halved(64, 4).batch(layout, table, torch.arange(3), own=slice(1, 3))
    assert batch.sample_ids.tolist() == [1, 2] and batch.shape == (2, 13, 1)  # 10 codes and 2 ends; 5 and 3
    assert batch.valid.sum(1).tolist() == [13, 9]
    assert Halved(64, 4).table_positions(layout, table).tolist() == [8, 24, 12]
    assert Packing(64, 4).table_positions(layout, table).tolist() == [9, 25, 13]


def test_end_codes_and_foreign_codes_are_refused_in_the_same_words() -> None:
    spec = StreamSpec("text", (30,), ("index",), end_code=29, fingerprint="a" * 64)
    layout = Layout({"text": spec})

    def refusal(layout: Layout, stream: TokenStream) -> str:
        record = Record("x", {"text": stream})
        said = []
        for make in (
            lambda: Packing()(layout, record.streams),
            lambda: Packing().batch(layout, RecordTable.of([record]), torch.arange(1)),
        ):
            with pytest.raises(ValueError) as found:
                make()
            said.append(str(found.value))
        assert said[0] == said[1]
        return said[0]

    codes = torch.tensor([[3], [29]], dtype=torch.int32)
    assert "may hold its end code 29 only as padding" in refusal(layout, TokenStream(spec, codes))
    other = StreamSpec("text", (30,), ("index",), end_code=29, fingerprint="b" * 64)
    assert "must be coded by the tokenizer aaaaaaaaaaaa" in refusal(layout, TokenStream(other, codes[:1]))
    assert "it has no 'text'" in refusal(Layout({"word": spec}), TokenStream(spec, codes[:1]))
    delayed = StreamSpec("text", (30, 4), ("channel", "time"))
    stream = TokenStream(delayed, torch.zeros(2, 3, 2, dtype=torch.int32))
    assert "Delay shifts levels along one axis" in refusal(Layout({"text": delayed}, {"text": Delay()}), stream)


def test_records_with_two_specs_make_no_table() -> None:
    specs = [StreamSpec("text", (size,), ("index",)) for size in (3, 4)]
    records = [Record(str(n), {"text": TokenStream(one, torch.zeros(2, 1).int())}) for n, one in enumerate(specs)]
    with pytest.raises(ValueError, match="stream 'text' must have one spec in all records"):
        RecordTable.of(records)
    with pytest.raises(ValueError, match="stream 'text' must have one spec in all records"):
        RecordTable.join([RecordTable.of(records[:1]), RecordTable.of(records[1:])])


# Processes ------------------------------------------------------------------------------------------------------------

MASKERS = {
    "rows": Masker(ProcessRate(Cosine())),
    "bernoulli": Masker(ProcessRate(rounding="bernoulli")),
    "fixed": Masker(FixedRate(0.4)),
    "levels": Masker(ProcessRate(), stages=LevelStages()),
    "batch": Masker(ProcessRate(per="batch")),
    "chain": Masker(ProcessRate(), chain=GroupChain(share=0.5, steps=(2, 5))),
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batches") / "corpus"
    worlds.write_corpus(folder, 60)
    return folder


def prepared(corpus: Path, masker: Masker, processes: Processes, size: int) -> list[MaskedBatch]:
    """The own rows of some steps."""
    trainer = worlds.make_trainer(corpus, batch_size=max(size, processes.size), prefetch=0)
    conditioning = Conditioning(drop=0.3)
    preparing = Preparing(trainer.layout, trainer.packing, conditioning, masker, 0, 40, processes)
    draws = [next(trainer.mixture) for _ in range(4)]
    return [preparing.masked(draw, index)[0] for index, draw in enumerate(draws)]


@pytest.mark.parametrize("name", list(MASKERS))
def test_processes_have_the_rows_of_one_bit_for_bit(corpus: Path, name: str) -> None:
    masker = MASKERS[name]
    whole = prepared(corpus, masker, Processes(), 6)
    for size in (2, 4):
        for rank in range(size):
            processes = Processes(rank, size)
            own = processes.share(6)
            for mine, all_rows in zip(prepared(corpus, masker, processes, 6), whole, strict=True):
                assert len(mine.t) and equal(mine, all_rows.rows(own.start, own.stop))


def test_a_process_packs_its_own_rows_alone(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    masked = Masker.__call__

    def noted(self: Masker, batch: Batch, layout: Layout, **options: Any) -> MaskedBatch:
        sizes.append(batch.shape[0])
        return masked(self, batch, layout, **options)

    monkeypatch.setattr(Masker, "__call__", noted)
    for name, expected in (("levels", [2] * 4), ("batch", [8] * 4), ("chain", [8] * 4)):
        sizes.clear()
        prepared(corpus, MASKERS[name], Processes(3, 4), 8)
        assert sizes == expected


def test_a_process_without_rows_takes_part(corpus: Path) -> None:
    trainer = worlds.make_trainer(corpus, batch_size=2, prefetch=0)
    preparing = Preparing(trainer.layout, trainer.packing, Conditioning(), MASKERS["rows"], 0, 40, Processes(0, 4))
    masked, idle = preparing.masked(next(trainer.mixture), 0)
    assert idle and masked.inputs.shape[0] == 1
