"""What on_step is called with, on the shipped model: counts as the schedule says, codes as in the result."""

import pytest
import torch

import tokenmask as tm
from tokenmask.generation import Filling


@pytest.fixture(scope="module")
def run():
    return tm.load()


def watched(ask, **options):
    seen: list[Filling] = []
    return ask(on_step=seen.append, **options), seen


def test_a_picture_is_decided_as_the_cosine_says_and_nothing_decided_changes(run):
    asked = {"given": {"text": "sun"}, "steps": 5, "seed": 3}
    plain = run.generate_tokens("image", **asked)[0]
    made, seen = watched(lambda **more: run.generate_tokens("image", **asked, **more)[0])
    assert made == plain
    assert [(one.request, one.step, one.steps) for one in seen] == [(0, step, 5) for step in range(1, 6)]
    assert [64 - int(one.decided.sum()) for one in seen] == [60, 51, 37, 19, 0]  # floor(64 cos(step 18 degrees))
    for one in seen:
        assert (one.stream.codes == made.codes)[one.decided].all()
    assert not (seen[0].stream.codes == made.codes).all()  # what is open is a placeholder
    assert (seen[-1].stream.codes == made.codes).all()


def test_levels_are_decided_in_turn(run):
    made, seen = watched(
        lambda **more: run.generate_tokens("audio", given={"text": "two"}, length=10, steps=2, seed=0, **more)[0]
    )
    levels = made.codes.shape[1]
    assert len(seen) == 2 * levels == seen[0].steps
    for level in range(levels):
        done = seen[2 * level + 1].decided
        assert done[:, : level + 1].all() and not done[:, level + 1 :].any()


def test_requests_and_samples_are_told_apart_and_each_is_seen_alone(run):
    asked = {"steps": 3, "num_samples": 2}
    given = [{"text": "sun"}, {"text": "pizza"}]
    together, seen = watched(lambda **more: run.generate_tokens("image", given, **asked, **more))
    assert sorted({one.request for one in seen}) == [0, 1, 2, 3]
    _, alone = watched(lambda **more: run.generate_tokens("image", given[1], **asked, **more))
    for number in (0, 1):
        mine, other = (
            [one for one in part if one.request == which] for part, which in ((seen, 2 + number), (alone, number))
        )
        assert all(torch.equal(a.decided, b.decided) and a.stream == b.stream for a, b in zip(mine, other, strict=True))
    assert [one.stream for one in seen if one.step == 3] == together


def test_what_an_edit_keeps_is_decided_from_the_start(run):
    picture = run.generate("image", given={"text": "sun"}, steps=2)[0]
    made, seen = watched(lambda **more: run.edit(picture, [(32, 0, 64, 64)], steps=2, **more)[0])
    assert seen[0].decided[:, :4].all() and not seen[0].decided[:, 4:].all()
    assert seen[-1].stream == made.stream


def test_a_text_is_shown_up_to_its_end(run):
    made, seen = watched(lambda **more: run.generate_tokens("text", {"text": "In the "}, length=12, steps=4, **more)[0])
    assert seen[-1].stream == made and seen[-1].decided.all()
    assert all(one.decided.shape == one.stream.codes.shape for one in seen)
