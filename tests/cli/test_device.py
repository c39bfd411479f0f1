"""--device of commands, on a device that is not there: what they make is that of the CPU, and one line says where."""

import pytest

from tests.pretend_device import NAME
from tokenmask.ops import _extension
from tokenmask.streams import TokenStream

SAID = "computing on pretend:0; --device cpu computes on the CPU\n"


@pytest.fixture
def pretend(monkeypatch) -> str:
    monkeypatch.setattr(_extension, "OTHERS", {*_extension.OTHERS, NAME})
    return NAME


@pytest.fixture
def said(call, capsys, workplace, monkeypatch):
    """What a command that succeeds says on stderr, called where the demo is."""
    monkeypatch.chdir(workplace)

    def of(*words: object) -> str:
        capsys.readouterr()
        assert call(*words) == 0
        return capsys.readouterr().err

    return of


def test_pictures_are_drawn_there(said, pretend, tmp_path):
    words = ("generate", "image", "--run", "runs/demo", "--given", "text=sun", "--steps", "2", "--out")
    assert "computing" not in said(*words, tmp_path / "here.tokens")
    assert said(*words, tmp_path / "there.tokens", "--device", pretend).startswith(SAID)
    here, there = (TokenStream.load(tmp_path / f"{name}.tokens").codes.tolist() for name in ("here", "there"))
    assert here == there


def test_an_edit_is_made_there(said, pretend, tmp_path):
    words = ("edit", "runs/demo/samples/sun.png", "--run", "runs/demo", "--regenerate", "0,0,16,16", "--steps", "1")
    assert said(*words, "--out", tmp_path / "sun.png", "--device", pretend).startswith(SAID)
    assert (tmp_path / "sun.png").is_file()


def test_media_are_encoded_there_by_one_process(said, refusal, pretend, tmp_path):
    words = ("encode", "runs/demo/samples", "--tokenizer", "runs/demo/tokenizers/image", "--out")
    said(*words, tmp_path / "here", "--workers", "1")
    assert said(*words, tmp_path / "there", "--device", pretend).startswith(SAID)
    named = [path.name for path in sorted((tmp_path / "here").glob("*.tokens"))]
    assert len(named) == 8
    for name in named:
        assert TokenStream.load(tmp_path / "there" / name) == TokenStream.load(tmp_path / "here" / name)
    refused = refusal(*words, tmp_path / "more", "--device", pretend, "--workers", "2")
    assert "--workers are processes of the CPU, got 2 with --device pretend:0; leave one of them out" in refused


def test_a_model_is_trained_there(said, pretend, tmp_path):
    corpus = ("--corpus", "runs/demo/corpus/emoji", "--set", "training.steps=2", "--tiny")
    shipped = ("--tokenizer", "text=runs/demo/tokenizers/text", "--tokenizer", "image=runs/demo/tokenizers/image")
    assert said("train", "captions", "--out", tmp_path / "run", *corpus, *shipped, "--device", pretend).startswith(SAID)
    assert (tmp_path / "run/models/main.safetensors").is_file()


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(refusal, tmp_path):
    for name in ("xpu", "pretend"):
        refused = refusal("generate", "image", "--out", tmp_path / "a.png", "--device", name)
        assert f"device {name} has no kernels in tokenmask; take cpu or cuda" in refused
    assert not list(tmp_path.iterdir())
