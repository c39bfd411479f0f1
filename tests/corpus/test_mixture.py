"""The order of reading: exact positions, every record once an epoch, weights, buckets, little memory."""

import json
import random
import weakref
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies

from tokenmask.corpus import Corpus, Draw, Mixture, RecordTable, num_positions
from tokenmask.corpus.passes import CHOICE
from tokenmask.ops import Purpose, uniform

MakeCorpus = Callable[..., Corpus]


def keys(draws: list[Draw]) -> list[str]:
    return [record.key for draw in draws for record in draw.records]


def same(one: Draw, other: Draw) -> bool:
    return one.records == other.records and torch.equal(one.sample_ids, other.sample_ids)


def lengths(count: int, longest: int = 60) -> tuple[int, ...]:
    return tuple(i * 37 % (longest + 1) for i in range(count))


@pytest.fixture
def corpora(text_corpus: MakeCorpus) -> list[Corpus]:
    """Row groups that fill windows evenly and not, a last short one, and a corpus smaller than any window."""
    return [text_corpus("a", lengths(150)), text_corpus("b", lengths(77), row_group=10), text_corpus("c", lengths(3))]


# The position ---------------------------------------------------------------------------------------------------------

ARGUMENTS = strategies.fixed_dictionaries(
    {
        "seed": strategies.integers(0, 2**31),
        "shuffle_window": strategies.sampled_from([1, 7, 20, 64, 1000]),
        "bucket_width": strategies.sampled_from([1, 16]),
        "epochs": strategies.sampled_from([None, 1, 3]),
    }
)
LIMITS = strategies.sampled_from(
    [{"batch_size": 1}, {"batch_size": 5}, {"batch_positions": 64}, {"batch_size": 8, "batch_positions": 200}]
)


@pytest.fixture(scope="session")
def three(text_corpus: MakeCorpus) -> list[Corpus]:
    return [text_corpus("a", lengths(90)), text_corpus("b", lengths(41), row_group=10), text_corpus("c", lengths(3))]


