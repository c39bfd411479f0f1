"""Own data of every kind, as other programs write them: two commands, no file edited, and out comes a sample."""

import json
import re
import shutil

import pytest
import torch

import tokenmask as tm
from tests.cli import foreign
from tokenmask.cli.media import is_held_out
from tokenmask.cli.sources import items
from tokenmask.corpus import Corpus

# The smallest fits that work; without them the same commands take minutes.
FITS = {
    "text": "vocab_size=300",
    "image": "{steps: 3, batch_size: 4, config: {width: 16, codes: 16}}",
    "audio": "{steps: 3, batch_size: 2, config: {width: 64, head_width: 64, codes: 16, levels: 2}}",
    "motion": "{steps: 3, batch_size: 2}",
    "eeg": "{steps: 3, batch_size: 4}",
    "video": "{steps: 3, batch_size: 4, config: {image: {width: 16, codes: 16}}}",
}
SUFFIXES = {"text": "txt", "image": "png", "audio": "wav", "motion": "bvh", "eeg": "edf", "video": "webp"}
SMALL = ("--tiny", "--set", "training.steps=3", "--set", "training.batch_size=4")


def fits(*names: str) -> list[str]:
    words = []
    for name in names:
        key, value = ("fit.vocab_size", "300") if name == "text" else ("fit", FITS[name])
        words += ["--set", f"streams.{name}.{key}={value}"]
    return words


@pytest.mark.parametrize("modality", FITS)
def test_one_kind_of_files(modality, tmp_path, call, capsys):
    getattr(foreign, modality)(tmp_path / "data")
    source = tmp_path / ("data/sums.txt" if modality == "text" else "data")
    assert call("train", "own", "--data", source, "--out", tmp_path / "run", *SMALL, *fits(modality)) == 0
    output = capsys.readouterr().out
    assert f"streams of these data: {modality}\n" in output and f"tokenmask generate {modality} --run" in output
    out = tmp_path / f"sample.{SUFFIXES[modality]}"
    length = () if modality == "image" else ("--length", 4 if modality == "video" else 12)
    assert call("generate", modality, "--run", tmp_path / "run", *length, "--out", out) == 0
    kind = tm.load(tmp_path / "run").tokenizers[modality].media
    assert isinstance(kind.load(out), kind)


@pytest.mark.parametrize("modality", ["audio", "motion", "eeg"])
def test_fit_and_train(modality, tmp_path, call):
    getattr(foreign, modality)(tmp_path / "data")
    options = [
        word for value in FITS[modality].strip("{}").split(", batch")[:1] for word in ("--steps", value.split()[1])
    ]
    assert call("fit", modality, "--data", tmp_path / "data", "--out", tmp_path / "tokenizer", *options) == 0
    words = ("train", "own", "--data", tmp_path / "data", "--out", tmp_path / "run", *SMALL)
    assert call(*words, "--tokenizer", f"{modality}={tmp_path / 'tokenizer'}") == 0
    spec = tm.load(tmp_path / "run").layout.streams[modality]
    assert spec == tm.load_tokenizer(modality, tmp_path / "tokenizer").spec


def test_films_and_pictures_are_streams_of_their_own_and_what_is_held_out_alone_is_left_out(tmp_path, call, capsys):
    """A GIF that moves is a film, its neighbours are pictures; one sound, which the hash holds out, is no stream."""
    foreign.image(tmp_path / "data")
    foreign.video(tmp_path / "data", 3)
    foreign.audio(tmp_path / "data", 1)
    name = next(name for name in map("beep-{}".format, range(100)) if is_held_out(name))
    (tmp_path / "data/beep-0.wav").rename(tmp_path / f"data/{name}.wav")
    words = ("train", "own", "--data", tmp_path / "data", "--out", tmp_path / "run", *SMALL, *fits("image", "video"))
    assert call(*words) == 0
    output = capsys.readouterr().out
    assert "left out: the stream audio, since all of it that these data hold (1) is held out" in output
    assert "streams of these data: image, video\n" in output and "generate video --run" in output
    lines = [line for line in output.splitlines() if f"generate video --run {tmp_path / 'run'} --length 6" in line]
    assert len(lines) == 1  # places of 64 codes, 512 at most
    corpus = {record.key: record.streams for record in Corpus(tmp_path / "run/corpus")}
    assert list(corpus["data/square-0.gif"]) == ["video"] and list(corpus["data/home.png"]) == ["image"]
    # 18 frames of 60 ms, 12 a second, every third of them
    assert corpus["data/square-0.gif"]["video"].codes.shape == (5, 8, 8, 1)


