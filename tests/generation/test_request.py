"""Requests by hand: which slots are open, what stands in them, where a text ends, what stands beside it."""

import re
from dataclasses import replace

import pytest
import torch

from tokenmask.batch import FILL, GIVEN
from tokenmask.generation import Request, growing_axis
from tokenmask.layout import Layout
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.training import Packing

TEXT = StreamSpec("text", (9,), ("index",), end_code=0)
SOUND = StreamSpec("audio", (5, 4), ("time",), rate_hz=2.0)
EEG = StreamSpec("eeg", (4,), ("channel", "time"), rate_hz=2.0)
LAYOUT = Layout({"text": TEXT, "audio": SOUND, "eeg": EEG})
PACKING = Packing(32, end_multiple=4)


def words(*codes: int) -> TokenStream:
    return TokenStream(TEXT, torch.tensor(codes, dtype=torch.int32)[:, None])


def local(sequence, name: str, level: int = 0) -> list[int]:
    """Codes of a stream in a sequence, -1 where the range is another one."""
    inside = sequence.stream == LAYOUT.index(name)
    found, size = LAYOUT.range(name, level), LAYOUT.streams[name].codebook_sizes[level]
    return [
        one - found.offset if 0 <= one - found.offset < size else -1 for one in sequence.ids[inside, level].tolist()
    ]


def test_a_blank_request_is_open_but_for_its_prefix():
    prefix = TokenStream(EEG, torch.tensor([[[3], [2]], [[1], [3]]], dtype=torch.int32), 1.5)
    one = Request.blank(LAYOUT, "eeg", (2, 5), prefix=prefix, labels={"channel": ("a", "b")}, seed=7, sample=2)
    assert one.canvas.codes[..., 0].tolist() == [[3, 2, 0, 0, 0], [1, 3, 0, 0, 0]]
    assert one.hole[..., 0].tolist() == [[False, False, True, True, True]] * 2
    assert one.canvas.start_seconds == 1.5 and one.canvas.labels == {"channel": ("a", "b")}
    assert (one.target, one.seed, one.sample, one.cut) == ("eeg", 7, 2, False)
    whole = Request.blank(LAYOUT, "audio", (3,))
    assert whole.hole.shape == (3, 2) and bool(whole.hole.all()) and whole.canvas.start_seconds == 0.0
    assert (whole.seed, whole.sample, dict(whole.given)) == (0, 0, {})
    assert Request.blank(LAYOUT, "text", (3,)).canvas.codes.flatten().tolist() == [1, 1, 1]  # 0 is the end code


def test_a_stream_grows_along_its_time_or_its_first_axis():
    assert [growing_axis(spec) for spec in (TEXT, SOUND, EEG)] == [0, 0, 1]
    assert growing_axis(StreamSpec("image", (4,), ("row", "column"))) == 0


@pytest.mark.parametrize(("grid", "said"), [((), r"\[\]"), ((0, 5), r"\[0, 5\]"), ((2, 0), r"\[2, 0\]")])
def test_a_request_of_no_size_is_refused(grid, said):
    with pytest.raises(ValueError, match=f"at least one place along each axis, got {said}"):
        Request.blank(LAYOUT, "eeg", grid)
    assert Request.blank(LAYOUT, "eeg", (1, 1)).hole.shape == (1, 1, 1)
    with pytest.raises(ValueError, match="sound"):
        Request.blank(LAYOUT, "sound", (3,))


@pytest.mark.parametrize("grid", [(3, 5), (1, 5), (2, 1)])
def test_a_size_that_does_not_hold_its_prefix_is_refused(grid):
    prefix = TokenStream(EEG, torch.zeros(2, 2, 1, dtype=torch.int32))
    said = re.escape(f"what is given, [2, 2] (channel, time), got {list(grid)}; write these sizes, or more along time")
    with pytest.raises(ValueError, match=said):
        Request.blank(LAYOUT, "eeg", grid, prefix=prefix)
    assert not Request.blank(LAYOUT, "eeg", (2, 2), prefix=prefix).hole.any()


