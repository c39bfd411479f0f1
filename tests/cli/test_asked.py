"""--up, --units and --channel: what files do not say, or which of them is meant, given to the commands that read."""

from pathlib import Path

import numpy as np
import pytest
import torch

import tokenmask
from tests.cli import foreign
from tokenmask.cli.asked import Reading, ask_media, asked
from tokenmask.cli.drawing import conditions
from tokenmask.cli.media import Loader
from tokenmask.cli.parser import make_parser
from tokenmask.cli.prompts import fillable, prompts
from tokenmask.cli.sources import Medium, digest, media
from tokenmask.corpus import Corpus, Item
from tokenmask.demo import items
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.eeg import EegRecording
from tokenmask.modalities.image import Image
from tokenmask.modalities.motion import MotionClip, load_bvh, save_bvh
from tokenmask.run import load
from tokenmask.run.asked import Wish
from tokenmask.streams import TokenStream
from tokenmask.tokenizer import load_tokenizer

BUILD = ("corpus", "build", "x", "--tokenizer", "motion=x", "--out", "x")
MOTION = Path(tokenmask.__file__).parent / "weights/tokenizers/motion"


def heights(found: list[Medium]) -> list[float]:
    """How high the root is in the first frame of each, metres."""
    return [round(float(one.loader().root_positions[0, 1]), 3) for one in found]


@pytest.mark.filterwarnings("ignore:.*its body is .* m tall in centimetres")
def test_units_are_those_that_are_named(tmp_path):
    """A body of 60 inches, which would be one of 60 cm."""
    clip = items.motions()[0].held_out
    save_bvh(clip, tmp_path / "a.bvh", 39.37)
    high, plain = round(float(clip.root_positions[0, 1]), 3), media([tmp_path], "motion")
    assert heights(plain) == [pytest.approx(high * 0.3937, abs=2e-3)]
    for word in ("inches", "39.37"):
        found = ask_media(media([tmp_path], "motion"), asked(make_parser().parse_args([*BUILD, "--units", word])))
        assert heights(found) == [pytest.approx(high, abs=2e-3)]


def test_motions_are_read_as_the_command_says(tmp_path, call, refusal):
    for number in range(2):
        save_bvh(items.motions()[number].held_out, tmp_path / f"data/{number}.bvh")
    tokenizer = load_tokenizer(MOTION)
    turned, right = (tokenizer.encode(load_bvh(tmp_path / "data/1.bvh", up=up)).codes for up in ("z", "y"))
    assert not torch.equal(turned, right)
    data = (tmp_path / "data", "--tokenizer")
    assert call("encode", *data, MOTION, "--out", tmp_path / "tokens", "--up", "z") == 0
    assert torch.equal(TokenStream.load(tmp_path / "tokens/1.tokens").codes, turned)
    assert call("corpus", "build", *data, f"motion={MOTION}", "--out", tmp_path / "corpus", "--up", "z") == 0
    codes = {record.key: record.streams["motion"].codes for record in Corpus(tmp_path / "corpus")}
    assert torch.equal(codes["data/1.bvh"], turned)
    assert "must be metres, decimetres" in refusal("encode", *data, MOTION, "--out", "x", "--units", "ells")
    (tmp_path / "note.txt").write_text("a note")
    words = ("encode", tmp_path / "note.txt", "--tokenizer", MOTION.with_name("text"), "--out", tmp_path / "text")
    assert "--up says how motions are read, but these data hold none; leave it away" in refusal(*words, "--up", "z")


