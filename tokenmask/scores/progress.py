"""Progress: where in its stage a step stands, on the grids that published loops use.

Arrow: step of a stage --> **Progress**, a number. Does not know: slots, codes, models.
"""

from __future__ import annotations

from typing import Literal

Grid = Literal["before", "after", "ends"]


class Progress(float):
    """Step ``index`` of ``steps``, counted from 0: a number in 0..1 that knows which step it is of.

    Whatever is told of the progress is told one of these: an order "after", a pick and a guidance on their own grid,
    all else "before". Two are equal where their numbers are.

    Three grids, for step i of S: "before" is i / S, the share of the steps that is done when this one begins; "after"
    is (i + 1) / S, the share once it is done (MaskGIT, arXiv:2202.04200, published code; the temperature of MAGNeT,
    arXiv:2401.04577, published code); "ends" is i / (S - 1), which has both 0 and 1 in it (the schedules of MAGNeT and
    of MoMask, arXiv:2312.00063, published codes), and is 0 where there is one step.

    Args:
        index: of the step, from 0.
        steps: of the stage.
        grid: which of the three numbers it is.
    """

    __slots__ = ("grid", "index", "steps")
    index: int
    steps: int
    grid: Grid

    def __new__(cls, index: int, steps: int, grid: Grid = "before") -> Progress:
        if grid == "before":
            number = index / steps
        elif grid == "after":
            number = (index + 1) / steps
        else:
            number = index / max(steps - 1, 1)
        made = super().__new__(cls, number)
        made.index, made.steps, made.grid = index, steps, grid
        return made

    def __getnewargs__(self) -> tuple[int, int, Grid]:  # type: ignore[override]
        return self.index, self.steps, self.grid

    def __repr__(self) -> str:
        return f"Progress({self.index}, {self.steps}, {self.grid!r})"

    def on(self, grid: Grid) -> Progress:
        """The same step on another grid."""
        return self if grid == self.grid else Progress(self.index, self.steps, grid)
