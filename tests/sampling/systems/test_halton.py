"""078 Halton: the order, its counts and its temperature, by the numbers of the published code."""

import itertools
import math
from fractions import Fraction

import pytest
import torch

from tests.sampling.systems.grids import context_of_grid
from tokenmask.masking import Arccos
from tokenmask.sampling import Categorical, ProcessSchedule
from tokenmask.scores import HaltonScore, Progress, RandomScore, RasterScore, halton_ranks


def cells(ranks: torch.Tensor, width: int) -> list[tuple[int, int]]:
    return [divmod(int(cell), width) for cell in ranks.argsort()]


def test_the_order_begins_as_published():
    first = [(4, 2), (2, 5), (6, 0), (1, 3), (5, 6), (3, 1), (7, 4), (0, 7), (4, 0)]
    assert cells(halton_ranks(8, 8), 8)[:9] == first


@pytest.mark.parametrize("size", [9, 18, 27])
def test_points_on_the_edge_of_a_cell_fall_into_it(size):
    """Sides that 9 divides have points at whole cells, which sums of rounded digits would put one too low."""
    found = list(dict.fromkeys(cell(number, size) for number in range(1, 4000)))
    assert len(found) == size * size and found == cells(halton_ranks(size, size), size)


@pytest.mark.parametrize(("size", "points"), [(8, 79), (16, 685), (24, 2201)])
def test_every_cell_is_reached_by_so_many_points(size, points):
    """The points as fractions, thinned by hand: the same order, and the same number of points needed."""
    found = list(dict.fromkeys(cell(number, size) for number in range(1, points + 1)))
    assert len(found) == size * size and found == cells(halton_ranks(size, size), size)
    assert cell(points, size) == found[-1]


def cell(number: int, size: int) -> tuple[int, int]:
    row, column = (int(size * inverse(number, base)) for base in (2, 3))
    return row, column


def inverse(number: int, base: int) -> Fraction:
    """The digits of a number behind the point, in reverse."""
    return Fraction(number % base + inverse(number // base, base), base) if number else Fraction(0)


@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("steps", [8, 16, 32, 64])
def test_counts_are_those_of_the_published_loop(size, steps):
    """max(i + 1, floor(n (1 - 2/pi arccos((i + 1) / S)))) cells stand after step i."""
    n = size * size
    published = [max(i + 1, int(n * (1 - math.acos((i + 1) / steps) * 2 / math.pi))) for i in range(steps)]
    assert [n - left for left in ProcessSchedule(Arccos(), "ceil").plan(n, steps)] == published


def test_each_sample_goes_round_from_a_place_of_its_own():
    context = context_of_grid(8, 8, rows=200)
    plain = -HaltonScore()(context)[:, 1:, 0]
    turned = -HaltonScore(rotate=True)(context)[:, 1:, 0]
    shifts = (turned - plain) % 64
    assert (shifts == shifts[:, :1]).all()  # a roll of the order, as torch.roll makes it
    assert all(sorted(row) == list(range(64)) for row in turned.tolist())
    drawn = shifts[:, 0]
    assert len(drawn.unique()) > 50 and abs(float(drawn.mean()) - 31.5) < 4.5 * 18.5 / math.sqrt(200)
    later = context_of_grid(8, 8, rows=200, step=5)
    assert torch.equal(HaltonScore(rotate=True)(later), HaltonScore(rotate=True)(context))  # the same in every step


def test_every_prefix_covers_the_picture_more_evenly_than_chance():
    """The greatest deviation of the share of cells in any of the boxes whose sides are halves of 16 x 16."""

    def worst(order: list[tuple[int, int]]) -> float:
        found = 0.0
        for count in (16, 32, 64, 128):
            grid = torch.zeros(16, 16)
            for row, column in order[:count]:
                grid[row, column] = 1 / count
            for high, wide in itertools.product((2, 4, 8), repeat=2):
                boxes = grid.view(16 // high, high, 16 // wide, wide).sum((1, 3))
                found = max(found, float((boxes - high * wide / 256).abs().max()))
        return found

    context, scores = context_of_grid(16, 16), (HaltonScore(), RandomScore(), RasterScore())
    orders = [score(context)[0, 1:, 0].argsort(descending=True) for score in scores]
    halton, random, raster = (worst([divmod(int(cell), 16) for cell in order]) for order in orders)
    assert halton < 0.07 < random < raster


def test_cells_of_a_step_tell_less_of_each_other_than_by_chance():
    """8 x 8 normal numbers whose correlation falls as exp(-d / 2): nats of all pairs of a step, by arccos counts."""
    places = torch.tensor([divmod(cell, 8) for cell in range(64)]).double()
    likeness = (-torch.cdist(places, places) / 2).exp().fill_diagonal_(0.0)
    nats = -0.5 * torch.log1p(-likeness.square())
    stands = [0, *(64 - left for left in ProcessSchedule(Arccos(), "ceil").plan(64, 8))]

    def told(order: torch.Tensor) -> float:
        steps = [order[first:stop] for first, stop in itertools.pairwise(stands)]
        return sum(float(nats[one][:, one].sum()) / 2 for one in steps)

    draw = torch.Generator().manual_seed(0)
    random = [told(torch.randperm(64, generator=draw)) for _ in range(50)]
    assert told(halton_ranks(8, 8).argsort()) < min(random) < max(random) < told(torch.arange(64))


def test_the_temperature_that_multiplies_rises_linearly():
    pick = Categorical(1.0, 1 / 1.2, grid="ends", law="inverse")
    rising = [1 / pick.temperature_at(Progress(i, 32, "ends")) for i in range(32)]
    assert rising == pytest.approx(torch.linspace(1, 1.2, 32).tolist())
    root = Categorical(1.0, 0.65, grid="ends", law="sqrt")
    law = [0.65 + (1 - math.sqrt(s / 15)) * 0.35 for s in range(16)]
    assert [root.temperature_at(Progress(s, 16, "ends")) for s in range(16)] == pytest.approx(law)
    assert root.at(2.0).temperature_at(1.0) == pytest.approx(1.3) and pick.at(0.0).is_greedy
    with pytest.raises(ValueError, match="law inverse needs temperatures above 0"):
        Categorical(1.0, 0.0, law="inverse")
