"""From media to a corpus: what fails is told, what was done stays done; and counts over the result."""

import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from tokenmask.corpus import BuildSummary, Corpus, Item, Record, build_corpus, statistics
from tokenmask.streams import StreamSpec, TokenStream

LETTERS = StreamSpec("text", (26,), ("index",), fingerprint="a" * 64)
PAIRS = StreamSpec("audio", (2, 5), ("time",), rate_hz=10.0)


class Letters:
    """Codes of lower-case letters; refuses anything else, and counts how often it is called."""

    media: ClassVar[type] = str
    context_seconds = None
    spec = LETTERS

    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode(self, media: str) -> TokenStream:
        return self.encode_many([media])[0]

    def encode_many(self, items: Sequence[str]) -> list[TokenStream]:
        self.batches.append(len(items))
        if any(not letter.islower() for text in items for letter in text):
            raise ValueError("only lower-case letters are known")
        return [TokenStream(LETTERS, torch.tensor([[ord(c) - 97] for c in text], dtype=torch.int32)) for text in items]


class Pairs(Letters):
    spec = PAIRS

    def encode_many(self, items: Sequence[Any]) -> list[TokenStream]:
        return [TokenStream(PAIRS, torch.tensor(item, dtype=torch.int32).reshape(-1, 2), 0.5) for item in items]


def unreadable() -> str:
    raise RuntimeError("no such codec\nwith a second line")


def items(count: int) -> list[Item]:
    """Every tenth is held out."""
    splits = ["held-out" if i % 10 == 9 else "train" for i in range(count)]
    return [Item(f"item {i}", {"text": "abc"}, split, {"number": i}) for i, split in enumerate(splits)]


def build(things: Any, tokenizers: Any, folder: Path, **arguments: Any) -> BuildSummary:
    return build_corpus(things, tokenizers, folder, **{"progress": False, **arguments})


def test_items_become_records(tmp_path: Path) -> None:
    things = [
        Item("both", {"text": "ab", "sound": [[0, 4], [1, 3]]}, metadata={"who": "me"}),
        Item("lazy", {"text": lambda: "c"}, "held-out"),
        Item("sound alone", {"sound": []}),
    ]
    summary = build(iter(things), {"text": Letters(), "sound": Pairs()}, tmp_path)
    assert summary == BuildSummary(written=3, failed=[], skipped=0)
    both, lazy, sound = Corpus(tmp_path)
    assert both.metadata == {"who": "me"} and list(both.streams) == ["text", "sound"]
    assert both.streams["sound"].codes.tolist() == [[0, 4], [1, 3]] and both.streams["sound"].start_seconds == 0.5
    assert lazy == Record("lazy", {"text": Letters().encode("c")}, {}, "held-out")
    assert sound.streams["sound"].grid == (0,) and sound.streams["sound"].codes.shape == (0, 2)


def test_bad_items_are_told(tmp_path: Path) -> None:
    things = [
        *items(20),
        Item("unreadable", {"text": unreadable}),
        Item("upper", {"text": "ABC"}),
        Item("item 3", {"text": "xyz"}),
        Item("unknown", {"image": "abc"}),
        Item("nothing", {}),
        Item("split", {"text": "a"}, "test"),
        Item("metadata", {"text": "a"}, metadata={"x": float("inf")}),
        Item("last", {"text": "z"}),
    ]
    tokenizer = Letters()
    summary = build(things, {"text": tokenizer}, tmp_path)
    reasons = dict(summary.failed)
    assert summary.written == 21 and list(reasons) == [thing.key for thing in things[20:-1]]
    assert reasons["unreadable"] == "RuntimeError: no such codec"
    assert reasons["upper"] == "only lower-case letters are known"
    assert "keys must be unique" in reasons["item 3"] and "'image'" in reasons["unknown"] and "[]" in reasons["nothing"]
    assert "split of record 'split'" in reasons["split"] and "metadata must be JSON" in reasons["metadata"]
    assert [record.key for record in Corpus(tmp_path)] == [*(f"item {i}" for i in range(20)), "last"]
    assert max(tokenizer.batches) == 16


def test_the_first_bad_item_can_stop_it(tmp_path: Path) -> None:
    things = [*items(20), Item("upper", {"text": "ABC"}), Item("last", {"text": "z"})]
    with pytest.raises(ValueError, match="item 'upper' could not become a record: only lower-case letters are known"):
        build(things, {"text": Letters()}, tmp_path, on_error="raise")
    assert len(Corpus(tmp_path)) == 20
    with pytest.raises(ValueError, match="on_error must be 'collect' or 'raise', got 'ignore'"):
        build(things, {"text": Letters()}, tmp_path, on_error="ignore")


