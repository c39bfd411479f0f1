"""What is said of sound: channels that become one, other rates, silence, values and rates that are hardly meant."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from tokenmask.modalities.audio import AudioClip, AudioTokenizer

RATE = 16000
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)


def said(run: Callable[[], Any]) -> tuple[Any, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = run()
    return found, [str(one.message) for one in caught]


@pytest.fixture(scope="module")
def tokenizer() -> AudioTokenizer:
    return AudioTokenizer.fit([AudioClip(torch.from_numpy(TONE).float()[None], RATE)], steps=1, progress=False)


@pytest.mark.parametrize(
    ("channels", "rate", "told"),
    [
        (1, RATE, ""),
        (2, RATE, "has 2 channels, which become one"),
        (1, 8000, "is resampled from 8000 to 16000 Hz"),
        (3, 44100, "has 3 channels, which become one and is resampled from 44100 to 16000 Hz"),
    ],
)
def test_changes_on_the_way_to_codes_are_said_with_the_file(
    tmp_path: Path, tokenizer: AudioTokenizer, channels: int, rate: int, told: str
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([TONE] * channels, 1), rate)
    clip, at_load = said(lambda: AudioClip.load(path))
    stream, at_coding = said(lambda: tokenizer.encode(clip))
    assert at_load == [] and at_coding == ([f"{path} {told} for this AudioTokenizer"] if told else [])
    assert len(stream.codes) == -(-round(RATE * RATE / rate) // tokenizer.config.hop)


def test_clips_to_fit_to_are_said_in_one_line() -> None:
    clips = [AudioClip(torch.full((2, 8000), 0.1), 8000, source=f"{name}.wav") for name in "abcde"]
    clips.append(AudioClip(torch.full((1, RATE), 0.1), RATE))
    told = said(lambda: AudioTokenizer.fit(clips, steps=1, progress=False))[1]
    assert told == [
        "5 of 6 clips are made one channel of 16000 Hz for fitting (a.wav, b.wav, c.wav, ...)",
    ]


@pytest.mark.parametrize(
    ("values", "rate", "told"),
    [
        (np.zeros(RATE), RATE, "it is silent throughout"),
        (
            TONE * 32000,
            RATE,
            "its samples reach 16000 times full scale (1), as floats do that are scaled like integers: ",
        ),
        (TONE, 100, "its rate of 100 Hz is none of sound, and it is 160 s long by it: check it"),
        (TONE, 2_000_000, "its rate of 2000000 Hz is none of sound, and it is 0.008 s long by it: check it"),
        (np.clip(TONE * 0.1 + 0.7, -1, 1), RATE, "a constant 0.7 of full scale outweighs its wave, which nobody hears"),
        (np.full(RATE, -0.25), RATE, "a constant -0.25 of full scale outweighs its wave"),
        (TONE + 0.2, RATE, ""),
        (
            np.clip(TONE * 8, -1, 1),
            RATE,
            "78.0% of its samples stand at full scale in a row, where the wave is cut",
        ),
        (TONE * 2, RATE, ""),
        (TONE * 8, RATE, ""),
        (TONE, 192_000, ""),
    ],
)
def test_what_is_hardly_meant_is_read_and_said(tmp_path: Path, values: np.ndarray, rate: int, told: str) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, values, rate, subtype="FLOAT")
    clip, words = said(lambda: AudioClip.load(path))
    assert torch.equal(clip.samples[0], torch.from_numpy(values).float()) and clip.sample_rate_hz == rate
    assert [word.startswith(f"{path}: {told}") for word in words] == [True] * bool(told)
