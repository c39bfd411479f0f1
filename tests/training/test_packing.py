"""Packing: end codes teach where text ends, what is too long is cut, what can't be cut is refused."""

import pytest
import torch

from tokenmask.layout import Flatten, Layout
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.training import Packing

TEXT = StreamSpec("text", (30,), ("index",), end_code=29)
IMAGE = StreamSpec("image", (8,), ("row", "column"), grid=(4, 4))
AUDIO = StreamSpec("audio", (4, 4), ("time",), rate_hz=50.0)
EEG = StreamSpec("eeg", (4,), ("channel", "time"), rate_hz=8.0)
LAYOUT = Layout({"text": TEXT, "image": IMAGE, "audio": AUDIO, "eeg": EEG}, arrangements={"audio": Flatten()})


def text(length: int) -> TokenStream:
    return TokenStream(TEXT, torch.arange(length, dtype=torch.int32)[:, None] % 29)


def image() -> TokenStream:
    return TokenStream(IMAGE, torch.zeros(4, 4, 1, dtype=torch.int32))


@pytest.mark.parametrize(("length", "padded"), [(1, 8), (7, 8), (8, 16), (15, 16)])
def test_text_is_followed_by_at_least_one_end_code(length, padded):
    sequence = Packing(64, 8)(LAYOUT, {"text": text(length)})
    end = LAYOUT.range("text").offset + 29
    assert (sequence.ids[:, 0] == end).nonzero().flatten().tolist() == list(range(1 + length, 1 + padded))
    assert LAYOUT.unpack(sequence)["text"] == text(length)


@pytest.mark.parametrize("length", [1, 7, 8, 23, 40, 47, 48, 60])
def test_positions_are_those_of_the_packed_record(length):
    packing = Packing(64, 8)
    record = {"text": text(length), "image": image()}
    sequence = packing(LAYOUT, record)
    assert packing.positions(LAYOUT, record) >= len(sequence)
    assert len(sequence) <= 64
    if length < 40:
        assert packing.positions(LAYOUT, record) == len(sequence)


def test_long_text_is_cut_to_a_window_that_seed_and_sample_choose():
    packing = Packing(20)
    windows = set()
    for sample in range(200):
        sequence = packing(LAYOUT, {"text": text(29)}, seed=1, sample_id=sample)
        codes = (sequence.ids[1:, 0] - LAYOUT.range("text").offset).tolist()
        assert len(codes) == 19 and codes == list(range(codes[0], codes[0] + 19))
        windows.add(codes[0])
    assert windows == set(range(11))
    again = packing(LAYOUT, {"text": text(29)}, seed=1, sample_id=7)
    assert torch.equal(again.ids, packing(LAYOUT, {"text": text(29)}, seed=1, sample_id=7).ids)


def test_what_cannot_be_cut_is_refused():
    sound = TokenStream(AUDIO, torch.zeros(20, 2, dtype=torch.int32))
    assert len(Packing(41)(LAYOUT, {"audio": sound})) == 41
    with pytest.raises(ValueError, match="at most 40 positions, got 41"):
        Packing(40)(LAYOUT, {"audio": sound})
    with pytest.raises(ValueError, match="max_positions >= 2"):
        Packing(1)


def test_a_budget_cuts_a_window_of_time_that_keeps_its_place():
    sound = TokenStream(AUDIO, (torch.arange(20, dtype=torch.int32) % 4)[:, None].repeat(1, 2), start_seconds=1.0)
    packing, starts = Packing(64, budgets={"audio": 12}), set()
    for sample in range(100):
        sequence = packing(LAYOUT, {"audio": sound}, seed=1, sample_id=sample)
        cut = LAYOUT.unpack(sequence)["audio"]
        assert len(sequence) == 13 == packing.positions(LAYOUT, {"audio": sound}) and cut.grid == (6,)
        start = round((cut.start_seconds - 1.0) * 50)
        assert torch.equal(cut.codes, sound.codes[start : start + 6])
        starts.add(start)
    assert starts == set(range(15))
    assert packing(LAYOUT, {"text": text(29)}).ids.shape[0] == 33
    with pytest.raises(ValueError, match="budgets must be positive"):
        Packing(budgets={"audio": 0})


@pytest.mark.parametrize(
    ("name", "budget", "steps"),
    [
        ("audio", 40, None),  # 20 steps of two levels in turn
        ("audio", 39, 19),
        ("audio", 13, 6),
        ("audio", 4, 2),
        ("audio", 1, 1),  # at least one
        ("eeg", 30, None),  # 10 steps of three channels
        ("eeg", 29, 9),
        ("eeg", 12, 4),
        ("eeg", 2, 1),
        ("image", 1, None),  # has no time
    ],
)
def test_steps_that_fit_a_budget(name, budget, steps):
    streams = {
        "audio": TokenStream(AUDIO, torch.zeros(20, 2, dtype=torch.int32)),
        "eeg": TokenStream(EEG, torch.zeros(3, 10, 1, dtype=torch.int32)),
        "image": image(),
    }
    packing = Packing(64, budgets={name: budget})
    assert packing.steps(LAYOUT, name, streams[name]) == steps
    assert packing.window(LAYOUT, name, streams[name], {}) == (steps and ("time", steps))
    whole = {"audio": 40, "eeg": 30, "image": 16}[name]
    each = {"audio": 2, "eeg": 3, "image": 0}[name]
    places = 1 + (whole if steps is None else each * steps)
    assert packing.positions(LAYOUT, {name: streams[name]}) == places == len(packing(LAYOUT, {name: streams[name]}))


@pytest.mark.parametrize(
    ("length", "end_codes"),
    [
        (6, 2),
        (7, 1),
        (8, 7),
        (14, 1),
        (15, 0),
        (16, 0),
    ],  # 15 positions beside the first; a multiple of eight if it fits
)
def test_a_text_that_just_fits_keeps_its_end(length, end_codes):
    sequence = Packing(16, 8)(LAYOUT, {"text": text(length)})
    codes = (sequence.ids[1:, 0] - LAYOUT.range("text").offset).tolist()
    assert codes.count(29) == end_codes and len(codes) == min(length, 15) + end_codes


def test_how_much_of_a_long_text_is_seen():
    packing = Packing(32, end_multiple=8)
    assert packing.window(LAYOUT, "text", text(23), {}) is None  # 24 with its end, and the one position before all
    assert packing.window(LAYOUT, "text", text(24), {}) == ("index", 24)  # 32 with its end do not fit, 24 without do
    assert packing.window(LAYOUT, "text", text(28), {"image": image()}) == ("index", 15)
    assert packing.window(LAYOUT, "text", text(7), {"image": image()}) is None
    assert packing.window(LAYOUT, "text", text(28), {"image": image(), "text": text(20)}) == ("index", 1)
    assert packing.window(LAYOUT, "image", image(), {}) is None  # never cut


def test_the_least_that_a_packing_takes():
    assert len(Packing(2, 1)(LAYOUT, {"text": text(1)})) == 2
    for wrong in ((1, 1), (2, 0)):
        with pytest.raises(ValueError, match="max_positions >= 2 and end_multiple >= 1"):
            Packing(*wrong)
    assert Packing(budgets={"audio": 1}).budgets == {"audio": 1}
    first = Packing(20)(LAYOUT, {"text": text(29)}, seed=0, sample_id=0)
    assert torch.equal(Packing(20)(LAYOUT, {"text": text(29)}).ids, first.ids)
