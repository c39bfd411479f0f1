"""What the demo says of samples and of a swap, on media whose answer is known."""

from types import SimpleNamespace

import pytest
import torch

from tokenmask import data
from tokenmask.corpus import TRAIN
from tokenmask.demo import compared, items, judged
from tokenmask.modalities.image import Image
from tokenmask.training import StreamScore

CLIPS = {one.name: one.train for one in items.motions()}
PIXELS = {entry.name: entry.pixels for entry in data.emoji()}


def drawing(answer):
    """A run that answers each request for a stream with what ``answer`` makes of the words."""

    def generate(stream, given, num_samples=1, **_):
        return [answer(one["text"]) for one in given for _ in range(num_samples)]

    return SimpleNamespace(generate=generate)


def test_training_clips_are_nearest_to_their_own_names():
    share = judged.motions(drawing(lambda name: CLIPS[name]))
    names = {one.name for one in items.motions()}
    assert (share.right, share.of) == (judged.EACH * len(names),) * 2
    assert 1 / 40 < share.chance < 3 / 40  # 20 clips and their mirror images, a few names twice
    always = judged.motions(drawing(lambda name: CLIPS["kick"]))
    assert always.right == judged.EACH


def test_poses_know_neither_place_nor_heading():
    clip = CLIPS["kick"]
    found = judged.poses(clip)
    assert found.dtype == torch.float32 and found.shape[1] % 3 == 0
    joints = clip.resample(judged.POSES_HZ).joint_positions()
    assert found.shape[0] == joints.shape[0]
    heights = (joints - joints[:, :1])[..., 1]
    assert torch.allclose(found.view(len(found), -1, 3)[..., 1], heights)
    left, right = (clip.skeleton.names.index(f"{side}_hip") for side in ("left", "right"))
    across = found.view(len(found), -1, 3)[:, left] - found.view(len(found), -1, 3)[:, right]
    assert across[:, 2].abs().max() < 1e-4 and across[:, 0].min() > 0  # the hips point the same way in every frame


def test_own_emoji_are_nearest_to_themselves_and_others_are_not():
    known = [entry.name for entry in data.emoji() if entry.split == TRAIN]
    own = judged.pictures(drawing(lambda name: Image(torch.from_numpy(PIXELS[name]))))
    assert (own.right, own.of, own.chance) == (judged.PICTURES, judged.PICTURES, 1 / len(known))
    following = dict(zip(known, [*known[1:], known[0]], strict=True))
    wrong = judged.pictures(drawing(lambda name: Image(torch.from_numpy(PIXELS[following[name]]))))
    assert wrong.right == 0


def test_a_share_is_said_with_its_interval_and_chance():
    assert str(judged.Share("", 9, 36, 0.05)) == "9 of 36 (95 %: 14% to 41%; chance 5.0%)"  # Wilson by hand
    assert str(judged.Share("", 1, 1, 0.5)) == "1 of 1 (chance 50.0%)"


def score(level: int, entropy: float, count: int, given: tuple[str, ...] = ()) -> StreamScore:
    return StreamScore("motion", level, ("text", "motion"), given, entropy, entropy + 1, 1.0, 0.1, None, None, count, 3)


def test_levels_are_averaged_by_their_codes():
    scores = [score(0, 1.0, 30), score(1, 4.0, 10), score(0, 9.0, 5, ("text",))]
    assert compared.mean_of(scores, "motion", ()) == pytest.approx((1.75, 2.75))
    assert compared.mean_of(scores, "motion", ("text",)) == pytest.approx((9.0, 10.0))
