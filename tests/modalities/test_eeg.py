"""EEG codes: contract, scales, pieces equal the whole, kept samples, bit-equal latents, resumed training, quality."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soxr
import torch

from tokenmask.data import EEG_CHANNELS, EEG_RATE_HZ, eyes_open_shut
from tokenmask.modalities.eeg import BANDS, EegTokenizer, EegTokenizerConfig, Event, Session
from tokenmask.modalities.eeg.figures import fidelity
from tokenmask.modalities.eeg.fit import spectral_errors
from tokenmask.modalities.eeg.media import EegRecording
from tokenmask.modalities.eeg.scale import normalised, octaves_per_step
from tokenmask.modalities.learned import stored
from tokenmask.streams import TokenStream
from tokenmask.tensor_files import load_tensors
from tokenmask.testing import Check, global_random_state_untouched, tokenizer_checks
from tokenmask.tokenizer import stream_of

from .contract import each_check, goes_on_bit_for_bit, refused_resume, run_check

FINE = EegTokenizerConfig(stride=8, levels=2, codes=128, width=64, blocks=1, scale_steps=64)
TINY = replace(FINE, codes=16, width=16, latent=4)


def windows(held_out: bool) -> list[EegRecording]:
    samples, _, split = eyes_open_shut()
    return [EegRecording(torch.from_numpy(one), EEG_RATE_HZ, EEG_CHANNELS) for one in samples[split == held_out]]


@pytest.fixture(scope="module")
def train() -> list[EegRecording]:
    return windows(held_out=False)


@pytest.fixture(scope="module")
def held_out() -> list[EegRecording]:
    return windows(held_out=True)


@pytest.fixture(scope="module")
def long() -> EegRecording:
    """Nine seconds of three electrodes, joined windows."""
    parts = [one.select(["F3", "O1", "O2"]).samples for one in windows(held_out=True)[:9]]
    return EegRecording(torch.cat(parts, 1), EEG_RATE_HZ, ("F3", "O1", "O2"))


@pytest.fixture(scope="module")
def tokenizer(train: list[EegRecording]) -> EegTokenizer:
    """Trained for a few seconds only."""
    return EegTokenizer.fit(train, config=FINE, steps=80, batch_size=16, peak_lr=4e-3, seed=1, progress=False)


def piece(recording: EegRecording, begin: int, end: int) -> EegRecording:
    return EegRecording(recording.samples[:, begin:end].contiguous(), recording.sample_rate_hz, recording.channels)


# Contract -------------------------------------------------------------------------------------------------------------


def checks(tokenizer: Any, held_out: list[EegRecording], long: EegRecording) -> list[Check]:
    items = [
        held_out[0],
        held_out[1].select(["O1", "T7"]),
        long,
        piece(long, 0, 1),
        piece(long, 30, 133),
        EegRecording(torch.zeros(2, 100), EEG_RATE_HZ, ("flat", "Cz")),
        EegRecording(torch.full((1, 64), 4e4), EEG_RATE_HZ, ("offset",)),
    ]
    return list(tokenizer_checks(tokenizer, items, suffix=".npz"))


@each_check
def test_contract(name: str, tokenizer: EegTokenizer, held_out: list[EegRecording], long: EegRecording) -> None:
    run_check(name, checks(tokenizer, held_out, long))


def test_branches_with_own_unit_codebooks_keep_the_contract(
    train: list[EegRecording], held_out: list[EegRecording], long: EegRecording
) -> None:
    config = replace(TINY, kernels=(21, 15, 9, 5), unit=True, levels=1)
    branched = EegTokenizer.fit(train[:4], config=config, steps=3, progress=False)
    assert branched.spec.codebook_sizes == (64, 16, 16, 16, 16)
    assert branched.spec.level_groups == ((0,), (1,), (2,), (3,), (4,))
    for check in checks(branched, held_out, piece(long, 0, 300)):
        check()


# Codes ----------------------------------------------------------------------------------------------------------------


def test_spec(tokenizer: EegTokenizer, held_out: list[EegRecording]) -> None:
    spec = tokenizer.spec
    assert (spec.modality, spec.codebook_sizes, spec.axes) == ("eeg", (64, 128, 128), ("channel", "time"))
    assert (spec.rate_hz, spec.level_groups) == (16.0, ((0,), (1, 2)))
    stream = tokenizer.encode(held_out[0])
    assert stream.codes.shape == (14, 16, 3)
    assert stream.labels == {"channel": EEG_CHANNELS}
    assert tokenizer.decode(stream).channels == EEG_CHANNELS
    assert tokenizer.decode(replace(stream, labels={})).channels[:2] == ("1", "2")


def test_channels_are_independent(tokenizer: EegTokenizer, held_out: list[EegRecording]) -> None:
    whole = tokenizer.encode(held_out[0])
    some = tokenizer.encode(held_out[0].select(["O2", "F3"]))
    assert torch.equal(some.codes, whole.codes[[7, 2]])


def test_pieces_with_their_context_have_the_codes_of_the_whole(tokenizer: EegTokenizer, long: EegRecording) -> None:
    whole = tokenizer.encode(long).codes
    context = round((tokenizer.context_seconds or 0.0) * 16)
    assert context == 32
    for begin, end in ((0, 40), (40, 45), (45, 100), (100, 144)):
        first, last = max(begin - context, 0), min(end + context, 144)
        part = tokenizer.encode(piece(long, first * 8, last * 8)).codes
        assert torch.equal(part[:, begin - first : end - first], whole[:, begin:end])


def test_a_piece_without_context_has_other_codes_at_its_edge(tokenizer: EegTokenizer, long: EegRecording) -> None:
    part = tokenizer.encode(piece(long, 320, 1024)).codes
    whole = tokenizer.encode(long).codes[:, 40:128]
    assert not torch.equal(part[:, :8], whole[:, :8])
    assert torch.equal(part[:, 32:-32], whole[:, 32:-32])


def test_encoding_sees_a_recording_as_fitting_does(tokenizer: EegTokenizer, held_out: list[EegRecording]) -> None:
    """Windows with halo and zero padding of whole rows are the same network: latents agree but for rounding."""
    config, network = tokenizer.config, tokenizer._network
    wave, gain = normalised(held_out[3].samples, config)
    with torch.no_grad():
        latents = network.latents(wave[:, None], torch.ones(14, 1, 16))
        codes = network.quantizer.nearest(latents.reshape(-1, config.latent)).view(14, 16, -1)
        made = network.wave(network.quantizer.lookup(codes), torch.ones(14, 1, 16))[:, 0] * gain
    stream = tokenizer.encode(held_out[3])
    assert (stream.codes[..., 1:] == codes).double().mean() > 0.99
    assert torch.allclose(tokenizer.decode(stream).samples.std(1), made.std(1), rtol=0.05)


def test_the_scale_follows_the_power(tokenizer: EegTokenizer, long: EegRecording) -> None:
    codes = tokenizer.encode(long).codes[..., 0].double()
    louder = replace(long, samples=long.samples * 16)
    steps = (tokenizer.encode(louder).codes[..., 0] - codes).mean()
    assert abs(steps - 4 / octaves_per_step(tokenizer.config)) < 0.1
    half = replace(long, samples=torch.cat([long.samples[:, :576], long.samples[:, 576:] / 16], 1))
    scales = tokenizer.encode(half).codes[..., 0]
    assert torch.equal(scales[:, :60].double(), codes[:, :60])
    assert bool((scales[:, 90:] < 4).all())  # near the lowest scale
    assert bool((codes[:, 90:] > 16).all())
    made = tokenizer.decode(tokenizer.encode(louder)).samples
    assert abs((made.std() / tokenizer.decode(tokenizer.encode(long)).samples.std()).log2() - 4) < 0.1


def test_rounding_of_the_scale_costs_nothing(long: EegRecording) -> None:
    coarse = replace(TINY, scale_steps=5)
    wave, gain = normalised(long.samples, coarse)
    assert torch.allclose(wave * gain, long.samples, rtol=1e-5)
    assert wave.square().mean().sqrt() < 3


def test_flat_channels_decode_to_next_to_nothing(tokenizer: EegTokenizer) -> None:
    flat = EegRecording(torch.zeros(1, 256), EEG_RATE_HZ, ("Cz",))
    stream = tokenizer.encode(flat)
    assert bool((stream.codes[..., 0] == 0).all())
    assert tokenizer.decode(stream).samples.abs().max() < 1  # microvolt: a quarter is the lowest scale


def test_windows_are_bit_equal_in_any_row_and_with_threads(tokenizer: EegTokenizer, long: EegRecording) -> None:
    """On latents, not only on codes: a change of the last bit almost never flips a code."""
    network, draw = tokenizer._network, torch.Generator().manual_seed(0)
    waves, order = torch.randn(32, 1, 38 * 8, generator=draw), torch.randperm(32, generator=draw)
    lone = torch.zeros_like(waves)
    lone[5] = waves[7]
    inside = torch.ones(32, 1, 38)
    before, seen = torch.get_num_threads(), []
    try:
        with torch.no_grad():
            for threads in (1, 2):
                torch.set_num_threads(threads)
                latents = network.latents(waves, inside)
                assert torch.equal(network.latents(waves[order], inside), latents[order])
                assert torch.equal(network.latents(lone, inside)[5], latents[7])
                seen.append((latents, network.wave(latents, inside)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(seen[0][0], seen[1][0])
    assert torch.equal(seen[0][1], seen[1][1])


def test_kept_samples_are_those_of_the_given_recording(tokenizer: EegTokenizer, long: EegRecording) -> None:
    given = piece(long, 0, 253)  # the last of 32 tokens is cut
    stream = tokenizer.encode(piece(long, 400, 656))
    plain = tokenizer.decode(stream).samples[:, :253]
    keep = torch.zeros(3, 32, dtype=torch.bool)
    keep[1, 10:] = True
    mixed = tokenizer.decode(stream, given=given, keep=keep)
    assert torch.equal(mixed.samples[1, 80:], given.samples[1, 80:])
    assert torch.equal(mixed.samples[1, :72], plain[1, :72])  # then it fades over a token of 8 samples
    assert torch.equal(mixed.samples[[0, 2]], plain[[0, 2]])
    assert mixed.stream == stream
    fine = torch.zeros(3, 253, dtype=torch.bool)
    fine[0, 5] = True
    mixed = tokenizer.decode(stream, given=given, keep=fine)
    assert torch.equal(mixed.samples[fine], given.samples[fine])
    assert torch.equal(mixed.samples[1:], plain[1:]) and torch.equal(mixed.samples[0, 13:], plain[0, 13:])
    with pytest.raises(ValueError, match="given and keep belong together"):
        tokenizer.decode(stream, given=given)
    with pytest.raises(ValueError, match=r"keep must be bool \[3, 32\] or \[3, 253\], got bool \[3, 16\]"):
        tokenizer.decode(stream, given=given, keep=keep[:, :16])
    with pytest.raises(ValueError, match="got int64"):
        tokenizer.decode(stream, given=given, keep=keep.long())
    with pytest.raises(ValueError, match=r"channels and tokens \[3, 32\], got EegRecording\(2 channels"):
        tokenizer.decode(stream, given=given.select(["F3", "O1"]), keep=keep)
    with pytest.raises(TypeError, match="encodes EegRecording, got Tensor"):
        tokenizer.decode(stream, given=given.samples, keep=keep)  # type: ignore[arg-type]


def test_generated_recordings_are_not_encoded_again_unless_changed(
    tokenizer: EegTokenizer, held_out: list[EegRecording]
) -> None:
    made = tokenizer.decode(tokenizer.encode(held_out[4]))
    assert stream_of(tokenizer, made) is made.stream
    turned = replace(made, samples=made.samples.flip(1))
    assert stream_of(tokenizer, turned) == tokenizer.encode(turned) != made.stream


def test_other_rates_are_resampled_with_a_word(tokenizer: EegTokenizer, long: EegRecording) -> None:
    """The soxr library gives the expected samples."""
    fast = long.resample(512)
    values = soxr.resample(fast.samples.T.double().numpy(), 512, 128, quality="VHQ").T
    there = EegRecording(torch.from_numpy(values).float().contiguous(), 128, long.channels)
    with pytest.warns(UserWarning, match=r"EegRecording\(3 channels, 9 s at 512 Hz\) is resampled to the 128 Hz"):
        stream = tokenizer.encode(fast)
    assert stream.grid == (3, 144)
    assert stream == tokenizer.encode(there)
    keep = torch.ones(3, 144, dtype=torch.bool)
    keep[0, 40:60] = False
    with pytest.warns(UserWarning, match="is resampled"):
        mixed = tokenizer.decode(stream, given=fast, keep=keep)
    assert mixed.sample_rate_hz == 128
    assert torch.equal(mixed.samples[1:], there.samples[1:])
    assert torch.equal(mixed.samples[0, :320], there.samples[0, :320])
    assert not torch.equal(mixed.samples[0, 328:472], there.samples[0, 328:472])


@pytest.mark.parametrize("rate", [512.0, 64.0, 100.0])
def test_what_is_kept_may_be_told_at_the_rate_of_the_recording(
    tokenizer: EegTokenizer, long: EegRecording, rate: float
) -> None:
    given = long.resample(rate)
    keep = torch.ones(given.samples.shape, dtype=torch.bool)
    keep[0, round(2.5 * rate) : round(3.75 * rate)] = False  # seconds
    with pytest.warns(UserWarning, match="is resampled"):
        stream = tokenizer.encode(given)
        mixed, plain = tokenizer.decode(stream, given=given, keep=keep), tokenizer.decode(stream)
    there = given.resample(128).samples
    assert torch.equal(mixed.samples[1:], there[1:])
    changed = (mixed.samples[0] != there[0]).nonzero()[:, 0]
    assert 320 - 128 / rate <= int(changed[0]) <= 321 and 478 <= int(changed[-1]) <= 480 + 128 / rate
    assert torch.equal(mixed.samples[0, 345:455], plain.samples[0, 345:455])  # behind the fades


def test_an_offset_that_hides_the_wave_is_told(tokenizer: EegTokenizer, long: EegRecording) -> None:
    shifted = replace(long, samples=long.samples + torch.tensor([[0.0], [4000.0], [0.0]]))
    with pytest.warns(UserWarning, match=r"beside an offset or drift \(O1: 4000 microvolts\).*without_offset"):
        tokenizer.encode(shifted)
    made = tokenizer.decode(tokenizer.encode(shifted.without_offset())).samples
    assert torch.corrcoef(torch.stack([made[1], long.samples[1]]))[0, 1] > 0.9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenizer.encode(long)


def test_what_is_kept_has_its_events(tokenizer: EegTokenizer, long: EegRecording) -> None:
    session = Session(events=(Event(1.5, "spike"),))
    stream = tokenizer.encode(long)
    mixed = tokenizer.decode(stream, given=replace(long, session=session), keep=torch.ones(3, 144, dtype=torch.bool))
    assert mixed.session == session
    assert torch.equal(mixed.samples, long.samples)


def test_wrong_media_are_one_sentence(tokenizer: EegTokenizer, long: EegRecording) -> None:
    with pytest.raises(ValueError, match="must hold a token and a channel"):
        tokenizer.decode(TokenStream(tokenizer.spec, torch.zeros(3, 0, 3, dtype=torch.int32)))
    with pytest.raises(ValueError, match="evaluate needs at least one recording"):
        tokenizer.evaluate([])


# Fitting and storing --------------------------------------------------------------------------------------------------


def test_equal_seeds_give_equal_tokenizers(train: list[EegRecording]) -> None:
    def fitted(seed: int) -> str:
        with global_random_state_untouched():
            return EegTokenizer.fit(train[:4], config=TINY, steps=3, seed=seed, progress=False).spec.fingerprint

    assert fitted(0) == fitted(0)
    assert fitted(0) != fitted(1)


def test_a_stopped_fit_goes_on_bit_for_bit(
    tmp_path: Path, train: list[EegRecording], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fitted(folder: Path, **changes: Any) -> EegTokenizer:
        settings = {"config": TINY, "steps": 10, "batch_size": 8, "checkpoint_every": 4, **changes}
        return EegTokenizer.fit(train[:6], folder=folder, progress=False, **settings)

    goes_on_bit_for_bit(fitted, tmp_path, monkeypatch, stop_at=7)
    refused_resume(fitted, tmp_path, "resumed with the window_samples it began with", window_seconds=0.5)


def test_stored_files(tmp_path: Path, tokenizer: EegTokenizer) -> None:
    tokenizer.save(tmp_path)
    weights = load_tensors(tmp_path / "weights.safetensors")[0]
    assert not [name for name in weights if "ema" in name]
    assert EegTokenizer.load(tmp_path).config == tokenizer.config  # a tuple of kernels, not a list
    assert json.loads((tmp_path / "tokenizer.json").read_text())["tokenizer"] == "eeg"


def test_stored_scale_is_part_of_the_fingerprint(tokenizer: EegTokenizer) -> None:
    other = EegTokenizer(replace(tokenizer.config, scale_low_microvolt=0.5), stored(tokenizer._network))
    assert other.spec.fingerprint != tokenizer.spec.fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stride": 6}, "power of two"),
        ({"stride": 2}, "power of two"),
        ({"sample_rate_hz": 0.0}, "sample_rate_hz must be positive"),
        ({"width": 0}, "width must be positive"),
        ({"kernels": ()}, "kernels must be one or more odd sizes"),
        ({"kernels": (9, 4)}, "kernels must be one or more odd sizes"),
        ({"scale_steps": 1}, "a scale needs"),
        ({"scale_low_microvolt": 0.0}, "a scale needs"),
        ({"scale_high_microvolt": 0.1}, "a scale needs"),
        ({"spectral_samples": 63}, "spectral_samples even"),
        ({"spectral_weight": -1.0}, "must not be negative"),
        ({"spectral_high_hz": 1.0}, "at least the resolution"),
        ({"codes": 1}, "a codebook needs"),
        ({"levels": 0}, "needs levels >= 1"),
        ({"blocks": 20}, r"depend on 2\.0 s on either side at most, got 5\.75 s"),
        ({"scale_seconds": 4.0}, "depend on"),
        ({"scale_seconds": 0.0}, "depend on"),
    ],
)
def test_settings_out_of_range_are_one_sentence(change: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EegTokenizerConfig(**change)


def test_wrong_items_are_one_sentence(train: list[EegRecording]) -> None:
    with pytest.raises(ValueError, match="fitting needs a recording"):
        EegTokenizer.fit([])
    with pytest.raises(TypeError, match="EegTokenizer encodes EegRecording, got str"):
        EegTokenizer.fit([train[0], "b"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="fitting takes recordings of 64 samples or more at 128 Hz"):
        EegTokenizer.fit([train[0], piece(train[0], 0, 63)])


def test_most_recordings_decide_the_rate_and_others_are_resampled(train: list[EegRecording]) -> None:
    mixed = [train[0].resample(256), train[1], train[2]]
    assert EegTokenizer.chosen_config(mixed).sample_rate_hz == 128
    assert EegTokenizer.unusable([*mixed, piece(train[0], 0, 50)], TINY).keys() == {3}
    with pytest.warns(UserWarning, match="1 of 3 recordings are resampled to 128 Hz for fitting"):
        fitted = EegTokenizer.fit(mixed, config=TINY, steps=2, progress=False)
    there = [mixed[0].resample(128), *mixed[1:]]
    same = EegTokenizer.fit(there, config=TINY, steps=2, progress=False)
    assert fitted.spec.fingerprint == same.spec.fingerprint


@pytest.mark.parametrize("change", [{"stride": 16, "sample_rate_hz": 256.0}, {"stride": 4, "scale_seconds": 0.01}])
def test_other_strides_and_rates(train: list[EegRecording], long: EegRecording, change: Mapping[str, Any]) -> None:
    config = replace(TINY, **change)
    items = [one.resample(config.sample_rate_hz) for one in train[:3]]
    other = EegTokenizer.fit(items, config=config, steps=2, progress=False)
    stream = other.encode(long.resample(config.sample_rate_hz))
    assert stream.duration_seconds == 9
    assert other.decode(stream).samples.shape == (3, 9 * config.sample_rate_hz)


# Quality --------------------------------------------------------------------------------------------------------------


def test_phase_error_is_blind_to_amplitude_and_sees_shifts() -> None:
    wave = torch.randn(3, 128, generator=torch.Generator().manual_seed(0))
    amplitude, phase = spectral_errors(3 * wave, wave, TINY)
    assert amplitude > 0.1
    assert abs(phase) < 1e-3
    amplitude, phase = spectral_errors(-wave, wave, TINY)
    assert amplitude < 1e-6
    assert abs(phase - 2) < 1e-3
    shifted = spectral_errors(wave.roll(1, 1), wave, TINY)[1]
    assert 0.1 < shifted < 1.9
    time = torch.arange(128) / 128.0
    tone = torch.sin(2 * torch.pi * 60 * time)[None].expand(3, -1)
    errors = [spectral_errors(wave + 0.2 * tone, wave, replace(TINY, spectral_high_hz=high))[0] for high in (45, 64)]
    assert errors[1] > 2 * errors[0]


def test_figures_of_known_copies() -> None:
    time = torch.arange(256) / 128.0
    alpha, gamma = (torch.sin(2 * torch.pi * hz * time)[None] for hz in (10, 35))
    figures = fidelity([alpha + gamma], [0.1 * alpha - gamma], 128.0)
    assert figures["alpha_correlation"] == pytest.approx(1, abs=1e-4)
    assert figures["alpha_power_error_db"] == pytest.approx(20, abs=1e-2)
    assert figures["gamma_correlation"] == pytest.approx(-1, abs=1e-4)
    assert figures["gamma_power_error_db"] == pytest.approx(0, abs=1e-2)
    assert figures["error_of_variance"] == pytest.approx((0.9**2 + 2**2) / 2, abs=1e-3)


def test_figures_do_not_count_an_offset() -> None:
    time = torch.arange(256) / 128.0
    alpha, gamma = (torch.sin(2 * torch.pi * hz * time)[None] for hz in (10, 35))
    figures = fidelity([alpha + 1000], [gamma + 1000], 128.0)
    assert abs(figures["correlation"]) < 1e-4
    assert figures["error_of_variance"] == pytest.approx(2, abs=1e-4)


def test_figures(tokenizer: EegTokenizer, held_out: list[EegRecording], train: list[EegRecording]) -> None:
    figures = tokenizer.evaluate(held_out, train)
    assert figures["bits_per_second_per_channel"] == 16 * (6 + 7 + 7)
    assert figures["scale_bits_per_second_per_channel"] == 16 * 6
    assert figures["correlation"] > 0.94
    assert figures["beta_correlation"] > 0.85
    assert figures["alpha_power_error_db"] < 1.2
    assert figures["pca_correlation"] > 0.96
    assert {f"pca_{band}_{kind}" for band in BANDS for kind in ("correlation", "power_error_db")} <= figures.keys()
    for level in (1, 2):
        assert figures[f"codes_used_share_{level}"] > 0.9
        assert figures[f"perplexity_{level}"] > 60
    assert not [name for name in tokenizer.evaluate(held_out[:2]) if name.startswith("pca_")]


def test_differences_of_alpha_power_survive(tokenizer: EegTokenizer, held_out: list[EegRecording]) -> None:
    made = [tokenizer.decode(stream) for stream in tokenizer.encode_many(held_out)]
    decibels = [
        torch.stack([10 * one.select(["O1", "O2"]).band_power(8, 13).mean().log10() for one in recordings])
        for recordings in (held_out, made)
    ]
    assert torch.corrcoef(torch.stack(decibels))[0, 1] > 0.95


@pytest.mark.slow
def test_a_minute_of_training_keeps_the_fast_bands(held_out: list[EegRecording], train: list[EegRecording]) -> None:
    figures = EegTokenizer.fit(train, steps=600, progress=False).evaluate(held_out, train)
    assert figures["beta_correlation"] >= 0.95
    assert figures["gamma_correlation"] >= 0.90
    assert figures["gamma_power_error_db"] <= 1.0
    assert figures["gamma_correlation"] > figures["pca_gamma_correlation"]
    assert figures["error_of_variance"] < figures["pca_error_of_variance"]
