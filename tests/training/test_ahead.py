"""A thread prepares batches: the same training, the same place in the data, the same sentences."""

import gc
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training import worlds
from tokenmask.fitting import Interrupted, fit
from tokenmask.training import Training
from tokenmask.training.ahead import Ahead
from tokenmask.training.preparing import Prepared


def counting(stop: int, error: BaseException) -> Callable[[], int]:
    """0, 1, ... and at ``stop`` an error."""
    numbers = iter(range(stop + 1))

    def make() -> int:
        number = next(numbers)
        if number == stop:
            raise error
        return number

    return make


_OTHERS: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def _threads_of_others() -> None:
    """Of trainings that tests of other files left behind, which end when they are collected."""
    _OTHERS.clear()
    _OTHERS.update(threads())


def threads() -> list[threading.Thread]:
    """Those that this test started."""
    there = [thread for thread in threading.enumerate() if thread.name == "tokenmask-ahead"]
    return [thread for thread in there if thread not in _OTHERS]


@pytest.mark.parametrize("room", [1, 3, 50])
def test_items_come_in_order_and_an_error_at_its_turn(room: int) -> None:
    error = OSError("the disk is gone")
    ahead, found = Ahead(counting(20, error), room), []
    with pytest.raises(OSError, match="the disk is gone") as raised:
        for _ in range(30):
            found.append(next(ahead))
    assert found == list(range(20)) and raised.value is error
    with pytest.raises(StopIteration):
        next(ahead)
    ahead.close()
    assert list(Ahead(counting(5, StopIteration()), room)) == [0, 1, 2, 3, 4]


def test_no_more_is_made_than_there_is_room_for() -> None:
    made: list[int] = []
    enough = threading.Event()

    def make() -> int:
        made.append(len(made))
        if len(made) == 4:
            enough.set()
        return made[-1]

    ahead = Ahead(make, 3)
    assert enough.wait(60) and len(made) == 4  # three wait, the fourth is in its hands
    assert next(ahead) == 0
    ahead.close()
    assert len(made) <= 5 and not threads()


def test_the_thread_ends_with_the_last_reference() -> None:
    ahead = Ahead(counting(100, StopIteration()), 2)
    assert next(ahead) == 0 and threads()
    del ahead
    gc.collect()
    assert not threads()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ahead") / "corpus"
    worlds.write_corpus(folder, 100)
    return folder


def test_training_is_the_same_with_and_without_it_and_across_a_resume(corpus: Path, tmp_path: Path) -> None:
    for ahead in (0, 1, 5):
        worlds.make_trainer(corpus, steps=10, prefetch=ahead).fit(tmp_path / str(ahead), progress=False)
        assert not threads()
    fit(worlds.make_trainer(corpus, steps=10, prefetch=5), steps=7, folder=tmp_path / "cut", progress=False)
    worlds.make_trainer(corpus, steps=10, prefetch=0).fit(tmp_path / "cut", progress=False)
    whole = worlds.files(tmp_path / "0")
    assert all(worlds.files(tmp_path / name) == whole for name in ("1", "5", "cut"))


def test_steps_may_be_taken_in_any_order(corpus: Path) -> None:
    trainer, other = (worlds.make_trainer(corpus, steps=10, prefetch=ahead) for ahead in (3, 0))
    for index in (0, 1, 7, 2):
        assert trainer.step(index) == other.step(index)
        assert trainer.state()[1]["data"] == other.state()[1]["data"]
    trainer.close()
    assert trainer.mixture.position() == other.mixture.position()


def test_a_damaged_shard_is_told_in_its_sentence_and_leaves_the_place(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    worlds.write_corpus(folder, 100)
    trainer = worlds.make_trainer(folder, steps=10, prefetch=2)
    (shard,) = folder.iterdir()
    shard.write_bytes(shard.read_bytes()[:-100])
    before = trainer.state()[1]["data"]
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"{shard} must be a whole Parquet shard"):
            trainer.step(0)
    assert trainer.state()[1]["data"] == before and not threads()
    worlds.write_corpus(tmp_path / "other", 100)
    shard.write_bytes((tmp_path / "other" / shard.name).read_bytes())
    expected = worlds.make_trainer(corpus, steps=10, prefetch=0).step(0)
    assert trainer.step(0) == expected
    trainer.close()


def test_ctrl_c_while_a_batch_is_waited_for(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on from the last checkpoint, not from where the thread was."""
    trainer = worlds.make_trainer(corpus, steps=10, prefetch=2)
    waited = Ahead.__next__

    def interrupted(self: Ahead[Prepared]) -> Prepared:
        prepared = waited(self)
        if prepared.index == 3:
            raise KeyboardInterrupt
        return prepared

    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="stopped after 3 of 10 steps"):
        patch.setattr(Ahead, "__next__", interrupted)
        trainer.fit(tmp_path / "run", progress=False)
    assert not threads()
    again = worlds.make_trainer(corpus, steps=10, prefetch=2).fit(tmp_path / "run", progress=False)
    assert again == worlds.make_trainer(corpus, steps=10, prefetch=0).fit(progress=False)


def test_wrong_prefetch_gets_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"training\.prefetch must lie in 0..1024, got -1"):
        Training(prefetch=-1)
