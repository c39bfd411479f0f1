"""Media and streams from and to NumPy, Pillow and pandas, and how a notebook shows them."""

import html
import re

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image as pillow

import tokenmask as tm
from tokenmask.demo import items


def test_sound_of_whole_numbers_is_what_a_wav_reader_makes_of_it():
    ramp = np.array([-32768, -16384, 0, 16384, 32767], np.int16)
    assert tm.AudioClip(ramp, 8000).samples.tolist() == [[-1.0, -0.5, 0.0, 0.5, 32767 / 32768]]
    assert tm.AudioClip(np.array([[0, 128, 192]], np.uint8), 8000).samples.tolist() == [[-1.0, 0.0, 0.5]]
    assert tm.AudioClip(np.array([1 << 30], ">i4"), 8000).samples.tolist() == [[0.5]]
    both = np.array([[0.25, 0.5], [0.0, -1.0]])  # float64 [channels, time]
    clip = tm.AudioClip(both, 8000)
    assert clip.samples.dtype == torch.float32 and np.array_equal(np.asarray(clip), both)
    assert np.asarray(clip, dtype=np.float64).dtype == np.float64


@pytest.mark.parametrize("array", [np.zeros((1, 2, 3)), np.array([True]), np.array([1 + 2j]), np.zeros(0, np.int16)])
def test_what_is_no_sound_is_refused(array):
    with pytest.raises(ValueError, match=r"samples of an AudioClip must be float32 \[channels, time\]"):
        tm.AudioClip(array, 8000)


@pytest.mark.parametrize(
    ("rate", "error", "wanted"),
    [
        (float("inf"), ValueError, "positive, got inf; write a finite number above 0"),
        (float("nan"), ValueError, "positive, got nan; write a finite number above 0"),
        (0, ValueError, "positive, got 0; write"),
        (16000.5, ValueError, "a whole number, got 16000.5; round it"),
        (True, TypeError, "a number, got True; write"),
        ("16000", TypeError, "a number, got '16000'; write"),
        (None, TypeError, "a number, got None; write"),
        (1 << 200, ValueError, "fit into 64 bits, got 16069380442589"),
    ],
)
def test_a_rate_is_a_whole_number(rate, error, wanted):
    with pytest.raises(error, match=f"sample_rate_hz of an AudioClip must (be )?{wanted}"):
        tm.AudioClip(np.zeros(9, np.float32), rate)


def test_an_array_of_media_is_a_copy():
    clip = tm.AudioClip(np.ones(9, np.float32), 8000)
    np.asarray(clip)[:] = 0
    assert clip.samples.tolist() == [[1.0] * 9]


def test_pictures_films_and_recordings():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    picture = tm.Image(pixels)
    assert np.array_equal(np.asarray(picture), pixels) and np.asarray(picture).shape == (2, 4, 3)
    pixels[:] = 0
    assert picture.pixels[1, 3].tolist() == [21, 22, 23]  # a copy
    film = tm.VideoClip(np.stack([pixels, pixels + 9]), 25.0)
    assert np.asarray(film)[1].max() == 9 and film.duration_seconds == 0.08
    eeg = tm.EegRecording(np.array([[1.5, -2.0], [0.0, 3.0]]), 128.0, ("O1", "O2"))
    assert np.asarray(eeg).tolist() == [[1.5, -2.0], [0.0, 3.0]]
    with pytest.raises(ValueError, match=r"uint8 \[height, width, 3\], got int64"):
        tm.Image(np.zeros((2, 2, 3), np.int64))


def test_codes_go_to_numpy_and_back_and_into_a_table():
    spec = tm.StreamSpec("eeg", (8, 9), ("channel", "time"), rate_hz=4.0)
    stream = tm.TokenStream(spec, np.arange(8).reshape(2, 2, 2) % 8, 1.0, {"channel": ("O1", "O2")})
    assert stream.codes.dtype == torch.int32 and np.array_equal(np.asarray(stream), np.arange(8).reshape(2, 2, 2))
    assert tm.TokenStream(spec, np.asarray(stream), 1.0, stream.labels) == stream
    table = stream.to_frame()
    assert list(table.columns) == ["channel", "time", "seconds", "level", "code"] and len(table) == 8
    assert table.loc[3].tolist() == ["O1", 1, 1.25, 1, 3] and table.loc[4].tolist() == ["O2", 0, 1.0, 0, 4]
    assert isinstance(table, pd.DataFrame) and table.groupby("level").code.sum().tolist() == [12, 16]