def test_all_kinds_in_one_folder_become_one_run(tmp_path, call, capsys):
    """Sounds with captions, and icons without; then a run that starts from it has motion besides."""
    foreign.audio(tmp_path / "data")
    foreign.image(tmp_path / "data")
    for path in (tmp_path / "data").glob("*.wav"):
        path.with_suffix(".txt").write_text(
            f"{path.stem}, a tone that falls and fades; the number is {path.stem[-1]}" * 3
        )
    first = ("train", "own", "--data", tmp_path / "data", "--out", tmp_path / "one", *SMALL)
    assert call(*first, *fits("image", "audio"), "--set", "streams.text.fit.vocab_size=290") == 0
    assert "streams of these data: text, image, audio\n" in capsys.readouterr().out
    words = ("generate", "audio", "--run", tmp_path / "one", "--given", "text=a tone", "--length", 8)
    assert call(*words, "--out", tmp_path / "tone.wav") == 0
    foreign.motion(tmp_path / "more", 3)
    for path in (tmp_path / "data").iterdir():
        shutil.copy(path, tmp_path / "more")
    second = ["train", "own", "--data", tmp_path / "more", "--out", tmp_path / "two", *SMALL, *fits("motion")]
    second += ["--from", tmp_path / "one"]
    assert call(*second) == 0
    runs = [tm.load(tmp_path / name) for name in ("one", "two")]
    assert list(runs[1].layout.streams) == ["text", "image", "audio", "motion"]
    assert all(runs[1].layout.streams[name] == runs[0].layout.streams[name] for name in ("text", "image", "audio"))
    about = json.loads((tmp_path / "two/run.json").read_text())["started_from"]
    assert about["run"] == str(tmp_path / "one") and len(about["sha256"]) == 64
    assert call(*second) == 0  # the same command again finds everything done


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A run of icons."""
    from tokenmask.cli import main

    folder = tmp_path_factory.mktemp("own")
    foreign.image(folder / "data")
    words = ("train", "own", "--data", folder / "data", "--out", folder / "run", *SMALL, *fits("image"))
    assert main([str(word) for word in words]) == 0
    return folder


def test_a_run_starts_from_another_and_says_what_does_not_fit(own, tmp_path, call, refusal):
    words = ["train", "own", "--data", own / "data", "--out", tmp_path / "two", "--from", own / "run", "--tiny"]
    slow = ("--set", "training.steps=1", "--set", "training.peak_lr=1e-9", "--set", "training.optimiser.muon=false")
    assert call(*words, *slow) == 0
    first, second = (tm.load(folder).models["main"].state_dict() for folder in (own / "run", tmp_path / "two"))
    assert all(torch.allclose(second[name], first[name], atol=1e-6) for name in first)
    given = ("--tokenizer", f"image={own / 'run/tokenizers/image'}")
    assert "holds another run" in refusal(*words[:-3], "--tiny", *slow, *given)  # without --from
    words[words.index(tmp_path / "two")] = tmp_path / "three"
    assert "its depth is 1 and that of the other 2" in refusal(*words, "--set", "model.depth=1")
    assert not (tmp_path / "three").exists()
    assert "run.json" in refusal("train", "own", "--data", own / "data", "--out", tmp_path / "x", "--from", tmp_path)
    foreign.audio(tmp_path / "sounds")
    lone = ("train", "own", "--data", tmp_path / "sounds", "--out", tmp_path / "y", "--from", own / "run", *SMALL)
    assert call(*lone, *fits("audio")) == 0  # one more stream, and those of the other run stay
    assert set(tm.load(tmp_path / "y").layout.names) == {"audio", *tm.load(own / "run").layout.names}
    other = ("--tokenizer", f"image={tmp_path / 'other'}")
    option = ("--steps", 2, "--option", "config.width=16", "--option", "config.codes=16", "--seed", 5)
    assert call("fit", "image", "--data", own / "data", "--out", tmp_path / "other", *option) == 0
    assert "stream 'image' must have the codes that" in refusal(*words, *other)


def test_a_dry_run_tells_the_time_of_tokenizers_too(own, tmp_path, call, capsys):
    words = ("train", "own", "--data", own / "data", "--out", tmp_path / "new", *SMALL, *fits("image"), "--dry-run")
    assert call(*words) == 0
    printed = capsys.readouterr().out
    assert "tokenizer of image: 3 steps, about " in printed and "time: a step took " in printed
    assert re.search(r"corpus: \d+ items, about \d+ s to encode \(one process, told by \d+ of them\)\n", printed)
    assert not (tmp_path / "new").exists()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.pdf").write_bytes(b"none of it")
    assert call("train", "own", "--data", tmp_path / "empty", "--out", tmp_path / "new") == 2


def test_files_of_an_unknown_kind_are_named(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "genes.fasta").write_text(">one\nACGT\n")
    with pytest.raises(ValueError, match=r"they have \.fasta files, an ending of no known modality") as caught:
        items([tmp_path / "data"], {"text": "text", "dna": "dna"}, complete=False)
    assert "no ending is known for dna" in str(caught.value) and ".jsonl manifest" in str(caught.value)
