"""What a person gives becomes tokens, and how large a stream is to be: a table of sizes."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from tokenmask.generation import Inputs
from tokenmask.layout import Layout
from tokenmask.streams import StreamSpec, TokenStream

TEXT = StreamSpec("text", (9,), ("index",), end_code=0)
SOUND = StreamSpec("audio", (5, 4), ("time",), rate_hz=2.0)
EEG = StreamSpec("eeg", (4,), ("channel", "time"), rate_hz=2.0)
PICTURE = StreamSpec("image", (4,), ("row", "column"), (2, 3))
FREE = StreamSpec("depth", (4,), ("row", "column"))


@dataclass(frozen=True)
class Word:
    """Words, which a string is."""

    text: str
    words = True


@dataclass(frozen=True)
class Clip:
    """A file of one number."""

    number: int
    stream: TokenStream | None = field(default=None, compare=False)
    words = False

    @classmethod
    def load(cls, path):
        return cls(int(Path(path).read_text()))


class Tokens:
    def __init__(self, media, spec):
        self.media, self.spec = media, spec

    def encode(self, media):
        codes = [ord(one) % 8 + 1 for one in media.text] if self.media is Word else [media.number]
        return TokenStream(self.spec, torch.tensor(codes, dtype=torch.int32)[:, None].expand(-1, self.spec.num_levels))

    def decode(self, stream, **options):
        return Clip(int(stream.codes[0, 0]))


LAYOUT = Layout({"text": TEXT, "label": TEXT, "audio": SOUND, "eeg": EEG, "image": PICTURE, "depth": FREE},
                shares={"label": "text"})  # fmt: skip
INPUTS = Inputs(
    LAYOUT,
    {"text": Tokens(Word, TEXT), "label": Tokens(Word, TEXT), "audio": Tokens(Clip, SOUND)},
    {"eeg": {"channel": ("a", "b", "c")}},
)


def prefix(spec: StreamSpec, *grid: int, **labels) -> TokenStream:
    return TokenStream(spec, torch.ones(*grid, spec.num_levels, dtype=torch.int32), labels=labels)


@pytest.mark.parametrize(
    ("name", "prefixed", "length", "grid", "seconds", "size"),
    [
        ("text", None, 5, None, None, (5,)),
        ("text", prefix(TEXT, 3), 5, None, None, (8,)),  # five beyond what is given
        ("text", None, 1, None, None, (1,)),
        ("audio", None, None, None, 2.0, (4,)),  # two codes a second
        ("audio", None, None, None, 1.8, (4,)),  # 3.6
        ("audio", prefix(SOUND, 3), None, None, 1.0, (5,)),
        ("eeg", None, 4, None, None, (3, 4)),  # the electrodes of the data
        ("eeg", prefix(EEG, 2, 5), 4, None, None, (2, 9)),
        ("eeg", None, None, (7, 2), None, (7, 2)),
        ("image", None, None, None, None, (2, 3)),
        ("image", None, 2, None, None, (2, 3)),  # it has two rows
        ("image", None, None, (2, 3), None, (2, 3)),
        ("depth", None, None, (4, 5), None, (4, 5)),
    ],
)
def test_sizes(name, prefixed, length, grid, seconds, size):
    assert INPUTS.grid(name, prefixed, length, grid, seconds) == size


@pytest.mark.parametrize(
    ("name", "length", "seconds", "sentence"),
    [
        ("text", None, 1.0, r"'text' has no clock to measure seconds by, got duration_seconds=1; ask for a length"),
        ("text", None, None, "'text' has no fixed size; say how much of it to fill with length="),
        ("text", 0, None, "length must be at least 1, got 0"),
        ("audio", None, 0.2, "duration_seconds must be at least 0.5, one place of 'audio', got 0.2; ask for more"),
        ("image", 3, None, "'image' always has 2 x 3 places, got length 3"),
        ("depth", 3, None, r"'depth' is free along \('row', 'column'\); give the whole grid="),
    ],
)
def test_sizes_that_are_missing_are_refused(name, length, seconds, sentence):
    with pytest.raises(ValueError, match=sentence):
        INPUTS.grid(name, None, length, None, seconds)


def test_names_of_the_data_stand_where_their_number_fits():
    data, own = {"channel": ("a", "b", "c")}, {"channel": ("x", "y")}
    assert INPUTS.names("eeg", None, (3, 8)) == data
    assert INPUTS.names("eeg", None, (2, 8)) == {}
    assert INPUTS.names("eeg", prefix(EEG, 2, 5, **own), (2, 9)) == own
    assert INPUTS.names("audio", None, (3,)) == {}


def test_strings_are_words_or_paths(tmp_path):
    (tmp_path / "a.num").write_text("3")
    assert INPUTS.media("text", "hi") == Word("hi")
    assert INPUTS.media("audio", str(tmp_path / "a.num")) == INPUTS.media("audio", tmp_path / "a.num") == Clip(3)
    assert INPUTS.media("audio", Clip(2)) == Clip(2)
    assert INPUTS.tokens("text", "ab").codes.flatten().tolist() == [ord("a") % 8 + 1, ord("b") % 8 + 1]
    assert INPUTS.tokens("audio", Clip(2)).codes.tolist() == [[2, 2]]
    kept = prefix(SOUND, 7)
    assert INPUTS.tokens("audio", Clip(1, kept)) is kept  # its own codes decode to these very media
    assert INPUTS.tokens("audio", Clip(3, kept)).codes.tolist() == [[3, 3]]  # changed since
    assert INPUTS.tokens("audio", kept) is kept
    for call in (INPUTS.media, INPUTS.tokens):
        with pytest.raises(ValueError, match="one of those of this run, text, label, audio, got 'smell'"):
            call("smell", kept)


def test_conditions_and_companions():
    assert INPUTS.conditions(None) == {} and list(INPUTS.conditions({"text": "a", "audio": Clip(2)})) == [
        "text",
        "audio",
    ]
    found = INPUTS.companions({"negative": {"text": "a"}, "also": [({"text": "b"}, 0.5), ({}, 1.0)]})
    assert found["negative"]["text"] == INPUTS.tokens("text", "a")
    assert [dict(one) for one in found["further"]] == [{"text": INPUTS.tokens("text", "b")}, {}]
    assert INPUTS.companions({}) == {"negative": {}, "further": ()}


def test_media_find_their_stream_if_it_is_one():
    assert INPUTS.stream_of(Clip(1)) == "audio" == INPUTS.stream_of(prefix(SOUND, 2))
    assert INPUTS.stream_of(Word("a")) == "text"  # label shares its codes, so it does not count
    with pytest.raises(ValueError, match="say which stream this float is of with stream="):
        INPUTS.stream_of(1.0)
    with pytest.raises(ValueError, match="a stream of this run, text, audio, got codes of eeg by another tokenizer"):
        INPUTS.stream_of(prefix(EEG, 2, 2))
    two = Inputs(LAYOUT, {"text": Tokens(Word, TEXT), "audio": Tokens(Word, SOUND)})
    with pytest.raises(ValueError, match="say which stream this Word is of"):
        two.stream_of(Word("a"))
