"""Runs, tokenizers and likelihoods on a device that refuses tensors of the CPU: the same codes, bit for bit."""

import pytest
import torch

import tokenmask as tm
from tests.pretend_device import WAITS, Pretended
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.image import Image
from tokenmask.modalities.text import Text
from tokenmask.scores import HaltonScore
from tokenmask.tokenizer import Moves

HEART = "docs/gallery/heart.png"


def test_the_device_refuses_what_a_gpu_refuses(pretend):
    there, here = torch.arange(6.0, device=pretend), torch.ones(6)
    assert isinstance(there, Pretended) and there.device == pretend and torch.equal(there.cpu(), torch.arange(6.0))
    for mixed in (lambda: there + here, lambda: here + there, lambda: torch.where(here > 0, there, 0.0)):
        with pytest.raises(RuntimeError, match="got a tensor of the CPU"):
            mixed()
    with pytest.raises(RuntimeError):
        there.numpy()
    there[torch.tensor([0, 2])] = 7.0  # a CPU's index picks from a tensor of a GPU too
    assert (there + torch.tensor(1.0)).tolist() == [8.0, 2.0, 8.0, 4.0, 5.0, 6.0]


@pytest.mark.parametrize(
    ("stream", "options"),
    [
        ("image", {"given": {"text": "blue heart"}, "steps": 2, "guidance": 2.0}),
        ("motion", {"given": {"text": "kick"}, "duration_seconds": 0.5, "steps": 1}),
        ("text", {"given": {"image": Image.load(HEART)}, "length": 4}),
    ],
)
def test_generation_gives_the_codes_of_the_cpu(run, pretend, stream, options):
    there = run.to("pretend")
    assert (run.device.type, there.device) == ("cpu", pretend)  # a copy: the run itself stays
    mine, theirs = (one.generate_tokens(stream, seed=1, num_samples=2, **options) for one in (run, there))
    assert [one.codes.tolist() for one in theirs] == [one.codes.tolist() for one in mine]
    assert {one.codes.device.type for one in theirs} == {"cpu"}


def test_an_edit_is_that_of_the_cpu(run, pretend):
    heart, where = Image.load(HEART), [(16, 0, 32, 32)]
    mine, theirs = (one.edit(heart, where, given={"text": "sun"}, steps=2)[0] for one in (run, run.to(pretend)))
    assert torch.equal(mine.stream.codes, theirs.stream.codes)
    assert torch.equal(mine.pixels, theirs.pixels) and torch.equal(theirs.pixels[:, :14], heart.pixels[:, :14])


def test_an_order_of_its_own_is_made_on_the_device(run, pretend):
    sampler = run.recipe.sampler_of("image").ordered(HaltonScore())
    asked = {"given": {"text": "sun"}, "steps": 2, "sampler": sampler}
    mine, theirs = (one.generate_tokens("image", **asked)[0] for one in (run, run.to(pretend)))
    assert torch.equal(mine.codes, theirs.codes)


def test_likelihoods_are_those_of_the_cpu(run, pretend):
    items = [Text("blue heart"), Text("sun")]
    asked = {"stream": "text", "draws": 2}
    mine, theirs = (one.log_likelihood(items, **asked) for one in (run, run.to(pretend)))
    assert mine == theirs


def media(run: tm.Run, name: str) -> object:
    if name == "image":
        return Image.load(HEART)
    if name == "audio":
        return AudioClip.load("docs/gallery/seven.wav")
    return run.tokenizers[name].decode(run.generate_tokens(name, duration_seconds=1.0, steps=1)[0])


@pytest.mark.parametrize("name", ["image", "audio", "motion"])
def test_tokenizers_encode_and_decode_there(run, pretend, name):
    tokenizer, there = run.tokenizers[name], run.to(pretend).tokenizers[name]
    assert isinstance(there, Moves) and (there.device, tokenizer.device.type) == (pretend, "cpu")
    item = media(run, name)
    mine, theirs = tokenizer.encode(item), there.encode(item)
    assert torch.equal(mine.codes, theirs.codes) and theirs.codes.device.type == "cpu"
    assert type(there.decode(theirs)) is type(tokenizer.decode(mine))


def test_a_stream_is_taken_out_there(run, pretend):
    mine, theirs = (one.swap_tokenizer("eeg", None) for one in (run, run.to(pretend)))
    assert (theirs.device, theirs.tokenizers["image"].device) == (pretend, pretend)
    held = theirs.models["main"].state_dict()
    for name, value in mine.models["main"].state_dict().items():
        assert torch.equal(value, held[name].cpu())


def test_a_run_that_is_saved_there_opens_there(run, pretend, tmp_path):
    saved = run.to(pretend).save(tmp_path / "run")
    assert saved.device == pretend and tm.load(tmp_path / "run", "cpu").device.type == "cpu"


def test_a_step_waits_for_the_device_a_known_number_of_times(run, pretend):
    there, waits = run.to(pretend), []
    for steps in (1, 3):
        WAITS.clear()
        there.generate_tokens("image", given={"text": "sun"}, steps=steps)
        waits.append(WAITS.total())
    assert waits[1] == waits[0] > 0  # those of the first step alone, of which docs/devices.md speaks


def test_bfloat16_weights_give_nearly_the_same_likelihoods(run):
    small = run.to(dtype=torch.bfloat16)
    weights = next(small.models["main"].parameters())
    assert (small.dtype, run.dtype, weights.dtype) == (torch.bfloat16, torch.float32, torch.bfloat16)
    assert {value.dtype for value in small.models["main"].buffers()} == {torch.float32, torch.int64}
    items = [Text("blue heart"), Text("sun"), Text("In the beginning")]
    mine, theirs = (one.log_likelihood(items, stream="text", draws=4) for one in (run, small))
    assert mine != theirs
    for one, other in zip(mine, theirs, strict=True):
        assert abs(one.nats - other.nats) < 0.02 * abs(one.nats)
    assert small.generate_tokens("image", given={"text": "sun"}, steps=2)[0].codes.shape == (8, 8, 1)
