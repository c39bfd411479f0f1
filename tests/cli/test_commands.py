"""Every command, on a tiny run from data that ships; wrong input gets one sentence and leaves nothing behind."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from tests.worlds import emoji, tiny_run, tokenizers
from tokenmask.cli import main
from tokenmask.streams import TokenStream


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("cli") / "run", "demo", steps=4)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Forty pictures with captions, and a manifest of them."""
    folder = tmp_path_factory.mktemp("pictures")
    rows = []
    for number, entry in enumerate(emoji()[:40]):
        Picture.fromarray(entry.pixels).save(folder / f"{number:02}.png")
        (folder / f"{number:02}.txt").write_text(entry.name + "\n")
        rows.append({"image": f"{number:02}.png", "text": entry.name, "key": f"k{number}", "year": 2020})
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return folder


def call(*words: object) -> int:
    return main([str(word) for word in words])


def refusal(capsys, *words: object) -> str:
    """The sentence of a command that must fail with code 2."""
    capsys.readouterr()
    assert call(*words) == 2
    text = capsys.readouterr().err
    assert text.startswith("tokenmask: ") and len(text.splitlines()) == 1 and "Traceback" not in text
    return text


def test_fit_encode_decode(pictures, tmp_path, capsys):
    tokenizer = tmp_path / "image"
    assert call("fit", "image", "--data", pictures, "--out", tokenizer, "--steps", 3) == 0
    printed = capsys.readouterr().out
    assert "psnr_db" in printed and "(4 held-out items)" in printed and "from 36 items" in printed
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    words = ("encode", pictures, tmp_path / "broken.png", "--tokenizer", tokenizer, "--out", tmp_path / "tokens")
    assert call(*words) == 1
    output = capsys.readouterr()
    assert (
        "40 encoded, 0 done before, 1 failed" in output.out and "failed: " in output.err and "broken.png" in output.err
    )
    assert len(list((tmp_path / "tokens").iterdir())) == 40
    assert call(*words) == 1 and "0 encoded, 40 done before, 1 failed" in capsys.readouterr().out
    assert TokenStream.load(tmp_path / "tokens/07.tokens").grid == (8, 8)
    assert call("decode", tmp_path / "tokens/07.tokens", "--tokenizer", tokenizer, "--out", tmp_path / "back") == 0
    with Picture.open(tmp_path / "back/07.png") as picture:
        assert picture.size == (32, 32)
    again = ("decode", tmp_path / "tokens/07.tokens", "--tokenizer", tokenizer, "--out", tmp_path / "back")
    assert call(*again) == 2 and "add --force" in capsys.readouterr().err
    assert call(*again, "--force") == 0


def test_corpus_from_folder_manifest_and_lines(pictures, tmp_path, capsys):
    for name, tokenizer in tokenizers().items():
        tokenizer.save(tmp_path / name)
    options = ("--tokenizer", f"text={tmp_path / 'text'}", "--tokenizer", f"image={tmp_path / 'image'}")
    assert call("corpus", "build", pictures, "--out", tmp_path / "a", *options) == 0
    assert call("corpus", "build", pictures / "manifest.jsonl", "--out", tmp_path / "b", *options) == 0
    assert "40 records written, 0 there before, 0 failed" in capsys.readouterr().out
    assert call("corpus", "build", pictures / "manifest.jsonl", "--out", tmp_path / "b", *options) == 0
    assert "0 records written, 40 there before" in capsys.readouterr().out
    (tmp_path / "words.txt").write_text("one line\n\nanother line\n")
    assert call("corpus", "build", tmp_path / "words.txt", "--out", tmp_path / "c", *options[:2]) == 0
    assert call("corpus", "show", tmp_path / "b") == 0
    shown = capsys.readouterr().out
    assert "40 records" in shown and "held out" in shown and "unigram bits" in shown


def test_train_on_own_data_in_one_command_then_generate(pictures, tmp_path, capsys):
    words = ("train", "demo", "--data", pictures / "manifest.jsonl", "--out", tmp_path / "mine", "--tiny")
    words += ("--set", "training.steps=4", "--set", "streams.text.fit.vocab_size=300")
    words += ("--set", "streams.image.fit.steps=3")
    assert call(*words, "--dry-run") == 0
    assert "M parameters" in capsys.readouterr().out and not (tmp_path / "mine/run.json").exists()
    assert call(*words) == 0
    assert "tokenmask generate image" in capsys.readouterr().out
    before = (tmp_path / "mine/models/main.safetensors").read_bytes()
    assert call(*words) == 0  # nothing is left to do, and nothing changes
    assert (tmp_path / "mine/models/main.safetensors").read_bytes() == before
    out = tmp_path / "sample.png"
    assert call("generate", "image", "--run", tmp_path / "mine", "--given", "text=cyclone", "--out", out) == 0
    assert np.asarray(Picture.open(out)).shape == (32, 32, 3)


def test_generate_prints_text_and_numbers_samples(run, tmp_path, capsys):
    words = ("generate", "text", "--run", run.folder, "--given", "text=the sun", "--length", 5, "--num-samples", 2)
    assert call(*words) == 0
    assert all(line.startswith("the sun") for line in capsys.readouterr().out.splitlines()[:2])
    out = tmp_path / "sun.png"
    words = ("generate", "image", "--run", run.folder, "--given", "text=sun", "--num-samples", 2, "--out", out)
    assert call(*words, "--steps", 2, "--seed", 5) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sun-0.png", "sun-1.png"]
    assert "add --force" in refusal(capsys, *words)
    assert call(*words, "--force") == 0


