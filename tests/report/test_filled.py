"""What a model filled in is known to what it made, and marked where that is shown."""

import html

import pytest
import torch

import tokenmask as tm
from tokenmask.demo import items
from tokenmask.modalities.text.media import characters_of, joined
from tokenmask.report.views import view_of


def spans(media):
    return list(view_of(type(media)).filled(media))


def inside(shown) -> str:
    return html.unescape(shown._repr_html_())


@pytest.fixture(scope="module")
def run():
    return tm.load()


def test_characters_of_pieces_by_hand():
    # "é" is two bytes: both pieces are a part of it; a lone byte is U+FFFD, which is one character.
    assert characters_of([b"a", b"\xc3", b"\xa9b", b"cd"]) == [(0, 1), (1, 2), (1, 3), (3, 5)]
    assert characters_of([b"\xff", b"a", b"\xc3"]) == [(0, 1), (1, 2), (2, 3)]
    assert joined([(0, 1), (1, 2), (4, 4), (5, 6)]) == ((0, 2), (5, 6))


def test_words_that_were_filled_are_marked(run):
    line = run.edit(tm.Text("In the beginning was the word"), [(7, 16)], stream="text", length=3, seed=2)[0]
    ((start, end),) = line.filled
    assert line.text[:start] + "|" + line.text[end:] == "In the| was the word"
    assert line.stream.filled.sum() == 3
    assert f"In the<mark>{line.text[start:end]}</mark> was the word" in inside(line)
    more = run.generate("text", {"text": "Jesus answered"}, length=6, steps=2, seed=1)[0]
    assert more.filled[0][0] == len("Jesus answered") and "<blockquote" in inside(more)
    assert spans(run.generate("text", length=3, steps=2, seed=1)[0]) == []  # all of it


def test_boxes_and_seconds_that_were_filled_are_marked(run):
    picture = items.media("image", "held-out")[0]
    edited = run.edit(picture, [(16, 0, 32, 32)], steps=2, seed=1)[0]
    assert spans(edited) == [(0, 16, 32, 32)]
    assert 'class="mark" style="top:0.00%;left:50.00%;height:100.00%;width:50.00%"' in inside(edited)
    corners = run.edit(picture, [(0, 0, 8, 8), (24, 24, 32, 32)], steps=2, seed=1)[0]
    assert spans(corners) == [(0, 0, 8, 8), (24, 24, 32, 32)]
    assert spans(run.generate("image", steps=1, seed=1)[0]) == [] and spans(picture) == []
    sound = run.generate("audio", duration_seconds=0.8, steps=1, seed=1)[0]
    assert spans(sound) == [] and spans(run.edit(sound, [(0.3, 0.5)], steps=1, seed=1)[0]) == [(0.3, 0.5)]
    assert spans(run.edit(sound, levels=[5, 6], steps=1, seed=1)[0]) == []  # something everywhere


def test_a_stream_knows_it_until_its_codes_are_others(run):
    stream = run.generate_tokens("text", {"text": "the sun"}, length=3, steps=1, seed=1)[0]
    known = len(run.tokenizers["text"].encode(tm.Text("the sun")).codes)
    assert stream.filled.tolist() == [[place >= known] for place in range(len(stream.codes))]
    assert tm.TokenStream(stream.spec, stream.codes) == stream  # it does not count in comparisons
    with pytest.raises(ValueError, match=r"filled must be bool \[\d, 1\], got torch.int32 \[\d, 1\]"):
        stream.with_filled(stream.codes)
    assert not isinstance(run.tokenizers["text"].encode(tm.Text("a")).filled, torch.Tensor)


def test_media_are_shown_beside_each_other(run):
    one, two = items.media("image", "held-out")[:2]
    edited = run.edit(one, [(16, 0, 32, 32)], steps=1, seed=1)[0]
    pair = inside(tm.show(one, edited, names=["before", "after"]))
    assert pair.count("<img") == 2 and "<figcaption>before</figcaption>" in pair and pair.count('class="mark"') == 2
    many = tm.show([one, two], tm.Text("a <b>"), names=["1", "2", "3"])
    assert inside(many).count("<img") == 2 and "<blockquote" in inside(many)
    assert repr(many).splitlines() == ["1: Image(32 x 32 pixels)", "2: Image(32 x 32 pixels)", "3: Text(text='a <b>')"]
    with pytest.raises(ValueError, match="a name for each or none, got 2 and 1"):
        tm.show(one, two, names=["1"])
    with pytest.raises(ValueError, match="needs media"):
        tm.show([])
