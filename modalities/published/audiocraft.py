"""EnCodec as audiocraft publishes it: its names and settings in those of transformers.

Arrow: settings of ``xp.cfg``, tensors of ``best_state`` --> values of ``config.json``, tensors by transformers' names.
Does not know: sounds. Checkpoints of MusicGen, MAGNeT and AudioGen bring their codec so (compression_state_dict.bin).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

SETTINGS = "config.yaml"
HOW = (
    "package = torch.load('compression_state_dict.bin', weights_only=True); save_file(package['best_state'], "
    f"'model.safetensors'); open('{SETTINGS}', 'w').write(package['xp.cfg'])"
)
_RENAMED = (
    (r"\.conv\.conv\.", ".conv."),
    (r"\.convtr\.convtr\.", ".conv."),
    (r"\.weight_g$", ".parametrizations.weight.original0"),
    (r"\.weight_v$", ".parametrizations.weight.original1"),
    (r"^(encoder|decoder)\.model\.", r"\1.layers."),
    (r"^quantizer\.vq\.layers\.(\d+)\._codebook\.", r"quantizer.layers.\1.codebook."),
)
_SEANET = {  # name of transformers, of audiocraft
    "num_filters": "n_filters",
    "hidden_size": "dimension",
    "codebook_dim": "dimension",
    "num_residual_layers": "n_residual_layers",
    "upsampling_ratios": "ratios",
    "norm_type": "norm",
    "kernel_size": "kernel_size",
    "residual_kernel_size": "residual_kernel_size",
    "last_kernel_size": "last_kernel_size",
    "dilation_growth_rate": "dilation_base",
    "pad_mode": "pad_mode",
    "compress": "compress",
    "num_lstm_layers": "lstm",
}
_AS_THERE = {"encodec.autoencoder": "seanet", "encodec.quantizer": "rvq", "encodec.renormalize": False}
_AS_THERE |= {"seanet.activation": "ELU", "seanet.disable_norm_outer_blocks": 0}


def renamed(name: str) -> str:
    """A name of audiocraft's (and of the first EnCodec's) tensors as transformers has it."""
    for old, new in _RENAMED:
        name = re.sub(old, new, name)
    return name


def settings_of(path: Path, how: str) -> dict[str, Any]:
    """What a ``config.yaml`` of audiocraft says; ValueError in a sentence, with ``how`` to write it."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} must be YAML, but cannot be read ({reason}); write it again: {how}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path} must be settings of audiocraft, got {type(settings).__name__}; write it: {how}")
    return settings


def found(settings: Mapping[str, Any], name: str, usual: Any = None) -> Any:
    """A value by its dotted name, or what it refers to by "${name}"; ``usual`` where there is none."""
    value: Any = settings
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return usual
        value = value[part]
    if isinstance(value, str) and (other := re.fullmatch(r"\$\{([\w.]+)\}", value)):
        return found(settings, other[1], usual) if other[1] != name else usual
    return value


def check_settings(path: Path, settings: Mapping[str, Any], wanted: Mapping[str, Any], kind: str) -> None:
    """ValueError in a sentence where a setting says another arithmetic than ours."""
    for name, value in wanted.items():
        said = found(settings, name, value)
        if said != value:
            raise ValueError(f"{path} must say {name}: {value}, as {kind} has it, got {said}; name another folder")


def encodec_values(path: Path) -> dict[str, Any]:
    """The values of a ``config.json`` of transformers' EnCodec."""
    settings = settings_of(path, HOW)
    check_settings(path, settings, {"compression_model": "encodec", **_AS_THERE}, "EnCodec")
    values: dict[str, Any] = {"model_type": "encodec", "normalize": False, "chunk_length_s": None}
    names = {theirs: f"seanet.{ours}" for theirs, ours in _SEANET.items()}
    names |= {"sampling_rate": "encodec.sample_rate", "audio_channels": "encodec.channels", "codebook_size": "rvq.bins"}
    for theirs, ours in names.items():
        value = found(settings, ours)
        if value is None:
            raise ValueError(f"{path} must say {ours}, but does not; write it again: {HOW}")
        values[theirs] = value
    values["use_causal_conv"] = bool(found(settings, "seanet.causal", False))
    values["use_conv_shortcut"] = not found(settings, "seanet.true_skip", True)
    values["trim_right_ratio"] = found(settings, "seanet.decoder.trim_right_ratio", 1.0)
    rate = values["sampling_rate"] / math.prod(values["upsampling_ratios"])
    bits = rate * math.log2(values["codebook_size"]) * found(settings, "rvq.n_q", 1)
    return {**values, "target_bandwidths": [bits / 1000]}


def encodec_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by the names of transformers."""
    return {renamed(name): own for name, own in tensors.items()}
