"""What is given comes back as it is, bit for bit: its rate, channels, size and values; what is made joins it."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image as pillow

import tokenmask as tm
from tests.worlds import emoji, film
from tokenmask.demo import items
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.eeg import EegRecording, Event, Session
from tokenmask.modalities.image import Image
from tokenmask.modalities.motion import MotionClip
from tokenmask.modalities.video import VideoClip, VideoTokenizer

pytestmark = pytest.mark.filterwarnings("ignore:.*(is mixed down|is resampled|stretched|is retargeted|is played)")


@pytest.fixture(scope="module")
def run():
    return tm.load()


@pytest.fixture
def stereo(tmp_path):
    """A second and a bit of speech in two channels, 44.1 kHz, 24 bits."""
    speech = items.media("audio", "held-out")[0].resample(44100).samples[0, :44100]
    size, draw = 45001, np.random.default_rng(0)
    sound = np.zeros((size, 2))
    sound[: len(speech), 0] = 0.5 * speech.numpy()
    sound[: len(speech), 1] = 0.3 * np.roll(speech.numpy(), 40)
    sound += draw.normal(0, 1e-3, sound.shape)
    path = tmp_path / "stereo.wav"
    soundfile.write(path, sound, 44100, subtype="PCM_24")
    return path


def jump(samples: torch.Tensor, at: int) -> float:
    return float((samples[..., at] - samples[..., at - 1]).abs().max())


def test_a_sound_goes_on_in_its_own_rate_and_channels(run, stereo, tmp_path):
    values, rate = soundfile.read(stereo, dtype="float32")
    assert np.array_equal(np.round(values * 2.0**23), values * 2.0**23)  # 24 bits
    made = run.generate("audio", {"audio": stereo}, duration_seconds=2.5, steps=1, seed=1)[0]
    assert made.sample_rate_hz == rate == 44100 and made.samples.shape == (2, 882 * (52 + 125))
    made.save(tmp_path / "longer.wav")
    back = soundfile.read(tmp_path / "longer.wav", dtype="float32")[0]
    assert np.array_equal(back[: len(values)], values)
    assert torch.equal(made.samples[0, 46000:], made.samples[1, 46000:])  # what is made is one channel
    assert made.samples[:, 46000:].abs().amax() > 1e-3
    usual = (made.samples[:, 1:45001] - made.samples[:, :45000]).abs().max()
    assert jump(made.samples, 45001) < usual
    known = run.tokenizers["audio"].encode(AudioClip.load(stereo)).codes  # the last code holds 2 samples of sound
    assert torch.equal(made.stream.codes[:51], known[:51]) and not made.stream.filled[:51].any()
    assert made.stream.filled[51:].all()
    plain = run.generate("audio", {"audio": stereo}, duration_seconds=2.5, steps=1, seed=1, keep_original=False)[0]
    assert plain.stream == made.stream and plain.samples.shape == (1, 320 * 177)


def test_a_sound_stays_outside_of_what_is_edited(run, stereo, tmp_path):
    before = AudioClip.load(stereo)
    made = run.edit(before, [(0.4, 0.6)], steps=1, seed=1)[0]
    assert made.sample_rate_hz == 44100 and made.samples.shape == before.samples.shape
    first, stop = 882 * 20, 882 * 30
    assert np.array_equal(made.samples[:, :first], before.samples[:, :first])
    assert np.array_equal(made.samples[:, stop:], before.samples[:, stop:])
    assert not torch.equal(made.samples[:, first:stop], before.samples[:, first:stop])
    run.edit_file(stereo, [tmp_path / "edited.wav"], [(0.4, 0.6)], stream="audio", steps=1, seed=1)
    assert AudioClip.load(tmp_path / "edited.wav") == made


def test_a_motion_goes_on_on_its_own_body_and_at_its_own_rate(run):
    clip = items.media("motion", "train")[3]
    taller = tuple(tuple(1.25 * at for at in offset) for offset in clip.skeleton.offsets)
    body = replace(clip.skeleton, offsets=taller)
    fast = MotionClip(*(getattr(clip.resample(120), one) for one in ("root_positions", "rotations")), 120.0, body)
    fast = fast.cut(0, 139)
    made = run.generate("motion", {"motion": fast}, length=6, steps=1, seed=1)[0]
    assert made.frame_rate_hz == 120 and made.skeleton == body and len(made) == 16 * (9 + 6)
    assert np.array_equal(made.rotations[:139], fast.rotations)
    assert np.array_equal(made.root_positions[:139], fast.root_positions)
    points = made.joint_positions()
    steps = points.diff(dim=0).norm(dim=-1).amax(1)
    assert steps[138] <= steps[:138].max() * 1.5
    edited = run.edit(fast, [(0.4, 0.7)], steps=1, seed=1)[0]
    kept = torch.ones(139, dtype=torch.bool)
    kept[16 * 3 : 16 * 6] = False
    assert len(edited) == 139 and np.array_equal(edited.rotations[kept], fast.rotations[kept])
    assert not torch.equal(edited.rotations[~kept], fast.rotations[~kept])


@pytest.mark.parametrize(("rate", "ending"), [(30.0, ".safetensors"), (24.0, ".safetensors"), (30.0, ".bvh")])
def test_parts_of_a_body_that_are_not_made_anew_stay(run, tmp_path, rate, ending):
    """A code of an arm makes that arm alone: legs, trunk and the path of the body stay while it moves."""
    clip = items.media("motion", "train")[3].resample(rate)
    clip.save(tmp_path / f"given{ending}")
    given = MotionClip.load(tmp_path / f"given{ending}")
    arm = [number for number, name in enumerate(given.skeleton.names) if name in ("left_shoulder", "left_elbow")]
    others = [number for number in range(len(given.skeleton.names)) if number not in arm]
    first, stop = round(0.4 * rate), round(0.8 * rate)
    asked = {"parts": ["left_arm"], "steps": 1, "seed": 1}
    made = run.edit(given, [(0.4, 0.8)], **asked)[0]
    assert np.array_equal(made.root_positions, given.root_positions)
    assert np.array_equal(made.rotations[:, others], given.rotations[:, others])
    outside = torch.ones(len(given), dtype=torch.bool)
    outside[first:stop] = False
    assert np.array_equal(made.rotations[outside], given.rotations[outside])
    assert (made.rotations[first:stop, arm] != given.rotations[first:stop, arm]).any(-1).float().mean() > 0.9
    whole = run.edit(given, [(0.4, 0.8)], steps=1, seed=1)[0]
    assert not np.array_equal(whole.rotations[:, others], given.rotations[:, others])
    assert not np.array_equal(whole.root_positions, given.root_positions)
    out = tmp_path / f"made{ending}"
    run.edit_file(tmp_path / f"given{ending}", [out], [(0.4, 0.8)], stream="motion", **asked)
    made.save(tmp_path / f"same{ending}")
    assert out.read_bytes() == (tmp_path / f"same{ending}").read_bytes()
    root = run.edit(given, [(0.4, 0.8)], **{**asked, "parts": ["root"]})[0]
    assert np.array_equal(root.rotations[:, 1:], given.rotations[:, 1:])
    assert not np.array_equal(root.root_positions, given.root_positions)


@pytest.mark.parametrize("rate", [250.0, 128.0])
def test_a_recording_goes_on_at_its_own_rate(run, rate):
    session = Session(events=(Event(0.5, "beep"),))
    short = items.media("eeg", "held-out")[0].resample(rate)
    given = replace(short, samples=short.samples[:, : round(0.9 * rate)], session=session)
    made = run.generate("eeg", {"eeg": given}, length=8, steps=1, seed=1)[0]
    assert made.sample_rate_hz == rate and made.channels == given.channels and made.session == session
    assert made.samples.shape == (14, round(2 * rate))
    assert np.array_equal(made.samples[:, : given.samples.shape[1]], given.samples)
    usual = given.samples.diff(dim=1).abs().amax(1)
    at = given.samples.shape[1]
    assert bool(((made.samples[:, at] - made.samples[:, at - 1]).abs() <= usual).all())


@pytest.mark.parametrize(
    ("name", "rate", "size"),
    [("audio", 44100, 8821), ("eeg", 1024.0, 257), ("motion", 25.0, 34), ("motion", 16.0, 54), ("motion", 10.0, 126)],
)
def test_an_end_that_rounding_puts_behind_its_codes_stays(run, tmp_path, name, rate, size):
    """8821 samples at 44.1 kHz are 3200.4 at 16 kHz, so ten codes, and the middle of the last one lies behind them."""
    draw = torch.Generator().manual_seed(0)
    values = 0.1 * torch.randn(2, size, generator=draw)
    motion = items.media("motion", "train")[3]
    frames = torch.arange(size) % len(motion)
    given = {
        "audio": lambda: AudioClip(values, int(rate)),
        "eeg": lambda: EegRecording(100 * values, rate, ("F3", "C4")),
        "motion": lambda: MotionClip(motion.root_positions[frames], motion.rotations[frames], rate, motion.skeleton),
    }[name]()
    parts = ("root_positions", "rotations") if name == "motion" else ("samples",)
    tokenizer = run.tokenizers[name]
    places = tokenizer.encode(given).grid[-1]
    assert (size - 0.5) / rate * tokenizer.spec.rate_hz > places

    def is_kept(made):
        along = 0 if name == "motion" else 1
        return all(torch.equal(getattr(made, part).narrow(along, 0, size), getattr(given, part)) for part in parts)

    made = run.generate(name, {name: given}, length=2, steps=1, seed=1)[0]
    assert is_kept(made)
    if name == "audio":  # and in pieces
        whole = torch.cat([piece.samples for piece in run.stream(name, {name: given}, length=2, steps=1, seed=1)], 1)
        assert torch.equal(whole, made.samples)
    keep = torch.arange(made.stream.grid[-1]) < places
    keep = keep.expand(made.stream.grid)
    ending = {"audio": ".wav", "eeg": ".edf", "motion": ".safetensors"}[name]
    given.save(tmp_path / f"given{ending}")
    tokenizer.decode_file(made.stream, tmp_path / f"made{ending}", given=tmp_path / f"given{ending}", keep=keep)
    kind = type(given)
    again, own = kind.load(tmp_path / f"made{ending}"), kind.load(tmp_path / f"given{ending}")
    for part in parts if name != "eeg" else ():  # EDF rounds to its 16 bits anew
        one, other = getattr(again, part), getattr(own, part)
        assert torch.equal(one[:size] if name == "motion" else one[:, :size], other)


@pytest.mark.parametrize("words", ["In the  beginning\n\twas", " leading blanks and a tail ", "Zürich \U0001f600 ﬁn"])
def test_a_text_goes_on_behind_every_character(run, words):
    made = run.generate("text", {"text": words}, length=5, steps=2, seed=1)[0]
    assert made.text.startswith(words) and made.stream.filled.sum() <= 5


def test_a_picture_keeps_its_size_and_all_pixels_outside(run):
    draw = torch.Generator().manual_seed(0)
    picture = Image(torch.randint(256, (50, 70, 3), dtype=torch.uint8, generator=draw))
    made = run.edit(picture, [(35, 0, 70, 25)], steps=2, seed=1)[0]
    assert made.pixels.shape == (50, 70, 3)
    outside = torch.ones(50, 70, dtype=torch.bool)
    outside[:25, 35:] = False
    assert np.array_equal(made.pixels[outside], picture.pixels[outside])
    assert (made.pixels[~outside] != picture.pixels[~outside]).any(-1).float().mean() > 0.9
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        whole = run.generate("image", [{"image": picture}, {}], num_samples=2, steps=1)
    assert np.array_equal(whole[0].pixels, picture.pixels) and not np.array_equal(whole[2].pixels, picture.pixels)
    (said,) = [str(one.message) for one in told if "filled" in str(one.message)]
    assert said.startswith(
        "nothing is to be filled in 1 of 2 requests: all codes of 'image' are given and come back as"
    )
    with pytest.warns(
        UserWarning, match=r"nothing is to be filled: all codes of 'image' .*; give it to edit \(run\.edit"
    ):
        run.generate_tokens("image", {"image": run.tokenizers["image"].encode(picture)})


def test_a_picture_stays_transparent_outside(run, tmp_path):
    draw = np.random.default_rng(0)
    values = draw.integers(256, size=(48, 40, 4), dtype=np.uint8)
    pillow.fromarray(values).save(tmp_path / "clear.png")
    given = Image.load(tmp_path / "clear.png")
    white = 255 + (values[..., :3] - 255.0) * values[..., 3:] / 255
    assert np.abs(given.pixels.numpy() - white).max() <= 1  # what is coded
    made = run.edit(given, [(20, 0, 40, 24)], steps=1, seed=1)[0]
    made.save(tmp_path / "made.png")
    back = np.asarray(pillow.open(tmp_path / "made.png"))
    hole = np.zeros((48, 40), dtype=bool)
    hole[:24, 20:] = True
    assert back.shape == (48, 40, 4) and np.array_equal(back[~hole], values[~hole])
    assert (back[hole][:, 3] == 255).all() and np.array_equal(back[hole][:, :3], made.pixels.numpy()[hole])
    again = run.edit(made, [(0, 24, 20, 48)], steps=1, seed=1)[0]
    assert np.array_equal(again.rgba[:24, :20], values[:24, :20]) and np.array_equal(again.rgba[:24], made.rgba[:24])
    made.save(tmp_path / "made.jpg")
    assert pillow.open(tmp_path / "made.jpg").mode == "RGB"
    values[..., 3] = 255
    pillow.fromarray(values).save(tmp_path / "solid.png")
    assert Image.load(tmp_path / "solid.png").rgba is None
    with pytest.raises(ValueError, match=r"rgba of an Image must be uint8 \[48, 40, 4\], got uint8 \[48, 40, 3\]"):
        replace(given, rgba=given.pixels)


@pytest.fixture(scope="module")
def films():
    """The run that ships and films, whose codes it has not learned: four times a second, three of which it sees."""
    run = tm.load()
    tokenizer = VideoTokenizer.around(run.tokenizers["image"], frame_rate_hz=12.0, step=3)
    return run.swap_tokenizer("video", tokenizer, media=[film(emoji()[0])])


def test_a_film_goes_on_at_its_own_rate_and_size(films):
    own = film(emoji()[0]).frames.repeat_interleave(2, 0)  # 24 frames a second
    wide = torch.cat([own, own.flip(2)], 2)
    given = VideoClip(wide, 24.0)
    made = films.generate("video", {"video": given}, length=2, steps=1, seed=1)[0]
    assert made.frame_rate_hz == 24 and made.frames.shape == (24, 32, 64, 3)
    assert np.array_equal(made.frames[:12], given.frames)
    edited = films.edit(given, [(0.25, 0.5)], steps=1, seed=1)[0]
    assert np.array_equal(edited.frames[:6], given.frames[:6]) and edited.frames.shape == given.frames.shape
    assert not torch.equal(edited.frames[6:], given.frames[6:])


def test_media_with_codes_of_their_own_go_on_from_these(run):
    first = run.generate("audio", {"text": "seven"}, duration_seconds=0.6, steps=1)[0]
    made = run.generate("audio", {"audio": first}, duration_seconds=0.4, steps=1)[0]
    assert torch.equal(made.stream.codes[:30], first.stream.codes)
    assert made == run.tokenizers["audio"].decode(made.stream)
    kept = run.generate("audio", {"audio": first}, duration_seconds=0.4, steps=1, keep_original=True)[0]
    assert np.array_equal(kept.samples[:, : 320 * 30], first.samples) and kept.stream == made.stream
    with pytest.raises(TypeError, match="keep_original must be True, False or None, got 1"):
        run.generate("audio", {"audio": first}, length=1, keep_original=1)