@given(
    arguments=ARGUMENTS,
    limits=LIMITS,
    weights=strategies.lists(strategies.sampled_from([1.0, 0.25, 3]), min_size=1, max_size=3),
    stop=strategies.integers(0, 120),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_seek_is_exact(
    three: list[Corpus], arguments: dict[str, Any], limits: dict[str, int], weights: list[float], stop: int
) -> None:
    """Wherever a reader stops, another one goes on from its position with the same draws, bit for bit."""
    corpora = list(zip(three, weights, strict=False))
    first = Mixture(corpora, **arguments, **limits)
    for _ in islice(first, stop):
        pass
    position = json.loads(json.dumps(first.position()))
    assert len(json.dumps(position)) < 500
    expected = list(islice(first, 40))
    second = Mixture(corpora, **arguments, **limits)
    for _ in islice(second, 3):  # it need not be fresh
        pass
    second.seek(position)
    assert second.position() == position
    found = list(islice(second, 40))
    assert len(found) == len(expected) and all(map(same, found, expected))
    assert second.position() == first.position()


def test_seek_at_every_batch(corpora: list[Corpus]) -> None:
    arguments: dict[str, Any] = {"seed": 1, "batch_positions": 300, "shuffle_window": 50}
    weighted = list(zip(corpora, (3, 2, 1), strict=True))
    reader, positions, draws = Mixture(weighted, **arguments), [], []
    for _ in range(120):
        positions.append(reader.position())
        draws.append(next(reader))
    assert positions[-1]["taken"][2] > 2 * 3 and positions[-1]["taken"][0] > 150  # across epochs
    other = Mixture(weighted, **arguments)
    for index in random.Random(0).sample(range(120), 60):
        other.seek(positions[index])
        assert same(next(other), draws[index])


def test_a_far_position_is_near(text_corpus: MakeCorpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """After thousands of epochs, going to a position reads no more than one window and one pool."""
    corpus = text_corpus("far", lengths(160), row_group=16)
    mixture = Mixture([(corpus, 1)], seed=0, batch_size=4, shuffle_window=32)
    next(mixture)
    position = {**mixture.position(), "draws": 160 * 5000 + 64, "taken": [160 * 5000 + 64], "batch": 3}
    read: list[int] = []
    reading = corpus.read_table
    monkeypatch.setattr(corpus, "read_table", lambda index: read.append(index) or reading(index))
    mixture.seek(position)
    draw = next(mixture)
    assert len(read) <= 4 and draw.sample_ids.min() >= 160 * 5000 + 64


def test_positions_of_others_are_refused(corpora: list[Corpus]) -> None:
    a, b, _ = corpora
    mixture = Mixture([(a, 1)], seed=1, batch_size=4)
    position = mixture.position()
    for other in (
        Mixture([(b, 1)], seed=1, batch_size=4),
        Mixture([(a, 2)], seed=1, batch_size=4),
        Mixture([(a, 1)], seed=2, batch_size=4),
        Mixture([(a, 1)], seed=1, batch_size=8),
    ):
        with pytest.raises(ValueError, match="goes only to a position of its own, got one with"):
            other.seek(position)
    with pytest.raises(ValueError, match=r"seed 1 \(now 2\)"):
        Mixture([(a, 1)], seed=2, batch_size=4).seek(position)
    with pytest.raises(ValueError, match="a position of version 1 is needed, got 9"):
        mixture.seek({**position, "version": 9})


def test_a_failed_read_draws_nothing(text_corpus: MakeCorpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a damaged shard or Ctrl-C in the middle of reading, the position still tells the truth."""
    corpus = text_corpus("fail", lengths(160), row_group=16)
    arguments: dict[str, Any] = {"seed": 0, "batch_size": 4, "shuffle_window": 64}
    expected = list(islice(Mixture([(corpus, 1)], **arguments), 60))
    mixture = Mixture([(corpus, 1)], **arguments)
    found = list(islice(mixture, 16))

    def interrupted(index: int) -> RecordTable:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(corpus, "read_table", interrupted)
        next(mixture)
    again = Mixture([(corpus, 1)], **arguments)
    again.seek(mixture.position())
    for reader in (mixture, again):
        assert all(map(same, [*found, *islice(reader, 44)], expected))


# What is drawn --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shuffle_window", [1, 30, 64, 10_000])
@pytest.mark.parametrize("limits", [{"batch_size": 7}, {"batch_positions": 256}])
def test_every_record_once_an_epoch(corpora: list[Corpus], shuffle_window: int, limits: dict[str, int]) -> None:
    weighted = list(zip(corpora, (5, 1, 1), strict=True))
    draws = list(Mixture(weighted, seed=3, shuffle_window=shuffle_window, epochs=2, **limits))
    counts = Counter(keys(draws))
    assert set(counts.values()) == {2} and len(counts) == sum(map(len, corpora))
    ids = torch.cat([draw.sample_ids for draw in draws])
    assert ids.dtype == torch.int64 and sorted(ids.tolist()) == list(range(2 * sum(map(len, corpora))))
    for corpus in corpora:  # the epochs of a corpus do not run into each other
        name = corpus.read(0)[0].key.split(":")[0]
        by_draw = sorted((i, r.key) for d in draws for i, r in zip(d.sample_ids.tolist(), d.records, strict=True))
        drawn = [key for _, key in by_draw if key.startswith(f"{name}:")]
        first, second = drawn[: len(corpus)], drawn[len(corpus) :]
        assert set(first) == set(second) and (first != second or len(corpus) < 5)


def test_weights_are_shares_of_positions(text_corpus: MakeCorpus) -> None:
    """Records of 2 to 5 and of 40 to 89 positions, equal weights: equal shares of positions, also across a seek."""
    short = text_corpus("short", tuple(2 + i % 4 for i in range(300)))
    long = text_corpus("long", tuple(40 + i % 50 for i in range(300)))
    arguments: dict[str, Any] = {"seed": 5, "batch_size": 32, "shuffle_window": 128, "by": "positions"}
    mixture = Mixture([(short, 1), (long, 1)], **arguments)
    draws, places = [], []
    for _ in range(200):
        places.append(json.loads(json.dumps(mixture.position())))
        draws.append(next(mixture))
    counts = Counter[str]()
    for draw in draws:
        for record in draw.records:
            counts[record.key.split(":")[0]] += num_positions(record)
    assert counts["long"] == pytest.approx(counts["short"], rel=0.1)
    other = Mixture([(short, 1), (long, 1)], **arguments)
    for number in (0, 1, 37, 198):
        other.seek(places[number])
        assert other.position() == places[number]
        assert same(next(other), draws[number]) and same(next(other), draws[number + 1])
    with pytest.raises(ValueError, match=r"got one with by 'positions' \(now None\)"):
        Mixture([(short, 1), (long, 1)], **{**arguments, "by": "records"}).seek(places[5])
    with pytest.raises(ValueError, match="mixes by records or by positions, got 'tokens'"):
        Mixture([(short, 1)], seed=0, batch_size=1, by="tokens")  # type: ignore[arg-type]


def test_weights(text_corpus: MakeCorpus) -> None:
    """Chi-square with two degrees of freedom: beyond 27.6 lies one in a million of fair samples."""
    weights, count = (5.0, 3.0, 2.0), 6_000
    corpora = [(text_corpus(name, lengths(40)), weight) for name, weight in zip("xyz", weights, strict=True)]
    found = Counter(key[0] for key in keys(list(islice(Mixture(corpora, seed=0, batch_size=100), count // 100))))
    expected = {name: count * weight / sum(weights) for name, weight in zip("xyz", weights, strict=True)}
    assert sum((found[name] - mean) ** 2 / mean for name, mean in expected.items()) < 27.6


def test_a_draw_takes_its_corpus_by_its_own_number(text_corpus: MakeCorpus) -> None:
    """Below three quarters the first corpus, else the second; one of a single record takes part too."""
    corpora = [(text_corpus("x", lengths(40)), 3.0), (text_corpus("y", (5,)), 1.0)]
    draws = list(islice(Mixture(corpora, seed=4, batch_size=20, shuffle_window=20), 5))  # a pool is one batch
    taken = sorted((i, r.key[0]) for d in draws for i, r in zip(d.sample_ids.tolist(), d.records, strict=True))
    numbers = uniform(seed=4, counters=torch.arange(100) + CHOICE, purpose=Purpose.order)
    assert taken == [(n, "x" if number < 0.75 else "y") for n, number in enumerate(numbers.tolist())]


def test_a_window_below_a_batch_is_one_batch(text_corpus: MakeCorpus) -> None:
    draws = list(islice(Mixture([(text_corpus("x", lengths(40)), 1)], seed=0, batch_size=4, shuffle_window=1), 9))
    assert [sorted(one.sample_ids.tolist()) for one in draws] == [list(range(4 * n, 4 * n + 4)) for n in range(9)]


def test_orders_are_uniform(text_corpus: MakeCorpus) -> None:
    """Which of 8 comes first: chi-square with seven degrees of freedom; beyond 42 lies less than one in a million."""
    corpus = text_corpus("eight", (1,) * 8, row_group=2)
    firsts = keys(list(islice(Mixture([(corpus, 1)], seed=0, batch_size=1, shuffle_window=8), 8 * 400)))[::8]
    assert sum((count - 50) ** 2 / 50 for count in Counter(firsts).values()) < 42
    assert len(set(firsts)) == 8


def test_seeds_give_other_orders(corpora: list[Corpus]) -> None:
    orders = [keys(list(Mixture([(corpora[0], 1)], seed=seed, batch_size=10, epochs=1))) for seed in (1, 2, 1)]
    assert orders[0] == orders[2] != orders[1]


def test_global_generators_are_untouched(corpora: list[Corpus]) -> None:
    before = (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
    list(Mixture([(corpora[0], 1)], seed=0, batch_size=4, epochs=1))
    assert before == (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002


# Batches --------------------------------------------------------------------------------------------------------------


def test_batches_keep_their_limits(corpora: list[Corpus]) -> None:
    a, b, _ = corpora
    sizes = [
        len(draw.records) for draw in islice(Mixture([(a, 1), (b, 1)], seed=0, batch_size=9, shuffle_window=50), 80)
    ]
    assert set(sizes) == {9}
    mixture = Mixture([(a, 1), (b, 1)], seed=0, batch_size=12, batch_positions=320, shuffle_window=50)
    for draw in islice(mixture, 80):
        longest = max(num_positions(record) for record in draw.records)
        assert len(draw.records) * -(-longest // 16) * 16 <= 320 and len(draw.records) <= 12


def test_buckets_save_padding(text_corpus: MakeCorpus) -> None:
    corpus = text_corpus("lengths", lengths(600, 500), row_group=100)
    shares = []
    for window in (16, 600):  # a window of one batch cannot sort
        draws = list(Mixture([(corpus, 1)], seed=0, batch_size=16, shuffle_window=window, epochs=1))
        padded = sum(len(d.records) * max(num_positions(r) for r in d.records) for d in draws)
        shares.append(sum(num_positions(r) for d in draws for r in d.records) / padded)
    assert shares[0] < 0.65 and shares[1] > 0.9
    first = [max(num_positions(record) for record in draw.records) for draw in draws]
    assert first != sorted(first) and first != sorted(first, reverse=True)  # batches of a pool come in random order


def test_length_is_what_the_caller_says(corpora: list[Corpus]) -> None:
    arguments: dict[str, Any] = {"seed": 0, "batch_positions": 32, "epochs": 1}
    assert {len(d.records) for d in Mixture([(corpora[0], 1)], length=lambda record: 16, **arguments)} == {2}
    with pytest.raises(ValueError, match=r"batch_positions must hold the longest .* got 32 for 48 of record 'a:\d+'"):
        next(Mixture([(corpora[0], 1)], length=lambda record: 40, **arguments))


def test_ranks_share_the_batches_of_one_reader(corpora: list[Corpus]) -> None:
    weighted = list(zip(corpora, (3, 2, 1), strict=True))
    whole = list(islice(Mixture(weighted, seed=4, batch_size=12, shuffle_window=60), 30))
    for world_size in (2, 3):
        ranks = [
            Mixture(weighted, seed=4, batch_size=12, shuffle_window=60, rank=rank, world_size=world_size)
            for rank in range(world_size)
        ]
        for draw, *parts in zip(whole, *ranks, strict=False):
            found = sorted((i, r.key) for p in parts for i, r in zip(p.sample_ids.tolist(), p.records, strict=True))
            assert found == sorted((i, r.key) for i, r in zip(draw.sample_ids.tolist(), draw.records, strict=True))
            assert {len(part.records) for part in parts} == {12 // world_size}
        single = Mixture(weighted, seed=4, batch_size=12, shuffle_window=60)
        single.seek(ranks[1].position())  # a run can go on with another number of ranks
        assert single.position() == ranks[0].position()


# Memory ---------------------------------------------------------------------------------------------------------------


def test_row_groups_are_read_when_needed(text_corpus: MakeCorpus, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = text_corpus("lazy", lengths(640), row_group=16, records_per_shard=64)
    alive: list[weakref.ref[RecordTable]] = []
    read: list[int] = []
    reading = corpus.read_table

    def noted(index: int) -> RecordTable:
        table = reading(index)
        read.append(index)
        alive.append(weakref.ref(table))
        return table

    monkeypatch.setattr(corpus, "read_table", noted)
    mixture = Mixture([(corpus, 1)], seed=0, batch_size=8, shuffle_window=64)
    assert not read
    next(mixture)
    assert len(read) == 4  # 64 records of 640
    for _ in islice(mixture, 150):
        assert not any(reference() is not None for reference in alive)  # what is drawn from is joined and shuffled
    assert len(read) > 40
    held = mixture._passes[0]._table
    assert held is not None and len(held) == 64
    assert len(held.streams["text"].codes) == sum(map(num_positions, held.records()))  # nothing of other windows


# Refusals -------------------------------------------------------------------------------------------------------------


def test_bad_arguments(corpora: list[Corpus], tmp_path: Any) -> None:
    a = corpora[0]
    for weight in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="weights must be positive"):
            Mixture([(a, weight)], seed=0, batch_size=1)
    with pytest.raises(ValueError, match="needs 1 to 128 corpora, got 0"):
        Mixture([], seed=0, batch_size=1)
    with pytest.raises(ValueError, match="batch_size or batch_positions, got neither"):
        Mixture([(a, 1)], seed=0)
    for name in ("batch_size", "batch_positions", "epochs", "bucket_width", "shuffle_window"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            Mixture([(a, 1)], seed=0, **{"batch_size": 1, name: 0})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"rank must lie in 0\.\.1, got 2"):
        Mixture([(a, 1)], seed=0, batch_size=2, rank=2, world_size=2)
    with pytest.raises(ValueError, match="multiple of world_size, got 3 and 2"):
        Mixture([(a, 1)], seed=0, batch_size=3, world_size=2)
    with pytest.raises(ValueError, match=r"must have 1 to .* records, got Corpus"):
        Mixture([(Corpus(a.folder, "held-out"), 1)], seed=0, batch_size=1)
