"""Fingerprints, finding tokenizers by name, and tokenizer folders."""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch

from tokenmask.files import write_text_atomic
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import (
    DESCRIPTION_FILE,
    TOKENIZERS,
    Tokenizer,
    check_fingerprint,
    check_free,
    check_media,
    check_stream,
    describe,
    find_tokenizers,
    fingerprint,
    load_tokenizer,
    load_tokenizer_class,
    read_description,
)
from tokenmask.tokenizer import installed as home


@dataclass(frozen=True)
class Digits:
    text: str
    stream: TokenStream | None = field(default=None, compare=False)


class DigitTokenizer:
    """The smallest tokenizer there is."""

    media: ClassVar[type] = Digits
    context_seconds: ClassVar[float | None] = None

    def __init__(self, offset: int = 0) -> None:
        self.config = {"offset": offset}
        self.spec = StreamSpec("digits", (10,), ("index",), fingerprint=fingerprint(self.config))

    def encode(self, media: Any) -> TokenStream:
        check_media(self, media)
        codes = [(int(digit) + self.config["offset"]) % 10 for digit in media.text]
        return TokenStream(self.spec, torch.tensor(codes, dtype=torch.int32).view(-1, 1))

    def encode_many(self, items: Any) -> list[TokenStream]:
        return [self.encode(item) for item in items]

    def decode(self, stream: TokenStream, *, given: Any = None, keep: Any = None) -> Digits:
        check_stream(self, stream)
        digits = [(code - self.config["offset"]) % 10 for code in stream.codes.flatten().tolist()]
        return Digits("".join(map(str, digits)), stream)

    def evaluate(self, items: Any, train_items: Any = ()) -> dict[str, float]:
        return {}

    def save(self, folder: str | Path) -> None:
        check_free(folder, self.spec.fingerprint)
        text = describe("digits", self.config, self.spec.fingerprint)
        write_text_atomic(Path(folder) / DESCRIPTION_FILE, text)

    @classmethod
    def load(cls, folder: str | Path) -> DigitTokenizer:
        values = read_description(folder, "digits")
        tokenizer = cls(**values["config"])
        check_fingerprint(folder, values["fingerprint"], tokenizer.spec.fingerprint)
        return tokenizer


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    point = SimpleNamespace(name="digits", value=f"{__name__}:DigitTokenizer")
    own = [SimpleNamespace(name=name, value=value) for name, value in TOKENIZERS.items()]
    monkeypatch.setattr(home, "entry_points", lambda group: [*own, point])


def test_it_is_a_tokenizer() -> None:
    assert isinstance(DigitTokenizer(), Tokenizer)
    assert not isinstance(object(), Tokenizer)


def test_fingerprint_depends_on_every_part() -> None:
    weights = {"a": torch.arange(3.0), "b": torch.ones(2, 2)}
    base = fingerprint({"x": 1, "y": 2}, weights)
    assert base == fingerprint({"y": 2, "x": 1}, dict(reversed(weights.items())))
    assert len(base) == 64
    others = [
        fingerprint({"x": 1, "y": 3}, weights),
        fingerprint({"x": 1, "y": 2}, weights | {"a": torch.tensor([0.0, 1.0, 2.0000002])}),
        fingerprint({"x": 1, "y": 2}, weights | {"b": torch.ones(4)}),
        fingerprint({"x": 1, "y": 2}, weights | {"a": torch.arange(3.0).view(torch.int32)}),
        fingerprint({"x": 1, "y": 2}, {"a": weights["a"], "c": weights["b"]}),
        fingerprint({"x": 1, "y": 2}),
        fingerprint({"x": 1, "y": 2}, b"model"),
    ]
    assert len({base, *others}) == len(others) + 1


def test_fingerprint_is_of_values_not_of_strides() -> None:
    table = torch.arange(6.0).view(2, 3)
    assert fingerprint({}, {"t": table.T}) == fingerprint({}, {"t": table.T.contiguous()})
    assert fingerprint({}, b"") == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # sha256("{}")


