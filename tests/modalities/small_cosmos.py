"""A small Cosmos tokenizer of pictures with random weights, and pixels for it: for the tests and to compare."""

from __future__ import annotations

import torch
from torch import Tensor

CHANNELS, MULTIPLIERS, BLOCKS, LATENT, LEVELS, PATCH, RESOLUTION = 32, (1, 2), 1, 8, (4, 3, 5), 2, 32
"""By the names of its configuration; attention stands at the stage of 8 x 8, a code covers 4 x 4 pixels."""
ATTENTION = 1  # the stage


def weights(patch: int = PATCH, numbers: int = len(LEVELS)) -> dict[str, Tensor]:
    """float32 tensors by their published names; ``numbers`` are of a vector that is quantised."""
    generator = torch.Generator().manual_seed(5)
    found: dict[str, Tensor] = {}

    def conv(name: str, out: int, wide: int, size: int) -> None:
        found[f"{name}.weight"] = (
            torch.randn(out, wide, size, size, generator=generator) * 1.4 / (wide * size**2) ** 0.5
        )
        found[f"{name}.bias"] = torch.randn(out, generator=generator) * 0.1

    def norm(name: str, width: int) -> None:
        found[f"{name}.weight"] = 1 + torch.randn(width, generator=generator) * 0.1
        found[f"{name}.bias"] = torch.randn(width, generator=generator) * 0.1

    def block(name: str, wide: int, out: int) -> None:
        norm(f"{name}.norm1", wide)
        conv(f"{name}.conv1", out, wide, 3)
        norm(f"{name}.norm2", out)
        conv(f"{name}.conv2", out, out, 3)
        if wide != out:
            conv(f"{name}.nin_shortcut", out, wide, 1)

    def attention(name: str, width: int) -> None:
        norm(f"{name}.norm", width)
        for one in ("q", "k", "v", "proj_out"):
            conv(f"{name}.{one}", width, width, 1)

    colours, widths = 3 * patch**2, [CHANNELS * one for one in MULTIPLIERS]
    conv("encoder.conv_in", CHANNELS, colours, 3)
    wide = CHANNELS
    for stage, width in enumerate(widths):
        for at in range(BLOCKS):
            block(f"encoder.down.{stage}.block.{at}", wide, width)
            if stage == ATTENTION:
                attention(f"encoder.down.{stage}.attn.{at}", width)
            wide = width
        if stage == 0:
            conv(f"encoder.down.{stage}.downsample.conv", width, width, 3)
    conv("decoder.conv_in", wide, LATENT, 3)
    for part in ("encoder", "decoder"):
        block(f"{part}.mid.block_1", wide, wide)
        attention(f"{part}.mid.attn_1", wide)
        block(f"{part}.mid.block_2", wide, wide)
    for stage, width in reversed(list(enumerate(widths))):
        for at in range(BLOCKS + 1):
            block(f"decoder.up.{stage}.block.{at}", wide, width)
            if stage == ATTENTION:
                attention(f"decoder.up.{stage}.attn.{at}", width)
            wide = width
        if stage == len(widths) - 1:
            conv(f"decoder.up.{stage}.upsample.conv", width, width, 3)
    norm("encoder.norm_out", widths[-1])
    conv("encoder.conv_out", LATENT, widths[-1], 3)
    norm("decoder.norm_out", wide)
    conv("decoder.conv_out", colours, wide, 3)
    conv("quant_conv", numbers, LATENT, 1)
    conv("post_quant_conv", LATENT, numbers, 1)
    return found


def pixels() -> Tensor:
    """float32 [1, 3, 32, 32] from -1 to 1."""
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    waves = torch.stack([(rows * 0.3).sin(), (columns * 0.4 + 1).cos(), ((rows + columns) * 0.2).sin()])
    noise = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(6))
    return (0.6 * waves + 0.2 * noise).clamp(-1, 1)[None]
