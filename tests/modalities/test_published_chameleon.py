"""Chameleon's pictures: codes are those of transformers, pixels those of its authors' code, recorded.

``recorded/chameleon.safetensors`` holds what github.com/facebookresearch/chameleon (vqgan.py) gave for the pixels and
weights that are drawn here: ``benchmarks/parity/chameleon.py`` compares with a checkout.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import tokenmask as tm
from tokenmask.modalities.image import Image
from tokenmask.modalities.published.chameleon import ChameleonTokenizer
from tokenmask.modalities.published.chameleon_network import ChameleonVq
from tokenmask.testing import tokenizer_checks

from .contract import each_check, run_check
from .small_chameleon import CODES, CONFIG, NUMBERS, pixels, weights
from .small_published import needs_transformers, untouched

RECORDED = Path(__file__).parent / "recorded" / "chameleon.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As converted from vqgan.ckpt, which holds what served training too."""
    made = tmp_path_factory.mktemp("chameleon")
    save_file({**weights(), "loss.logvar": torch.zeros(())}, made / "model.safetensors")
    return made


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> ChameleonTokenizer:
    return tm.tokenizer("chameleon", folder, size=32)  # type: ignore[return-value]


@torch.no_grad()
def test_codes_and_pixels_are_those_of_the_published_network(tokenizer: ChameleonTokenizer) -> None:
    wanted, network = load_file(RECORDED), ChameleonVq(weights())
    codes = network.codes(pixels())
    assert torch.equal(codes.int(), wanted["codes"]) and len(codes.unique()) > 20
    torch.testing.assert_close(network.pixels(codes), wanted["pixels"], rtol=1e-4, atol=1e-4)
    assert torch.equal(tokenizer.network.codes(pixels()), codes)


@needs_transformers
@torch.no_grad()
@pytest.mark.parametrize("attention", ["vanilla", "none"])
def test_codes_are_those_of_transformers_bit_for_bit(attention: str) -> None:
    from transformers import ChameleonVQVAE, ChameleonVQVAEConfig

    own = {name: one for name, one in weights().items() if attention != "none" or ".attn" not in name}
    theirs = untouched(lambda: ChameleonVQVAE(ChameleonVQVAEConfig(**CONFIG, attn_type=attention)))
    lacking, unknown = theirs.load_state_dict(own, strict=False)
    assert not lacking and all(name.startswith("decoder.") for name in unknown)
    network, found = ChameleonVq(own), theirs.encode(pixels())
    assert torch.equal(network.codes(pixels()).flatten(), found.image_tokens)
    assert torch.equal(network.encoded(pixels()), theirs.quant_conv(theirs.encoder(pixels())))
    assert len(found.image_tokens.unique()) > 20


@each_check
def test_contract(name: str, tokenizer: ChameleonTokenizer) -> None:
    draw = torch.Generator().manual_seed(1)
    items = [Image(torch.randint(256, size, generator=draw).to(torch.uint8)) for size in ((32, 32, 3), (20, 48, 3))]
    items.append(Image(torch.zeros(1, 1, 3, dtype=torch.uint8)))
    run_check(name, list(tokenizer_checks(tokenizer, items, suffix=".png")))


def test_what_the_codes_mean(tokenizer: ChameleonTokenizer) -> None:
    assert (tokenizer.spec.codebook_sizes, tokenizer.spec.grid) == ((CODES,), (16, 16))
    network = tokenizer.network
    assert (network.stages, network.stride) == (2, 2)
    one = network.tensor("quantize.embedding.weight")[5]
    assert torch.equal(
        network.pixels(torch.full((16, 16), 5)), network.decoded(one.view(1, NUMBERS, 1, 1).expand(1, NUMBERS, 16, 16))
    )


def test_a_chameleon_of_transformers_opens_with_its_decoder(tokenizer: ChameleonTokenizer, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "chameleon", "vq_config": CONFIG}))
    held = {f"model.vqmodel.{name}": one for name, one in weights().items()} | {"lm_head.weight": torch.zeros(2, 2)}
    save_file(held, tmp_path / "model.safetensors")
    assert tm.tokenizer("chameleon", tmp_path, size=32).spec == tokenizer.spec
    save_file({name: one for name, one in held.items() if ".decoder." not in name}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"must hold the decoder of its pictures too.*; take vqgan\.ckpt"):
        tm.tokenizer("chameleon", tmp_path, size=32)


def test_what_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "vqgan.ckpt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"as pickle only \(vqgan\.ckpt\).* trust it: save_file\(torch\.load"):
        tm.tokenizer("chameleon", tmp_path, size=32)
    lacking = weights()
    del lacking["decoder.mid.attn_1.q.weight"]
    save_file(lacking, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"a Chameleon needs the tensor decoder\.mid\.attn_1\.q\.weight; take"):
        tm.tokenizer("chameleon", tmp_path, size=32)
    save_file({**weights(), "quantize.embedding.weight": torch.zeros(8, 3)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="ChameleonTokenizer must have tensors that fit each other"):
        tm.tokenizer("chameleon", tmp_path, size=32)
