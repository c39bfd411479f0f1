"""Token streams: what is accepted, what is refused, and that a file gives back the same stream."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tokenmask.streams import AXES, StreamSpec, TokenStream, cut, pasted

AUDIO = StreamSpec("audio", (256, 128), ("time",), rate_hz=50.0, fingerprint="ab")
IMAGE = StreamSpec("image", (16,), ("row", "column"), grid=(2, 3))
EEG = StreamSpec("eeg", (4,) * 4, ("channel", "time"), rate_hz=8.0, level_groups=((0, 1), (2, 3)))
TEXT = StreamSpec("text", (9,), ("index",), end_code=8)


@pytest.mark.parametrize("spec", [AUDIO, IMAGE, EEG, TEXT])
def test_spec_survives_json(spec: StreamSpec) -> None:
    assert StreamSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_spec_fills_what_is_left_out() -> None:
    assert (AUDIO.num_levels, AUDIO.grid, AUDIO.level_groups) == (2, (None,), ((0, 1),))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codebook_sizes": ()}, "positive codebook_sizes"),
        ({"codebook_sizes": (4, 0)}, "positive codebook_sizes"),
        ({"axes": ()}, "axes must be"),
        ({"axes": ("time", "time")}, "axes must be"),
        ({"axes": ("depth",)}, "axes must be"),
        ({"grid": (3, 4)}, "a size or None"),
        ({"rate_hz": 0.0}, "rate_hz must be positive"),
        ({"axes": ("index",)}, "rate_hz must be positive"),
        ({"level_groups": ((0,), (0, 1))}, "each of 2 levels once"),
        ({"end_code": 256}, "code of level 0, got 256 of 256"),
        ({"end_code": -1}, "code of level 0, got -1 of 256"),
    ],
)
def test_wrong_spec_is_one_sentence(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(AUDIO, **{"grid": (), **change})


@pytest.mark.parametrize(
    ("spec", "codes", "message"),
    [
        (AUDIO, torch.zeros(5, 2, dtype=torch.int64), "must be int32"),
        (AUDIO, torch.zeros(5, 3, dtype=torch.int32), "must be int32"),
        (AUDIO, torch.zeros(5, dtype=torch.int32), "must be int32"),
        (AUDIO, torch.tensor([[0, 128]], dtype=torch.int32), "from 0 to 128"),
        (AUDIO, torch.tensor([[-1, 0]], dtype=torch.int32), "from -1 to 0"),
        (IMAGE, torch.zeros(3, 2, 1, dtype=torch.int32), "has 2 along row, got 3"),
    ],
)
def test_wrong_codes_are_one_sentence(spec: StreamSpec, codes: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TokenStream(spec, codes)


def test_labels_name_every_entry() -> None:
    codes = torch.zeros(3, 5, 4, dtype=torch.int32)
    assert TokenStream(EEG, codes, labels={"channel": ("Fz", "Cz", "Pz")}).labels["channel"] == ("Fz", "Cz", "Pz")
    with pytest.raises(ValueError, match="got 2 for 'channel'"):
        TokenStream(EEG, codes, labels={"channel": ("Fz", "Cz")})
    with pytest.raises(ValueError, match="axis"):
        TokenStream(EEG, codes, labels={"row": ("a",)})


def test_duration_and_equality() -> None:
    codes = torch.zeros(25, 2, dtype=torch.int32)
    stream = TokenStream(AUDIO, codes)
    assert stream.duration_seconds == 0.5
    assert TokenStream(TEXT, codes[:, :1]).duration_seconds is None
    assert stream == TokenStream(AUDIO, codes.clone())
    assert stream != TokenStream(AUDIO, codes, start_seconds=1.0)
    assert stream != TokenStream(replace(AUDIO, fingerprint="cd"), codes)
    assert stream != TokenStream(AUDIO, codes + 1)
    assert stream != "codes"


@st.composite
def streams(draw: st.DrawFn) -> TokenStream:
    axes = tuple(draw(st.lists(st.sampled_from(AXES), min_size=1, max_size=3, unique=True)))
    sizes = tuple(draw(st.lists(st.integers(1, 2000), min_size=1, max_size=4)))
    grid = tuple(draw(st.integers(0, 4)) for _ in axes)
    seed = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    levels = [torch.randint(0, size, grid, generator=seed, dtype=torch.int32) for size in sizes]
    rate = draw(st.floats(0.1, 1e5)) if "time" in axes else None
    spec = StreamSpec(draw(st.text(max_size=5)), sizes, axes, rate_hz=rate, fingerprint=draw(st.text(max_size=5)))
    names = {axis: tuple(f"{axis} {i}" for i in range(size)) for axis, size in zip(axes, grid, strict=True)}
    return TokenStream(spec, torch.stack(levels, -1), draw(st.floats(0, 1e4)), draw(st.sampled_from([{}, names])))


@given(stream=streams())
def test_file_gives_back_the_same_stream(tmp_path_factory: pytest.TempPathFactory, stream: TokenStream) -> None:
    path = tmp_path_factory.mktemp("stream") / "a.safetensors"
    stream.save(path)
    assert TokenStream.load(path) == stream
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_unreadable_files_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(ValueError, match="does not exist"):
        TokenStream.load(path)
    TokenStream(TEXT, torch.ones(9, 1, dtype=torch.int32)).save(path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match="not a readable token stream"):
        TokenStream.load(path)
    path.write_text("hello")
    with pytest.raises(ValueError, match="not a readable token stream"):
        TokenStream.load(path)


def test_a_stream_with_an_end_has_one_axis():
    with pytest.raises(ValueError, match="a stream with an end code must have one axis"):
        StreamSpec("some", (4,), ("row", "column"), end_code=3)


@pytest.mark.parametrize(("first", "stop"), [(0, 4), (3, 7), (6, 10)])
def test_cut_and_pasted_are_inverse(first: int, stop: int) -> None:
    spec = StreamSpec("audio", (8, 8), ("time",), rate_hz=50.0)
    stream = TokenStream(spec, torch.randint(8, (10, 2), dtype=torch.int32, generator=torch.Generator().manual_seed(0)))
    part = cut(stream, "time", first, stop)
    assert part.start_seconds == first / 50 and part.grid == (stop - first,)
    assert pasted(stream, part, "time", first) == stream


def test_what_is_cut_keeps_its_place_and_the_names_of_other_axes() -> None:
    names = {"channel": ("a", "b", "c")}
    stream = TokenStream(EEG, torch.arange(24, dtype=torch.int32).view(3, 8, 1).expand(3, 8, 4) % 4, 1.0, names)
    later = cut(stream, "time", 2, 5)
    assert later.start_seconds == 1.25 and later.labels == names  # eight codes a second
    assert later.codes[..., 0].tolist() == [[2, 3, 0], [2, 3, 0], [2, 3, 0]]
    fewer = cut(stream, "channel", 1, 3)
    assert fewer.start_seconds == 1.0 and fewer.labels == {} and fewer.grid == (2, 8)
    unclocked = cut(TokenStream(TEXT, torch.arange(5, dtype=torch.int32)[:, None], 0.5), "index", 1, 3)
    assert unclocked.start_seconds == 0.5 and unclocked.codes.flatten().tolist() == [1, 2]
    changed = pasted(stream, TokenStream(EEG, torch.full((3, 1, 4), 3, dtype=torch.int32)), "time", 4)
    assert changed.codes[0, :, 0].tolist() == [0, 1, 2, 3, 3, 1, 2, 3] and stream.codes[0, 4, 0] == 0
    assert (changed.start_seconds, changed.labels) == (1.0, names)
