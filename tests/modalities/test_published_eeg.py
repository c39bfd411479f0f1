"""Tokenizers of EEG of others: codes and spectra are those of their published code, recorded; the rest by the contract.

``recorded/labram.safetensors`` and ``recorded/neurorvq.safetensors`` hold what github.com/935963004/LaBraM (VQNSP) and
github.com/KonstantinosBarmpas/NeuroRVQ (NeuroRVQTokenizer) gave for the waves and weights that are drawn here:
``benchmarks/parity/eeg_tokenizers.py`` compares with a checkout.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import tokenmask as tm
from tokenmask.modalities.eeg import EegRecording
from tokenmask.modalities.published.electrodes import LABRAM, NEURORVQ
from tokenmask.modalities.published.labram_network import LabramVq
from tokenmask.modalities.published.neurorvq_network import NeuroRvq
from tokenmask.modalities.published.recording import PublishedRecording
from tokenmask.testing import tokenizer_checks

from .contract import each_check, run_check
from .small_eeg import HEADS, LEVELS, SAMPLES, labram_weights, neurorvq_weights, waves

RECORDED = Path(__file__).parent / "recorded"
WEIGHTS: dict[str, Callable[..., dict[str, Tensor]]] = {"labram": labram_weights, "neurorvq": neurorvq_weights}
NAMES = ("Fp1", "Cz", "O2")
each_kind = pytest.mark.parametrize("kind", list(WEIGHTS))


def recording(seconds: int = 4, channels: tuple[str, ...] = NAMES, rate: float = 200.0) -> EegRecording:
    """``seconds`` patches of the small networks, which are a fifth of a second."""
    return EegRecording(waves(len(channels), seconds), rate, channels)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for kind, weights in WEIGHTS.items():
        folder = made[kind] = tmp_path_factory.mktemp(kind)
        training = {
            name: torch.zeros(3) for name in ("quantize.embedding.initted", "quantize.cluster_size", "loss.scale")
        }
        save_file({**weights(), **training}, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps({"num_heads": HEADS}))
    return made


@pytest.fixture(scope="module")
def tokenizers(folders: dict[str, Path]) -> dict[str, PublishedRecording]:
    return {kind: tm.tokenizer(kind, folder) for kind, folder in folders.items()}  # type: ignore[misc]


@each_kind
@torch.no_grad()
def test_codes_and_spectra_are_those_of_the_published_network(kind: str) -> None:
    """Spectra at a hundred thousandth, as convolutions of another processor may sum otherwise; codes are equal."""
    wanted, places, patches = (
        load_file(RECORDED / f"{kind}.safetensors"),
        torch.tensor([4, 0, 55]),
        waves().view(3, 4, -1),
    )
    if kind == "labram":
        network: Any = LabramVq(labram_weights(), HEADS)
        names, patches = ("amplitudes", "angles"), patches / 100
    else:
        network, names = NeuroRvq(neurorvq_weights()), ("amplitudes", "sines", "cosines")
    codes = network.codes(patches, places)
    assert torch.equal(codes.int(), wanted["codes"]) and len(codes.unique()) > 4
    for name, told in zip(names, network.told(codes, places), strict=True):
        torch.testing.assert_close(told.flatten(0, 1), wanted[name], rtol=1e-4, atol=1e-4)
    assert (network.heads, network.samples, network.width) == (HEADS, SAMPLES, 40)


def by_hand(told: tuple[Tensor, ...]) -> Tensor:
    """The wave of what NeuroRVQ's decoder tells, with the size of the waves that are drawn."""
    size = torch.fft.fft(waves().view(3, 4, SAMPLES)).abs().log1p()
    amplitudes, sines, cosines = told
    spectrum = torch.expm1(amplitudes * size.std() + size.mean()) * torch.complex(cosines, sines)
    return torch.fft.ifft(spectrum).real.reshape(3, -1)


