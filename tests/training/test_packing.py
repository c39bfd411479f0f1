"""Packing: end codes teach where text ends, what is too long is cut, what can't be cut is refused."""

import pytest
import torch

from tokenmask.layout import Flatten, Layout
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.training import Packing

TEXT = StreamSpec("text", (30,), ("index",), end_code=29)
IMAGE = StreamSpec("image", (8,), ("row", "column"), grid=(4, 4))
AUDIO = StreamSpec("audio", (4, 4), ("time",), rate_hz=50.0)
LAYOUT = Layout({"text": TEXT, "image": IMAGE, "audio": AUDIO}, arrangements={"audio": Flatten()})


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
