"""The short form of tokenizers that learn nothing: folder, fingerprint, kept parts; and what tokenizers may offer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch

from tokenmask.medium import Medium
from tokenmask.recipes import load_recipe
from tokenmask.recipes.learners import brought_by_others
from tokenmask.stored_tokenizer import TENSORS_FILE, StoredTokenizer
from tokenmask.streams import StreamSpec
from tokenmask.tensor_files import save_tensors
from tokenmask.testing import check_tokenizer
from tokenmask.tokenizer import (
    DESCRIPTION_FILE,
    TOKENIZERS,
    Continues,
    GivesCodebooks,
    GivesVectors,
    Learns,
    Locates,
    NamesGroups,
    Opens,
    ReadsFiles,
    Selects,
    SpellsCodes,
    WritesFiles,
    fingerprint,
    load_tokenizer_class,
)
from tokenmask.tokenizer import installed as home


@dataclass(frozen=True)
class Levels(Medium):
    """Loudness in whole decibels, of any length; a line of numbers in a file."""

    suffixes: ClassVar[tuple[str, ...]] = (".levels",)
    written_suffixes: ClassVar[tuple[str, ...]] = (".levels",)

    decibels: tuple[int, ...]
    stream: Any = field(default=None, compare=False)

    @classmethod
    def load(cls, path: str | Path) -> Levels:
        try:
            return cls(tuple(map(int, Path(path).read_text().split())))
        except OSError as error:
            raise ValueError(f"{path} must be a file ({error})") from error

    def save(self, path: str | Path) -> None:
        Path(path).write_text(" ".join(map(str, self.decibels)))


@dataclass(frozen=True)
class TableConfig:
    unit: str = "dB"
    ends: tuple[int, ...] = (-60, 0)


class TableTokenizer(StoredTokenizer):
    """The nearest entry of a table; the last code is the end."""

    name = "levels"
    media = Levels
    config_class = TableConfig

    def make_spec(self) -> StreamSpec:
        size = len(self.tensors["table"])
        return StreamSpec("levels", (size + 1,), ("index",), end_code=size)

    def to_codes(self, media: Levels) -> torch.Tensor:
        if not media.decibels:
            raise ValueError("levels must hold a number at least, got none; leave them out")
        away = (torch.tensor(media.decibels)[:, None] - self.tensors["table"]).abs()
        return away.argmin(1, keepdim=True).int()

    def from_codes(self, codes: torch.Tensor) -> Levels:
        return Levels(tuple(self.tensors["table"][codes[:, 0].long()].tolist()))

    @classmethod
    def fit(cls, items: Any, *, seed: int = 0, folder: Any = None, progress: bool = True) -> TableTokenizer:
        return made()


def made(*table: int, **config: Any) -> TableTokenizer:
    return TableTokenizer(TableConfig(**config), {"table": torch.tensor(table or (-60, -40, -20, 0))})


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    point = SimpleNamespace(name="levels", value=f"{__name__}:TableTokenizer")
    monkeypatch.setattr(home, "entry_points", lambda group: [point])


def test_the_short_form_is_a_whole_tokenizer() -> None:
    items = [Levels((-60, -20, 0)), Levels((-40,)), Levels((0, 0, -60, -20))]
    check_tokenizer(made(), items, refused=[Levels(())], suffix=".levels")


def test_codes_and_media_by_hand() -> None:
    tokenizer = made()
    stream = tokenizer.encode(Levels((-58, -21, 3)))
    assert stream.codes.tolist() == [[0], [2], [3]]
    ended = torch.tensor([[1], [4], [2]], dtype=torch.int32)
    back = tokenizer.decode(type(stream)(tokenizer.spec, ended))
    assert back == Levels((-40,)) and back.stream.codes.tolist() == [[1]]
    figures = tokenizer.evaluate([Levels((-60, 0)), Levels((-59,))])
    assert figures == {"round_trip_share": 0.5, "codes_per_item": 1.5, "codes_used_share": 0.5}
    with pytest.raises(ValueError, match="evaluate needs at least one item"):
        tokenizer.evaluate([])


def test_the_fingerprint_is_of_configuration_and_tensors(tmp_path: Path) -> None:
    prints = [one.spec.fingerprint for one in (made(), made(-60, -40, -20, 1), made(unit="dBm"), made(ends=(-60, 1)))]
    assert len(set(prints)) == 4
    about = {"tokenizer": "levels", "unit": "dB", "ends": [-60, 0]}
    assert prints[0] == fingerprint(about, {"table": torch.tensor((-60, -40, -20, 0))})
    made().save(tmp_path)
    assert json.loads((tmp_path / DESCRIPTION_FILE).read_text())["config"] == {"unit": "dB", "ends": [-60, 0]}
    again = TableTokenizer.load(tmp_path)
    assert again.config == TableConfig() and again.spec == made().spec
    save_tensors(tmp_path / TENSORS_FILE, {"table": torch.tensor((-60, -40, -20, 1))}, {})
    with pytest.raises(ValueError, match=r"its files give .* were changed or mixed up"):
        TableTokenizer.load(tmp_path)


def test_a_configuration_of_another_version_is_one_sentence(tmp_path: Path) -> None:
    made().save(tmp_path)
    path = tmp_path / DESCRIPTION_FILE
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"config": {"hop": 3}}))
    with pytest.raises(ValueError, match=r"has a configuration this tokenmask does not know .*hop.*; save it again"):
        TableTokenizer.load(tmp_path)


def test_kept_parts_pass_through_or_it_says_that_they_cannot() -> None:
    tokenizer, whole = made(), Levels((-60, 0))
    stream, keep = tokenizer.encode(whole), torch.tensor([True, False])
    assert tokenizer.decode(stream, given=whole, keep=keep) == whole
    with pytest.raises(ValueError, match=r"TableTokenizer must say in joined\(\.\.\.\) how kept parts pass through"):
        tokenizer.decode(stream, given=Levels((-59, 0)), keep=keep)
    with pytest.raises(ValueError, match="kept parts need both given and keep"):
        tokenizer.decode(stream, given=whole)
    with pytest.raises(TypeError, match="encodes Levels, got str"):
        tokenizer.decode(stream, given="loud", keep=keep)


# What tokenizers may offer --------------------------------------------------------------------------------------------

WORDS = {"fast", "tiktoken"}
PICTURES = {"vqmodel", "janus", "emu3", "cosmos", "chameleon"}
SOUNDS = {"encodec", "dac", "mimi", "xcodec", "snac", "wavtokenizer"}
PUBLISHED = {"t2m", "labram", "neurorvq", *SOUNDS, *PICTURES, *WORDS}
OFFERED = {
    Learns: {"text", "image", "audio", "motion", "eeg", "video", "symbols", *PUBLISHED},
    Opens: PUBLISHED,
    Selects: {"image", "audio", "motion", "eeg", "video"},
    Locates: {"text", "image", "symbols", *WORDS, *PICTURES},
    Continues: {"audio", "image", "motion", "eeg", "video", "codec2", "lpcnet", *PUBLISHED} - WORDS,
    NamesGroups: {"motion", "eeg"},
    SpellsCodes: {"text", "symbols", *WORDS},
    GivesVectors: {"image", "audio", "motion", "eeg", "video"},
    GivesCodebooks: {"image", "audio", "motion", "eeg", "video"},
    ReadsFiles: {"audio", "eeg", "motion"},
    WritesFiles: {"audio", "eeg", "motion"},
}


@pytest.mark.parametrize("ability", OFFERED)
def test_what_the_tokenizers_that_ship_offer(ability: Any) -> None:
    assert {name for name in TOKENIZERS if isinstance(load_tokenizer_class(name), ability)} == OFFERED[ability]


def test_what_one_of_another_package_offers(installed: None) -> None:
    tokenizer = made()
    assert isinstance(TableTokenizer, Learns)
    assert not any(isinstance(tokenizer, ability) for ability in OFFERED if ability is not Learns)


# Streams that packages bring ------------------------------------------------------------------------------------------


def test_media_of_other_packages_join_recipes_with_optional_streams(
    monkeypatch: pytest.MonkeyPatch, installed: None
) -> None:
    own = load_recipe("own")
    assert brought_by_others(own) == ["levels"]
    points = [SimpleNamespace(name=name, value=f"{__name__}:TableTokenizer") for name in ("levels", "a-second")]
    points.append(SimpleNamespace(name="speech", value=TOKENIZERS["audio"]))  # sound has its stream already
    points.append(SimpleNamespace(name="bare", value="tests.test_tokenizer:DigitTokenizer"))  # names no endings
    monkeypatch.setattr(home, "entry_points", lambda group: points)
    assert brought_by_others(own) == ["a-second"]


def test_a_package_that_cannot_be_imported_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("nowhere_at_all:Kind", f"{__name__}:Absent"):
        monkeypatch.setattr(home, "entry_points", lambda group, value=value: [SimpleNamespace(name="x", value=value)])
        with pytest.raises(ValueError, match=f"tokenizer 'x' must be importable as {value}, but is not"):
            load_tokenizer_class("x")


def test_a_configuration_within_a_configuration_is_refused(tmp_path: Path) -> None:
    """It would come back as a mapping, with the same fingerprint."""

    @dataclass(frozen=True)
    class Nested(TableConfig):
        inner: TableConfig = TableConfig()

    tokenizer = TableTokenizer(Nested(), {"table": torch.arange(-3, 1)})
    with pytest.raises(ValueError, match=r"must be made again by its JSON values, got .* another one; write fields"):
        tokenizer.save(tmp_path / "t")
    assert not (tmp_path / "t").exists()
