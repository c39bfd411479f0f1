"""WavTokenizer: codes and sound are those of its published code, recorded; the rest by the contract.

``recorded/wavtokenizer.safetensors`` holds what github.com/jishengpeng/WavTokenizer (SEANetEncoder, its codebook,
VocosBackbone, ISTFTHead) gave for the sound and the weights that are drawn here.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import tokenmask as tm
from tokenmask.modalities.audio.media import AudioClip
from tokenmask.modalities.published import PublishedCodec
from tokenmask.modalities.published.wavtokenizer_network import spectrum_sound
from tokenmask.testing import tokenizer_checks

from .contract import each_check, run_check
from .small_published import needs_transformers

RECORDED = Path(__file__).parent / "recorded" / "wavtokenizer.safetensors"
ENCODER, BOOK = (
    "feature_extractor.encodec.encoder.model",
    "feature_extractor.encodec.quantizer.vq.layers.0._codebook.embed",
)
WIDTH, SIZE, RATIOS = 64, 64, (2, 3, 4)  # a step is 24 samples


def weights() -> dict[str, Tensor]:
    """A small network by the published names."""
    draw = torch.Generator().manual_seed(0)
    made = lambda *shape, size=1.0: size * torch.randn(*shape, generator=draw)  # noqa: E731
    found: dict[str, Tensor] = {}

    def normed(name: str, out: int, wide: int, size: int) -> None:
        found[f"{ENCODER}.{name}.conv.conv.weight_g"] = 2 + made(out, 1, 1, size=0.2)
        found[f"{ENCODER}.{name}.conv.conv.weight_v"] = made(out, wide, size)
        found[f"{ENCODER}.{name}.conv.conv.bias"] = made(out, size=0.1)

    normed("0", 4, 1, 7)
    for index, ratio in enumerate(RATIOS):
        wide, at = 4 * 2**index, 1 + 3 * index
        normed(f"{at}.block.1", wide // 2, wide, 3)
        normed(f"{at}.block.3", wide, wide // 2, 1)
        normed(f"{at}.shortcut", wide, wide, 1)
        normed(f"{at + 2}", 2 * wide, wide, 2 * ratio)
    for layer in range(2):
        for part in ("ih", "hh"):
            found[f"{ENCODER}.10.lstm.weight_{part}_l{layer}"] = made(4 * 32, 32, size=0.2)
            found[f"{ENCODER}.10.lstm.bias_{part}_l{layer}"] = made(4 * 32, size=0.1)
    normed("12", WIDTH, 32, 7)
    found[BOOK] = made(SIZE, WIDTH)

    def layer(name: str, *shape: int) -> None:
        found[f"{name}.weight"] = made(*shape, size=1.2 / math.prod(shape[1:]) ** 0.5)
        found[f"{name}.bias"] = made(shape[0], size=0.1)

    def norm(name: str) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = 1 + made(WIDTH, size=0.1), made(WIDTH, size=0.1)

    def scaled(name: str) -> None:
        found[f"{name}.scale.weight"], found[f"{name}.shift.weight"] = (
            1 + made(4, WIDTH, size=0.1),
            made(4, WIDTH, size=0.1),
        )

    layer("backbone.embed", WIDTH, WIDTH, 7)
    for part in (0, 1, 3, 4):
        for one in (1, 2):
            norm(f"backbone.pos_net.{part}.norm{one}")
            layer(f"backbone.pos_net.{part}.conv{one}", WIDTH, WIDTH, 3)
    norm("backbone.pos_net.2.norm")
    for one in ("q", "k", "v", "proj_out"):
        layer(f"backbone.pos_net.2.{one}", WIDTH, WIDTH, 1)
    norm("backbone.pos_net.5")
    scaled("backbone.norm")
    for index in range(2):
        name = f"backbone.convnext.{index}"
        found[f"{name}.gamma"] = 0.5 + made(WIDTH, size=0.1)
        layer(f"{name}.dwconv", WIDTH, 1, 7)
        scaled(f"{name}.norm")
        layer(f"{name}.pwconv1", 48, WIDTH)
        layer(f"{name}.pwconv2", WIDTH, 48)
    norm("backbone.final_layer_norm")
    layer("head.out", 98, WIDTH)
    return found


def sound() -> Tensor:
    """float32 [1, 480], 20 steps."""
    draw = torch.Generator().manual_seed(1)
    return 0.4 * torch.randn(1, 480, generator=draw) * (torch.arange(480) * 0.05).sin()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a checkpoint is converted: with what is not needed, too."""
    place = tmp_path_factory.mktemp("wavtokenizer")
    more = {
        "head.istft.window": torch.hann_window(96),
        "feature_extractor.encodec.decoder.model.0.conv.conv.bias": torch.ones(2),
    }
    save_file({**weights(), **more}, place / "model.safetensors")
    return place


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> PublishedCodec:
    return tm.tokenizer("wavtokenizer", folder)  # type: ignore[return-value]


