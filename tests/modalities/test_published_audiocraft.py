"""EnCodec as audiocraft publishes it: codes are those of transformers' class; with audiocraft's own code it is compared
by ``benchmarks/parity/audiocraft_encodec.py``, strictly by the names of both."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file

import tokenmask as tm
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.published.audiocraft import encodec_values, found, renamed

from .small_audiocraft import SETTINGS
from .small_published import _spread, needs_transformers, untouched


def written(folder: Path, **changes: Any) -> Path:
    settings = {**SETTINGS, **changes}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return folder


def published(name: str, turned: set[str]) -> str:
    """The name of audiocraft for one of transformers; ``turned`` are modules that are transposed convolutions."""
    name = name.replace("parametrizations.weight.original0", "weight_g")
    name = name.replace("parametrizations.weight.original1", "weight_v")
    kind = "convtr" if name.partition(".conv.")[0] in turned else "conv"
    name = name.replace(".conv.", f".{kind}.{kind}.") if name.startswith(("encoder", "decoder")) else name
    name = re.sub(r"^(encoder|decoder)\.layers", r"\1.model", name)
    return re.sub(r"^quantizer\.layers\.(\d+)\.codebook", r"quantizer.vq.layers.\1._codebook", name)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of transformers, with these settings."""
    import transformers

    path = written(tmp_path_factory.mktemp("settings")) / "config.yaml"
    config = transformers.EncodecConfig.from_dict(encodec_values(path))
    return untouched(lambda: _spread(transformers.EncodecModel(config)))


@pytest.fixture(scope="module")
def folder(theirs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = written(tmp_path_factory.mktemp("audiocraft"))
    turned = {name for name, module in theirs.named_modules() if type(module).__name__ == "EncodecConvTranspose1d"}
    tensors = {published(name, turned): own.contiguous() for name, own in theirs.state_dict().items()}
    assert "decoder.model.3.convtr.convtr.weight_g" in tensors and "encoder.model.0.conv.conv.bias" in tensors
    assert {renamed(name) for name in tensors} == set(theirs.state_dict())
    save_file(tensors, made / "model.safetensors")
    return made


@needs_transformers
@torch.no_grad()
def test_codes_and_sound_are_those_of_transformers(theirs: Any, folder: Path) -> None:
    codec = tm.tokenizer("encodec", folder)
    assert codec.spec.codebook_sizes == (64,) * 3 and codec.spec.rate_hz == 400.0
    clip = AudioClip(torch.randn(1, 1600, generator=torch.Generator().manual_seed(2)) * 0.3, 8000)
    stream = codec.encode(clip)
    wanted = theirs.encode(clip.samples[None], bandwidth=7.2).audio_codes[0, 0].T
    assert torch.equal(stream.codes.long(), wanted) and len(wanted.unique()) > 8
    made = codec.decode(stream).samples
    assert torch.equal(made, theirs.decode(wanted.T[None, None], [None]).audio_values[0])


@needs_transformers
def test_it_stands_alone_once_it_is_saved(folder: Path, tmp_path: Path) -> None:
    codec = tm.tokenizer("encodec", folder, levels=2)
    codec.save(tmp_path / "own")
    assert type(codec).load(tmp_path / "own").spec == codec.spec
    light = tm.tokenizer("encodec", folder, levels=2, keep="reference")
    light.save(tmp_path / "light")
    assert type(codec).load(tmp_path / "light").spec == codec.spec


def test_settings_are_read_with_what_they_refer_to(tmp_path: Path) -> None:
    values = encodec_values(written(tmp_path) / "config.yaml")
    assert (values["sampling_rate"], values["use_causal_conv"], values["use_conv_shortcut"]) == (8000, False, False)
    assert values["target_bandwidths"] == [7.2] and values["pad_mode"] == "constant"
    assert found({"a": "${b.c}", "b": {"c": 3}}, "a") == 3 and found({"a": "${a}"}, "a", 1) == 1
    with pytest.raises(ValueError, match=r"must say compression_model: encodec, as EnCodec has it, got dac; name"):
        encodec_values(written(tmp_path, compression_model="dac") / "config.yaml")
    seanet = {key: value for key, value in SETTINGS["seanet"].items() if key != "ratios"}
    with pytest.raises(ValueError, match=r"must say seanet\.ratios, but does not; write it again: package"):
        encodec_values(written(tmp_path, seanet=seanet) / "config.yaml")
    (tmp_path / "config.yaml").write_text("- 1")
    with pytest.raises(ValueError, match=r"must be settings of audiocraft, got list; write it: package"):
        encodec_values(tmp_path / "config.yaml")
