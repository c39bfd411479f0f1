"""What has another type than it must have is refused where it is given, in one sentence, and nothing is taken silently.

Does not know: options of drawings, which ``tests/sampling/test_arguments.py`` holds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tokenmask as tm
from tokenmask.corpus import Item, build_corpus
from tokenmask.medium import steps_between
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.eeg import EegRecording
from tokenmask.modalities.image import Image
from tokenmask.modalities.motion import MotionClip, Skeleton
from tokenmask.modalities.motion.bvh import load_bvh
from tokenmask.modalities.motion.long import LongMotion
from tokenmask.modalities.symbols import Symbols
from tokenmask.modalities.text import Text, TextTokenizer
from tokenmask.modalities.video import VideoClip
from tokenmask.sampling import Sampler, StaleReuse
from tokenmask.streams import StreamSpec, TokenStream

NAN, INF = math.nan, math.inf
SPEC = StreamSpec("image", (16,), ("row",), (3,))
CODES = torch.zeros(3, 1, dtype=torch.int32)
WAVE = torch.zeros(2, 256)
FRAMES = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
BONE = Skeleton(("root", "tip"), (-1, 0), ((0.0,) * 3, (0.0, 1.0, 0.0)), ("ball", "fixed"), ((0.0,) * 3,) * 2)
PLACES, TURNS = torch.zeros(4, 3), torch.tensor([1.0, 0, 0, 0]).expand(4, 2, 4).contiguous()
CLIP = MotionClip(PLACES, TURNS, 30.0, BONE)


def spec(**change: Any) -> StreamSpec:
    return StreamSpec(**{"modality": "image", "codebook_sizes": (16,), "axes": ("row",), **change})


ROWS: list[tuple[Any, type[Exception], str]] = [
    # media
    (
        lambda: AudioClip(WAVE, "x"),
        TypeError,
        "sample_rate_hz of an AudioClip must be a number, got 'x'; write a float",
    ),
    (
        lambda: AudioClip(np.array(["x"]), 8000),
        TypeError,
        "samples of an AudioClip must be an array of numbers, got one of <U1; convert it",
    ),
    (
        lambda: EegRecording(np.array([["x"]]), 256.0, ("Cz",)),
        TypeError,
        "samples of an EegRecording must be an array of numbers, got one of <U1; convert it",
    ),
    (
        lambda: EegRecording(WAVE, 256.0, np.array("x")),
        TypeError,
        "channels of an EegRecording must be a list of names, got array('x', dtype='<U1'); write each in quotes "
        "between [ and ]",
    ),
    (
        lambda: EegRecording(WAVE, 256.0, torch.tensor(3)),
        TypeError,
        "channels of an EegRecording must be a list of names, got tensor(3); write each in quotes between [ and ]",
    ),
    (
        lambda: EegRecording(WAVE, 256.0, ("Cz",)),
        ValueError,
        "an EegRecording needs a different name for each of its 2 channels, got ('Cz',); name each once",
    ),
    (
        lambda: EegRecording(WAVE, 256.0, ("Cz", "Fz")).resample(1 << 200),
        ValueError,
        f"a sample rate must fit into 64 bits, got {1 << 200}; choose another number",
    ),
    (
        lambda: Image(np.array(["x"])),
        TypeError,
        "pixels of an Image must be an array of numbers, got one of <U1; convert it",
    ),
    (
        lambda: Image.from_pillow("a.png"),
        TypeError,
        "from_pillow takes a PIL.Image, got a str; use Image for an array",
    ),
    (lambda: CLIP.on("BONE"), TypeError, "skeleton must be a Skeleton, got 'BONE'; give one"),
    (lambda: CLIP.cut(0, 1.5), TypeError, "stop of a cut must be a whole number, got 1.5; write an int"),
    (
        lambda: CLIP.cut(2, 2),
        ValueError,
        "a cut must hold a frame of the 4, got 2 to 2; take a longer one",
    ),
    (
        lambda: CLIP.at("0", 30.0),
        TypeError,
        "places must be a tensor or an array, got a str; make one with numpy.array",
    ),
    (lambda: replace(BONE, names="ab"), TypeError, "names of a Skeleton must be a tuple, got 'ab'; give one"),
    (
        lambda: replace(BONE, offsets=(3, 4)),
        TypeError,
        "each offset and axis of a Skeleton must be a tuple, got 3; give one",
    ),
    # streams
    (
        lambda: TokenStream(SPEC, CODES, NAN),
        ValueError,
        "start_seconds must be finite, got nan; choose another number",
    ),
    (lambda: TokenStream(SPEC, CODES, "x"), TypeError, "start_seconds must be a number, got 'x'; write a float"),
    (
        lambda: TokenStream(SPEC, [[1]]),
        TypeError,
        "codes of a stream of image must be a tensor or an array, got a list; make one with numpy.array",
    ),
    (
        lambda: TokenStream(SPEC, None),
        TypeError,
        "codes of a stream of image must be a tensor or an array, got None; make one with numpy.array",
    ),
    (
        lambda: TokenStream("image", CODES),
        TypeError,
        "spec of a TokenStream must be a StreamSpec, got 'image'; give one",
    ),
    (
        lambda: TokenStream(SPEC, CODES, labels=["a"]),
        TypeError,
        "labels must be a dict from axes to names, got ['a']; write {'channel': ('Fz', 'Cz')}",
    ),
    (
        lambda: TokenStream(SPEC, CODES, labels={"row": "abc"}),
        TypeError,
        "labels of row must be a list of names, got 'abc'; write ['abc']",
    ),
    (
        lambda: TokenStream(SPEC, CODES, labels={"row": (1, 2, 3)}),
        TypeError,
        "each of labels of row must be a name, got 1; write it in quotes",
    ),
    (
        lambda: TokenStream.load(5),
        TypeError,
        "path of a token stream must be a string or a Path, got 5; write its name in quotes",
    ),
    # specs
    (
        lambda: spec(codebook_sizes=(1.5,)),
        TypeError,
        "each of StreamSpec.codebook_sizes must be a whole number, got 1.5; write an int",
    ),
    (
        lambda: spec(codebook_sizes=10),
        TypeError,
        "StreamSpec.codebook_sizes must be a list of whole numbers, got 10; write (10,)",
    ),
    (lambda: spec(grid=(0,)), ValueError, "each of StreamSpec.grid must be at least 1, got 0; choose another number"),
    (
        lambda: spec(grid=(True,)),
        TypeError,
        "each of StreamSpec.grid must be a whole number, got True; write an int",
    ),
    (lambda: spec(grid=3), TypeError, "StreamSpec.grid must be a list of whole numbers, got 3; write (3,)"),
    (lambda: spec(modality=5), TypeError, "StreamSpec.modality must be a string, got 5; write one in quotes"),
    (lambda: spec(fingerprint=5), TypeError, "StreamSpec.fingerprint must be a string, got 5; write one in quotes"),
    (lambda: spec(axes="row"), TypeError, "StreamSpec.axes must be a list of names, got 'row'; write ['row']"),
    (lambda: spec(end_code="a"), TypeError, "StreamSpec.end_code must be a whole number, got 'a'; write an int"),
    (
        lambda: spec(level_groups=5),
        TypeError,
        "StreamSpec.level_groups must be a list of groups, got 5; write ((0, 1), (2, 3))",
    ),
    (
        lambda: spec(axes=("time",), rate_hz="x"),
        TypeError,
        "StreamSpec.rate_hz must be a number, got 'x'; write a float",
    ),
    (
        lambda: spec(axes=("time",), rate_hz=INF),
        ValueError,
        "rate_hz must be positive and belongs to a time axis, got inf for ('time',); give a rate to streams with a "
        "time axis alone",
    ),
    # media
    (
        lambda: EegRecording(WAVE, 256, "Cz"),
        TypeError,
        "channels of an EegRecording must be a list of names, got 'Cz'; write ['Cz']",
    ),
    (
        lambda: EegRecording(WAVE, 256, ("Cz", 5)),
        TypeError,
        "each of channels of an EegRecording must be a name, got 5; write it in quotes",
    ),
    (
        lambda: EegRecording(WAVE, 256, 5),
        TypeError,
        "channels of an EegRecording must be a list of names, got 5; write each in quotes between [ and ]",
    ),
    (
        lambda: EegRecording([[1.0]], 256, ("Cz",)),
        TypeError,
        "samples of an EegRecording must be a tensor or an array, got a list; make one with numpy.array",
    ),
    (
        lambda: EegRecording(WAVE, "x", ("Fz", "Cz")),
        TypeError,
        "sample_rate_hz of an EegRecording must be a number, got 'x'; write a float",
    ),
    (
        lambda: EegRecording(WAVE, 256, ("Fz", "Cz")).select("Cz"),
        TypeError,
        "channels must be a list of names, got 'Cz'; write ['Cz']",
    ),
    (
        lambda: EegRecording(WAVE, 256, ("Fz", "Cz")).resample("x"),
        TypeError,
        "a sample rate must be a number, got 'x'; write a float",
    ),
    (lambda: Text(5), TypeError, "text of a Text must be a string, got 5; write one in quotes"),
    (lambda: Symbols(b"x"), TypeError, "text of Symbols must be a string, got b'x'; write one in quotes"),
    (
        lambda: VideoClip([1], 5),
        TypeError,
        "frames of a VideoClip must be a tensor or an array, got a list; make one with numpy.array",
    ),
    (
        lambda: VideoClip(None, 5),
        TypeError,
        "frames of a VideoClip must be a tensor or an array, got None; make one with numpy.array",
    ),
    (lambda: VideoClip(FRAMES, "x"), TypeError, "frame_rate_hz must be a number, got 'x'; write a float"),
    (
        lambda: VideoClip(FRAMES, 5).between("a", 1),
        TypeError,
        "start_seconds of a piece must be a number, got 'a'; write a float",
    ),
    (
        lambda: MotionClip([1], [2], 30, None),
        TypeError,
        "skeleton of a MotionClip must be a Skeleton, got None; give one",
    ),
    (
        lambda: MotionClip(PLACES, TURNS, 30, "x"),
        TypeError,
        "skeleton of a MotionClip must be a Skeleton, got 'x'; give one",
    ),
    (
        lambda: MotionClip([1], TURNS, 30, BONE),
        TypeError,
        "root_positions of a MotionClip must be a tensor or an array, got a list; make one with numpy.array",
    ),
    (lambda: CLIP.between(0, None), TypeError, "end_seconds of a piece must be a number, got None; write a float"),
    (
        lambda: CLIP.between(0, NAN),
        ValueError,
        "end_seconds of a piece must be a number, got nan; choose another one",
    ),
    (lambda: CLIP.resample("x"), TypeError, "a frame rate must be a number, got 'x'; write a float"),
    (
        lambda: AudioClip(WAVE, 256).resample("x"),
        TypeError,
        "a sample rate must be a number, got 'x'; write a float",
    ),
    (
        lambda: Image(FRAMES[0]).resize(2.5, 5),
        TypeError,
        "height of an image must be a whole number, got 2.5; write an int",
    ),
    # samplers
    (
        lambda: Sampler(stages=5),
        TypeError,
        "Sampler.stages must be a list of Stage, got 5; write (Stage(),)",
    ),
    (lambda: StaleReuse("x"), TypeError, "StaleReuse.pre_full must be a whole number, got 'x'; write an int"),
    (lambda: StaleReuse(0, 1.5), TypeError, "StaleReuse.n_local must be a whole number, got 1.5; write an int"),
    (lambda: StaleReuse(where="x"), TypeError, "StaleReuse.where must be a Score, got 'x'; give one"),
    (
        lambda: StaleReuse(recompute="all"),
        ValueError,
        "StaleReuse.recompute must be one of chosen, open, got 'all'; choose one of these",
    ),
]


@pytest.mark.parametrize(("make", "kind", "sentence"), ROWS, ids=[row[2] for row in ROWS])
def test_a_wrong_type_is_one_sentence(make: Any, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind) as told:
        make()
    assert str(told.value) == sentence


@pytest.mark.parametrize(
    ("call", "what", "value"),
    [
        (tm.load, "folder of a run", 5),
        (tm.load, "folder of a run", ["r1"]),
        (tm.load, "folder of a run", b"r1"),
        (lambda path: tm.load_tokenizer("image", path), "folder of a run or tokenizer", 5),
        (TextTokenizer.load, "folder of a tokenizer", 5),
        (AudioClip.load, "path of a sound", 5),
        (AudioClip.load, "path of a sound", None),
        (AudioClip(WAVE, 256).save, "path of a sound", 5),
        (EegRecording.load, "path of a recording", 5),
        (EegRecording(WAVE, 256, ("Fz", "Cz")).save, "path of a recording", 5),
        (MotionClip.load, "path of a motion", 5),
        (load_bvh, "path of a motion", b"x"),
        (LongMotion, "path of a motion", 5),
        (CLIP.save, "path of a motion", 5),
        (Image.load, "path of an image", b"x"),
        (Image(FRAMES[0]).save, "path of an image", 5),
        (VideoClip.load, "path of a film", 5),
        (VideoClip(FRAMES, 5).save, "path of a film", None),
        (Text.load, "path of a text", 5),
        (Text("a").save, "path of a file to write", 5),
        (Symbols.load, "path of symbols", 5),
        (Symbols("a").save, "path of symbols", 5),
        (TokenStream(SPEC, CODES).save, "path of a file to write", 5),
        (lambda path: build_corpus([], {}, path), "folder of a corpus", 5),
    ],
)
def test_a_path_is_a_string_or_a_path(call: Any, what: str, value: Any) -> None:
    with pytest.raises(TypeError) as told:
        call(value)
    assert str(told.value) == f"{what} must be a string or a Path, got {value!r}; write its name in quotes"


@pytest.mark.parametrize("value", [5, None, b"x"])
def test_a_tokenizer_is_loaded_by_the_name_of_its_stream(value: Any) -> None:
    with pytest.raises(TypeError) as told:
        tm.load_tokenizer(value)
    assert str(told.value) == f"name of a stream must be a string, got {value!r}; write one in quotes"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"items": 5}, "items must be a list of Item, got 5; write [Item(key, {'image': picture})]"),
        ({"items": "ab"}, "items must be a list of Item, got 'ab'; write [Item(key, {'image': picture})]"),
        ({"items": ["a"]}, "each of items must be an Item, got 'a'; give one"),
        ({"items": iter(["a"])}, "each of items must be an Item, got 'a'; give one"),
        ({"tokenizers": "x"}, "tokenizers must be a dict from names of streams, got 'x'; write {'image': tokenizer}"),
        ({"tokenizers": [1]}, "tokenizers must be a dict from names of streams, got [1]; write {'image': tokenizer}"),
        ({"tokenizers": {"text": 1}}, "each of tokenizers must be a Tokenizer, got 1 for 'text'; load one with "
         "load_tokenizer"),
        ({"workers": "x"}, "workers must be a whole number or None, got 'x'; None takes one for each core"),
    ],
)  # fmt: skip
def test_a_corpus_is_built_of_items_and_tokenizers(change: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    given = {
        "items": [Item("a", {"text": Text("b")})],
        "tokenizers": {"text": tm.load_tokenizer("text")},
        "folder": tmp_path,
    }
    with pytest.raises(TypeError) as told:
        build_corpus(**{**given, **change}, progress=False)
    assert str(told.value) == sentence
    assert not list(tmp_path.glob("*.parquet"))


def test_what_is_right_is_taken_as_it_is() -> None:
    assert spec(codebook_sizes=[16], axes=["row"], grid=[np.int64(3)], level_groups=[[0]]) == replace(
        SPEC, level_groups=((0,),)
    )
    assert TokenStream(SPEC, CODES, 1).start_seconds == 1
    assert TokenStream(SPEC, CODES, np.float32(0.5)).start_seconds == 0.5
    assert EegRecording(WAVE, np.float64(256), ["fz", "cz"]).channels == ("Fz", "Cz")
    assert MotionClip(PLACES.numpy(), TURNS.numpy(), 30.0, BONE) == CLIP
    assert CLIP.between(-INF, INF) == CLIP
    assert steps_between(0, INF, 2.0, 5) == (0, 5)


def test_a_stream_of_a_file_names_it(tmp_path: Path) -> None:
    stream = TokenStream(SPEC, CODES)
    object.__setattr__(stream, "start_seconds", NAN)
    stream.save(tmp_path / "a.safetensors")
    with pytest.raises(ValueError) as told:
        TokenStream.load(tmp_path / "a.safetensors")
    assert str(told.value) == (
        f"{tmp_path / 'a.safetensors'} is not a readable token stream (start_seconds must be finite, got nan; choose "
        "another number); encode the media again"
    )
