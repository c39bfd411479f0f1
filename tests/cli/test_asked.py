"""--up and --units: what BVH files do not say, given to the commands that read them."""

from pathlib import Path

import pytest
import torch

import tokenmask
from tests.cli import foreign
from tokenmask.cli.asked import ask_media, asked
from tokenmask.cli.media import Loader
from tokenmask.cli.parser import make_parser
from tokenmask.cli.sources import Medium, digest, media
from tokenmask.corpus import Corpus, Item
from tokenmask.demo import items
from tokenmask.modalities.eeg import EegRecording
from tokenmask.modalities.motion import MotionClip, load_bvh, save_bvh
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


def test_how_media_are_read_is_part_of_what_they_are(tmp_path):
    """A run that was begun with other options is another one."""
    (tmp_path / "a.bvh").write_text(foreign.bvh(4))
    plain, asked = (Loader(MotionClip, tmp_path / "a.bvh", options=one) for one in ((), (("up", "z"),)))
    assert digest([Item("a", {"motion": plain})]) != digest([Item("a", {"motion": asked})])
    assert asked().skeleton.offsets[2] == pytest.approx((0.1, 0.0, 0.09))  # (10, -9, 0) cm with z up