def test_the_wave_of_neurorvq_is_the_published_one(tokenizers: dict[str, PublishedRecording]) -> None:
    """Its own reconstruction takes the size of amplitudes from the recording; it is told over its deviation."""
    network = tokenizers["neurorvq"]
    own = recording(channels=("C4", "A1", "Fp1"))
    stream = network.encode(own)
    made = network.decode(stream, given=own, keep=torch.zeros(stream.grid, dtype=torch.bool)).samples
    told = network.network.told(stream.codes.long(), torch.tensor([10, 0, 55]))
    torch.testing.assert_close(made, by_hand(told), rtol=1e-3, atol=1e-3)
    recorded = load_file(RECORDED / "neurorvq.safetensors")
    wave = by_hand(network.network.told(recorded["codes"].long(), torch.tensor([4, 0, 55])))
    torch.testing.assert_close((wave - wave.mean()) / wave.std(), recorded["wave"], rtol=1e-3, atol=1e-3)


@each_check
@each_kind
def test_contract(kind: str, name: str, tokenizers: dict[str, PublishedRecording]) -> None:
    slow = EegRecording(waves(2, 3)[:, :101], 100.0, ("EEG Cz-REF", "O1"))
    items = [recording(4), slow, EegRecording(waves(1, 1)[:, :7], 200.0, ("Fz",))]
    refused = [recording(1, ("Fp1", "Cz", "elbow"))]
    run_check(name, list(tokenizer_checks(tokenizers[kind], items, refused=refused, suffix=".npz")))


@each_kind
def test_what_the_codes_mean(kind: str, tokenizers: dict[str, PublishedRecording]) -> None:
    spec = tokenizers[kind].spec
    levels = 1 if kind == "labram" else 4 * LEVELS
    assert (spec.modality, spec.codebook_sizes, spec.axes) == ("eeg", (32,) * levels, ("channel", "time"))
    assert spec.rate_hz == 5.0 and len(spec.level_groups) == (1 if kind == "labram" else 4)
    stream = tokenizers[kind].encode(recording())
    assert stream.codes.shape == (3, 4, levels) and stream.labels == {"channel": NAMES}


def test_levels_are_those_of_each_branch(folders: dict[str, Path], tokenizers: dict[str, PublishedRecording]) -> None:
    two = tm.tokenizer("neurorvq", folders["neurorvq"], levels=2)
    codes = tokenizers["neurorvq"].encode(recording()).codes.view(3, 4, 4, LEVELS)
    assert torch.equal(two.encode(recording()).codes.view(3, 4, 4, 2), codes[..., :2])
    assert two.spec.level_groups == ((0, 1), (2, 3), (4, 5), (6, 7))


def test_levels_that_a_kind_never_has_are_refused_before_weights_are_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="levels of a LabramTokenizer must be at most 1, got 2; leave them out"):
        tm.tokenizer("labram", tmp_path / "none", levels=2)


@each_kind
def test_windows_are_coded_as_wholes(
    kind: str, folders: dict[str, Path], tokenizers: dict[str, PublishedRecording]
) -> None:
    """A window has the codes that it has alone; as long as 256 codes, or as the table of times."""
    assert tokenizers[kind]._steps(64) == 4 and tokenizers[kind]._steps(1) == (16 if kind == "labram" else 32)
    cut = tm.tokenizer(kind, folders[kind], window=3)
    item = recording(7)
    parts = [item.between(0, 0.6), item.between(0.6, 1.2), item.between(1.2, 1.4)]
    alone = torch.cat([cut.encode(part).codes for part in parts], 1)
    assert torch.equal(cut.encode(item).codes, alone)
    assert not torch.equal(tokenizers[kind].encode(item).codes, alone)
    assert cut.decode(cut.encode(item)).samples.shape == (3, 7 * SAMPLES)