def test_evaluate_info_and_recipes(run, capsys):
    assert call("evaluate", run.folder, "--draws", 1) == 0
    printed = capsys.readouterr().out
    assert "unigram" in printed and "+-" in printed
    saved = json.loads((run.folder / "evaluation.json").read_text())
    assert {row["stream"] for row in saved} == {"text", "image"}
    assert call("info") == 0
    printed = capsys.readouterr().out
    assert torch.__version__ in printed and "image: tokenmask.modalities.image:ImageTokenizer" in printed
    assert call("info", run.folder) == 0 and "8 x 8" in capsys.readouterr().out
    assert call("recipes") == 0 and "arXiv:2202.04200" in capsys.readouterr().out
    assert call("recipes", "maskgit", "--tiny") == 0 and "width: 64" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["generate", "audio", "--run", "RUN"], "streams text, image"),
        (["generate", "image", "--run", "RUN", "--given", "text="], "empty"),
        (["generate", "image", "--run", "RUN", "--given", "text"], "NAME=VALUE"),
        (["generate", "image", "--run", "RUN", "--steps", "0"], "at least 1"),
        (["generate", "text", "--run", "RUN", "--length", "0"], "at least 1"),
        (["generate", "text", "--run", "RUN", "--length", "9999"], "at most 96 positions"),
        (["generate", "text", "--run", "RUN", "--given", "image=TMP/none.png", "--length", "3"], "none.png"),
        (["generate", "text", "--run", "RUN", "--given", "image=TMP/cut.png", "--length", "3"], "cut.png"),
        (["generate", "image", "--run", "TMP/none"], "run.json"),
        (["evaluate", "TMP/none"], "run.json"),
        (["recipes", "none"], "a recipe is one of"),
        (["train", "demo", "--out", "TMP/new"], "tokenizer for text, image"),
        (["train", "demo", "--out", "TMP/new", "--set", "training.stepz=3"], "stepz"),
        (["train", "demo", "--out", "TMP/new", "--corpus", "TMP/none=x"], "FOLDER=WEIGHT"),
        (["train", "demo", "--out", "TMP/new", "--data", "TMP/none"], "does not exist"),
        (["fit", "smell", "--data", "TMP", "--out", "TMP/new"], "got 'smell'"),
        (["fit", "image", "--data", "TMP/empty", "--out", "TMP/new"], "no image was found"),
        (["fit", "text", "--data", "TMP/words.txt", "--out", "TMP/new", "--option", "depth=3"], "options of"),
        (["encode", "TMP/cut.png", "--tokenizer", "TMP/none", "--out", "TMP/new"], "tokenizer.json"),
        (["corpus", "show", "TMP/empty"], "Parquet"),
        (["corpus", "build", "TMP/words.txt", "--out", "TMP/new", "--tokenizer", "text"], "NAME=FOLDER"),
        (["corpus", "build", "TMP/bad.jsonl", "--out", "TMP/new", "--tokenizer", "text=TEXT"], "line 1 of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_input_gets_one_sentence_and_leaves_nothing(words, sentence, run, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "words.txt").write_text("a\nb\n")
    (tmp_path / "bad.jsonl").write_text("{oh\n")
    whole = tmp_path / "whole.png"
    Picture.fromarray(emoji()[0].pixels).save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:200])
    here = {"RUN": run.folder, "TMP": tmp_path, "TEXT": run.folder / "tokenizers/text"}
    for name, value in here.items():
        words = [word.replace(name, str(value)) for word in words]
    assert sentence in refusal(capsys, *words)
    left = [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
    assert left == []


def test_a_corrupt_shard_is_named(run, tmp_path, capsys):
    shutil.copytree(run.folder, tmp_path / "hurt")
    (shard,) = (tmp_path / "hurt/corpus").glob("*.parquet")
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 0xFF
    shard.write_bytes(data)
    assert shard.name in refusal(capsys, "evaluate", tmp_path / "hurt")


def test_a_full_disk_ends_in_a_sentence_and_no_file(run, tmp_path):
    """A limit on file size is the kernel's own "no more room", in a process of its own."""
    words = ["generate", "image", "--run", str(run.folder), "--out", str(tmp_path / "sun.png")]

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))

    command = [sys.executable, "-m", "tokenmask.cli", *words]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, env=environment)
    assert result.returncode == 2 and "sun.png" in result.stderr and "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_traceback_on_request(tmp_path):
    with pytest.raises(ValueError, match=r"run\.json"):
        call("evaluate", tmp_path, "--traceback")


def test_ctrl_c_leaves_a_run_that_goes_on(pictures, tmp_path):
    words = ["train", "demo", "--data", str(pictures / "manifest.jsonl"), "--out", str(tmp_path / "mine"), "--tiny"]
    words += ["--set", "training.steps=100000", "--set", "streams.text.fit.vocab_size=300"]
    words += ["--set", "streams.image.fit.steps=2"]
    command = [sys.executable, "-m", "tokenmask.cli", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    metrics = Path(tmp_path / "mine/metrics.jsonl")
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size > 2000):
        signal.sigtimedwait([], 0.05)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "training stopped after" in errors.splitlines()[-1] and "Traceback" not in errors
    assert (tmp_path / "mine/checkpoint.safetensors").exists()