def test_folder_comes_back_through_its_name(tmp_path: Path, installed: None) -> None:
    DigitTokenizer(3).save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert isinstance(loaded, DigitTokenizer)
    assert loaded.spec == DigitTokenizer(3).spec
    assert loaded.encode(Digits("709")) == DigitTokenizer(3).encode(Digits("709"))
    DigitTokenizer(3).save(tmp_path)  # the same again is fine


def test_a_folder_is_not_overwritten_by_another_tokenizer(tmp_path: Path) -> None:
    DigitTokenizer(3).save(tmp_path)
    before = (tmp_path / DESCRIPTION_FILE).read_bytes()
    with pytest.raises(ValueError, match="choose another folder"):
        DigitTokenizer(4).save(tmp_path)
    assert (tmp_path / DESCRIPTION_FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 9}, "has format 9"),
        ({"fingerprint": "0" * 64}, "must have fingerprint 0000000000000000"),
        ({"config": {"offset": 4}}, "were changed or mixed up"),
        ({"config": 3}, "is damaged"),
        ({"tokenizer": "os:system"}, "must be one of audio, .*digits, .*, got 'os:system'"),
    ],
)
def test_damaged_folders_are_one_sentence(
    tmp_path: Path, installed: None, change: dict[str, Any], message: str
) -> None:
    DigitTokenizer(3).save(tmp_path)
    path = tmp_path / DESCRIPTION_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=message):
        load_tokenizer(tmp_path)


def test_a_folder_of_another_tokenizer_is_refused(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / DESCRIPTION_FILE, describe("text", {}, ""))
    with pytest.raises(ValueError, match="must hold a tokenizer for digits, got one for text"):
        DigitTokenizer.load(tmp_path)


def test_folders_without_a_tokenizer_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a tokenizer folder holds tokenizer\.json"):
        load_tokenizer(tmp_path)
    (tmp_path / DESCRIPTION_FILE).write_text('{"format": 1')
    with pytest.raises(ValueError, match="is damaged"):
        load_tokenizer(tmp_path)
    (tmp_path / DESCRIPTION_FILE).write_text("[1]")
    with pytest.raises(ValueError, match="is damaged"):
        load_tokenizer(tmp_path)


def test_foreign_streams_and_media_are_refused_by_name() -> None:
    mine, other = DigitTokenizer(3), DigitTokenizer(4)
    with pytest.raises(ValueError, match=f"{mine.spec.fingerprint[:16]}.*{other.spec.fingerprint[:16]}"):
        mine.decode(other.encode(Digits("12")))
    with pytest.raises(TypeError, match="encodes Digits, got str"):
        mine.encode("12")
    with pytest.raises(TypeError, match="decodes a TokenStream, got list"):
        mine.decode([1, 2])  # type: ignore[arg-type]


def test_names_are_found_and_must_be_unique(monkeypatch: pytest.MonkeyPatch, installed: None) -> None:
    assert find_tokenizers() == TOKENIZERS | {"digits": f"{__name__}:DigitTokenizer"}
    assert load_tokenizer_class("digits") is DigitTokenizer
    with pytest.raises(ValueError, match=", ".join(sorted(TOKENIZERS.keys() | {"digits"})) + ", got 'smell'"):
        load_tokenizer_class("smell")
    clash = SimpleNamespace(name="text", value="elsewhere:Text")
    monkeypatch.setattr(home, "entry_points", lambda group: [clash])
    with pytest.raises(ValueError, match="'text' is both"):
        find_tokenizers()


def test_installed_entry_points_agree_with_the_literal_list() -> None:
    points = importlib.metadata.entry_points(group=home.ENTRY_POINT_GROUP)
    assert {point.name: point.value for point in points if point.name in TOKENIZERS}.items() <= TOKENIZERS.items()