def test_building_goes_on_where_it_stopped(tmp_path: Path) -> None:
    def stopping(things: list[Item]) -> Iterator[Item]:
        yield from things
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(stopping(items(32)), {"text": Letters()}, tmp_path, records_per_shard=20)
    tokenizer = Letters()
    loads: list[int] = []
    rest = [Item(f"item {i}", {"text": lambda i=i: loads.append(i) or "abc"}) for i in range(50)]
    assert build(rest, {"text": tokenizer}, tmp_path) == BuildSummary(written=18, failed=[], skipped=32)
    assert loads == list(range(32, 50)) and sum(tokenizer.batches) == 18
    assert [record.key for record in Corpus(tmp_path)] == [f"item {i}" for i in range(50)]
    assert build(rest, {"text": tokenizer}, tmp_path) == BuildSummary(written=0, failed=[], skipped=50)


@pytest.fixture
def _no_callbacks_of_the_collector() -> Iterator[None]:
    """Hypothesis leaves one, and what is raised within it is lost, a KeyboardInterrupt, too."""
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()
    yield
    gc.callbacks[:] = callbacks


@pytest.mark.usefixtures("_no_callbacks_of_the_collector")
def test_ctrl_c_at_any_moment_leaves_whole_records(tmp_path: Path) -> None:
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        # Pressed again late: the first may come within a callback of a weak reference, where Python ignores it.
        timers = [threading.Timer(wait, signal.raise_signal, [signal.SIGINT]) for wait in (0.02 + 0.02 * attempt, 20)]
        for timer in timers:
            timer.start()
        with pytest.raises(KeyboardInterrupt):
            build(items(100_000), {"text": Letters()}, folder, records_per_shard=40, row_group=2)
            time.sleep(30)
        timers[1].cancel()
        timers[0].join()
        found = list(Corpus(folder)) if any(folder.glob("*.parquet")) else []
        assert [record.key for record in found] == [f"item {i}" for i in range(len(found))]
        assert not list(folder.glob(".*"))


@pytest.mark.parametrize("call", ["os.fdopen", "fcntl.flock", "os.fsync", "os.replace"])
def test_ctrl_c_in_the_midst_of_a_file_leaves_none(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*arguments: object) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(call, pressed)
    with pytest.raises(KeyboardInterrupt):
        build(items(30), {"text": Letters()}, tmp_path, records_per_shard=10)
    assert not list(tmp_path.iterdir())


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    build(items(3), {"text": Letters()}, tmp_path)
    other = Letters()
    other.spec = StreamSpec("text", (26,), ("index",), fingerprint="b" * 64)
    with pytest.raises(ValueError, match="stream 'text' must be made by one tokenizer"):
        build(items(6), {"text": other}, tmp_path)
    assert len(Corpus(tmp_path)) == 3


def test_a_shard_that_cannot_be_written_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        build(items(30), {"text": Letters()}, tmp_path, records_per_shard=10)
    assert not list(tmp_path.iterdir())


def test_progress_goes_to_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    build(items(40), {"text": Letters()}, tmp_path / "loud", progress=True)
    shown = capfd.readouterr()
    assert shown.out == "" and "encoding loud" in shown.err and "40 of 40" in shown.err
    build(items(40), {"text": Letters()}, tmp_path / "quiet")
    assert capfd.readouterr() == ("", "")


# Statistics -----------------------------------------------------------------------------------------------------------


def test_counts_of_each_level(tmp_path: Path) -> None:
    things = [
        Item("a", {"text": "aab", "sound": [[0, 4], [1, 4], [1, 0]]}),
        Item("b", {"text": "z"}, "held-out"),
        Item("c", {"sound": []}),
    ]
    build(things, {"text": Letters(), "sound": Pairs()}, tmp_path, row_group=1)
    counts = statistics(Corpus(tmp_path))
    assert [level.tolist() for level in counts["sound"]] == [[1, 2], [1, 0, 0, 0, 2]]
    (letters,) = counts["text"]
    assert letters.dtype == torch.int64 and letters.shape == (26,) and letters.sum() == 4
    assert letters[0] == 2 and letters[1] == 1 and letters[25] == 1
    assert statistics(Corpus(tmp_path, "held-out"))["text"][0].sum() == 1


def test_counts_equal_those_of_the_records(
    tmp_path: Path, random_records: Callable[..., list[Record]], write: Callable[..., Corpus]
) -> None:
    records = random_records(50)
    counts = statistics(write(tmp_path, records, row_group=8))
    for name, levels in counts.items():
        for level, found in enumerate(levels):
            codes = [r.streams[name].codes[..., level].flatten() for r in records if name in r.streams]
            assert torch.equal(found, torch.bincount(torch.cat(codes), minlength=len(found)))
