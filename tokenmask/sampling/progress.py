"""Progress: where in its stage a step stands, on the grids that published loops use.

Arrow: inside the Sampler loop. Does not know: slots, codes, models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Grid = Literal["before", "after", "ends"]


@dataclass(frozen=True)
class Progress:
    """Step ``index`` of ``steps``, counted from 0.

    Three grids, for step i of S: "before" is i / S, the share of the steps that is done when this one begins; "after"
    is (i + 1) / S, the share once it is done (MaskGIT, arXiv:2202.04200, published code; the temperature of MAGNeT,
    arXiv:2401.04577, published code); "ends" is i / (S - 1), which has both 0 and 1 in it (the schedules of MAGNeT and
    of MoMask, arXiv:2312.00063, published codes), and is 0 where there is one step.
    """

    index: int
    steps: int

    def on(self, grid: Grid) -> float:
        """The progress on a grid, in 0..1."""
        if grid == "before":
            return self.index / self.steps
        if grid == "after":
            return (self.index + 1) / self.steps
        return self.index / max(self.steps - 1, 1)
