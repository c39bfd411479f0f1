"""From records on disk to masked batches: whole batches of columns against the same record by record.

``data-five`` has the streams, lengths and rules of recipe ``five`` (text, label, image, audio of 7 levels, motion of
12, EEG of 5), five corpora of random codes, batches of 64. ``data-12-levels`` is sound of 12 levels with a caption, up
to 500 positions, as recipe ``magnet`` packs it. A round takes the same batches from the same place in the data: it
reads, draws, packs, conditions and masks them, on one core. Both ways must give the same batches, bit for bit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

BATCHES = 32  # of a round
RECORDS = 2048  # of each corpus

Lengths = Callable[[torch.Generator], tuple[int, ...]]


def between(low: int, high: int, *others: int) -> Lengths:
    """A grid whose last axis is drawn evenly."""
    return lambda g: (*others, int(torch.randint(low, high + 1, (1,), generator=g)))


@dataclass(frozen=True)
class World:
    """What a recipe says of data, and corpora of random codes for it."""

    layout: Any
    recipe: Any
    kinds: Mapping[str, Mapping[str, Lengths]]  # corpus -> stream -> grid
    batch_size: int

    def corpora(self, folder: Path) -> list[tuple[Any, float]]:
        from tokenmask.corpus import Corpus, CorpusWriter, Record
        from tokenmask.streams import TokenStream

        g, found = torch.Generator().manual_seed(0), []
        for kind, grids in self.kinds.items():
            specs = {name: self.layout.streams[name] for name in grids}
            with CorpusWriter(folder / kind, specs) as writer:
                for number in range(RECORDS):
                    streams = {}
                    for name, grid in grids.items():
                        sizes = [size - (specs[name].end_code is not None) for size in specs[name].codebook_sizes]
                        shape = grid(g)
                        levels = [torch.randint(size, shape, generator=g, dtype=torch.int32) for size in sizes]
                        streams[name] = TokenStream(specs[name], torch.stack(levels, -1))
                    writer.add(Record(f"{kind}:{number}", streams))
            found.append((Corpus(folder / kind), 1.0))
        return found


def five() -> World:
    import tokenmask as tm
    from tokenmask.recipes import load_recipe

    kinds = {
        "emoji": {"text": between(2, 12), "image": lambda g: (8, 8)},
        "speech": {"text": between(4, 30), "audio": between(20, 150)},
        "motion": {"label": between(1, 4), "motion": between(6, 40)},
        "eeg": {"label": between(1, 4), "eeg": between(16, 64, 14)},
        "words": {"text": between(20, 300)},
    }
    return World(tm.load().layout, load_recipe("five"), kinds, 64)


def twelve() -> World:
    from tokenmask.layout import Layout
    from tokenmask.recipes import load_recipe
    from tokenmask.streams import StreamSpec

    text = StreamSpec("text", (1024,), ("index",), end_code=1023)
    audio = StreamSpec("audio", (1024,) * 12, ("time",), rate_hz=50.0)
    kinds = {"sounds": {"text": between(4, 30), "audio": between(100, 700)}}
    return World(Layout({"text": text, "audio": audio}), load_recipe("magnet"), kinds, 32)
