"""Cosmos' discrete tokenizer of pictures, NVIDIA/Cosmos-Tokenizer, beside our network.

``python benchmarks/parity/cosmos.py FOLDER`` with a folder that holds the official checkout; einops is needed, loguru
is stood in for. A small network, the same random weights on both sides, loaded strictly by the published names. Equal:
the codes of a picture; to rounding: the picture of any codes. ``--record`` keeps what the official code gave for the
tests.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from pictures import compared
from torch import Tensor

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from tests.modalities import small_cosmos as small  # noqa: E402
from tokenmask.modalities.published.cosmos_network import CosmosVq  # noqa: E402


def official(checkout: Path) -> Any:
    if not (checkout / "cosmos_tokenizer" / "networks" / "discrete_image.py").is_file():
        raise SystemExit(f"skipped: {checkout} is not there; give the folder of the official checkout")
    sys.path.insert(0, str(checkout))
    loguru = sys.modules["loguru"] = ModuleType("loguru")
    loguru.__dict__.update(logger=SimpleNamespace(info=lambda _: None, debug=lambda _: None, warning=lambda _: None))
    package = ModuleType("cosmos_tokenizer")  # without what reads media
    package.__path__ = [str(checkout / "cosmos_tokenizer")]
    sys.modules["cosmos_tokenizer"] = package
    from cosmos_tokenizer.networks.discrete_image import DiscreteImageTokenizer

    model = DiscreteImageTokenizer(
        z_channels=small.LATENT, embedding_dim=len(small.LEVELS), attn_resolutions=[8], channels=small.CHANNELS,
        channels_mult=list(small.MULTIPLIERS), dropout=0.0, in_channels=3, out_channels=3, spatial_compression=4,
        num_res_blocks=small.BLOCKS, resolution=small.RESOLUTION, patch_size=small.PATCH, patch_method="haar",
        quantizer="FSQ", levels=list(small.LEVELS), num_quantizers=4, dtype=torch.float32,
    )  # fmt: skip
    model.load_state_dict(small.weights())
    return model.eval()


def theirs(model: Any) -> dict[str, Tensor]:
    codes, _, _ = model.encode(small.pixels())
    return {"codes": codes[0].int().contiguous(), "pixels": model.decode_code(codes)}


def ours(codes: Tensor) -> dict[str, Tensor]:
    network = CosmosVq(small.weights(), small.LEVELS)
    return {"codes": network.codes(small.pixels()).int(), "pixels": network.pixels(codes.long())}


if __name__ == "__main__":
    compared("cosmos", __doc__, official, theirs, ours)
