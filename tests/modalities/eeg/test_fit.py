"""Fitting and storing EEG tokenizers: equal seeds, resumed training, files, settings, other rates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.modalities.contract import goes_on_bit_for_bit, refused_resume
from tests.modalities.eeg.windows import TINY, piece
from tokenmask.modalities.eeg import EegTokenizer, EegTokenizerConfig
from tokenmask.modalities.eeg.media import EegRecording
from tokenmask.modalities.learned import stored
from tokenmask.tensor_files import load_tensors
from tokenmask.testing import global_random_state_untouched


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
