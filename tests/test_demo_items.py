"""The data that ships as records: versions touch training records only, and validation never sees what is held out."""

import pytest
import torch

from tokenmask import data
from tokenmask.corpus import HELD_OUT, TRAIN
from tokenmask.demo import items

PLAIN = items.corpora()


def keys(records, split):
    return {item.key for item in records if item.split == split}


@pytest.mark.parametrize("name", PLAIN)
def test_validation_splits_the_training_records(name):
    found = items.corpora(validation=True)[name]
    train, chosen = keys(found, TRAIN), keys(found, HELD_OUT)
    assert train and chosen and not train & chosen
    if name != "motion":  # whose clips are cut once more
        assert train | chosen == keys(PLAIN[name], TRAIN)


def test_validation_cuts_the_training_part_of_motions_only():
    found = {item.key: len(item.media["motion"]) for item in items.corpora(validation=True)["motion"]}
    for number, one in enumerate(items.motions()):
        assert found[f"{number} {TRAIN}"] + found[f"{number} {HELD_OUT}"] == len(one.train)


@pytest.mark.parametrize("name", PLAIN)
def test_versions_are_of_training_records_only(name):
    found = items.corpora(varied=True)[name]
    assert len({item.key for item in found}) == len(found)
    assert keys(found, HELD_OUT) == keys(PLAIN[name], HELD_OUT)
    assert keys(found, TRAIN) >= keys(PLAIN[name], TRAIN)
    motions = len(items.GAITS) + items.PIECES
    factor = {"speech": len(items.PACES), "motion": motions, "eeg": len(items.POLES)}.get(name, 1)
    assert len(keys(found, TRAIN)) == factor * len(keys(PLAIN[name], TRAIN))


def test_versions_are_what_they_are_said_to_be():
    varied = {name: {item.key: item for item in part} for name, part in items.corpora(varied=True).items()}
    plain, upside_down = (varied["eeg"][key].media["eeg"].samples for key in ("window 0", "window 0 (version 1)"))
    cut = varied["eeg"]["window 0 (version 2)"].media["eeg"].samples
    assert torch.equal(upside_down, -plain) and torch.equal(cut, plain[:, 4:-12])
    key = next(item.key for item in PLAIN["speech"] if item.split == TRAIN)
    whole, later, slow = (varied["speech"][f"{key}{v}"].media["audio"]() for v in ("", " (version 1)", " (version 2)"))
    assert torch.equal(later.samples, whole.samples[:, 160:]) and whole.sample_rate_hz == 16000
    assert slow.duration_seconds == pytest.approx((whole.duration_seconds - 0.005) / 0.9, rel=1e-3)
    first, later = (varied["motion"][key].media["motion"] for key in ("0 train", "0 train (version 1)"))
    assert torch.equal(later.rotations, first.rotations[1:])
    faster = varied["motion"]["0 train (version 6)"].media["motion"]
    assert faster.frame_rate_hz == 1.25 * first.frame_rate_hz


def test_eight_versions_of_a_training_picture():
    found = {item.key: item for item in items.corpora(mirrored=False, eightfold=True)["emoji"]}
    held_out = keys(found.values(), HELD_OUT)
    assert held_out == {key for key in keys(PLAIN["emoji"], HELD_OUT) if "mirrored" not in key}
    assert len(found) == 8 * 928 + len(held_out) and len(held_out) == 98
    for key in held_out:
        assert found[key].media["text"].text == key
    slices = [found[f"slice of pizza{version}"] for version in ("", *(f" (version {n})" for n in range(1, 8)))]
    captions = [item.media["text"].text for item in slices]
    assert captions == ["slice of pizza"] * 3 + ["pizza"] + ["slice of pizza"] * 3 + ["pizza"]
    pixels = [item.media["image"].pixels for item in slices]
    assert all(torch.equal(one, pixels[0]) for one in pixels[:4])
    right, left, down, up = pixels[4:]
    assert torch.equal(right[:, 1:], pixels[0][:, :-1]) and bool((right[:, 0] == 255).all())
    assert torch.equal(left[:, :-1], pixels[0][:, 1:]) and bool((left[:, -1] == 255).all())
    assert torch.equal(down[1:], pixels[0][:-1]) and bool((down[0] == 255).all())
    assert torch.equal(up[:-1], pixels[0][1:]) and bool((up[-1] == 255).all())


def test_a_keyword_that_names_another_picture_is_no_caption():
    entries = data.emoji()
    names = {entry.name for entry in entries}
    face = next(entry for entry in entries if entry.name == "mouse face")
    assert face.keywords == ("mouse",) and "mouse" in names
    assert items.captions_of(face, names) == ["mouse face"] * 8
    cloud = next(entry for entry in entries if len([k for k in entry.keywords if k not in names]) > 1)
    first, second = [k for k in cloud.keywords if k not in names][:2]
    assert items.captions_of(cloud, names) == [cloud.name] * 3 + [first] + [cloud.name] * 3 + [second]
