"""A small VQGAN as Chameleon has it, with random weights, for the tests and to compare; pixels are those of Cosmos."""

from __future__ import annotations

import torch
from torch import Tensor

from . import small_cosmos as small

CODES, NUMBERS = 64, 4
CONFIG = {
    "embed_dim": NUMBERS, "num_embeddings": CODES, "latent_channels": small.LATENT, "resolution": small.RESOLUTION,
    "base_channels": small.CHANNELS, "channel_multiplier": list(small.MULTIPLIERS), "num_res_blocks": small.BLOCKS,
    "attn_resolutions": [small.RESOLUTION >> small.ATTENTION],
}  # fmt: skip
"""By the names of transformers; a code covers 2 x 2 pixels."""
pixels = small.pixels


def weights() -> dict[str, Tensor]:
    """float32 tensors by the names of vqgan.ckpt."""
    book = torch.randn(CODES, NUMBERS, generator=torch.Generator().manual_seed(7))
    return {**small.weights(patch=1, numbers=NUMBERS), "quantize.embedding.weight": book}
