"""Filling by a model that answers from a table: which rows run together, what comes back, in which order."""

from dataclasses import replace

import pytest
import torch

from tokenmask.generation import INVARIANT_MULTIPLE, Request, fill
from tokenmask.layout import Layout
from tokenmask.sampling import Categorical, ClassifierFree, Sampler
from tokenmask.scores import RasterScore
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.training import Packing

TEXT = StreamSpec("text", (9,), ("index",), end_code=0)
SOUND = StreamSpec("audio", (6, 6), ("time",), rate_hz=2.0)
LAYOUT = Layout({"text": TEXT, "audio": SOUND})
PACKING = Packing(512, end_multiple=4)
GREEDY = Sampler(2, order=RasterScore(), pick=Categorical(0.0))


class Count(torch.nn.Module):
    """Predicts the code (place + level + number of valid words) mod codes; keeps shapes and row ids of its inputs."""

    def __init__(self):
        super().__init__()
        self.weight, self.seen, self.words = torch.nn.Parameter(torch.zeros(1)), [], []

    def logits(self, inputs, queries, t=None, **more):
        self.seen.append((inputs.shape[0], inputs.shape[1], inputs.sample_ids.tolist()))
        _, length, levels = inputs.shape
        row, place = torch.div(queries.slots, length * levels, rounding_mode="floor"), queries.slots // levels % length
        words = ((inputs.stream == LAYOUT.index("text")) & inputs.valid).sum(1)
        self.words.append(words.tolist())
        for head in queries.heads.unique().tolist():
            index = (queries.heads == head).nonzero().squeeze(1)
            size = LAYOUT.ranges[head].size
            code = (inputs.coordinates[row, place, 0] + LAYOUT.ranges[head].level + words[row])[index] % size
            yield head, index, torch.nn.functional.one_hot(code.long(), size).float() * 9


def words(*codes: int) -> TokenStream:
    return TokenStream(TEXT, torch.tensor(codes, dtype=torch.int32)[:, None])


def filled(requests, model=None, sampler=GREEDY, **options):
    return fill(requests, layout=LAYOUT, models={"main": model or Count()}, sampler=sampler, packing=PACKING, **options)


def sound(length: int, **options) -> Request:
    return Request.blank(LAYOUT, "audio", (length,), **options)


def test_each_request_gets_its_own_stream_back_in_order():
    given = [sound(3), sound(70), Request.blank(LAYOUT, "text", (3,)), sound(2, given={"text": words(5)}), sound(5)]
    found = filled(given)
    step = [LAYOUT.pack({"audio": one.canvas}).coordinates[1:, 0] for one in given if one.target == "audio"]
    audio = [one for one in found if one.spec == SOUND]
    for stream, places, shift in zip(audio, step, (0, 0, 4, 0), strict=True):  # a word takes four with its end codes
        assert stream.codes.tolist() == [[(p + shift) % 6, (p + 1 + shift) % 6] for p in places.tolist()]
    assert found[2].spec == TEXT and len(found[2].codes) <= 3


def test_what_is_given_of_a_stream_stays():
    prefix = TokenStream(SOUND, torch.tensor([[5, 5], [4, 4]], dtype=torch.int32), 1.5)
    (found,) = filled([sound(4, prefix=prefix)])
    assert found.codes[:2].tolist() == [[5, 5], [4, 4]] and found.codes.shape == (4, 2) and found.start_seconds == 1.5


def shapes(requests, **options):
    model = Count()
    filled(requests, model, replace(GREEDY, steps=1), **options)
    return sorted({(rows, length, tuple(ids)) for rows, length, ids in model.seen})


def test_rows_run_together_only_where_their_padded_lengths_are_equal():
    """With the position before all 64, 65 and 4 positions: 64, 128 and 64."""
    requests = [sound(63, sample=1), sound(64, sample=2), sound(3, sample=3)]
    assert INVARIANT_MULTIPLE == 64
    assert shapes(requests) == [(1, 128, (2,)), (2, 64, (1, 3))]
    assert shapes(requests, invariant=False) == [(3, 65, (1, 2, 3))]  # as long as the longest, no more
    five = [sound(3, sample=number) for number in range(5)]
    assert shapes(five, max_rows=2) == [(1, 64, (4,)), (2, 64, (0, 1)), (2, 64, (2, 3))]
    assert shapes(five) == [(5, 64, (0, 1, 2, 3, 4))]


def test_a_request_does_not_depend_on_its_batch():
    drawn = replace(GREEDY, pick=Categorical(3.0))
    requests = [sound(length, seed=length, sample=number) for number, length in enumerate((3, 70, 5, 5))]
    together = filled(requests, sampler=drawn)
    assert [filled([one], sampler=drawn)[0] for one in requests] == together
    assert together[2] != together[3]  # samples of one request differ


def test_companions_stand_behind_the_row_and_are_seen_by_their_pass_alone():
    """One word is given, five are pushed away from; each takes whole fours with its end: 4 and 8 positions."""
    request = sound(2, given={"text": words(5)}, negative={"text": words(1, 2, 3, 4, 5)})
    seen = []

    class Watch(Categorical):
        def __call__(self, logits, uncond, context):
            seen.append((logits.argmax(1).tolist(), uncond.argmax(1).tolist()))
            return super().__call__(logits, uncond, context)

    plain = filled([replace(request, negative={})])
    model = Count()
    pushed = filled([request, sound(2)], model, replace(GREEDY, steps=1, guidance=ClassifierFree(2.0), pick=Watch(0.0)))
    assert {(rows, length) for rows, length, _ in model.seen} == {(4, 64)}  # two rows, each twice
    place = LAYOUT.pack({"audio": request.canvas}).coordinates[1:, 0].tolist()
    assert seen[0] == (
        [(p + shift) % 6 for shift in (4, 0) for p in place],
        [(p + shift) % 6 for shift in (8, 0) for p in place],
    )
    assert pushed == [plain[0], filled([sound(2)])[0]]


def test_each_of_several_companions_has_a_pass_of_its_own():
    """Words of 1, 5 and 9 codes take 4, 8 and 12 positions; the other row has none of them."""
    one = sound(2, given={"text": words(5)}, negative={"text": words(*[1] * 5)}, further=({"text": words(*[2] * 9)},))
    model = Count()
    filled([one, sound(2)], model, replace(GREEDY, steps=1, guidance=ClassifierFree(2.0, weights=(0.5,))))
    assert model.words == [[4, 0, 8, 0, 12, 0]] * 2  # of each level


def test_a_request_that_does_not_fit_is_refused_before_anything_is_drawn():
    model = Count()
    with pytest.raises(ValueError, match="at most 512 positions, got 513 for audio"):
        filled([sound(2), sound(512)], model)
    assert model.seen == []
    assert filled([]) == []


def test_progress_is_told_once_a_batch(capsys):
    filled([sound(3), sound(70)], progress=True)
    assert capsys.readouterr().err == "generating: batch 1 of 2\ngenerating: batch 2 of 2\n"
    filled([sound(3)])
    assert capsys.readouterr().err == ""
