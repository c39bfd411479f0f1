"""Media that come while they are made: joined they are what is made at once, and the first comes early."""

import pytest
import torch

import tokenmask as tm
from tests.worlds import emoji, film
from tokenmask.demo import items
from tokenmask.generation import DrawOptions
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.audio import vocoder as sounds
from tokenmask.modalities.video import VideoTokenizer
from tokenmask.streams import TokenStream
from tokenmask.tokenizer import DecodesPieces

pytestmark = pytest.mark.filterwarnings("ignore:.*(is mixed down|is resampled|channels, which become one)")


@pytest.fixture(scope="module")
def run():
    return tm.load()


OPTIONS: DrawOptions = {"steps": 1, "seed": 3}


def test_a_sound_comes_in_pieces(run, monkeypatch):
    monkeypatch.setattr(sounds, "_SEGMENT", 64)
    done = []
    options = {**OPTIONS, "on_step": lambda now: done.append(int(now.decided.all(1).sum()))}
    when, pieces = [], []
    for piece in run.stream("audio", {"text": "seven"}, duration_seconds=6.0, **options):
        pieces.append(piece.samples)
        when.append(done[-1])
    whole = run.generate("audio", {"text": "seven"}, duration_seconds=6.0, **OPTIONS)[0]
    assert torch.equal(torch.cat(pieces, 1), whole.samples) and whole.samples.shape == (1, 96000)
    assert when[0] == 160 and when[-1] == 300 and len(set(when)) > 2  # codes that are decided when a piece comes


def test_a_motion_comes_in_pieces(run):
    decided = []
    options = {**OPTIONS, "on_step": lambda now: decided.append(now.step)}
    pieces, when = [], []
    for piece in run.stream("motion", {"text": "walk"}, duration_seconds=30.0, **options):
        pieces.append(piece)
        when.append(len(decided))
    whole = run.generate("motion", {"text": "walk"}, duration_seconds=30.0, window="early", **OPTIONS)[0]
    assert torch.equal(torch.cat([one.rotations for one in pieces]), whole.rotations)
    assert torch.equal(torch.cat([one.root_positions for one in pieces]), whole.root_positions)
    assert when[0] <= 0.2 * when[-1] and pieces[0].frame_rate_hz == whole.frame_rate_hz


def test_a_recording_comes_in_pieces(run):
    pieces = list(run.stream("eeg", length=40, **OPTIONS))
    whole = run.generate("eeg", length=40, window="early", **OPTIONS)[0]
    assert len(pieces) > 1 and pieces[0].channels == whole.channels
    assert torch.equal(torch.cat([one.samples for one in pieces], 1), whole.samples)


def test_a_film_comes_in_pieces():
    run = tm.load()
    tokenizer = VideoTokenizer.around(run.tokenizers["image"], frame_rate_hz=12.0, step=3)
    films = run.swap_tokenizer("video", tokenizer, media=[film(emoji()[0])])
    pieces = list(films.stream("video", length=6, **OPTIONS))
    whole = films.generate("video", length=6, **OPTIONS)[0]
    assert len(pieces) > 1 and torch.equal(torch.cat([one.frames for one in pieces]), whole.frames)


@pytest.mark.parametrize("given", [None, {"text": "Zürich and "}])
def test_a_text_comes_in_pieces(run, given):
    texts = {}
    for window in ("early", "most", 50):
        pieces = list(run.stream("text", given, length=400, window=window, **OPTIONS))
        texts[window] = "".join(one.text for one in pieces)
        assert texts[window] == run.generate("text", given, length=400, window=window, **OPTIONS)[0].text
        assert len(pieces) > 1
    assert len(set(texts.values())) == 3
    assert texts["early"] == "".join(one.text for one in run.stream("text", given, length=400, **OPTIONS))
    assert texts["most"] == run.generate("text", given, length=400, **OPTIONS)[0].text


def test_what_holds_of_a_whole_text_comes_as_one_piece(run):
    (piece,) = run.stream("text", length=(38, 40), **OPTIONS)
    assert piece.text == run.generate("text", length=(38, 40), **OPTIONS)[0].text
    whole = run.generate("text", {"image": run.generate("image", steps=1)[0]}, **OPTIONS)[0]
    (piece,) = run.stream("text", {"image": run.generate("image", steps=1)[0]}, **OPTIONS)
    assert piece.text == whole.text
    options = {**OPTIONS, "length": 40, "matches": "[a-z ]*"}
    (piece,) = run.stream("text", **options)
    assert piece.text == run.generate("text", **options)[0].text
    with pytest.raises(
        ValueError, match="'text' is longer here than what is filled at once; ask for fewer codes, or a l"
    ):
        run.stream("text", window=39, **options)
    with pytest.raises(
        ValueError, match="'text' is longer than what is filled at once with 40 codes in it; write a sm"
    ):
        run.stream("text", length=(38, 40), window=39, **OPTIONS)


def test_a_character_may_lie_in_two_pieces(run):
    tokenizer = run.tokenizers["text"]
    assert isinstance(tokenizer, DecodesPieces)
    words = "a\U0001f600b"
    codes = tokenizer.encode(tokenizer.media(words)).codes
    cut = [TokenStream(tokenizer.spec, one) for one in [*codes.split(1), codes[:0], codes[-2:-1]]]
    texts = [one.text for one in tokenizer.decode_pieces(cut, len(codes) + 1)]
    assert "".join(texts) == tokenizer.decode(TokenStream(tokenizer.spec, torch.cat([codes, codes[-2:-1]]))).text


def test_a_sound_that_goes_on_comes_as_it_was_given(run):
    speech = items.media("audio", "held-out")[0].resample(44100).samples[:, :40001]
    given = AudioClip(torch.cat([speech, 0.5 * speech]), 44100)
    pieces = list(run.stream("audio", {"audio": given}, duration_seconds=6.0, **OPTIONS))
    whole = run.generate("audio", {"audio": given}, duration_seconds=6.0, **OPTIONS)[0]
    made = torch.cat([one.samples for one in pieces], 1)
    assert torch.equal(made, whole.samples) and torch.equal(made[:, :40001], given.samples)
    assert {one.sample_rate_hz for one in pieces} == {44100} and len(pieces) > 1


def test_what_cannot_come_in_pieces_is_refused_before_anything_is_made(run):
    clip = items.media("motion", "train")[3].cut(0, 40)
    with pytest.raises(ValueError, match="MotionTokenizer joins what is given as a whole, not in pieces; continue it"):
        run.stream("motion", {"motion": clip}, length=4)
    asked = {**OPTIONS, "length": 60, "keep_original": False}
    pieces = list(run.stream("motion", {"motion": clip}, **asked))
    whole = run.generate("motion", {"motion": clip}, window="early", **asked)[0]
    assert torch.equal(torch.cat([one.rotations for one in pieces]), whole.rotations)
    with pytest.raises(ValueError, match="ImageTokenizer decodes whole streams only, not pieces; use generate"):
        run.stream("image")
    with pytest.raises(ValueError, match="stream makes one sample, got num_samples=2; use generate"):
        run.stream("audio", length=5, num_samples=2)
    with pytest.raises(TypeError, match="stream takes one request"):
        run.stream("audio", [{}], length=5)
    with pytest.raises(ValueError, match="say how much of it to fill with duration_seconds"):
        run.stream("audio", {"audio": run.generate_tokens("audio", length=2, steps=1)[0]})
