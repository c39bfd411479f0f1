"""SNAC: codes and sound are those of its package, on small networks with random weights."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import tokenmask as tm
from tokenmask.modalities.audio.media import AudioClip
from tokenmask.modalities.published import PublishedCodec
from tokenmask.testing import tokenizer_checks

from .contract import each_check, run_check
from .small_published import untouched

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("snac") is None, reason="needs snac: pip install 'tokenmask[hub]'"),
    pytest.mark.filterwarnings("ignore:.*for this .*Tokenizer"),
]
PLAIN: dict[str, Any] = {
    "sampling_rate": 8000, "encoder_dim": 8, "encoder_rates": [2, 4], "decoder_dim": 16, "decoder_rates": [4, 2],
    "attn_window_size": None, "codebook_size": 64, "codebook_dim": 4, "vq_strides": [4, 2, 1], "depthwise": True,
}  # fmt: skip
SHAPES = {"plain": PLAIN, "attention": {**PLAIN, "encoder_dim": 16, "decoder_dim": 64, "attn_window_size": 8}}


@pytest.fixture(scope="module", params=list(SHAPES))
def theirs(request: pytest.FixtureRequest) -> Any:
    import snac

    network = untouched(lambda: snac.SNAC(**SHAPES[request.param])).eval()
    return network


@pytest.fixture(scope="module")
def folder(theirs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("snac")
    save_file(theirs.state_dict(), place / "model.safetensors")
    shape = SHAPES["plain" if theirs.attn_window_size is None else "attention"]
    (place / "config.json").write_text(json.dumps(shape))
    return place


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> PublishedCodec:
    return tm.tokenizer("snac", folder)  # type: ignore[return-value]


def clip(samples: int = 1024, seed: int = 0) -> AudioClip:
    draw = torch.Generator().manual_seed(seed)
    tone = (torch.arange(samples) * 0.3).sin() * torch.rand(samples, generator=draw)
    return AudioClip(0.5 * tone[None], 8000)


@each_check
def test_contract(name: str, tokenizer: PublishedCodec) -> None:
    items = [clip(900), AudioClip(torch.full((1, 1), 0.5), 8000), AudioClip(torch.zeros(2, 900), 22050)]
    run_check(name, list(tokenizer_checks(tokenizer, items, suffix=".wav")))


@torch.no_grad()
def test_codes_and_sound_are_those_of_the_package(tokenizer: PublishedCodec, theirs: Any) -> None:
    """A row for each code of a frame: one of the slowest codebook, two of the next, four of the fastest."""
    found = tokenizer.encode(clip()).codes
    slow, middle, fast = (codes[0] for codes in theirs.encode(clip().samples[None]))
    assert torch.equal(found[:, 0].long(), slow) and len(found[:, 0].unique()) > 2
    assert torch.equal(found[:, 1:3].long().flatten(), middle)
    assert torch.equal(found[:, 3:].long().flatten(), fast)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sound = theirs.decode([slow[None], middle[None], fast[None]])
    made = tokenizer.decode(tokenizer.encode(clip()))
    assert torch.equal(made.samples, sound[0]) and made.samples.abs().max() > 0
    assert torch.equal(made.samples, tokenizer.decode(tokenizer.encode(clip())).samples)  # its noise is the same


def test_whole_codebooks_are_left_out(tokenizer: PublishedCodec, folder: Path) -> None:
    assert (tokenizer.spec.codebook_sizes, tokenizer.spec.rate_hz) == ((64,) * 7, 250.0)
    coarse = tm.tokenizer("snac", folder, levels=3)
    assert torch.equal(coarse.encode(clip()).codes, tokenizer.encode(clip()).codes[:, :3])
    assert coarse.decode(coarse.encode(clip())).samples.shape == (1, 1024)
    with pytest.raises(ValueError, match=r"must be one of \[1, 3, 7\], got 2"):
        tm.tokenizer("snac", folder, levels=2)


def test_what_cannot_be_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "encodec"}))
    with pytest.raises(ValueError, match=r"must be SNAC's, but has no vq_strides; name another folder"):
        tm.tokenizer("snac", tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"as pickle only .* where you trust it: save_file\(SNAC\.from_pretrained"):
        tm.tokenizer("snac", tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"must fit its config\.json and weights, but .*; use both of one SNAC"):
        tm.tokenizer("snac", tmp_path)
