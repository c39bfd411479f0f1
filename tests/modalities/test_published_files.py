"""Folders of others: where they are looked for, what is read, and one sentence for each way in which one is wrong."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import tokenmask as tm
from tokenmask.modalities.published import files
from tokenmask.modalities.published.files import json_of, located, needed, tensors_of

from .small_published import needs_transformers, saved, untouched


def test_a_missing_library_is_one_sentence_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        ImportError, match=r"needs the library transformers, .*; pip install 'tokenmask\[hub\]'$"
    ) as told:
        tm.tokenizer("encodec", "facebook/encodec_24khz")
    assert "\n" not in str(told.value)
    assert needed("json", "x") is json


def test_tensors_are_read_from_one_file_or_several(tmp_path: Path) -> None:
    first, second = torch.arange(3.0), torch.ones(2, 2)
    save_file({"vq.a": first, "b": second}, tmp_path / "model.safetensors")
    assert {name: value.tolist() for name, value in tensors_of(tmp_path).items()} == {
        "vq.a": first.tolist(),
        "b": second.tolist(),
    }
    assert list(tensors_of(tmp_path, ("no.", "vq."))) == ["a"]
    with pytest.raises(ValueError, match=r"must hold tensors named quant\.\.\.\., but has none"):
        tensors_of(tmp_path, ("quant.",))
    parts = tmp_path / "parts"
    parts.mkdir()
    save_file({"vq.a": first}, parts / "model-00001-of-00002.safetensors")
    places = {"vq.a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (parts / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    assert torch.equal(tensors_of(parts, ("vq.",))["a"], first)  # the other part is not needed
    with pytest.raises(ValueError, match=r"model-00002-of-00002\.safetensors must be a whole safetensors file"):
        tensors_of(parts)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:-5])
    with pytest.raises(ValueError, match=r"model\.safetensors must be a whole safetensors file, but is not"):
        tensors_of(tmp_path)


def test_pickles_are_never_opened_and_how_to_convert_is_said(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (pytest.fail, ("it was unpickled",))

    torch.save({"a": Trap()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(
        ValueError, match=r"as pickle only \(pytorch_model\.bin\), .* never opened; convert it once"
    ) as told:
        tensors_of(tmp_path, convert="transformers.DacModel")
    assert f"from transformers import DacModel; DacModel.from_pretrained('{tmp_path}', use_safetensors=False)" in str(
        told.value
    )
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(ValueError, match=r"must hold weights as safetensors \(model\.safetensors, .*\), but has none"):
        tensors_of(tmp_path)


def test_configurations_are_read_or_it_is_said_where_they_may_be(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"X is opened from a folder with config\.json, but .* has none; name the folder"
    ):
        json_of(tmp_path / "config.json", "X")
    (tmp_path / "vqvae").mkdir()
    (tmp_path / "vqvae" / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"name one of its parts \(vqvae\)"):
        json_of(tmp_path / "config.json", "X")
    with pytest.raises(ValueError, match="must hold a JSON object, got list"):
        json_of(tmp_path / "vqvae" / "config.json", "X")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json must be JSON, but cannot be read"):
        json_of(tmp_path / "config.json", "X")


def test_the_hub_cache_is_looked_at_and_nothing_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="needs huggingface_hub: pip install 'tokenmask[hub]'")
    constants = importlib.import_module("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    asked: list[bool] = []
    real = hub.snapshot_download

    def watched(name: str, *, allow_patterns: list[str], local_files_only: bool) -> str:
        asked.append(local_files_only)
        assert allow_patterns == ["*.json", "*.safetensors"]
        if not local_files_only:
            raise OSError("no network here")
        return str(real(name, cache_dir=tmp_path, allow_patterns=allow_patterns, local_files_only=True))

    monkeypatch.setattr(hub, "snapshot_download", watched)
    with pytest.raises(ValueError, match=r"you/codec is neither a folder here nor in the hub cache .*, and nothing is"):
        located("you/codec", "X")
    with pytest.raises(
        ValueError, match=r"you/codec must be a repository of the hub, but was not downloaded \(no network"
    ):
        located("you/codec", "X", download=True)
    commit = "0123456789abcdef0123456789abcdef01234567"
    place = tmp_path / "models--you--codec"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    (place / "snapshots" / commit).mkdir(parents=True)
    assert located("you/codec", "X") == place / "snapshots" / commit
    assert asked == [True, False, True]


def test_what_is_no_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("")
    with pytest.raises(ValueError, match=r"X is opened from a folder, but .* is a file; name the folder that holds it"):
        located(tmp_path / "weights", "X")
    with pytest.raises(ValueError, match=r"X is opened from a folder, but \./nowhere is none; check the path"):
        located("./nowhere", "X")
    assert located(tmp_path, "X") == tmp_path
    assert files.CONFIG_FILE == "config.json"


@needs_transformers
def test_a_folder_of_another_network_is_one_sentence(tmp_path: Path) -> None:
    folder = saved("dac", tmp_path / "dac")
    with pytest.raises(
        ValueError, match=r"EncodecTokenizer is made of a encodec, but .*config\.json is of 'dac'; name"
    ):
        tm.tokenizer("encodec", folder)
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "encoder_hidden_size": 8}))
    with pytest.raises(
        ValueError, match=r"DacTokenizer must fit its config\.json and weights, but does not|other shape"
    ):
        untouched(lambda: tm.tokenizer("dac", folder))
    (folder / "config.json").write_text(json.dumps({**values, "n_codebooks": 5}))
    with pytest.raises(
        ValueError, match=r"DacTokenizer must find all its weights, but .* are missing or of another shape"
    ):
        untouched(lambda: tm.tokenizer("dac", folder))


SHORT = ("dac", "mimi", "xcodec", "janus", "emu3", "labram", "neurorvq")


@pytest.mark.parametrize("name", SHORT)
def test_an_adapter_of_a_class_of_a_library_is_short(name: str) -> None:
    """What is alike stands in the bases: a file of 35 lines says which class it is, and where codes go in and out."""
    lines = (Path(__file__).parents[2] / "modalities" / "published" / f"{name}.py").read_text(encoding="utf-8")
    assert len(lines.splitlines()) <= 35
