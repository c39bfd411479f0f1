"""Media and loaders as words and bytes, and back, without a pickle."""

import enum
import json
import operator
import signal
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tokenmask.cli.media import Loader
from tokenmask.cli.packed import Packed, Part
from tokenmask.corpus.engines.words import from_bytes, to_bytes
from tokenmask.modalities.image import Image
from tokenmask.modalities.text import Text
from tokenmask.streams import StreamSpec, TokenStream


class Shade(enum.Enum):
    dark, light = "d", "l"


@dataclass(frozen=True)
class Twice:
    """A loader of somebody."""

    text: str
    shade: Shade = Shade.dark

    def __call__(self) -> Text:
        return Text(self.text * 2)


SPEC = StreamSpec("text", (300,), ("index",), fingerprint="ab" * 32)
FILLED = TokenStream(SPEC, torch.tensor([[3], [299]], dtype=torch.int32)).with_filled(torch.tensor([[True], [False]]))


@pytest.mark.parametrize(
    "value",
    [
        None,
        [1, 2.5, "words \u2665", True, float("inf"), -7, b"\x00\xff", (), ("a", [("b",)])],
        {"a": {1: (2, 3)}, "b": Path("c/d.png")},
        Text("heart"),
        Twice("a", Shade.light),
        signal.SIGTERM,
        Loader(Text, Path("a.txt"), True, "3", (("rate", 8.0),)),
        Packed(Text, Path("b"), part=Part(Path("b.tar"), (5, 6), "x.txt")),
        TokenStream(SPEC, torch.tensor([[3], [299]], dtype=torch.int32), 0.5),
        FILLED,
        operator.add,
        Text,
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_comes_back_equal(value: Any) -> None:
    made = from_bytes(to_bytes(value))
    assert made == value and type(made) is type(value)
    if value is FILLED:
        assert made.filled.tolist() == [[True], [False]]  # which does not count in equality


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16, torch.bool, torch.int64])
def test_tensors_come_back_bit_for_bit_with_memory_of_their_own(dtype: torch.dtype) -> None:
    for given in (torch.arange(24).view(2, 3, 4).to(dtype), torch.arange(24).view(4, 6).T.to(dtype), torch.ones(0, 3)):
        made = from_bytes(to_bytes(given))
        assert made.dtype == given.dtype and made.shape == given.shape and torch.equal(made, given)
        made.zero_()
    assert from_bytes(to_bytes(torch.tensor(3.5))).item() == 3.5


def test_arrays_and_numbers_of_numpy_come_back() -> None:
    made = from_bytes(to_bytes([np.arange(6, dtype=">i2").reshape(2, 3).T, np.float32(1.5)]))
    assert made[0].dtype == np.dtype(">i2") and made[0].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert made[1] == 1.5 and isinstance(made[1], np.float32)
    made[0][0, 0] = 9  # may be written


def test_functions_are_called_by_nobody_but_who_wants_the_media(tmp_path: Path) -> None:
    Image(torch.full((4, 5, 3), 9, dtype=torch.uint8)).save(tmp_path / "a.png")
    loaders = {"a": partial(Image.load, tmp_path / "a.png"), "b": Twice("x"), "c": Twice("y").__call__}
    data = to_bytes(loaders | {"kill": partial(signal.raise_signal, signal.SIGKILL)})
    made = from_bytes(data)
    assert made["a"]() == loaders["a"]() and [str(made[name]()) for name in "bc"] == ["xx", "yy"]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (lambda: 3, "<lambda>, which is not found as"),
        (object(), "object <object object"),
        ({1, 2}, "set {1, 2}"),
        (torch.eye(2).to_sparse(), "Tensor"),
        (np.array(["a"]), "ndarray"),
    ],
)
def test_what_cannot_be_said_is_refused(value: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match="media for several workers must be said in words") as caught:
        to_bytes(["a", value])
    assert sentence in str(caught.value) and str(caught.value).endswith("use such, or 1 worker")


def test_a_name_that_is_not_here_is_a_sentence() -> None:
    data = to_bytes(Twice).replace(b"Twice", b"Twicf")
    with pytest.raises(ValueError, match=r"a worker must find Twicf in .*test_words.*; install the same packages"):
        from_bytes(data)
    said = json.dumps({"value": ["spell", 3], "sizes": []}).encode()
    with pytest.raises(ValueError, match="must be said as tokenmask does, got 'spell'; install the same version"):
        from_bytes(len(said).to_bytes(8, "little") + said)
