"""What a command prints as the next one works as it is printed."""

import json
import os
import re
import shlex
import shutil

import pytest
import torch
from PIL import Image as pillow

import tokenmask as tm
from tests.cli.foreign import eeg
from tests.cli.test_train import SMALL
from tokenmask.cli.printed import after_training
from tokenmask.cli.tune import too_few
from tokenmask.modalities.eeg import EegRecording
from tokenmask.models import MaskedModel
from tokenmask.run.folder import model_path
from tokenmask.studies import read_study


def printed_commands(text):
    return [shlex.split(line)[1:] for line in re.findall(r"^tokenmask .+$", text, re.M)]


def test_every_stream_of_the_model_that_ships_is_generated_as_printed(tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tm.load()
    lines = [line for line in after_training(run) if "generate" in line]
    assert [line.split()[2] for line in lines] == list(run.layout.names)
    for line in lines:
        assert call(*shlex.split(line)[1:], "--set", "steps=1") == 0
    kinds = {path.stem.partition("-")[2] for path in tmp_path.iterdir()}
    assert kinds == {"image", "audio", "motion", "eeg"}  # text and labels are printed
    again = [line for line in after_training(run) if "--out" in line]  # what is there does not stand in the way
    assert [line.split()[-1] for line in again][:2] == ["weights-image-2.png", "weights-audio-2.wav"]


@pytest.fixture(scope="module")
def own(pictures, tmp_path_factory):
    """A run of pictures and captions by a recipe whose streams are optional, in a folder with a blank in its name."""
    from tokenmask.cli import main

    folder = tmp_path_factory.mktemp("own runs") / "own"
    words = ("train", "own", "--data", pictures, "--out", folder, *SMALL, "--tokenizer", "image=shipped")
    assert main([str(word) for word in words]) == 0
    return folder


def test_after_a_training_all_that_is_printed_works(own, pictures, tmp_path, call, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert call("train", "own", "--data", pictures, "--out", own, *SMALL, "--tokenizer", "image=shipped") == 0
    commands = printed_commands(capsys.readouterr().out)
    assert [words[:2] for words in commands[:2]] == [["generate", "text"], ["generate", "image"]]
    assert [words[0] for words in commands[2:]] == ["evaluate", "report"]
    for words in commands:
        assert call(*words, *(["--quick"] if words[0] == "evaluate" else [])) == 0
    assert (tmp_path / "own-image.png").is_file() and (own / "report.html").is_file()
    assert tm.load(own).tokenizers["image"].spec == tm.load_tokenizer("image").spec


def test_after_a_swap_the_new_rows_learn_and_all_else_stays(own, pictures, tmp_path, call, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit = ("fit", "image", "--data", pictures, "--steps", 2, "--option", "config.codes=24", "--out", "small")
    assert call(*fit) == 0 and call("swap", own, "image=small", "--out", "swapped") == 0
    (words,) = printed_commands(capsys.readouterr().out)
    assert "--freeze" in words and words[words.index("--data") + 1] == "SOURCE"
    words[words.index("SOURCE")] = str(pictures)
    assert call(*words, "--set", "training.steps=3") == 0
    assert "only the rows of image are trained" in capsys.readouterr().out
    before, after = (tm.load(one).models["main"] for one in ("swapped", "swapped-trained"))
    assert moved_rows(before, after) == {"image"}
    assert tm.load("swapped").fresh == ("image",) and tm.load("swapped-trained").fresh == ()
    kept = [
        json.loads((tmp_path / one / "evaluation.json").read_text()) for one in ("small", "swapped/tokenizers/image")
    ]
    assert kept[0] == kept[1] == json.loads((tmp_path / "swapped-trained/tokenizers/image/evaluation.json").read_text())
    sentence = "leave it away, or say which with --set training.only=[NAME]"
    again = ("--from", "swapped-trained", "--freeze", "--data", pictures, "--out", "again")
    assert call("train", "swapped-trained/recipe.yaml", *again) == 2
    assert sentence in capsys.readouterr().err
    assert call("train", "own", "--freeze", "--data", pictures, "--out", "again") == 2
    assert "name that run with --from" in capsys.readouterr().err


def moved_rows(before: MaskedModel, after: MaskedModel) -> set[str]:
    """The streams any of whose rows differ; "" stands for what belongs to no stream. Ids may lie elsewhere."""
    layout, rows, old, new = after.layout, after.layout_rows(), before.state_dict(), after.state_dict()
    controls = min(one.offset for one in layout.ranges)  # ids of no stream stand before all others
    moved = set()
    for name in new:
        if name in rows.ids:
            for one in layout.ranges:
                was = before.layout.range(one.stream, one.level)
                if not torch.equal(old[name][was.offset :][: was.size], new[name][one.offset :][: one.size]):
                    moved.add(one.stream)
            if not torch.equal(old[name][:controls], new[name][:controls]):
                moved.add("")
            continue
        different = (old[name] != new[name]).flatten(1).any(1) if new[name].dim() > 1 else old[name] != new[name]
        for place in different.flatten().nonzero().flatten().tolist():
            if name in rows.ranges:
                moved.add(layout.ranges[place].stream)
            else:
                moved.add(layout.names[place - 1] if name in rows.streams and place else "")
    return moved


def test_a_part_of_the_data_will_do_where_streams_are_optional_and_no_stream_of_a_run_is_lost(
    own, tmp_path, call, capsys, refusal, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("the sun\nthe moon\na red heart\n")
    assert call("fit", "text", "--data", own / "recipe.yaml", "--option", "vocab_size=280", "--out", "fresh") == 0
    assert call("swap", own, "text=fresh", "--out", "swapped") == 0
    words = ("train", "swapped/recipe.yaml", "--from", "swapped", "--data", "words.txt", "--out", "part")
    assert call(*words, "--set", "training.steps=2") == 0
    printed = capsys.readouterr().out
    assert "streams of these data: text\nkept as swapped has learned them: image\n" in printed
    before, after = (tm.load(one) for one in ("swapped", "part"))
    assert (
        after.layout.names == before.layout.names and after.tokenizers["image"].spec == before.tokenizers["image"].spec
    )
    assert call("generate", "image", "--run", "part", "--set", "steps=1", "--out", "one.png") == 0
    moved = [*words[:-1], "frozen", "--freeze", "--set", "training.steps=2"]
    assert call(*moved) == 0 and moved_rows(before.models["main"], tm.load("frozen").models["main"]) == {"text"}
    (tmp_path / "more").mkdir()
    pillow.new("RGB", (32, 32), "red").save(tmp_path / "more/a.png")
    with_pictures = [*words[:5], "more", "--out", "none", "--freeze"]
    assert "these data hold none of them" in refusal(*with_pictures)


def test_shipped_tokenizers_are_named_by_stream(pictures, tmp_path, call, refusal):
    words = ("corpus", "build", pictures, "--out", tmp_path / "c", "--tokenizer")
    assert "tokenizers ship for audio, eeg, image, motion, text, got smell=shipped" in refusal(*words, "smell=shipped")
    assert call(*words, "image=shipped", "--tokenizer", "text=shipped") == 0


def test_files_have_the_permissions_that_the_user_wants(own, pictures, tmp_path, call):
    usual = os.umask(0o027)
    try:
        words = ("train", "own", "--data", pictures, "--out", tmp_path / "run", *SMALL, "--tokenizer", "image=shipped")
        assert call(*words) == 0
        assert call("generate", "image", "--run", own, "--out", tmp_path / "x.tokens") == 0
        assert call("generate", "image", "--run", own, "--out", tmp_path / "x.png") == 0
    finally:
        os.umask(usual)
    modes = {oct(path.stat().st_mode & 0o777) for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {"0o640"}
    assert model_path(tmp_path / "run").is_file()


def test_electrodes_of_a_mixed_run_are_those_of_its_data(pictures, tmp_path, call, capsys, monkeypatch):
    """The first record of the corpus is a picture: the names stand in a later one."""
    monkeypatch.chdir(tmp_path)
    eeg(tmp_path / "mixed", 3)
    for number in range(4):
        shutil.copy(pictures / f"{number:02}.png", tmp_path / "mixed")
    small = ("--tiny", "--set", "training.steps=1", "--tokenizer", "image=shipped", "--tokenizer", "eeg=shipped")
    assert call("train", "own", "--data", "mixed", "--out", "run", *small) == 0
    (words,) = [words for words in printed_commands(capsys.readouterr().out) if words[:2] == ["generate", "eeg"]]
    assert "--length" in words and call(*words, "--set", "steps=1") == 0
    assert EegRecording.load("run-eeg.edf").channels == ("Fp1", "Cz", "O1", "O2")
    about = json.loads((tmp_path / "run/run.json").read_text())
    (tmp_path / "run/run.json").write_text(json.dumps(about | {"labels": {}}))  # as it was written before
    assert call("train", "own", "--data", "mixed", "--out", "run", *small) == 0
    (tmp_path / "run/run.json").write_text(json.dumps(about | {"labels": {"eeg": {"channel": ["A"]}}}))
    assert call("train", "own", "--data", "mixed", "--out", "run", *small) == 2
    assert "holds another run (run.json differs)" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["audio", "eeg"])
def test_a_run_of_one_stream_goes_from_one_printed_command_to_the_next(kind, tmp_path, call, capsys, monkeypatch):
    """Train, generate, edit, swap, train again, and generate from both runs in one folder, where names must differ."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    if kind == "eeg":
        eeg(data, 4)
    else:
        data.mkdir()
        for number in range(4):
            tone = 0.3 * torch.sin(torch.arange(8000) * (0.1 + 0.02 * number))
            tm.AudioClip(tone[None], 16000).save(data / f"{number}.wav")
    small = ("--tiny", "--set", "training.steps=1")
    assert call("train", "own", "--data", data, "--tokenizer", f"{kind}=shipped", "--out", "run", *small) == 0
    first = printed_commands(capsys.readouterr().out)
    assert call(*first[0], "--set", "steps=1") == 0
    (made,) = tmp_path.glob(f"run-{kind}.*")
    region = "0.25:0.5"
    assert call("edit", made.name, "--run", "run", "--regenerate", region, "--out", f"again{made.suffix}") == 0
    option = ("--option", "config.width=16", "--option", "config.codes=16", "--steps", 1)
    assert call("fit", kind, "--data", data, "--out", "small", *option) == 0
    capsys.readouterr()
    assert call("swap", "run", f"{kind}=small", "--out", "swapped") == 0
    printed = capsys.readouterr().out
    assert "All other streams" not in printed and "Let the new rows learn from your data" in printed
    (words,) = printed_commands(printed)
    assert call(*[str(data) if word == "SOURCE" else word for word in words], "--set", "training.steps=1") == 0
    second = printed_commands(capsys.readouterr().out)
    assert call(*second[0], "--set", "steps=1") == 0 and call(*second[0], "--set", "steps=1") == 2
    assert list(tmp_path.glob(f"swapped-trained-{kind}.*"))


@pytest.mark.parametrize(("stream", "held"), [("image", "emoji"), ("motion", "motion")])
def test_the_first_page_of_a_study_of_a_run_without_data_names_some(stream, held, tmp_path, call):
    page = tmp_path / "steps.yaml"
    assert call("study", page, "--new", "shipped", "--stream", stream) == 0
    study = read_study(page)  # refuses a page that cannot be measured
    assert study.data == {"set": held} and study.run == "shipped" and study.stream == stream
    page.write_text(page.read_text().replace("data: {set:", "# data: {set:"))
    with pytest.raises(ValueError, match=r"needs data, got none; write the key data: \{corpus: FOLDER\}"):
        read_study(page)


def test_a_tuning_asks_for_records_that_there_are():
    assert too_few(8, 8) == "8 records do not tell any of them from what was: the intervals overlap; ask for more."
    assert too_few(8, 32).endswith("the intervals overlap; train with more held-out ones.")
