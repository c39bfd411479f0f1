"""Fitting goes on where one item cannot be learned from, and a tokenizer is kept whatever its figures are."""

import json

import edfio
import numpy as np
import pytest
from PIL import Image as Picture

import tokenmask as tm
from tests.cli import foreign
from tokenmask.modalities.image import ImageTokenizer
from tokenmask.tokenizer import load_tokenizer

IMAGE = ("--set", "streams.image.fit={steps: 2, batch_size: 4, config: {width: 16, codes: 16}}")
SMALL = ("--tiny", "--set", "training.steps=2", "--set", "training.batch_size=4")


def recording(path, rate, seconds):
    time = np.arange(round(rate * seconds)) / rate
    data = 30 * np.sin(2 * np.pi * 10 * time)
    signal = edfio.EdfSignal(data, rate, label="EEG Cz", physical_dimension="uV", physical_range=(-100, 100))
    edfio.Edf([signal], data_record_duration=seconds).write(path)


def test_pictures_that_are_all_alike(tmp_path, call, capsys):
    (tmp_path / "data").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for number in range(20):
        Picture.fromarray(pixels).save(tmp_path / f"data/{number}.png")
    assert call("train", "own", "--data", tmp_path / "data", "--out", tmp_path / "run", *SMALL, *IMAGE) == 0
    said = capsys.readouterr().out
    assert "worse than its baseline: psnr_db is " in said and ", pca_psnr_db 100; fit with more steps" in said
    assert tm.load(tmp_path / "run").tokenizers["image"].spec.modality == "image"
    kept = json.loads((tmp_path / "run/tokenizers/image/evaluation.json").read_text())
    assert kept["figures"]["pca_psnr_db"] == 100  # the one picture is its own mean


@pytest.mark.parametrize("error", [IndexError("no axes"), ZeroDivisionError("nothing"), ValueError("none")])
def test_a_tokenizer_is_kept_if_its_figures_fail(tmp_path, call, capsys, monkeypatch, error):
    foreign.image(tmp_path / "data")

    def evaluate(self, items, train_items=()):
        if len(train_items):
            raise error
        return {"psnr_db": 20.5, "other_db": float("nan")}

    monkeypatch.setattr(ImageTokenizer, "evaluate", evaluate)
    words = ("--option", "batch_size=4", "--option", "config={width: 16, codes: 16}")
    assert call("fit", "image", "--data", tmp_path / "data", "--out", tmp_path / "out", "--steps", 2, *words) == 0
    assert f"left out: those of baselines ({error}), other_db\n" in capsys.readouterr().out
    assert load_tokenizer(tmp_path / "out").spec.modality == "image"
    assert json.loads((tmp_path / "out/evaluation.json").read_text())["figures"] == {"psnr_db": 20.5}


def test_one_odd_recording_does_not_end_the_work(tmp_path, call, capsys):
    (tmp_path / "data").mkdir()
    recording(tmp_path / "data/a-fast.edf", 512, 4)
    recording(tmp_path / "data/b-short.edf", 256, 0.125)
    for name in "cdefg":
        recording(tmp_path / f"data/{name}.edf", 256, 4)
    with pytest.warns(UserWarning, match="1 of [3-6] recordings are resampled to 256 Hz"):
        assert call("fit", "eeg", "--data", tmp_path / "data", "--out", tmp_path / "out", "--steps", 2) == 1
    assert "b-short.edf: not learned from: fitting takes recordings of 128 samples" in capsys.readouterr().err
    assert load_tokenizer(tmp_path / "out").config.sample_rate_hz == 256
    words = ("--out", tmp_path / "run", *SMALL, "--set", "streams.eeg.fit={steps: 2, batch_size: 4}")
    with pytest.warns(UserWarning, match="resampled"):
        assert call("train", "own", "--data", tmp_path / "data", *words) == 0
    assert "b-short.edf: not learned from" in capsys.readouterr().err


def test_one_odd_motion_does_not_end_the_work(tmp_path, call, capsys):
    foreign.motion(tmp_path / "data", count=3)
    (tmp_path / "data/a-names.bvh").write_text(foreign.bvh(240).replace("Left", "One").replace("Right", "Two"))
    (tmp_path / "data/b-short.bvh").write_text(foreign.bvh(3))
    call_words = ("fit", "motion", "--data", tmp_path / "data", "--out", tmp_path / "out", "--steps", 2)
    assert call(*call_words, "--option", "batch_size=2") == 1
    said = capsys.readouterr().err
    assert "a-names.bvh: not learned from: a motion is retargeted by the names of joints" in said
    assert "b-short.bvh: not learned from: a clip must have 4 frames or more" in said
    assert "LeftUpLeg" in load_tokenizer(tmp_path / "out").config.names
