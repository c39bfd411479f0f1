"""Small networks of others with random weights, saved as their libraries save them: real code, no published weights."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="needs transformers: pip install 'tokenmask[hub]'"
)
needs_diffusers = pytest.mark.skipif(
    importlib.util.find_spec("diffusers") is None, reason="needs diffusers: pip install 'tokenmask[hub]'"
)

SEANET = {"num_filters": 4, "upsampling_ratios": [4, 4, 2], "sampling_rate": 8000}
DAC = {
    "encoder_hidden_size": 4,
    "decoder_hidden_size": 32,
    "downsampling_ratios": [2, 4, 4],
    "upsampling_ratios": [4, 4, 2],
}
ATTENTION = {"num_hidden_layers": 2, "intermediate_size": 32, "num_attention_heads": 2, "hidden_size": 16}
SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "encodec": (
        "Encodec",
        {**SEANET, "hidden_size": 16, "codebook_dim": 16, "codebook_size": 64, "target_bandwidths": [3.0, 6.0]},
    ),
    "dac": ("Dac", {**DAC, "n_codebooks": 4, "codebook_size": 64, "codebook_dim": 4, "sampling_rate": 8000}),
    "mimi": (
        "Mimi",
        {
            **SEANET,
            **ATTENTION,
            "codebook_size": 64,
            "codebook_dim": 8,
            "vector_quantization_hidden_dimension": 8,
            "num_quantizers": 4,
            "upsample_groups": 16,
            "num_key_value_heads": 2,
            "sliding_window": 8,
        },
    ),
    "xcodec": (
        "Xcodec",
        {
            "sample_rate": 8000,
            "target_bandwidths": [3.0, 6.0],
            "codebook_size": 64,
            "acoustic_model_config": {**DAC, "model_type": "dac", "hidden_size": 16},
            "semantic_model_config": {
                **ATTENTION,
                "model_type": "hubert",
                "conv_dim": [8] * 3,
                "conv_stride": [4, 4, 2],
                "conv_kernel": [4, 4, 2],
                "num_conv_pos_embeddings": 4,
                "num_conv_pos_embedding_groups": 2,
            },
        },
    ),
}


def untouched(make: Callable[[], Any]) -> Any:
    """What ``make`` gives; libraries draw random weights from global generators, which are put back."""
    states = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = make()
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    return made


def saved(name: str, folder: Path, **changes: Any) -> Path:
    """Saves the small network of a name with random weights and codebooks that differ, and gives the folder."""
    import transformers

    family, values = SMALL[name]
    config = getattr(transformers, f"{family}Config")(**{**values, **changes})
    network = untouched(lambda: _spread(getattr(transformers, f"{family}Model")(config)))
    network.save_pretrained(folder)
    return folder


def _spread(network: Any) -> Any:
    """Codebooks that begin as zeros become vectors that they are given for noise, so that codes are of many kinds."""
    noise = 0.3 * torch.randn(1, getattr(network.config, "audio_channels", 1), 32 * 200)
    network.eval()
    for module in network.modules():
        if not type(module).__name__.endswith("EuclideanCodebook"):
            continue
        seen, asked = [], module.quantize
        module.quantize = lambda vectors, seen=seen, asked=asked: (seen.append(vectors), asked(vectors))[1]
        with torch.no_grad():
            network.encode(noise)
        del module.quantize
        if seen:
            book = module.embed_sum if hasattr(module, "embed_sum") else module.embed
            vectors = seen[0].reshape(-1, book.shape[1])
            book.copy_(vectors[torch.randint(len(vectors), (len(book),))] * 1.0)
            if hasattr(module, "embed_sum"):
                module.cluster_usage.fill_(1.0)
                module._embed = None
    return network
