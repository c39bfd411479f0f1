"""Symbols: codes by hand on every kind of grid, what cannot be read, and classes as a stream of one place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tokenmask.layout import Layout
from tokenmask.modalities.symbols import Symbols, SymbolTokenizer
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.testing import check_tokenizer
from tokenmask.tokenizer import load_tokenizer

SMILES = ("C", "c", "N", "O", "Cl", "Br", "(", ")", "=", "1", "[nH]")
DNA = SymbolTokenizer("ACGT")
ATOMS = SymbolTokenizer(SMILES)
CLASS = SymbolTokenizer(("cat", "big dog"), (1,))
SUDOKU = SymbolTokenizer("1234", (4, 4))
MAP = SymbolTokenizer(("sky", "tree", "sea"), (None, None), separator=" ")
FILM = SymbolTokenizer(".#", (2, 2, 3))


@pytest.mark.parametrize(
    ("tokenizer", "items", "refused"),
    [
        (DNA, ["ACGT", "T", "GATTACA"], ["", "ACGU", "AC GT", "ACGT\n"]),
        (ATOMS, ["CCl", "ClC(Br)=O", "c1c[nH]1"], ["", "Cx", "H", "[n"]),
        (CLASS, ["cat", "big dog", "cat"], ["", "catcat", "dog"]),
        (
            SUDOKU,
            ["1234\n3412\n2143\n4321", "1111\n2222\n3333\n4444", "4444\n2222\n3333\n4444"],
            ["1234", "1\n2\n3\n4"],
        ),
        (MAP, ["sky sky\nsea sea", "sky", "sea\ntree"], ["sky  sea", "sky ", " sea", "sky sea\nsky", "", "\n"]),
        (FILM, ["..#\n##.\n\n...\n###", "...\n...\n\n...\n...", "###\n...\n\n...\n..."], ["..#\n##."]),
    ],
    ids=["dna", "smiles", "class", "puzzle", "map", "film"],
)
def test_every_grid_keeps_the_contract(tokenizer: SymbolTokenizer, items: list[str], refused: list[str]) -> None:
    check_tokenizer(tokenizer, [Symbols(i) for i in items], refused=[Symbols(i) for i in refused], suffix=".symbols")


def test_codes_by_hand() -> None:
    assert ATOMS.encode(Symbols("CClc[nH]")).codes.flatten().tolist() == [0, 4, 1, 10]
    assert ATOMS.spec == StreamSpec("symbols", (12,), ("index",), end_code=11, fingerprint=ATOMS.spec.fingerprint)
    assert ATOMS.code_texts == [*SMILES, ""]
    ended = TokenStream(ATOMS.spec, torch.tensor([[5], [11], [0]], dtype=torch.int32))
    assert ATOMS.decode(ended) == Symbols("Br")
    assert CLASS.encode(Symbols("big dog")).codes.tolist() == [[1]] and CLASS.spec.end_code is None
    assert MAP.encode(Symbols("sky sea\ntree sky")).codes[..., 0].tolist() == [[0, 2], [1, 0]]
    film = FILM.encode(Symbols("..#\n##.\n\n...\n###"))
    assert film.codes[..., 0].tolist() == [[[0, 0, 1], [1, 1, 0]], [[0, 0, 0], [1, 1, 1]]]
    assert film.spec.axes == ("time", "row", "column") and SUDOKU.spec.axes == ("row", "column")


def test_regions_are_characters() -> None:
    molecule = Symbols("CClc[nH]")
    assert ATOMS.places(molecule, ATOMS.encode(molecule), (2, 5)).tolist() == [False, True, True, True]
    picture = Symbols("sky sea\ntree sky")
    found = MAP.places(picture, MAP.encode(picture), (6, 9))
    assert found.tolist() == [[False, True], [True, False]]
    with pytest.raises(ValueError, match=r"within 8 characters, got \(8, 9\)"):
        ATOMS.places(molecule, ATOMS.encode(molecule), (8, 9))
    with pytest.warns(UserWarning, match=r"\(3, 9\) of symbols ends after their 8 characters"):
        assert ATOMS.places(molecule, ATOMS.encode(molecule), (3, 9)).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("alphabet", "options", "message"),
    [
        ("", {}, r"must be different symbols, none of them empty, got \(\)"),
        ("AA", {}, "must be different symbols"),
        (("A", ""), {}, "must be different symbols"),
        (("A", "AB", "B"), {}, r"'A' and what may follow it can be read as 'AB'; set a separator"),
        (("a", "abc", "b", "c"), {}, r"'a' and what may follow it can be read as 'abc'"),
        (("a b", "c"), {"separator": " "}, "'a b' must not hold what stands between symbols"),
        (("a\n", "c"), {"grid": (2, 2)}, "must not hold what stands between symbols"),
        ("AC", {"grid": (0,)}, "sizes of 1 or more"),
        ("AC", {"grid": (1, 1, 1, 1)}, "up to three sizes"),
    ],
)
def test_alphabets_that_cannot_be_read_are_refused(alphabet: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SymbolTokenizer(alphabet, **options)
    assert SymbolTokenizer(("A", "AB", "B"), separator=" ").encode(Symbols("A B AB")).codes[:, 0].tolist() == [0, 2, 1]


def test_an_alphabet_is_read_from_items_or_named(tmp_path: Path) -> None:
    found = SymbolTokenizer.fit([Symbols("GATT"), Symbols("ACA")])
    assert found.config.alphabet == ("A", "C", "G", "T") and found.spec == DNA.spec
    words = SymbolTokenizer.fit([Symbols("sky sea\nsky tree")], grid=(None, None), separator=" ")
    assert words.config.alphabet == ("sea", "sky", "tree")
    assert SymbolTokenizer.fit([Symbols("A")], alphabet=("B", "A")).encode(Symbols("A")).codes.tolist() == [[1]]
    with pytest.raises(ValueError, match="learned from symbols, but the items hold none"):
        SymbolTokenizer.fit([Symbols("")])
    for tokenizer in (words, FILM, CLASS):
        tokenizer.save(tmp_path / str(len(tokenizer.config.grid)))
        again = load_tokenizer(tmp_path / str(len(tokenizer.config.grid)))
        assert again.spec == tokenizer.spec and again.config == tokenizer.config


def test_a_class_is_a_stream_that_can_be_filled() -> None:
    layout = Layout({"label": CLASS.spec, "dna": DNA.spec})
    record = {"label": CLASS.encode(Symbols("cat")), "dna": DNA.encode(Symbols("GATTACA"))}
    packed = layout.pack(record, lengths={"dna": 9})
    assert packed.ids[:, 0].tolist()[1] == layout.range("label").offset and len(packed) == 1 + 1 + 9
    back = layout.unpack(packed)
    assert CLASS.decode(back["label"]).text == "cat" and DNA.decode(back["dna"]).text == "GATTACA"


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_no_symbol(tmp_path: Path, coding: str) -> None:
    (tmp_path / "a.symbols").write_bytes("ab\r\ncd\r\n".encode(coding))
    assert Symbols.load(tmp_path / "a.symbols") == Symbols("ab\ncd")
    (mark := Symbols("\ufeffa")).save(tmp_path / "b.symbols")
    assert Symbols.load(tmp_path / "b.symbols") == mark