@each_kind
def test_a_wave_comes_back_from_its_own_spectrum(
    kind: str, tokenizers: dict[str, PublishedRecording], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a network that tells the truth, and the size of the recording that it is of."""
    item, tokenizer = recording(), tokenizers[kind]
    spectrum = torch.fft.fft(item.samples.view(3, 4, SAMPLES) / tokenizer.microvolts)
    values = tokenizer.measured(spectrum.abs())
    true = (values - values.mean()) / values.std(), spectrum / spectrum.abs()
    monkeypatch.setattr(tokenizer.network, "spectrum", lambda codes, places: true)
    stream = tokenizer.encode(item)
    made = tokenizer.decode(stream, given=item, keep=torch.zeros(stream.grid, dtype=torch.bool))
    torch.testing.assert_close(made.samples, item.samples, rtol=1e-4, atol=1e-3)
    alone = tokenizer.decode(stream).samples
    assert 2 < float(alone.std()) < 200  # microvolts, from a usual wave


@each_kind
def test_fitting_takes_the_size_of_amplitudes(kind: str, folders: dict[str, Path]) -> None:
    items = [recording(), EegRecording(3 * waves(2, 4), 200.0, ("Fz", "Oz"))]
    fitted = type(tm.tokenizer(kind, folders[kind])).fit(items, source=str(folders[kind]))  # type: ignore[attr-defined]
    means = []
    for item in items:
        values = torch.fft.fft(item.samples.view(-1, 4, SAMPLES) / fitted.microvolts).abs()
        means.append((values if kind == "labram" else values.log1p()).mean())
    assert fitted.config.mean == pytest.approx(float(sum(means) / 2), abs=1e-4)


def test_kept_parts_are_those_of_the_given_recording(tokenizers: dict[str, PublishedRecording]) -> None:
    item, keep = recording(), torch.tensor([[True, True, False, False]] * 3)
    for tokenizer in tokenizers.values():
        made = tokenizer.decode(tokenizer.encode(item), given=item, keep=keep)
        assert torch.equal(made.samples[:, : 2 * SAMPLES], item.samples[:, : 2 * SAMPLES])
        assert not torch.allclose(made.samples[:, 3 * SAMPLES :], item.samples[:, 3 * SAMPLES :], atol=1.0)


def test_electrodes_have_the_published_places() -> None:
    assert (len(LABRAM), len(NEURORVQ), LABRAM.index("Cz"), NEURORVQ.index("Cz")) == (136, 104, 41, 36)
    assert len({name.casefold() for name in LABRAM}) == 136


@each_kind
def test_what_cannot_be_is_one_sentence(kind: str, tokenizers: dict[str, PublishedRecording], tmp_path: Path) -> None:
    tokenizer = tokenizers[kind]
    (tmp_path / "weights.pt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"as pickle only \(weights\.pt\).* trust it: .*weights_only=True"):
        tm.tokenizer(kind, tmp_path)
    weights = WEIGHTS[kind]()
    del weights["encoder.blocks.1.norm2.bias"]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"network of EEG needs the tensor encoder\.blocks\.1\.norm2\.bias; take the"):
        tm.tokenizer(kind, tmp_path)
    save_file(WEIGHTS[kind](), tmp_path / "model.safetensors")
    if kind == "labram":
        (tmp_path / "config.json").write_text('{"num_heads": 7}')
        with pytest.raises(ValueError, match=r"num_heads must divide the width 40, got 7; use the own config\.json"):
            tm.tokenizer(kind, tmp_path)
        with pytest.raises(ValueError, match=r"none for P4-O2; name channels so, or leave these out with recording\.s"):
            tokenizer.encode(recording(1, ("Fp1", "P4-O2")))
    with pytest.raises(ValueError, match=r"window must lie in 1\.\.\d+ whole codes, got 99; leave it out"):
        type(tokenizer)(replace(tokenizer.config, window=99), WEIGHTS[kind]())
    with pytest.raises(ValueError, match="mean and deviation belong together"):
        type(tokenizer)(replace(tokenizer.config, mean=None), WEIGHTS[kind]())
    stream = replace(tokenizer.encode(recording()), labels={})
    with pytest.raises(
        ValueError, match=r"decodes channels by their electrodes, but this stream names none; pass labels"
    ):
        tokenizer.decode(stream)
    with pytest.raises(ValueError, match=r"given must have the stream's 3 channels, got EegRecording\(2 channels"):
        tokenizer.decode(
            tokenizer.encode(recording()), given=recording(4, ("Fz", "Oz")), keep=torch.zeros(3, 4, dtype=torch.bool)
        )
