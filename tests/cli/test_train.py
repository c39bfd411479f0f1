"""train: own data, corpora, dry runs, stops."""

import json
import os
import shutil
import signal
import threading

import numpy as np
import pytest
from PIL import Image as Picture

import tokenmask as tm

SMALL = ("--tiny", "--set", "training.steps=4", "--set", "streams.text.fit.vocab_size=300")
SMALL += ("--set", "streams.image.fit={steps: 3, batch_size: 4, config: {width: 16, codes: 16}}")


@pytest.fixture(scope="module")
def mine(pictures, tmp_path_factory):
    """A run trained on own data in one command."""
    from tokenmask.cli import main

    folder = tmp_path_factory.mktemp("own") / "mine"
    words = ("train", "captions", "--data", pictures / "manifest.jsonl", "--out", folder, *SMALL)
    assert main([str(word) for word in words]) == 0
    return folder


def test_own_data_needs_two_commands_from_any_folder(mine, pictures, tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("generate", "image", "--run", mine, "--given", "text=cyclone", "--out", "sample.png") == 0
    assert np.asarray(Picture.open("sample.png")).shape == (32, 32, 3)
    assert tm.load(mine).layout.streams["image"].codebook_sizes == (16,)
    assert json.loads((mine / "tokenizers/image/evaluation.json").read_text())["held_out_items"] == 5


def test_the_same_command_again_changes_nothing_and_other_data_are_refused(mine, pictures, tmp_path, call, refusal):
    words = ("train", "captions", "--out", mine, *SMALL, "--data")
    before = (mine / "models/main.safetensors").read_bytes()
    assert call(*words, pictures / "manifest.jsonl") == 0
    assert (mine / "models/main.safetensors").read_bytes() == before
    (tmp_path / "other.jsonl").write_text('{"text": "a", "image": "x.png"}\n')
    assert "started from other data" in refusal(*words, tmp_path / "other.jsonl")
    more = ("--set", "streams.image.fit.steps=7")
    assert "other fit options" in refusal(*words, pictures / "manifest.jsonl", *more)
    assert "holds another run" in refusal(*words, pictures / "manifest.jsonl", "--set", "training.seed=9")


def test_broken_items_are_listed_and_the_rest_is_trained_on_with_given_tokenizers(
    mine, pictures, tmp_path, call, capsys
):
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    (folder / "07.png").write_bytes((folder / "07.png").read_bytes()[:100])
    words = ("train", "captions", "--data", folder, "--out", tmp_path / "mine", "--tiny", "--set", "training.steps=1")
    given = [f"{name}={mine / 'tokenizers' / name}" for name in ("text", "image")]
    assert call(*words, "--tokenizer", given[0], "--tokenizer", given[1]) == 1
    assert "failed: pictures/07.png" in capsys.readouterr().err
    assert len(tm.load(tmp_path / "mine").records("train")) == 34
    kept = [(folder / "tokenizers/image/evaluation.json").read_text() for folder in (mine, tmp_path / "mine")]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("recipe", ["captions", "maskgit"])
def test_a_dry_run_prints_and_leaves_nothing(recipe, pictures, tmp_path, call, capsys):
    words = ("train", recipe, "--data", pictures, "--out", tmp_path / "new", "--dry-run")
    assert call(*words, *(SMALL if recipe == "captions" else ("--set", "streams.text.fit.vocab_size=300"))) == 0
    printed = capsys.readouterr().out
    for word in ("parameters: ", "positions a step: ", "memory: about ", "steps: ", "time: "):
        assert word in printed
    assert ("not tried" in printed) == (recipe == "maskgit")
    assert not (tmp_path / "new").exists()


def test_a_dry_run_on_other_machines_counts_and_says_what_it_assumes(mine, tmp_path, call, capsys):
    words = ["train", "captions", "--tiny", "--out", tmp_path / "new", "--corpus", mine / "corpus", "--dry-run"]
    for name in ("text", "image"):
        words += ["--tokenizer", f"{name}={mine / 'tokenizers' / name}"]
    assert call(*words, "--set", "training.batch_size=1000000000") == 0  # at once: no batch of that size is made
    printed = capsys.readouterr().out
    assert "(1000000000 records x " in printed and "time: not tried here" in printed
    large = ["--set", "training.batch_size=64", "--set", "training.sharding=full"]
    assert call(*words, *large, "--nodes", "8", "--device", "a100") == 0
    printed = capsys.readouterr().out.splitlines()
    count = int(printed[0].removeprefix("parameters: ").replace(",", ""))
    assert printed[3].startswith("on 8 node(s) of 8 a100: 1 record(s) x ") and "in shards" in printed[3]
    assert f"({16 * count / 64 / 1e9:.3g} GB for weights, gradients and optimiser" in printed[4]
    assert printed[5] == f"sent by each: about {12 * count * 63 / 64 / 1e9:.3g} GB a step"
    assert "efficiency" in printed[6] and "57 % of the peak" in printed[7] and len(printed) == 8
    assert not (tmp_path / "new").exists()
    assert call(*words, "--nodes", "64") == 2
    assert "each of 512 GPUs needs a record of a batch" in capsys.readouterr().err
    assert call(*words, "--gpus", "2", "--device", "cpu") == 2
    assert "--nodes and --gpus know the devices a100, h100, h200, got cpu" in capsys.readouterr().err
    words.remove("--dry-run")
    assert call(*words, "--nodes", "2") == 2
    assert "--nodes and --gpus are of --dry-run, got them without" in capsys.readouterr().err


def test_train_from_a_corpus_counts_its_parameters_like_the_dry_run(workplace, tmp_path, call, capsys):
    demo = workplace / "runs/demo"
    words = ("train", "captions", "--tiny", "--set", "training.steps=2", "--out", tmp_path / "new")
    words += ("--corpus", f"{demo / 'corpus/emoji'}=3", "--corpus", demo / "corpus/verses")
    for name in ("text", "image"):
        words += ("--tokenizer", f"{name}={demo / 'tokenizers' / name}")
    assert call(*words, "--dry-run") == 0
    promised = capsys.readouterr().out.splitlines()[0]
    assert call(*words) == 0
    assert "tokenmask generate image --run" in capsys.readouterr().out
    run = tm.load(tmp_path / "new")
    assert promised == f"parameters: {sum(p.numel() for p in run.models['main'].parameters()):,}"
    assert [weight for _, weight in run.corpora] == [3.0, 1.0]


def test_ctrl_c_leaves_a_run_that_goes_on(mine, tmp_path, call, capsys):
    words = ["train", "captions", "--tiny", "--out", tmp_path / "mine", "--corpus", mine / "corpus"]
    for name in ("text", "image"):
        words += ["--tokenizer", f"{name}={mine / 'tokenizers' / name}"]
    metrics, over = tmp_path / "mine/metrics.jsonl", threading.Event()

    def press() -> None:
        while not over.wait(0.02):
            if metrics.exists() and metrics.stat().st_size > 500:
                os.kill(os.getpid(), signal.SIGINT)
                return

    finger = threading.Thread(target=press)
    finger.start()
    try:
        code = call(*words, "--set", "training.steps=100000")
    finally:
        over.set()
        finger.join()
    errors = capsys.readouterr().err
    assert code == 130
    assert "training stopped after" in errors.splitlines()[-1] and "run the same command again" in errors
    assert "\x1b" not in errors and (tmp_path / "mine/checkpoint.safetensors").exists()
    assert call("info", tmp_path / "mine") == 0
    assert "not trained to the end" in capsys.readouterr().out


def test_ctrl_c_between_steps_ends_in_a_sentence(run, call, capsys, monkeypatch):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tm.Run, "held_out_scores", stop)
    assert call("evaluate", run.folder) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "tokenmask: stopped; nothing was changed"