def test_voltages_are_those_that_are_named(tmp_path, call, refusal):
    """A recording whose file says millivolts is read as microvolts; motions beside it are none."""
    from tests.modalities.test_edf_headers import WAVE, edf

    tokenizer = load_tokenizer(MOTION.with_name("eeg"))
    (tmp_path / "data").mkdir()
    edf(tmp_path / "data/a.edf", unit=b"mV")
    right = tokenizer.encode(EegRecording(torch.from_numpy(WAVE)[None].float(), 128, ("Fp1",)))
    words = ("encode", tmp_path / "data", "--tokenizer", MOTION.with_name("eeg"), "--out", tmp_path / "tokens")
    assert call(*words, "--voltages", "uV") == 0
    found = TokenStream.load(tmp_path / "tokens/a.tokens")
    assert found.labels == {"channel": ("Fp1",)} and (found.codes == right.codes).float().mean() > 0.95
    save_bvh(items.motions()[0].held_out, tmp_path / "motions/a.bvh")
    motions = ("encode", tmp_path / "motions", "--tokenizer", MOTION, "--out", tmp_path / "x", "--voltages", "mV")
    assert "--voltages says how recordings are read, but these data hold none; leave it away" in refusal(*motions)


def test_what_is_edited_is_read_as_the_command_says(tmp_path, call, refusal):
    """By the model that ships: a file without a unit is refused with what to do, which can be done."""
    from tests.modalities.test_edf_headers import WAVE, edf

    edf(tmp_path / "a.edf", unit=b"", limits=(b"-.5", b".5", b"-32767", b"32767"))
    words = ("edit", tmp_path / "a.edf", "--regenerate", "5:6", "--steps", 2, "--out", tmp_path / "b.npz")
    assert "where they are voltages, say their unit with --voltages UNIT" in refusal(*words)
    assert "--units says how motions are read, but these data hold none" in refusal(*words, "--units", "inches")
    assert call(*words, "--voltages", "mV") == 0
    made = EegRecording.load(tmp_path / "b.npz").samples[0]
    assert (made[:512] - torch.from_numpy(WAVE)[:512].float()).abs().max() < 500 / 32767  # what is kept


def test_what_is_given_and_looked_at_is_read_as_the_command_says(tmp_path, call, refusal):
    """Conditions and prompts alike; of files of which nothing is said the paths stay."""
    waves = torch.sin(torch.arange(512) / 2)[None] * 40
    recording = EegRecording(waves, 128.0, ("Fp1",))
    EegRecording(waves / 1e6, 128.0, ("Fp1",)).save(tmp_path / "volts.npz")
    run, reading = load(None, "cpu"), Reading({"voltages": "V", "channels": ("fp1",)})
    held = conditions(run, [f"eeg={tmp_path / 'volts.npz'}", "text=words"], reading)
    assert torch.allclose(held["eeg"].samples, recording.samples) and held["text"] == "words"
    reading.check()
    (tmp_path / "a.csv").write_text("eeg\nvolts.npz\n")
    asked_for = prompts(tmp_path / "a.csv", run, "text", {}, Reading({"voltages": "V"}))
    (filled,) = fillable(asked_for, run, Wish("text", None, 4, None, None, True, None, {"seed": 0})).given.values()
    assert torch.equal(filled["eeg"].codes, run.tokenizers["eeg"].encode(recording).codes)
    assert conditions(run, [f"eeg={tmp_path / 'volts.npz'}"], Reading({})) == {"eeg": tmp_path / "volts.npz"}
    words = ("generate", "text", "--given", f"image={tmp_path / 'volts.npz'}", "--length", 4, "--voltages", "V")
    assert "--voltages says how recordings are read, but these data hold none; leave it away" in refusal(*words)
    words = ("inspect", MOTION.with_name("text"), "--on", tmp_path / "a.txt", "--up", "z")
    (tmp_path / "a.txt").write_text("words")
    assert "--up says how motions are read, but these data hold none; leave it away" in refusal(*words)
    assert "say how media of --data are read; add it" in refusal("evaluate", MOTION.parents[1], "--voltages", "V")


def test_how_media_are_read_is_part_of_what_they_are(tmp_path):
    """A run that was begun with other options is another one."""
    (tmp_path / "a.bvh").write_text(foreign.bvh(4))
    plain, asked = (Loader(MotionClip, tmp_path / "a.bvh", options=one) for one in ((), (("up", "z"),)))
    assert digest([Item("a", {"motion": plain})]) != digest([Item("a", {"motion": asked})])
    assert asked().skeleton.offsets[2] == pytest.approx((0.1, 0.0, 0.09))  # (10, -9, 0) cm with z up