def test_sizes_that_a_stream_never_has_are_refused():
    layout = Layout({"image": StreamSpec("image", (4,), ("row", "column"), (2, 3))})
    for grid in ((2, 2), (2, 3, 1)):
        said = re.escape(f"'image' always has 2 x 3 places (row, column), got {list(grid)}; leave the size out")
        with pytest.raises(ValueError, match=said):
            Request.blank(layout, "image", grid)
    assert Request.blank(layout, "image", (2, 3)).hole.all()


def test_only_what_is_in_the_hole_is_open_and_forgotten():
    canvas = TokenStream(SOUND, torch.tensor([[4, 3], [2, 1], [3, 2]], dtype=torch.int32))
    hole = torch.tensor([[False, False], [False, True], [True, True]])
    sequence = Request("audio", canvas, hole, given={"text": words(5, 6)}).pack(LAYOUT, PACKING)
    assert sequence.role[-3:].tolist() == [[GIVEN, GIVEN], [GIVEN, FILL], [FILL, FILL]]
    assert local(sequence, "audio") == [4, 2, 0] and local(sequence, "audio", 1) == [3, 0, 0]
    assert local(sequence, "text") == [5, 6, 0, 0] and sequence.role[:5, 0].tolist() == [GIVEN] * 5


@pytest.mark.parametrize(
    ("codes", "opened", "cut", "packed"),
    [
        ((5, 6, 7), [0], False, [1, 6, 7, 0]),  # complete: ends as in training, at a multiple of four
        ((5, 6, 7, 8), [0], False, [1, 6, 7, 8, 0, 0, 0, 0]),
        ((5, 6, 7), [2], False, [5, 6, 1]),  # where it ends is asked
        ((5, 6, 7), [0], True, [1, 6, 7]),  # more follows
    ],
)
def test_a_text_that_is_complete_ends_as_in_training(codes, opened, cut, packed):
    hole = torch.zeros(len(codes), 1, dtype=torch.bool)
    hole[opened] = True
    sequence = Request("text", words(*codes), hole, cut=cut).pack(LAYOUT, PACKING)
    assert local(sequence, "text") == packed
    assert (sequence.role[1:, 0] == FILL).nonzero().flatten().tolist() == opened
    assert set(sequence.role[1:, 0].tolist()) <= {FILL, GIVEN}


def test_companions_are_numbered_and_empty_ones_left_out():
    one = Request.blank(LAYOUT, "audio", (2,), negative={"text": words(3)}, further=({}, {"text": words(4, 5, 6, 7)}))
    found = one.companions(LAYOUT, PACKING)
    assert list(found) == [1, 3]  # 1: what is pushed away from; the first of the further ones would be 2
    assert local(found[1], "text") == [3, 0, 0, 0] and local(found[3], "text") == [4, 5, 6, 7, 0, 0, 0, 0]
    assert all(set(other.role.flatten().tolist()) == {GIVEN} for other in found.values())
    assert replace(one, negative={}, further=()).companions(LAYOUT, PACKING) == {}


@pytest.mark.parametrize("where", [{"given": True}, {"negative": True}, {"further": True}])
def test_a_stream_is_no_condition_of_itself(where):
    own = {"text": words(3)}
    options = {name: (own,) if name == "further" else own for name in where}
    with pytest.raises(ValueError, match="'text' is to be filled, so it can't be its own condition; leave it out, or"):
        Request.blank(LAYOUT, "text", (3,), **options).pack(LAYOUT, PACKING)


def test_a_hole_of_another_shape_and_too_many_positions_are_refused():
    canvas = words(1, 2, 3)
    for hole in (torch.ones(3, dtype=torch.bool), torch.ones(3, 1)):
        with pytest.raises(ValueError, match=r"a hole must be bool \[3, 1\], got \[3(, 1)?\]"):
            Request("text", canvas, hole).pack(LAYOUT, PACKING)
    assert len(Request.blank(LAYOUT, "audio", (31,)).pack(LAYOUT, PACKING)) == 32  # with the position before all
    with pytest.raises(ValueError, match="at most 32 positions, got 33 for audio; ask for fewer"):
        Request.blank(LAYOUT, "audio", (32,)).pack(LAYOUT, PACKING)
