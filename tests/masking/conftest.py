"""A layout with three levels and batches of random records."""

import pytest
import torch

from tokenmask.batch import Batch, collate
from tokenmask.layout import Layout
from tokenmask.streams import StreamSpec, TokenStream

TEXT = StreamSpec("text", (40,), ("index",), end_code=39)
AUDIO = StreamSpec("audio", (16, 16, 8), ("time",), rate_hz=50.0)
IMAGE = StreamSpec("image", (32,), ("row", "column"), grid=(4, 8))


@pytest.fixture(scope="session")
def layout() -> Layout:
    return Layout({"text": TEXT, "audio": AUDIO, "image": IMAGE})


def random_stream(spec: StreamSpec, grid: tuple[int, ...], generator: torch.Generator) -> TokenStream:
    highest = [size - (spec.end_code is not None) for size in spec.codebook_sizes]
    levels = [torch.randint(size, grid, generator=generator, dtype=torch.int32) for size in highest]
    return TokenStream(spec, torch.stack(levels, dim=-1))


@pytest.fixture(scope="session")
def batch(layout: Layout) -> Batch:
    generator = torch.Generator().manual_seed(0)
    sequences = []
    for row in range(24):
        record = {"text": random_stream(TEXT, (3 + row % 5,), generator)}
        if row % 2:
            record["image"] = random_stream(IMAGE, (4, 8), generator)
        if row % 3:
            record["audio"] = random_stream(AUDIO, (11 + row,), generator)
        sequences.append(layout.pack(record))
    return collate(sequences, torch.arange(24) * 7 + 3, multiple=8)
