"""Encoding in worker processes: the same bytes for any number of them, and what kills a worker costs one item."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.worlds import emoji, tokenizers
from tokenmask.corpus import Corpus, Item, build_corpus, encode_items, usual_workers
from tokenmask.corpus.encoding import sentence
from tokenmask.modalities.image import Image
from tokenmask.modalities.text import Text
from tokenmask.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def pair() -> dict[str, Tokenizer]:
    return tokenizers()


def captioned(count: int) -> list[Item]:
    """Every fifth has a caption alone."""
    found = []
    for number, entry in enumerate(emoji()[:count]):
        media = {"text": Text(entry.name)} if number % 5 == 0 else {"text": Text(entry.name), "image": picture(number)}
        found.append(Item(entry.name, media, entry.split, {"number": number}))
    return found


def picture(number: int) -> partial[Image]:
    import torch

    return partial(Image, torch.from_numpy(emoji()[number].pixels))


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_corpus_is_the_same_whatever_the_number_of_workers(pair: dict[str, Tokenizer], tmp_path: Path) -> None:
    things = captioned(50)
    things[7] = Item("broken", {"image": partial(Image.load, tmp_path / "none.png")})
    things[31] = Item("empty", {"text": Text(things[0].key), "image": partial(Text, "no picture")})
    options = {"records_per_shard": 20, "row_group": 8, "progress": False}
    one = build_corpus(things, pair, tmp_path / "1", **options)
    three = build_corpus(iter(things), pair, tmp_path / "3", workers=3, **options)
    assert shards(tmp_path / "1") == shards(tmp_path / "3") and len(shards(tmp_path / "1")) == 3
    assert one == three and one.written == 48
    assert [key for key, _ in one.failed] == ["broken", "empty"] and "none.png" in one.failed[0][1]


def test_what_kills_a_worker_costs_that_item_alone(pair: dict[str, Tokenizer]) -> None:
    things = captioned(40)
    things[9] = Item("killed", {"text": partial(signal.raise_signal, signal.SIGKILL)})
    things[10] = Item("left", {"text": partial(os._exit, 3)})
    results = list(encode_items(things, pair, workers=2))
    assert [item.key for item, _ in results] == [item.key for item in things]
    failed = {item.key: str(result) for item, result in results if isinstance(result, Exception)}
    assert list(failed) == ["killed", "left"]
    assert "ended by signal 9" in failed["killed"] and "ended with exit code 3" in failed["left"]
    here = dict(zip([item.key for item in things], encode_items(captioned(40), pair), strict=True))
    assert all(streams == here[item.key][1] for item, streams in results if item.key not in failed)


def test_a_stop_keeps_what_came_before_it_and_ends_the_workers(pair: dict[str, Tokenizer], tmp_path: Path) -> None:
    def stopping() -> Iterator[Item]:
        yield from captioned(150)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_corpus(stopping(), pair, tmp_path, workers=2, progress=False)
    kept = [record.key for record in Corpus(tmp_path)]
    assert kept == [item.key for item in captioned(150)][: len(kept)] and kept
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    running = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
    assert not [line for line in running if b"spawn_main" in line]


def test_what_cannot_be_sent_and_no_workers_are_refused(pair: dict[str, Tokenizer]) -> None:
    with pytest.raises(ValueError, match=r"must be said in words: .*, but got .*<lambda>, which is not found"):
        list(encode_items([Item("a", {"text": lambda: Text("a")})] * 3, pair, workers=2))
    with pytest.raises(TypeError, match="workers must be a whole number or None, got 'x'; None takes one"):
        list(encode_items([], pair, workers="x"))
    with pytest.raises(ValueError, match="workers must be at least 1, got 0; None takes one"):
        list(encode_items([], pair, workers=0))


def test_many_items_have_a_worker_for_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usual_workers(99) == 1 <= usual_workers(100) == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")  # as outside Linux
    for cores, workers in ((3, 3), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert (usual_workers(99), usual_workers(100)) == (1, workers)


def test_a_file_that_cannot_be_read_is_a_sentence():
    told = sentence(OSError(36, "File name too long", "long.png"))
    assert told == "long.png cannot be read (File name too long); check the path"
    assert sentence(OSError("gone")) == "OSError: gone"
