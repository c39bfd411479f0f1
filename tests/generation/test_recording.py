"""Steps that are kept in a file come back as they were taken."""

import pytest
import torch

import tokenmask as tm
from tokenmask.generation import Filling, Recording
from tokenmask.tensor_files import save_tensors


def same(one: Filling, other: Filling) -> bool:
    counts = (one.request, one.step, one.steps) == (other.request, other.step, other.steps)
    return counts and one.stream == other.stream and torch.equal(one.decided, other.decided)


def test_a_recording_comes_back_step_by_step(tmp_path):
    run, kept, seen = tm.load(), Recording(), []
    made = run.generate_tokens("image", {"text": "sun"}, steps=4, num_samples=2, seed=1, on_step=kept)
    run.edit("the sun and the moon", [(4, 7)], stream="text", steps=2, on_step=kept)
    recording = run.generate_tokens("eeg", length=3, steps=1, on_step=kept)[0]
    kept.save(tmp_path / "steps.safetensors")
    back = Recording.load(tmp_path / "steps.safetensors")
    back.replay(seen.append)
    assert len(kept) == len(seen) > 10 and all(same(*pair) for pair in zip(kept, seen, strict=True))
    assert back.of(1)[0].stream.spec == run.tokenizers["image"].spec
    assert torch.equal(back.of(0)[3].stream.codes, made[0].codes) and torch.equal(
        back.of(1)[3].stream.codes, made[1].codes
    )
    assert [int((~one.decided).sum()) for one in back.of(1)[:4]] == sorted(
        (int((~one.decided).sum()) for one in back.of(1)[:4]), reverse=True
    )
    assert seen[-1].stream.labels == recording.labels and seen[-1].decided.all()


def test_a_recording_without_a_step_or_with_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must hold a step to be saved, got none for 'a\.safetensors'; fill it first"):
        Recording().save(tmp_path / "a.safetensors")
    kept = Recording()
    tm.load().generate_tokens("text", length=2, steps=1, on_step=kept)
    with pytest.raises(ValueError, match=r"must end in \.safetensors, got 'a\.pt'; rename it"):
        kept.save(tmp_path / "a.pt")
    assert not list(tmp_path.iterdir())


def test_what_is_no_path_and_no_function_is_refused_in_a_sentence():
    for wrong in (None, 5):
        for of_path in (Recording().save, Recording.load):
            with pytest.raises(TypeError, match=rf"a recording's file is named by a path, got {wrong}; write"):
                of_path(wrong)
        with pytest.raises(TypeError, match=rf"on_step must be a function of a Filling, got {wrong}; write replay"):
            Recording().replay(wrong)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="absent"):
        Recording.load(tmp_path / "absent.safetensors")
    save_tensors(tmp_path / "a.safetensors", {}, {"kind": "else"})
    with pytest.raises(ValueError, match=r"that Recording.save wrote, but .*a\.safetensors is another; check it"):
        Recording.load(tmp_path / "a.safetensors")
