"""Small corpora of random codes; which codes does not matter here, only that they come back."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tokenmask.corpus import Corpus, CorpusWriter, Record
from tokenmask.streams import StreamSpec, TokenStream

IMAGE = StreamSpec("image", (256,), ("row", "column"), (4, 4), fingerprint="1" * 64)
AUDIO = StreamSpec("audio", (1024, 1024, 300), ("channel", "time"), rate_hz=50.0, level_groups=((0, 1), (2,)))
TEXT = StreamSpec("text", (70_000,), ("index",), end_code=0)
SPECS = {"image": IMAGE, "sound": AUDIO, "caption": TEXT}


def random_stream(spec: StreamSpec, grid: tuple[int, ...], generator: torch.Generator, **about: object) -> TokenStream:
    levels = [torch.randint(size, grid, generator=generator, dtype=torch.int32) for size in spec.codebook_sizes]
    return TokenStream(spec, torch.stack(levels, -1), **about)  # type: ignore[arg-type]


def _random_records(count: int, seed: int = 0) -> list[Record]:
    """Every third has sound with two named channels; some captions and sounds have no length at all."""
    generator = torch.Generator().manual_seed(seed)
    records = []
    for i in range(count):
        streams = {"image": random_stream(IMAGE, (4, 4), generator)}
        if i % 2:
            streams["caption"] = random_stream(TEXT, (i % 14 // 2,), generator)
        if i % 3 == 0:
            labels = {"channel": ("left", "right")}
            sound = random_stream(AUDIO, (2, i % 4), generator, start_seconds=i / 3, labels=labels)
            streams["sound"] = sound
        metadata = {"caption": "naïve ☃", "number": i, "nested": [1.5, None, {"a": True}]}
        records.append(Record(f"record {i}", streams, metadata, "held-out" if i % 10 == 9 else "train"))
    return records


def _write(folder: Path, records: list[Record], **arguments: int) -> Corpus:
    with CorpusWriter(folder, SPECS, **arguments) as writer:
        for record in records:
            writer.add(record)
    return Corpus(folder)


@pytest.fixture
def specs() -> dict[str, StreamSpec]:
    return dict(SPECS)


@pytest.fixture
def random_records() -> Callable[..., list[Record]]:
    return _random_records


@pytest.fixture
def write() -> Callable[..., Corpus]:
    return _write


@pytest.fixture(scope="session")
def text_corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Corpus]]:
    """Makes corpora of texts with given lengths, keys "<name>:<number>"; equal arguments give the same folder."""
    made: dict[tuple[object, ...], Corpus] = {}

    def make(name: str, lengths: tuple[int, ...], row_group: int = 16, records_per_shard: int = 48) -> Corpus:
        arguments = (name, lengths, row_group, records_per_shard)
        if arguments not in made:
            folder = tmp_path_factory.mktemp("corpus")
            with CorpusWriter(
                folder, {"text": TEXT}, row_group=row_group, records_per_shard=records_per_shard
            ) as writer:
                for i, length in enumerate(lengths):
                    codes = torch.full((length, 1), i, dtype=torch.int32)
                    writer.add(Record(f"{name}:{i}", {"text": TokenStream(TEXT, codes)}))
            made[arguments] = Corpus(folder)
        return made[arguments]

    yield make
