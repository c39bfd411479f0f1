"""What a command says before torch is imported, and what the start of one that computes leaves out."""

import subprocess
import sys

import pytest

from tokenmask.cli.early import SHIPPED, check_paths
from tokenmask.cli.parser import make_parser
from tokenmask.run import folder
from tokenmask.tokenizer import points

WRONG = {
    "generate text --run none --length 3": "a run folder holds run.json, but none does not",
    "edit x.png --run none": "a run folder holds run.json, but none does not",
    "evaluate none": "a run folder holds run.json, but none does not",
    "train own --data . --from none --out new": "a run folder holds run.json, but none does not",
    "generate smell": "has the streams text, label, image, audio, motion, eeg, got 'smell'",
    "generate text --given image=none.png --length 3": "none.png does not exist; it is given for 'image'",
    "generate image --also 2:text=@none.txt": "none.txt does not exist; it is given for 'text'",
    "generate image --prompts none.txt": "none.txt does not exist; name a file of prompts",
    "edit none.png": "none.png does not exist; name the file that is edited",
    "generate image --record steps": "a recording's file must end in .safetensors, got 'steps'; rename it",
    "generate image --record none/s.safetensors": "none is not a folder; make it",
    "encode none.png --tokenizer shipped --out new": "none.png does not exist",
    "encode . --tokenizer none --out new": "a tokenizer folder holds tokenizer.json, but none does not",
    "train own --data . --tokenizer image=none --out new": "a tokenizer folder holds tokenizer.json, but none does not",
    "fit image --data none --out new": "none does not exist",
    "fit image --data . --out file": "--out must name a folder, but file is a file; choose another --out",
    "encode . --tokenizer shipped --out file": "--out must name a folder, but file is a file",
    "decode . --tokenizer shipped --out file": "--out must name a folder, but file is a file",
    "train own --data . --out file": "--out must name a folder, but file is a file",
    "train none --data . --out new": "a recipe is one of adaptive, aligned, ",
    "recipes none.yaml": "or the path of a YAML file, got 'none.yaml'; correct the name or the path",
    "train captions --corpus . --corpus none=2.0 --out new": "a corpus is a folder of Parquet shards, but none is not",
    "corpus show none": "a corpus is a folder of Parquet shards, but none is not a folder; build the corpus first",
    "corpus build none --tokenizer text=shipped --out new": "none does not exist; name a file or a folder",
    "corpus build . --tokenizer text=none --out new": "a tokenizer folder holds tokenizer.json, but none does not",
    "swap shipped text=none --out new": "a tokenizer folder holds tokenizer.json, but none does not",
    "swap shipped --remove eeg --corpus none --out new": "a corpus is a folder of Parquet shards, but none is not",
    "swap shipped --remove eeg --out file": "--out must name a folder, but file is a file",
    "study none.yaml": "a study must be a readable YAML file, but none.yaml is not (No such file",
    "study page.yaml --new none": "a run folder holds run.json, but none does not",
    "play none": "a run folder holds run.json, but none does not",
    "play --swap text=none": "a tokenizer folder holds tokenizer.json, but none does not",
    "inspect text=shipped --on none": "none does not exist; name a file or a folder that is there",
    "inspect none --on .": "a tokenizer folder holds tokenizer.json, but none does not",
    "report --out file": "a report is a file that ends in .html, got 'file'",
    "report --out none/report.html": "none is not a folder; make it, or choose another place",
    "corpus build . --tokenizer text=shipped --out s3://b/c": "--out must lie on this machine, got s3://b/c; write it",
    "demo --out file": "--out must name a folder, but file is a file",
}
RIGHT = (
    "generate image --given text=none.png --given text=@@none",
    "generate text --given text=none.txt --length 3",
    "edit words --stream text",
    "encode . --tokenizer shipped --out new",
    "encode . --tokenizer encodec:somewhere,levels=8 --out new",
    "train own --data . --tokenizer image=shipped --out new",
    "push SHIPPED me/run",
    "push shipped me/run",
    "swap shipped --remove eeg --out new",
    "train own --data . --from shipped --out new",
    "train captions --corpus s3://bucket/pictures=2.0 --corpus memory://pictures --out new",
    "train SHIPPED/recipe.yaml --corpus . --out new",
    "train captions --corpus none=x --out new",
    "train captions --corpus none=0 --out new",
    "corpus show s3://bucket/pictures",
    "corpus build . --tokenizer text --out new",
    "swap shipped image --out new",
    "play --swap =none",
    "recipes five",
    "study page.yaml --new shipped",
    "inspect shipped --on .",
    "swap shipped audio=encodec:somewhere,levels=8 --out new",
    "report --out report.html",
)