def test_one_channel_of_a_sound_is_taken_by_number(tmp_path, call):
    draw = np.random.default_rng(0)
    left, right = draw.normal(0, 0.1, (2, 16000)).astype(np.float32)
    AudioClip(np.stack([left, right]), 16000).save(tmp_path / "a.wav")
    taken = AudioClip.load(tmp_path / "a.wav", channels=["2"])
    assert np.array_equal(np.asarray(taken), right[None]) and len(AudioClip.load(tmp_path / "a.wav").samples) == 2
    assert np.array_equal(np.asarray(AudioClip.load(tmp_path / "a.wav", channels=[2, 1])), np.stack([right, left]))
    for wrong in (["3"], ["0"], ["left"], [], ["1", "1"], ["²"]):
        with pytest.raises(ValueError, match=r"a\.wav"):
            AudioClip.load(tmp_path / "a.wav", channels=wrong)
    codes = {}
    for name, words in {"one": ["--channel", 2], "mixed": []}.items():
        assert (
            call(
                "encode", tmp_path / "a.wav", "--tokenizer", MOTION.with_name("audio"), "--out", tmp_path / name, *words
            )
            == 0
        )
        (file,) = (tmp_path / name).iterdir()
        codes[name] = TokenStream.load(file).codes
    tokenizer = load_tokenizer(MOTION.with_name("audio"))
    assert torch.equal(codes["one"], tokenizer.encode(AudioClip(right[None], 16000)).codes)
    assert torch.equal(codes["mixed"], tokenizer.encode(AudioClip(np.stack([left, right]), 16000)).codes)
    assert not torch.equal(codes["one"], codes["mixed"])


def test_electrodes_of_a_recording_are_taken_by_name(tmp_path, call):
    draw = np.random.default_rng(0)
    whole = EegRecording(draw.normal(0, 30, (3, 2560)).astype(np.float32), 256.0, ("Fp1", "Cz", "O2"))
    whole.save(tmp_path / "a.npz")
    taken = EegRecording.load(tmp_path / "a.npz", channels=("o2", "EEG Fp1-REF"))
    assert taken.channels == ("O2", "Fp1") and torch.equal(taken.samples, whole.samples[[2, 0]])
    with pytest.raises(ValueError, match=r"a\.npz: channels must be among Fp1, Cz, O2, got Pz"):
        EegRecording.load(tmp_path / "a.npz", channels=["Pz"])
    data = ("--tokenizer", MOTION.with_name("eeg"), "--out", tmp_path / "tokens", "--channel", "Cz")
    assert call("encode", tmp_path / "a.npz", *data) == 0
    (file,) = (tmp_path / "tokens").iterdir()
    assert TokenStream.load(file).codes.shape[0] == 1 and TokenStream.load(file) == load_tokenizer(
        MOTION.with_name("eeg")
    ).encode(whole.select(["Cz"]))


def test_channels_of_data_without_any_are_told(tmp_path, refusal):
    Image(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    said = refusal(
        "encode",
        tmp_path / "a.png",
        "--tokenizer",
        MOTION.with_name("image"),
        "--out",
        tmp_path / "t",
        "--channel",
        "1",
    )
    assert "--channel says of which channels sounds and recordings are read, but these data hold none" in said


def test_the_channel_of_an_edit_is_where_it_is_made_anew(tmp_path, call):
    """--channel of other commands says what is read; here all channels stay."""
    draw = np.random.default_rng(0)
    whole = EegRecording(draw.normal(0, 30, (2, 2560)).astype(np.float32), 256.0, ("Fp1", "Cz"))
    whole.save(tmp_path / "a.npz")
    words = ("edit", tmp_path / "a.npz", "--regenerate", "5:6", "--channel", "fp1", "--steps", 2)
    assert call(*words, "--out", tmp_path / "b.npz") == 0
    made = EegRecording.load(tmp_path / "b.npz")
    assert made.channels == ("Fp1", "Cz") and torch.equal(made.samples[1], whole.samples[1])
    assert not torch.equal(made.samples[0], whole.samples[0])
