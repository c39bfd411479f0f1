"""Cosmos' pictures: codes and pixels are those of its published code, recorded; the rest by the contract.

``recorded/cosmos.safetensors`` holds what github.com/NVIDIA/Cosmos-Tokenizer (DiscreteImageTokenizer) gave for the
pixels and weights that are drawn here: ``benchmarks/parity/cosmos.py`` compares with a checkout.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import tokenmask as tm
from tokenmask.modalities.image import Image
from tokenmask.modalities.published.cosmos import CosmosTokenizer
from tokenmask.modalities.published.cosmos_network import CosmosVq
from tokenmask.testing import tokenizer_checks

from .contract import each_check, run_check
from .small_cosmos import LEVELS, pixels, weights

RECORDED = Path(__file__).parent / "recorded" / "cosmos.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As converted from a traced network, whose constants stand beside the weights."""
    made = tmp_path_factory.mktemp("cosmos")
    constants = {name: torch.zeros(2) for name in ("encoder.patcher.wavelets", "quantizer._levels")}
    save_file({**weights(), **constants}, made / "model.safetensors")
    (made / "config.json").write_text(json.dumps({"levels": LEVELS}))
    return made


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> CosmosTokenizer:
    return tm.tokenizer("cosmos", folder, size=32)  # type: ignore[return-value]


@torch.no_grad()
def test_codes_and_pixels_are_those_of_the_published_network(tokenizer: CosmosTokenizer) -> None:
    wanted, network = load_file(RECORDED), CosmosVq(weights(), LEVELS)
    codes = network.codes(pixels())
    assert torch.equal(codes.int(), wanted["codes"]) and len(codes.unique()) > 20
    torch.testing.assert_close(network.pixels(codes), wanted["pixels"], rtol=1e-3, atol=1e-3)
    assert (network.patch, network.stages, network.stride) == (2, 2, 4)
    assert torch.equal(tokenizer.network.codes(pixels()), codes)


@each_check
def test_contract(name: str, tokenizer: CosmosTokenizer) -> None:
    draw = torch.Generator().manual_seed(1)
    items = [Image(torch.randint(256, size, generator=draw).to(torch.uint8)) for size in ((32, 32, 3), (20, 48, 3))]
    items.append(Image(torch.zeros(1, 1, 3, dtype=torch.uint8)))
    run_check(name, list(tokenizer_checks(tokenizer, items, suffix=".png")))


def test_what_the_codes_mean(tokenizer: CosmosTokenizer, folder: Path) -> None:
    assert (tokenizer.spec.codebook_sizes, tokenizer.spec.grid) == ((60,), (8, 8))
    assert tm.tokenizer("cosmos", folder, size=16).spec.grid == (4, 4)
    white = tokenizer.codes_of(torch.ones(1, 3, 32, 32))
    assert torch.equal(
        tokenizer.encode(Image(torch.full((8, 8, 3), 255, dtype=torch.uint8))).codes[..., 0], white.int()
    )


def test_what_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "autoencoder.jit").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"as pickle only \(autoencoder\.jit\).* trust it: save_file\(\{name: own\.float"
    ):
        tm.tokenizer("cosmos", tmp_path, size=32)
    save_file(weights(), tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match=r"levels must name 3 sizes, got \[8, 8, 8, 5, 5, 5\]; use the own config\.json"
    ):
        tm.tokenizer("cosmos", tmp_path, size=32)
    (tmp_path / "config.json").write_text(json.dumps({"levels": LEVELS}))
    with pytest.raises(ValueError, match=r"must be a multiple of 4 pixels, and low 0 or -1, got 30"):
        tm.tokenizer("cosmos", tmp_path, size=30)
    lacking = weights()
    del lacking["encoder.mid.attn_1.q.weight"]
    save_file(lacking, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match=r"a Cosmos needs the tensor encoder\.mid\.attn_1\.q\.weight; take the weights"
    ):
        tm.tokenizer("cosmos", tmp_path, size=32)