@torch.no_grad()
def test_sound_is_that_of_the_published_code() -> None:
    recorded, held = load_file(RECORDED), weights()
    vectors = held[BOOK][recorded["codes"].long()].T[None]
    made = spectrum_sound(vectors, held.__getitem__, 24)
    assert made.shape == (480,) and recorded["sound"].std() > 0.01
    torch.testing.assert_close(made, recorded["sound"], rtol=1e-4, atol=1e-5)
    other = spectrum_sound(vectors, held.__getitem__, 24, bandwidth=1)
    assert not torch.allclose(other, made, atol=1e-3)


@needs_transformers
def test_codes_are_those_of_the_published_code(tokenizer: PublishedCodec) -> None:
    stream = tokenizer.encode(AudioClip(sound(), 24000))
    recorded = load_file(RECORDED)
    assert torch.equal(stream.codes[:, 0], recorded["codes"]) and len(recorded["codes"].unique()) > 3
    assert (stream.spec.codebook_sizes, stream.spec.rate_hz) == ((SIZE,), 1000.0)
    made = tokenizer.decode(stream)
    torch.testing.assert_close(made.samples[0], recorded["sound"], rtol=1e-4, atol=1e-5)


@needs_transformers
@each_check
@pytest.mark.filterwarnings("ignore:.*for this .*Tokenizer")
def test_contract(name: str, tokenizer: PublishedCodec) -> None:
    items = [
        AudioClip(sound(), 24000),
        AudioClip(torch.full((1, 1), 0.5), 24000),
        AudioClip(torch.zeros(2, 900), 22050),
    ]
    run_check(name, list(tokenizer_checks(tokenizer, items, suffix=".wav")))


@needs_transformers
def test_what_a_checkpoint_holds_besides_counts_for_nothing(
    tokenizer: PublishedCodec, folder: Path, tmp_path: Path
) -> None:
    held = load_file(folder / "model.safetensors")
    save_file(
        {**held, f"{BOOK}_avg": held[BOOK] + 1, "discriminator.x": held[BOOK] + 2}, tmp_path / "model.safetensors"
    )
    assert tm.tokenizer("wavtokenizer", tmp_path).spec == tokenizer.spec


@needs_transformers
def test_what_cannot_be_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"as pickle only \(model\.ckpt\).* where you trust it: save_file\(torch\.load"
    ):
        tm.tokenizer("wavtokenizer", tmp_path)
    all_of_them = load_file(folder / "model.safetensors")
    save_file({name: own for name, own in all_of_them.items() if "norm1" not in name}, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match=r"must have tensors that fit each other, but do not \('backbone\.pos_net\.0\.norm1"
    ):
        tm.tokenizer("wavtokenizer", tmp_path)
    save_file({name: own for name, own in all_of_them.items() if "lstm" not in name}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"must fit its config\.json and weights, .*; take all weights of one"):
        tm.tokenizer("wavtokenizer", tmp_path)
