"""Pictures by networks of others: codes and pixels are those of the libraries, on small ones with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import tokenmask as tm
from tokenmask.modalities.image import Image
from tokenmask.modalities.published import PublishedPicture
from tokenmask.testing import tokenizer_checks

from .contract import each_check, run_check
from .small_published import needs_diffusers, needs_transformers, untouched

KINDS = [
    pytest.param("vqmodel", marks=needs_diffusers),
    pytest.param("janus", marks=needs_transformers),
    pytest.param("emu3", marks=needs_transformers),
]
VQ = {"base_channels": 32, "channel_multiplier": [1, 2, 2], "num_res_blocks": 1, "latent_channels": 8, "embed_dim": 4}


def network_of(kind: str) -> Any:
    if kind == "vqmodel":
        import diffusers

        return diffusers.VQModel(
            block_out_channels=(8, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            norm_num_groups=4,
            num_vq_embeddings=64,
            vq_embed_dim=4,
            latent_channels=8,
        )
    import transformers

    if kind == "janus":
        from transformers.models.janus.modeling_janus import JanusVQVAE, JanusVQVAEConfig

        return JanusVQVAE(JanusVQVAEConfig(**VQ, num_embeddings=64, num_patches=8))
    return transformers.Emu3VQVAE(
        transformers.Emu3VQVAEConfig(
            **{**VQ, "latent_channels": 4},
            codebook_size=64,
            hidden_size=64,
            attn_resolutions=[],
            temporal_downsample_factor=2,
        )
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {}


@pytest.fixture
def opened(
    kind: str, folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[PublishedPicture, Any]:
    """The tokenizer of a small network, and that network."""
    network = untouched(lambda: network_of(kind)).eval()
    if kind not in folders:
        folders[kind] = tmp_path_factory.mktemp(kind)
        network.save_pretrained(folders[kind])
    return untouched(lambda: tm.tokenizer(kind, folders[kind], size=32)), network


@each_check
@pytest.mark.parametrize("kind", KINDS)
def test_contract(
    kind: str, name: str, opened: tuple[PublishedPicture, Any], held_out_emoji: list[Image], noise: Image
) -> None:
    items = [
        *held_out_emoji[:2],
        held_out_emoji[7].resize(48, 20),
        Image(torch.zeros(1, 1, 3, dtype=torch.uint8)),
        noise,
    ]
    run_check(name, list(tokenizer_checks(opened[0], items, suffix=".png")))


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_codes_and_pixels_are_those_of_the_library(
    kind: str, opened: tuple[PublishedPicture, Any], held_out_emoji: list[Image]
) -> None:
    tokenizer, network = opened
    for item in held_out_emoji[:4]:
        pixels = item.pixels.movedim(2, 0)[None].float() / 255
        if kind == "vqmodel":
            codes = network.quantize(network.encode(pixels).latents)[2][2].view(8, 8)
            network.register_to_config(lookup_from_codebook=True)  # as aMUSEd's own is
            made = network.decode(codes[None].flatten(1), force_not_quantize=True, shape=(1, 8, 8, 4)).sample.clip(0, 1)
        elif kind == "janus":
            codes = network.encode(pixels * 2 - 1).image_tokens.view(8, 8)
            made = (network.decode(codes.view(1, -1)).clip(-1, 1) + 1) / 2
        else:
            codes = network.encode(pixels * 2 - 1, image_sizes=torch.tensor([[32, 32]])).image_tokens[0]
            made = (network.decode(codes[None]).clip(-1, 1) + 1) / 2
        stream = tokenizer.encode(item)
        assert torch.equal(stream.codes[:, :, 0].long(), codes)
        assert len(set(codes.flatten().tolist())) > 3
        assert torch.equal(tokenizer.decode(stream).pixels, (made[0] * 255).round().to(torch.uint8).movedim(0, 2))


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_codes_mean_and_what_is_kept(
    kind: str, opened: tuple[PublishedPicture, Any], folders: dict[str, Path], held_out_emoji: list[Image]
) -> None:
    tokenizer = opened[0]
    assert (tokenizer.spec.codebook_sizes, tokenizer.spec.grid) == ((64,), (8, 8))
    assert tokenizer.config.low == (0.0 if kind == "vqmodel" else -1.0)
    stream = tokenizer.encode(held_out_emoji[0])
    places = tokenizer.places(held_out_emoji[0], stream, (0, 0, 5, 4))
    assert places.nonzero().tolist() == [[0, 0], [0, 1]]
    white = Image(torch.full((32, 32, 3), 255, dtype=torch.uint8))
    mixed = tokenizer.decode(stream, given=white, keep=places).pixels
    assert torch.equal(mixed[:4, :8], white.pixels[:4, :8])
    assert torch.equal(mixed[4:], tokenizer.decode(stream).pixels[4:])
    if kind == "janus":
        assert untouched(lambda: tm.tokenizer(kind, folders[kind])).spec == tokenizer.spec
        message = "codes pictures of 32 pixels a side only, got size=64"
    else:
        message = "must be a multiple of 4 pixels, and low 0 or -1, got 30"
    with pytest.raises(ValueError, match=message):
        untouched(lambda: tm.tokenizer(kind, folders[kind], size=64 if kind == "janus" else 30))


@needs_transformers
def test_a_part_of_a_larger_model_is_found(tmp_path: Path, held_out_emoji: list[Image]) -> None:
    network = untouched(lambda: network_of("janus"))
    network.save_pretrained(tmp_path / "alone")
    alone = untouched(lambda: tm.tokenizer("janus", tmp_path / "alone"))
    (tmp_path / "whole").mkdir()
    values = json.loads((tmp_path / "alone" / "config.json").read_text())
    (tmp_path / "whole" / "config.json").write_text(json.dumps({"model_type": "janus", "vq_config": values}))
    tensors = load_file(tmp_path / "alone" / "model.safetensors")
    held = {f"model.vqmodel.{name}": tensor for name, tensor in tensors.items()} | {"lm_head.weight": torch.zeros(2, 2)}
    save_file(held, tmp_path / "whole" / "model.safetensors")
    part = untouched(lambda: tm.tokenizer("janus", tmp_path / "whole"))
    assert part.spec == alone.spec
    assert part.encode(held_out_emoji[0]) == alone.encode(held_out_emoji[0])