@pytest.mark.parametrize(("codes", "said"), [(np.zeros((2, 1)), "float64"), (np.array([[1 << 40]]), "int64")])
def test_codes_that_are_no_codes_are_refused(codes, said):
    with pytest.raises(ValueError, match=f"must be int32 .*got {said}"):
        tm.TokenStream(tm.StreamSpec("text", (9,), ("index",)), codes)


def test_a_pillow_picture_and_an_array_are_edited_and_given_as_they_are():
    run, pixels = tm.load(), np.asarray(items.media("image", "train")[0])
    pictures = (tm.Image(pixels), pillow.fromarray(pixels), pixels)
    asked = {"regenerate": [(16, 0, 32, 32)], "steps": 2, "seed": 1}
    first, *others = [run.edit(one, **asked)[0] for one in pictures]
    assert all(one.stream == first.stream and one == first for one in others)
    named = [run.generate_tokens("text", {"image": one}, length=4, steps=2)[0] for one in pictures]
    assert named[0] == named[1] == named[2]
    assert run.edit(torch.from_numpy(pixels), **asked)[0] == first


@pytest.mark.parametrize("stream", ["image", "audio", "eeg"])
def test_media_and_streams_are_copies_of_their_tensors_for_numpy_and_torch(stream):
    medium = items.media(stream, "held-out")[0]
    for one in (medium, tm.load().tokenizers[stream].encode(medium)):
        own = getattr(one, one.array_field)
        made, read = torch.as_tensor(one), np.asarray(one)
        assert torch.equal(made, own) and made.dtype == own.dtype and torch.equal(torch.from_dlpack(one), own)
        assert np.array_equal(read, own.numpy()) and read.dtype == own.numpy().dtype
        before = own.clone()
        made.zero_()
        read[:] = 0
        assert torch.equal(own, before)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((3, 8, 8), np.uint8), "ndarray uint8 [3, 8, 8]"),
        (np.zeros((8, 8, 3), np.float32), "ndarray float32 [8, 8, 3]"),
        (np.zeros((8, 8), np.uint8), "ndarray uint8 [8, 8]"),
        (torch.zeros(3, 8, 8), "Tensor float32 [3, 8, 8]"),
    ],
)
def test_arrays_that_are_no_pictures_are_told_what_is_one(array, said):
    run = tm.load()
    sentence = f"ImageTokenizer encodes Image, got {said}; make one with Image(uint8 [height, width, 3]) or Image.load"
    with pytest.raises(TypeError, match=re.escape(sentence)):
        run.edit(array, stream="image")
    with pytest.raises(TypeError, match=re.escape(sentence)):
        run.generate("text", {"image": array}, length=2)
    sentence = (
        f"this {said} is of with stream=..., one of text, label, image, audio, motion, eeg; an array alone is taken"
    )
    with pytest.raises(ValueError, match=re.escape(f"{sentence} for Image(uint8 [height, width, 3])")):
        run.edit(array)


SHOWN = {  # what stands in the frame of each
    "text": "<blockquote",
    "image": '<img class="tile" width="32" height="32"',
    "audio": "<audio controls",
    "motion": "<canvas",
    "eeg": "<svg",
}


@pytest.mark.parametrize("stream", SHOWN)
def test_a_notebook_shows_a_medium_in_a_frame(stream):
    medium = tm.Text("a <b> & c") if stream == "text" else items.media(stream, "held-out")[0]
    framed = medium._repr_html_()
    page = html.unescape(re.fullmatch(r'<iframe title="[^"<]*" style="[^"]*" srcdoc="([^"]*)"></iframe>', framed)[1])
    assert SHOWN[stream] in page and page.count("<main>") == 1 and "frameElement" in page
    assert stream != "text" or "a &lt;b&gt; &amp; c" in page
    assert framed == medium._repr_html_()


