"""Regions: what is painted on media becomes regions as :meth:`Run.edit` takes them.

Arrow: media --**Surface.of**--> cells to paint on; painted cells --**Surface.regions**--> regions <--**read**-- words.
Does not know: pages, models. A cell is the place of a code, or a word, so that what is painted is what is filled.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tokenmask.generation import Region, read_region
from tokenmask.medium import Timed, said
from tokenmask.play.limits import MOST_REGIONS
from tokenmask.streams import TokenStream


@dataclass(frozen=True)
class Surface:
    """A grid of cells over a medium.

    Args:
        kind: "picture" (cells are boxes), "time" (spans of seconds) or "words" (spans of characters).
        rows, columns: of the grid; spans have one row.
        edges: where columns begin and the last one ends, in the unit of regions; of words begin and end of each.
        down: where rows begin and the last one ends, in pixels; () for spans.
    """

    kind: str
    rows: int
    columns: int
    edges: tuple[float, ...]
    down: tuple[float, ...] = ()

    @classmethod
    def of(cls, media: Any, codes: TokenStream) -> Surface | None:
        """The surface of a medium; None where a person has to write regions."""
        spec = codes.spec
        if said(type(media), "words"):
            places = [at for one in re.finditer(r"\S+", str(media)) for at in one.span()]
            return cls("words", 1, len(places) // 2, tuple(map(float, places))) if places else None
        if isinstance(media, Timed):
            steps = codes.grid[spec.axes.index("time")]
            if spec.rate_hz is None:
                return None
            digits = 4 + max(0, math.ceil(math.log10(spec.rate_hz / 10)))  # so that each edge is that of its code
            return cls("time", 1, steps, tuple(round(at / spec.rate_hz, digits) for at in range(steps + 1)))
        if spec.axes[:2] == ("row", "column") and hasattr(media, "pixels"):
            (rows, columns), (height, width) = codes.grid[:2], media.pixels.shape[:2]
            return cls("picture", rows, columns, _edges(width, columns), _edges(height, rows))
        return None

    def regions(self, cells: Iterable[int]) -> list[Region]:
        """Painted cells, by number from the left and then down, as few regions; none for none.

        Raises:
            ValueError: a cell that there is not.
        """
        painted = sorted(set(cells))
        if any(not 0 <= cell < self.rows * self.columns for cell in painted):
            raise ValueError(f"painted cells must lie in 0..{self.rows * self.columns - 1}, got others; paint again")
        found: list[Region] = []
        open_runs: dict[tuple[int, int], int] = {}  # runs of columns that reach the row before, and where they begin
        for row in range(self.rows + 1):
            here = set(_runs([cell - row * self.columns for cell in painted if cell // self.columns == row]))
            for ended in [run for run in open_runs if run not in here]:
                found.append(self._region(*ended, open_runs.pop(ended), row))
            for begun in sorted(here - set(open_runs)):
                open_runs[begun] = row
        return found

    def _region(self, first: int, stop: int, top: int, bottom: int) -> Region:
        if self.kind == "picture":
            return (self.edges[first], self.down[top], self.edges[stop], self.down[bottom])
        if self.kind == "words":
            return (self.edges[2 * first], self.edges[2 * stop - 1])
        return (self.edges[first], self.edges[stop])


def written(regions: Iterable[Region]) -> str:
    """Regions as the command line has them, one after the other."""
    return "; ".join((":" if len(region) == 2 else ",").join(f"{at:.6g}" for at in region) for region in regions)


def read(text: str | None) -> list[tuple[float, ...]] | None:
    """The regions of such words; None for no words, which is everything.

    Raises:
        ValueError: words of another form, or too many regions.
    """
    parts = [part.strip() for part in re.split(r"[;\n]", text or "") if part.strip()]
    if len(parts) > MOST_REGIONS:
        raise ValueError(f"an edit may have {MOST_REGIONS} regions, got {len(parts)}; paint larger ones")
    found = [tuple(int(at) if float(at).is_integer() else at for at in read_region(part)) for part in parts]
    return found or None


def _edges(size: int, count: int) -> tuple[float, ...]:
    return tuple(round(size * at / count) for at in range(count + 1))


def _runs(columns: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of neighbouring columns: first, and the one after the last."""
    runs: list[tuple[int, int]] = []
    for column in columns:
        if runs and runs[-1][1] == column:
            runs[-1] = (runs[-1][0], column + 1)
        else:
            runs.append((column, column + 1))
    return runs
