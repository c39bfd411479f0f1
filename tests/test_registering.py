"""Tokenizer classes of a notebook: they take part in memory, and saving says what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tokenmask as tm
from tests.test_stored_tokenizer import Levels, TableTokenizer, made
from tokenmask.components import homes
from tokenmask.tokenizer import (
    check_storable,
    find_tokenizers,
    installed,
    load_tokenizer,
    load_tokenizer_class,
    tokenizer_name,
)


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(installed, "_REGISTERED", {})
    yield


def test_a_registered_class_is_found_by_name(tmp_path: Path) -> None:
    assert tm.register_tokenizer(TableTokenizer) is TableTokenizer
    assert load_tokenizer_class("levels") is TableTokenizer
    assert find_tokenizers()["levels"] == "tests.test_stored_tokenizer:TableTokenizer"
    assert tokenizer_name(made()) == "levels"
    made().save(tmp_path)
    assert load_tokenizer(tmp_path).spec == made().spec
    assert tm.tokenizer("levels", tmp_path).encode(Levels((0,))) == made().encode(Levels((0,)))
    with pytest.raises(ValueError, match="TableTokenizer is opened from its folder alone, got levels; leave it out"):
        tm.tokenizer("levels", tmp_path, levels=3)
    check_storable(made())  # its module can be imported
    assert "tests" not in homes()  # a file may not name what this process alone knows


def test_a_class_of_a_notebook_works_in_memory_and_saving_says_what_to_do(tmp_path: Path) -> None:
    notebook: Any = type("TableTokenizer", (TableTokenizer,), {"__module__": "__main__"})
    tm.register_tokenizer(notebook)
    tokenizer = notebook(made().config, made().tensors)
    run = tm.load().swap_tokenizer("loudness", tokenizer)
    assert run.recipe.streams["loudness"].tokenizer == "levels"
    assert len(run.generate_tokens("loudness", length=4, steps=2, seed=0)) == 1
    with pytest.raises(ValueError, match=r"TableTokenizer is registered from a notebook, .* \(in memory it works\)"):
        run.save(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_registered_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"'text' is the name of tokenmask\.modalities\.text:TextTokenizer; register"):
        tm.register_tokenizer(TableTokenizer, "text")
    with pytest.raises(TypeError, match=r"lacks media, spec, encode, .*; see tokenmask\.tokenizer\.Tokenizer"):
        tm.register_tokenizer(int)
    nameless = type("Nameless", (TableTokenizer,), {"name": ""})
    with pytest.raises(ValueError, match="a tokenizer is registered under a name, but Nameless has none"):
        tm.register_tokenizer(nameless)
    with pytest.raises(ValueError, match="got 'levels'; install what brings it, or register its class"):
        load_tokenizer_class("levels")
    assert isinstance(sys.modules["tokenmask.tokenizer"], ModuleType)


def test_a_tokenizer_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    tm.register_tokenizer(TableTokenizer)
    made().save(tmp_path / "one")
    assert tm.tokenizer(f"levels:{tmp_path / 'one'}").spec == made().spec
    with pytest.raises(ValueError, match=r"holds tokenizer\.json, but nowhere does not; check the path") as refused:
        tm.tokenizer("levels:nowhere")
    assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match=r"TableTokenizer is opened from somewhere, .*; write tokenizer\('levels"):
        tm.tokenizer("levels")
    with pytest.raises(ValueError, match=r"a tokenizer must be one of .*, got 'nothing'"):
        tm.tokenizer("nothing:here")
    with pytest.raises(TypeError, match=r"opened by its name and a folder or a name of the hub, .* got 5 and None"):
        tm.tokenizer(5)  # type: ignore[arg-type]
    for wrong in ("x", 5, TableTokenizer):
        with pytest.raises(TypeError, match=r"swap_tokenizer takes a tokenizer, got .*; open it first, with tokenmask"):
            tm.load().swap_tokenizer("image", wrong)  # type: ignore[arg-type]
