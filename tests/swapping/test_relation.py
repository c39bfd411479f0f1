"""Relations and rows by hand: which codes stand for the same media, what the new rows are made of."""

import math

import pytest
import torch

from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.swapping import relate, related_level
from tokenmask.swapping.transplant import _biases, _rows


class Fixed:
    """A tokenizer that codes every item by the stream that the item holds for it."""

    def __init__(self, spec: StreamSpec, name: str) -> None:
        self.spec, self.name = spec, name

    def encode(self, item):
        codes = torch.tensor(item[self.name], dtype=torch.int32)
        return TokenStream(self.spec, codes.view(*codes.shape[: len(self.spec.axes)], -1))


class Spelled(Fixed):
    """One that says what its codes mean, and codes a text letter by letter; "?" has no code."""

    media = str

    def __init__(self, *texts: str) -> None:
        super().__init__(StreamSpec("text", (len(texts),), ("index",), end_code=len(texts) - 1), "")
        self.code_texts = texts

    def encode(self, item):
        if "?" in item:
            raise ValueError("no code")
        return TokenStream(self.spec, torch.tensor([[self.code_texts.index(one)] for one in item], dtype=torch.int32))


def spec(*sizes: int, axes=("time",), **options) -> StreamSpec:
    return StreamSpec("audio", sizes, axes, **options)


@pytest.mark.parametrize(
    ("old", "new", "related"),
    [
        (spec(4, 4, 4), spec(4, 4), [0, 1]),
        (spec(4, 4), spec(4, 4, 4), [0, 1, 1]),  # the deepest there is
        (spec(4, 4, 4, level_groups=((0, 1), (2,))), spec(4, 4, 4, 4, level_groups=((0, 1), (2, 3))), [0, 1, 2, 2]),
        (spec(4, 4, 4, level_groups=((0, 2), (1,))), spec(4, 4, 4, level_groups=((0, 1), (2,))), [0, 2, 1]),
        (spec(4, 4, level_groups=((0,), (1,))), spec(4, 4), [None, None]),
    ],
)
def test_levels_are_related_as_deep_in_the_same_group(old, new, related):
    assert [related_level(old, new, level) for level in range(new.num_levels)] == related


def test_codes_of_the_middle_of_each_place_are_counted():
    """Six old places, three new ones: the middles of the new ones lie in the old places 1, 3 and 5."""
    old, new = Fixed(spec(4), "old"), Fixed(spec(3), "new")
    items = [{"old": [0, 1, 2, 3, 0, 2], "new": [2, 0, 2]}, {"old": [0, 1], "new": [2]}]
    (counts,) = relate(old, new, items)
    assert counts.tolist() == [[0, 0, 0, 1], [0, 0, 0, 0], [0, 2, 1, 0]] and counts.dtype == torch.float64


def test_clocks_say_which_places_are_the_same():
    """At 4 and 2 codes a second; the old stream is cut short, and its last place stands for what is missing."""
    old, new = Fixed(spec(4, rate_hz=4.0), "old"), Fixed(spec(3, rate_hz=2.0), "new")
    (counts,) = relate(old, new, [{"old": [0, 1, 2, 3, 3], "new": [0, 1, 2, 2]}])
    assert counts.tolist() == [[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 2]]  # places 1, 3, 5 -> 4, 7 -> 4


def test_grids_are_related_axis_by_axis():
    """The old one is column by row; two old rows and columns for one new one."""
    old = Fixed(spec(9, axes=("column", "row")), "old")
    new = Fixed(spec(2, axes=("row", "column")), "new")
    item = {"old": [[0, 1], [2, 3], [4, 5], [6, 7]], "new": [[0, 1]]}  # old: 4 columns, 2 rows; new: 1 row, 2 columns
    (counts,) = relate(old, new, [item])
    assert counts.nonzero().tolist() == [[0, 3], [1, 7]]  # row 1, columns 1 and 3


def test_each_level_is_counted_with_its_own():
    old, new = Fixed(spec(4, 5), "old"), Fixed(spec(3, 3), "new")
    first, second = relate(old, new, [{"old": [[1, 4], [2, 3]], "new": [[0, 1], [2, 2]]}])
    assert first.nonzero().tolist() == [[0, 1], [2, 2]] and second.nonzero().tolist() == [[1, 4], [2, 3]]


def test_what_has_nothing_in_common_is_none():
    assert relate(Fixed(spec(4), "old"), Fixed(spec(4, axes=("index",)), "new"), []) == [None]
    assert relate(Fixed(spec(4, 4), "old"), Fixed(spec(4, 4, level_groups=((0,), (1,))), "new"), []) == [None, None]


def test_texts_are_related_by_what_they_say():
    """Equal texts first, the n-th with the n-th; others by the letters of the old one; what has none is unknown."""
    old, new = Spelled("a", "b", "a", ""), Spelled("b", "a", "abb", "a", "?", "")
    (counts,) = relate(old, new, [])
    assert counts.tolist() == [
        [0, 1, 0, 0],
        [1, 0, 0, 0],
        [1, 2, 0, 0],
        [0, 0, 1, 0],  # the second "a" is the second "a"
        [0, 0, 0, 0],
        [0, 0, 0, 1],  # the end
    ]


def test_rows_are_means_of_what_stood_there():
    rows = torch.tensor([[1.0, 10.0], [3.0, 30.0], [5.0, 80.0]], dtype=torch.float64)
    counts = torch.tensor([[1.0, 3.0, 0.0], [0.0, 0.0, 2.0]], dtype=torch.float64)
    made = _rows(rows, counts, torch.Generator().manual_seed(0))
    assert made.tolist() == [[2.5, 25.0], [5.0, 80.0]]
    unknown = _rows(rows, torch.zeros(4000, 3, dtype=torch.float64), torch.Generator().manual_seed(0))
    assert unknown.mean(0).tolist() == pytest.approx([3.0, 40.0], rel=0.05)
    deviation = [math.sqrt(8 / 3), math.sqrt((900 + 100 + 1600) / 3)]
    assert unknown.std(0).tolist() == pytest.approx(deviation, rel=0.05)


def test_biases_share_out_the_mass_of_the_old_codes():
    """exp(bias) 1, 2 and 4: the second is split one to three, the third never occurred, the last new code neither."""
    biases = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64).log()
    counts = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    assert _biases(biases, counts).exp().tolist() == pytest.approx([1.5, 1.5, 0.5])  # half of the rarest
    assert _biases(biases + 700, counts).tolist() == pytest.approx(
        [one + 700 for one in map(math.log, (1.5, 1.5, 0.5))]
    )