def test_wrong_paths_are_told_without_torch(tmp_path):
    code = "import sys, tokenmask.cli as c\n"
    code += f"for words in {list(WRONG)!r}: print(c.main(words.split()))\n"
    code += "print('torch' in sys.modules)"
    (tmp_path / "file").touch()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert result.stdout.split() == ["2"] * len(WRONG) + ["False"]
    told = result.stderr.splitlines()
    assert len(told) == len(WRONG)
    for line, sentence in zip(told, WRONG.values(), strict=True):
        assert line.startswith("tokenmask: ") and sentence in line


def test_the_run_that_ships_has_a_name():
    swap = make_parser().parse_args(["swap", "shipped", "--remove", "eeg", "--out", "new"])
    assert swap.run == str(folder.SHIPPED)
    assert make_parser().parse_args(["swap", "./shipped", "--remove", "eeg", "--out", "new"]).run == "./shipped"


@pytest.mark.parametrize("words", RIGHT)
def test_what_is_there_or_only_words_is_left_to_the_command(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_paths(make_parser().parse_args(words.replace("SHIPPED", str(SHIPPED)).split()))


def test_a_record_of_a_file_and_a_damaged_run_are_left_to_the_command(tmp_path):
    (tmp_path / "all.npz").touch()
    check_paths(make_parser().parse_args(["generate", "text", "--given", f"motion={tmp_path}/all.npz#walk"]))
    (tmp_path / "run.json").write_text("{")
    (tmp_path / "layout.json").write_text("[]")
    check_paths(make_parser().parse_args(["generate", "smell", "--run", str(tmp_path)]))
    assert SHIPPED == folder.SHIPPED


def test_a_command_that_draws_imports_no_more_than_it_needs(tmp_path):
    """sympy, which torch takes for tensors without values, and jsonargparse are a third of a start."""
    code = "import gc, sys, tokenmask.cli as c\n"
    code += "c.main(['generate', 'text', '--given', 'text=In the', '--length', '2'])\n"
    code += "print([name for name in ('sympy', 'jsonargparse', 'PIL', 'matplotlib') if name in sys.modules])\n"
    code += "print(gc.isenabled())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert result.stdout.splitlines()[0].startswith("In the") and result.stdout.splitlines()[1:] == ["[]", "True"]


def test_what_is_installed_meanwhile_is_found(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    group = "tokenmask.tests.points"
    assert points.entry_points(group) == ()
    about = tmp_path / "brought-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{group}]\none = brought:One\n")
    assert [(point.name, point.value) for point in points.entry_points(group)] == [("one", "brought:One")]


@pytest.mark.parametrize("command", ["generate image", "edit words --stream text"])
def test_a_recording_that_is_there_is_kept(command, tmp_path):
    there = tmp_path / "steps.safetensors"
    there.write_text("kept")
    words = [*command.split(), "--record", str(there)]
    with pytest.raises(ValueError, match=r"steps.safetensors exists; choose another name or add --force"):
        check_paths(make_parser().parse_args(words))
    check_paths(make_parser().parse_args([*words, "--force"]))