def test_media_without_a_view_are_shown_by_their_repr():
    class Plain(tm.Text):
        view = ""

    assert Plain("x")._repr_html_() is None


def table_of(stream):
    return stream.to_frame().sample(frac=1, random_state=0)  # rows in any order


def test_a_table_of_codes_leads_back(tmp_path):
    spec = tm.StreamSpec("eeg", (8, 9), ("channel", "time"), rate_hz=4.0)
    stream = tm.TokenStream(spec, np.arange(8).reshape(2, 2, 2), 1.0, {"channel": ("O1", "O2")})
    ordered = stream.to_frame()
    assert tm.TokenStream.from_frame(ordered) == stream
    ordered.to_parquet(tmp_path / "codes.parquet")
    assert tm.TokenStream.from_frame(pd.read_parquet(tmp_path / "codes.parquet")) == stream
    shuffled = ordered.iloc[[0, 1, 3, 2, 7, 5, 4, 6]]
    assert tm.TokenStream.from_frame(shuffled) == stream
    ordered.to_csv(tmp_path / "codes.csv", index=False)  # which says no spec
    read = pd.read_csv(tmp_path / "codes.csv")
    with pytest.raises(ValueError, match="must say what they mean"):
        tm.TokenStream.from_frame(read)
    assert tm.TokenStream.from_frame(read, spec, 1.0) == stream
    picture = tm.load_tokenizer("image").encode(items.media("image", "held-out")[0])
    assert tm.TokenStream.from_frame(table_of(picture)) == picture
    words = tm.StreamSpec("text", (9,), ("index",))
    empty = tm.TokenStream(words, np.zeros((0, 1), np.int64))
    assert tm.TokenStream.from_frame(empty.to_frame()) == empty


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.drop(columns="level"), "needs columns level; add or rename"),
        (lambda table: table.iloc[1:], "needs a row for each, 4 in all, got 3"),
        (lambda table: table.assign(time=[0, 0, 1, 0]), "4 in all, got 4|holds some twice"),
        (lambda table: table.assign(level=[0, 1, 0, 2]), "needs a row for each"),
        (lambda table: table.assign(time=[0, 0, -1, -1]), "column 'time' of a table of codes must count from 0"),
        (
            lambda table: table.assign(level=["a", "b", "a", "b"]),
            "column 'level' of a table of codes must count from 0",
        ),
        (lambda table: table.assign(code=[0, 1, 2, 9]), "must lie in 0..size-1"),
        (
            lambda table: table.assign(code=[0.5, 1, 2, 3]),
            "column 'code' of a table of codes must hold whole numbers, got float64",
        ),
        (lambda table: table.assign(code=["a", 1, 2, 3]), "must hold whole numbers, got object; convert it to int32"),
    ],
)
def test_a_table_that_is_no_stream_is_refused(change, said):
    spec = tm.StreamSpec("audio", (8, 8), ("time",), rate_hz=4.0)
    table = tm.TokenStream(spec, np.arange(4).reshape(2, 2)).to_frame()
    with pytest.raises(ValueError, match=said):
        tm.TokenStream.from_frame(change(table))


def test_what_is_no_table_spec_or_start_is_refused():
    spec = tm.StreamSpec("audio", (8, 8), ("time",), rate_hz=4.0)
    table = tm.TokenStream(spec, np.arange(4).reshape(2, 2)).to_frame()
    with pytest.raises(TypeError, match=r"must be a pandas\.DataFrame, got NoneType; make one"):
        tm.TokenStream.from_frame(None)
    with pytest.raises(TypeError, match="spec of a table of codes must be a StreamSpec, got 3"):
        tm.TokenStream.from_frame(table, 3)
    for start in (float("nan"), "1"):
        with pytest.raises(ValueError, match=f"start_seconds must be a finite number, got {start!r}; write a float"):
            tm.TokenStream.from_frame(table, start_seconds=start)
