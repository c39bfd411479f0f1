"""From records on disk to masked batches: whole batches of columns against the same record by record.

``data-five`` has the streams, lengths and rules of recipe ``five`` (text, label, image, audio of 7 levels, motion of
12, EEG of 5), five corpora of random codes, batches of 64. ``data-12-levels`` is sound of 12 levels with a caption, up
to 500 positions, as recipe ``magnet`` packs it. A round takes the same batches from the same place in the data: it
reads, draws, packs, conditions and masks them, on one core. Both ways must give the same batches, bit for bit.
"""

from __future__ import annotations

import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from cases.common import equal
from harness import Case, Peer

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


class Way:
    """The steps from a folder to masked batches, by columns or record by record, each timed."""

    def __init__(self, world: World, folder: Path, columns: bool) -> None:
        self.world, self.columns = world, columns
        self.corpora = world.corpora(folder)
        self.seconds: dict[str, float] = {}
        self.positions = 0

    def timed(self, what: str, work: Callable[..., Any], *given: Any, **options: Any) -> Any:
        """What a step returns; its CPU time, that of threads which read included, is added to its kind."""
        start = time.process_time()
        found = work(*given, **options)
        self.seconds[what] = self.seconds.get(what, 0.0) + time.process_time() - start
        return found

    def packed(self, draw: Any) -> Any:
        """The batch of a draw."""
        layout, packing = self.world.layout, self.world.recipe.packing
        if self.columns:
            return packing.batch(layout, draw.table.select(draw.rows), draw.sample_ids)
        from tokenmask.batch import collate

        pairs = zip(draw.records, draw.sample_ids.tolist(), strict=True)
        return collate([packing(layout, record.streams, sample_id=key) for record, key in pairs], draw.sample_ids)

    def batches(self) -> list[Any]:
        """Every 16th of as many batches as there are records."""
        from tokenmask.corpus import Mixture

        layout, recipe = self.world.layout, self.world.recipe
        if self.columns:
            length = {"lengths": partial(recipe.packing.table_positions, layout)}
        else:
            length = {"length": lambda record: recipe.packing.positions(layout, record.streams)}
        mixture = Mixture(self.corpora, seed=0, batch_size=self.world.batch_size, **length)
        kept = []
        for index in range(RECORDS * len(self.corpora) // self.world.batch_size):
            draw = self.timed("read and draw", next, mixture)
            batch = self.timed("pack and stack", self.packed, draw)
            given = self.timed("condition", recipe.conditioning, batch, layout, seed=0)
            masked = self.timed("mask", recipe.masker, given, layout, seed=0, step=index, total_steps=1000)
            self.positions += int(batch.valid.sum())
            if index % 16 == 0:
                kept += [masked.inputs.ids, masked.inputs.role, masked.inputs.coordinates, masked.inputs.valid]
                kept += [masked.inputs.stream, masked.queries.slots, masked.targets.codes]
        return kept

    def rows(self, name: str) -> list[str]:
        """CPU nanoseconds of each step a position, and positions a second and core, without the mask and with it."""
        whole = sum(self.seconds.values())
        speeds = [self.positions / time for time in (whole - self.seconds["mask"], whole)]
        steps = " | ".join(f"{1e9 * time / self.positions:.0f}" for time in self.seconds.values())
        return [f"| {name} | {steps} | {speeds[0]:,.0f} | {speeds[1]:,.0f} |"]


WAYS: dict[str, tuple[Way, Way]] = {}
WORLDS = {"data-five": five, "data-12-levels": twelve}
ROUNDS = dict.fromkeys(WORLDS, 3)


def data_case(name: str) -> Case:
    folder = tempfile.TemporaryDirectory()
    home, world = Path(folder.name), WORLDS[name]()
    ways = WAYS[name] = tuple(Way(world, home / str(columns), columns) for columns in (True, False))  # type: ignore[assignment]
    weakref.finalize(ways[0], folder.cleanup)
    peers = [Peer(who, way.batches, equal) for who, way in zip(("columns", "record by record"), ways, strict=True)]
    return Case(name, peers[0], cache(ways[1].batches), (peers[1],))


def data_table() -> str:
    """Where the time of the cases that ran went."""
    steps = "read and draw | pack and stack | condition | mask"
    lines = [
        "",
        f"| ns a position | {steps} | positions a second and core without mask | with mask |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (ours, other) in WAYS.items():
        lines += ours.rows(f"{name}, columns") + other.rows(f"{name}, record by record")
    return "\n".join([*lines, *waiting()])


def waiting(steps: int = 96, prefetch: int = 4) -> list[str]:
    """How long a step waits for its batch where the model is a pause, as long as an accelerator would compute."""
    from tokenmask.corpus import Mixture
    from tokenmask.processes import Processes
    from tokenmask.training.ahead import Ahead
    from tokenmask.training.preparing import Preparing

    lines = ["", "| a model that only pauses | ms a step | share of the time that waits for data |", "|---|---|---|"]
    for name, (way, _) in WAYS.items():
        layout, recipe = way.world.layout, way.world.recipe
        packing = recipe.packing
        preparing = Preparing(layout, packing, recipe.conditioning, recipe.masker, 0, 1000, Processes())
        for pause in (0.02, 0.05, 0.1):
            mixture = Mixture(
                way.corpora,
                seed=0,
                batch_size=way.world.batch_size,
                lengths=partial(packing.table_positions, layout),
            )
            ahead = Ahead(preparing.following(mixture, 0), prefetch)
            next(ahead)
            waited, started = 0.0, time.perf_counter()
            for _ in range(steps):
                before = time.perf_counter()
                next(ahead)
                waited += time.perf_counter() - before
                time.sleep(pause)
            share = waited / (time.perf_counter() - started)
            ahead.close()
            lines.append(f"| {name} | {1e3 * pause:.0f} | {share:.1%} |")
    return lines


CASES: dict[str, Any] = {name: partial(data_case, name) for name in WORLDS}
