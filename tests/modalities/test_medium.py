"""Every medium that ships keeps the contract of media; planted mistakes are named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from tokenmask.files import write_text_atomic
from tokenmask.medium import Medium, Timed, load_media, records_of, said, steps_between
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.eeg import EegRecording
from tokenmask.modalities.image import Image
from tokenmask.modalities.motion import MotionClip, Skeleton
from tokenmask.modalities.symbols import Symbols
from tokenmask.modalities.text import Text
from tokenmask.modalities.video import VideoClip
from tokenmask.report.views import View, view_of
from tokenmask.streams import TokenStream
from tokenmask.tensor_files import save_tensors
from tokenmask.testing import check_medium
from tokenmask.tokenizer import TOKENIZERS, load_tokenizer_class


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def motion(seed: int) -> MotionClip:
    none = (0.0, 0.0, 0.0)
    skeleton = Skeleton(("Hips", "Knee"), (-1, 0), (none, (0.0, -0.4, 0.0)), ("ball", "ball"), (none, none))
    turns = torch.nn.functional.normalize(noise(9, 2, 4, seed=seed) + 0.1, dim=-1)
    return MotionClip(noise(9, 3, seed=seed + 1), turns, 30.0, skeleton)


MEDIA: dict[type, tuple[list[Any], str]] = {
    Text: ([Text("the sun and the moon and the stars"), Text("\ufeffa <b> & ü")], ".txt"),
    Image: ([Image((255 * noise(9, 7, 3, seed=seed)).byte()) for seed in (1, 2)], ".png"),
    AudioClip: ([AudioClip(noise(2, 1601, seed=seed) - 0.5, 16000) for seed in (1, 2)], ".wav"),
    MotionClip: ([motion(1), motion(5)], ".safetensors"),
    EegRecording: ([EegRecording(noise(2, 333, seed=seed), 100.0, ("Fz", "Cz")) for seed in (1, 2)], ".npz"),
    Symbols: ([Symbols("ACGT\n\n"), Symbols("12\n34")], ".symbols"),
    VideoClip: ([VideoClip((255 * noise(5, 4, 6, 3, seed=seed)).byte(), 10.0) for seed in (1, 2)], ".png"),
}


@pytest.mark.filterwarnings("ignore:.*the names of its joints do not tell legs and trunk")
@pytest.mark.parametrize("kind", MEDIA)
def test_every_medium_that_ships_keeps_the_contract(kind: type) -> None:
    items, exact = MEDIA[kind]
    # libsndfile takes a file of these endings without a header for mu-law at 8000 Hz, as old players did.
    check_medium(items, exact=exact, headless=(".au", ".snd") if kind is AudioClip else ())


def test_every_medium_that_ships_is_checked() -> None:
    assert {load_tokenizer_class(name).media for name in TOKENIZERS} == set(MEDIA)


@pytest.mark.parametrize("media", [Text("a sun"), Symbols("ACGT"), motion(1)])
def test_what_is_no_array_names_what_to_take(media: Any) -> None:
    with pytest.raises(
        TypeError, match=rf"an array cannot be made of {type(media).__name__}; take its (text|root_pos)"
    ):
        np.asarray(media)
    held = np.array([media, media], dtype=object)
    assert held.shape == (2,) and held[1] is media


# A medium of many records, and mistakes in it -------------------------------------------------------------------------


@dataclass(frozen=True)
class Digits(Timed):
    """Digits, two a second; a line of a file is one of them, "name 123"."""

    suffixes: ClassVar[tuple[str, ...]] = (".digits",)
    written_suffixes: ClassVar[tuple[str, ...]] = (".digits",)
    view: ClassVar[str] = f"{__name__}:DigitsView"

    digits: str
    stream: TokenStream | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.digits.isdecimal():
            raise ValueError(f"digits must be digits, got {self.digits!r}")

    @classmethod
    def load(cls, path: str | Path) -> Any:
        records = cls.records(path)
        if len(records) > 1:
            raise ValueError(f"{path} must hold one line, got {len(records)}")
        return records[""]()

    @classmethod
    def records(cls, path: str | Path) -> dict[str, Callable[[], Any]]:
        try:
            lines = Path(path).read_text(encoding="ascii").split("\n")
            found = {name: partial(cls, digits) for name, digits in (line.split() for line in lines if line)}
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} must hold lines of digits ({error!r})") from error
        return found if len(found) > 1 else {"": next(iter(found.values()))}

    def save(self, path: str | Path) -> None:
        if Path(path).suffix.lower() != ".digits":
            raise ValueError(f"digits are written to .digits, got {Path(path).name}")
        write_text_atomic(path, f"{Path(path).stem} {self.digits}\n")

    @property
    def duration_seconds(self) -> float:
        return len(self.digits) / 2

    def between(self, start_seconds: float, end_seconds: float) -> Any:
        first, stop = steps_between(start_seconds, end_seconds, 2.0, len(self.digits))
        return type(self)(self.digits[first:stop])


class DigitsView(View):
    def single(self, media: Any, label: str, spans: Any = ()) -> str:
        return f"<p>{media.digits}</p>"


class Unescaped(View):
    def single(self, media: Any, label: str, spans: Any = ()) -> str:
        return f"<p>{label}{media.digits}</p>"


class LeftOpen(View):
    def single(self, media: Any, label: str, spans: Any = ()) -> str:
        return f"<p>{media.digits}"


def changed(name: str, **attributes: Any) -> type:
    return type(name, (Digits,), attributes)


def loses_a_digit(self: Any, path: Any) -> None:
    Digits(self.digits[:-1]).save(path)


def writes_anything(self: Any, path: Any) -> None:
    write_text_atomic(path, f"x {self.digits}{1 if Path(path).suffix.lower() != '.digits' else ''}\n")


BROKEN: dict[str, dict[str, Any]] = {
    r"written_suffixes must be different endings in small letters": {"written_suffixes": (".digits", "x")},
    r"must look for what it writes by itself": {"suffixes": (".other",)},
    r"load must give back what save wrote as \.digits": {"save": loses_a_digit},
    r"save must refuse an ending that it cannot write": {"save": writes_anything},
    r"must claim the \.digits that it writes, got 0": {"claims": classmethod(lambda cls, path: 0.0)},
    r"load of a missing file must raise ValueError, got FileNotFoundError": {
        "load": classmethod(lambda cls, path: cls(Path(path).read_text().split()[1]))
    },
    r"records must hold the one item of a file under the name ''": {
        "records": classmethod(lambda cls, path: {"a": partial(cls.load, path)}),
        "load": classmethod(lambda cls, path: cls(next(iter(Digits.records(path).values()))().digits)),
    },
    r"must add up to": {
        "between": lambda self, start, end: type(self)(self.digits[int(start) * 2 :][: max(int(end * 2), 1)])
    },
    r"must be the Broken": {"between": lambda self, start, end: type(self)(self.digits[1:])},
    r"must be refused in one sentence that names .*absent\.digits": {
        "records": classmethod(lambda cls, path: refuse_without_a_name(cls, path))
    },
    r"view of Broken must escape its label": {"view": f"{__name__}:Unescaped"},
    r"view of Broken must close every element": {"view": f"{__name__}:LeftOpen"},
}


def refuse_without_a_name(cls: Any, path: Any) -> Any:
    try:
        return Digits.records.__func__(cls, path)
    except ValueError:
        raise ValueError("something is wrong") from None


@pytest.fixture
def many(tmp_path: Path) -> Path:
    path = tmp_path / "many.digits"
    path.write_text("one 1234\ntwo 56\nthree 789\n")
    return path


def test_the_unbroken_one_passes(many: Path) -> None:
    check_medium([Digits("12345"), Digits("678")], exact=".digits", many=many)


@pytest.mark.parametrize("message", BROKEN)
def test_a_planted_mistake_is_named(message: str) -> None:
    kind = changed("Broken", **BROKEN[message])
    with pytest.raises(AssertionError, match=message):
        check_medium([kind("12345"), kind("678")], exact=".digits")


def test_a_file_of_many_must_be_refused_as_one(many: Path) -> None:
    first = classmethod(lambda cls, path: cls(next(iter(Digits.records(path).values()))().digits))
    kind = changed("Broken", load=first)
    with pytest.raises(AssertionError, match="load of a file of many records must raise ValueError, but was accepted"):
        check_medium([kind("12345"), kind("678")], exact=".digits", many=many)


def test_a_class_that_is_no_medium_is_named() -> None:
    with pytest.raises(TypeError, match="check_medium takes a Medium, got int"):
        check_medium([1, 2], exact=".int")


# What is asked of any media class -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bare:
    """As media classes were before there was a base."""

    text: str

    @classmethod
    def load(cls, path: str | Path) -> Bare:
        return cls(Path(path).read_text())


def test_a_class_with_load_and_save_alone_has_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("words")
    assert said(Bare, "suffixes") == () and said(Bare, "words") is False and said(Bare, "claims")(path) == 1.0
    assert {name: load() for name, load in records_of(Bare, path).items()} == {"": Bare("words")}
    assert load_media(Bare, path) == Bare("words") and view_of(Bare) is None


def test_a_record_is_named_behind_its_file(many: Path, tmp_path: Path) -> None:
    assert load_media(Digits, f"{many}#two") == Digits("56")
    for name in ("four", ""):
        with pytest.raises(ValueError, match=r"a record of .*many\.digits must be one of one, two, three, got"):
            load_media(Digits, f"{many}#{name}")
    many.write_text("one#1 1234\ntwo 56\n")
    assert load_media(Digits, f"{many}#one#1") == Digits("1234")
    odd = tmp_path / "a#two.digits"  # a mark in the name of a file names no record
    Digits("7").save(odd)
    assert load_media(Digits, odd) == Digits("7")
    with pytest.raises(ValueError, match=r"nowhere\.digits#two"):
        load_media(Digits, tmp_path / "nowhere.digits#two")


def test_pieces_of_time_by_hand() -> None:
    assert steps_between(0.0, 1.0, 10.0, 30) == (0, 10) and steps_between(0.95, 1.05, 10.0, 30) == (10, 11)
    assert steps_between(0.1 + 0.2, 99.0, 10.0, 30) == (3, 30) and steps_between(-5, 0.01, 10.0, 30) == (0, 1)
    clip = AudioClip(torch.arange(8.0)[None] / 10, 4)
    assert clip.between(0.5, 1.25).samples.tolist() == [[pytest.approx(at / 10) for at in (2, 3, 4)]]
    with pytest.raises(ValueError, match=r"of the 2 s that there are, got 2 to 3 s"):
        clip.between(2.0, 3.0)


def test_a_tensor_file_goes_to_its_medium(tmp_path: Path) -> None:
    (walk, _), (wave, _) = MEDIA[MotionClip][0], MEDIA[EegRecording][0]
    walk.save(tmp_path / "walk.safetensors")
    wave.save(tmp_path / "wave.safetensors")
    save_tensors(tmp_path / "weights.safetensors", {"w": torch.zeros(2)}, {"tokenizer": "image"})
    claims = {
        (kind.__name__, name): kind.claims(tmp_path / f"{name}.safetensors")
        for kind in (MotionClip, EegRecording)
        for name in ("walk", "wave", "weights")
    }
    assert {own for own, claim in claims.items() if claim} == {("MotionClip", "walk"), ("EegRecording", "wave")}


@pytest.mark.parametrize(
    ("path", "message"),
    [("nowhere:View", "can be imported"), (f"{__name__}:Absent", "can be imported"), (f"{__name__}:Bare", "a View")],
)
def test_a_view_that_is_none_is_refused(path: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"the view of Broken must be .*{message}"):
        view_of(changed("Broken", view=path))


def test_a_medium_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Medium()  # type: ignore[abstract]
