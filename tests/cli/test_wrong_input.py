"""Wrong input: one sentence that names what is wrong, exit code 2, nothing left behind."""

import os
import resource
import shutil
import signal
import subprocess
import sys

import pytest

from tokenmask.cli import main
from tokenmask.run import Run

TRAIN = ["train", "captions", "--tiny", "--out", "TMP/new"]
IMAGE = ["generate", "image", "--run", "RUN"]
TEXT = ["generate", "text", "--run", "RUN"]
BUILD = ["corpus", "build", "--tokenizer", "text=RUN/tokenizers/text", "--out", "TMP/new"]
CASES = [
    ([], "a command", "COMMAND"),
    (["draw"], "", "invalid choice: 'draw'"),
    (["generate"], "", "required: STREAM"),
    # generate
    (["generate", "audio", "--run", "RUN"], "modality the run lacks", "streams text, image, got 'audio'"),
    ([*IMAGE, "--given", "audio=x"], "condition the run lacks", "'audio'"),
    ([*IMAGE, "--given", "text="], "empty text", "at least one character"),
    ([*IMAGE, "--given", "text"], "", "NAME=VALUE"),
    ([*IMAGE, "--given", "text=a", "--given", "text=b"], "", "two values for 'text'"),
    ([*IMAGE, "--given", "text=@TMP/none.txt"], "", "none.txt"),
    ([*IMAGE, "--given", "text=@TMP/latin.txt"], "", "must be text in UTF-8"),
    ([*IMAGE, "--steps", "0"], "", "at least 1"),
    ([*IMAGE, "--steps", "many"], "", "'many'"),
    ([*IMAGE, "--seed", "-1"], "", "from 0 to"),
    ([*IMAGE, "--seed", "9" * 30], "", "2**63"),
    ([*IMAGE, "--temperature", "-1"], "", "at least 0"),
    ([*IMAGE, "--guidance", "nan"], "", "a number"),
    ([*IMAGE, "--num-samples", "0"], "", "at least 1"),
    ([*IMAGE, "--length", "9"], "", "8 x 8 places, got length 9"),
    ([*IMAGE, "--duration", "2"], "", "has no clock to measure seconds by, got duration_seconds=2; leave it out"),
    (["tune", "RUN", "--stream", "text", "--samples", str(10**11)], "", "at most 2147483647, got '100000000000'"),
    ([*IMAGE, "--out", "TMP/heart.txt"], "", ".png"),
    ([*IMAGE, "--given", f"text={'long ' * 400}"], "too long a condition", "at most 96 positions"),
    ([*TEXT, "--given", "text=In the"], "no length", "--length"),
    ([*TEXT, "--length", "0"], "length zero", "at least 1"),
    ([*TEXT, "--given", "image=TMP/none.png", "--length", "3"], "missing media", "none.png"),
    ([*TEXT, "--given", "image=TMP/cut.png", "--length", "3"], "truncated media", "cut.png"),
    ([*TEXT, "--given", "image=TMP/cut.tokens", "--length", "3"], "truncated tokens", "cut.tokens"),
    ([*TEXT, "--given", "image=TMP/words.txt", "--length", "3"], "no picture", "words.txt"),
    (["generate", "image", "--run", "TMP/none"], "no run", "run.json"),
    (["evaluate", "TMP/none"], "", "run.json"),
    (["evaluate", "RUN", "--draws", "0"], "", "at least 1"),
    (["info", "TMP/none"], "", "run.json"),
    # recipes and training
    (["recipes", "none"], "", "a recipe is one of"),
    (["recipes", "TMP/recipe.yaml"], "no YAML", "recipe.yaml"),
    (["train", "none", "--out", "TMP/new"], "", "a recipe is one of"),
    (
        ["encode", "TMP", "--tokenizer", "image=TMP/none", "--out", "TMP/new"],
        "",
        "write image=shipped for the one that",
    ),
    (TRAIN, "", "tokenizer for text, image"),
    ([*TRAIN, "--set", "training.stepz=3"], "unknown field", "stepz"),
    ([*TRAIN, "--set", "training.steps=many"], "wrong kind", "steps"),
    ([*TRAIN, "--set", "training.steps=[1"], "no value", "training.steps=[1"),
    (
        [*TRAIN, "--set", "training.steps"],
        "",
        "FIELD=VALUE of the recipe, got 'training.steps'; write",
    ),
    ([*TRAIN, "--set", "=3"], "no field", "got '=3' without a field"),
    ([*TRAIN, "--set", "training.seed=1", "--set", "training.seed=1"], "", "got training.seed=1 and training.seed=1"),
    ([*TRAIN, "--dry-run", "--device", "H100"], "a machine", "--device h100 is of --nodes and --gpus"),
    ([*TRAIN, "--dry-run", "--device", "none"], "", "device must be cpu or cuda"),
    ([*IMAGE, "--set", "steps=4", "--steps", "2"], "said twice", "--steps and --set steps=4 say the same; leave one"),
    ([*IMAGE, "--set", "pick.init_args.top_k=4", "--top-k", "2"], "", "--top-k and --set pick.init_args.top_k=4 say"),
    ([*IMAGE, "--set", "steps=4", "--set", "steps=5"], "", "--set says a field once, got steps=4 and steps=5"),
    ([*IMAGE, "--set", "=4"], "", "got '=4' without a field"),
    ([*IMAGE, "--prompts", "TMP/long.txt"], "long lines", "long.txt: a request may take at most 96"),
    (["study", "TMP/none.yaml"], "", "none.yaml is not (No such file or directory); check the path, or begin one"),
    (["encode", "TMP/words.txt", "TMP/cut.png", "--tokenizer", "shipped", "--out", "TMP/new"], "", "of image and text"),
    (["encode", "TMP", "--tokenizer", "LaBraM:x", "--out", "TMP/new"], "capitals", "got 'LaBraM'; write 'labram'"),
    ([*TRAIN, "--corpus", "TMP/none=x"], "", "FOLDER=WEIGHT"),
    ([*TRAIN, "--corpus", "TMP/none=0"], "", "above 0"),
    ([*TRAIN, "--tokenizer", "audio=RUN/tokenizers/text"], "", "got a tokenizer for 'audio'"),
    (
        [*TRAIN, "--tokenizer", "text=RUN/tokenizers/text", "--tokenizer", "image=RUN/tokenizers/text"],
        "",
        "got one of text",
    ),
    ([*TRAIN, "--data", "TMP/none"], "", "does not exist"),
    ([*TRAIN, "--data", "TMP/words.txt", "--set", "streams.text.fit.size=3"], "unknown option", "size"),
    ([*TRAIN, "--data", "TMP/words.txt"], "too little text", "with --set streams.text.fit"),
    ([*TRAIN, "--data", "TMP/empty"], "", "no image was found"),
    ([*TRAIN, "--data", "TMP/empty.txt"], "", "at least one item"),
    ([*TRAIN, "--data", "TMP/empty.txt", "--dry-run"], "", "at least one item"),
    # tokenizers and tokens
    (["fit", "smell", "--data", "TMP", "--out", "TMP/new"], "", "got 'smell'"),
    (["fit", "image", "--data", "TMP/empty", "--out", "TMP/new"], "", "no image was found"),
    (["fit", "image", "--data", "TMP/cut.png", "--out", "TMP/new"], "", "none of 1 is left"),
    (["fit", "text", "--data", "TMP/latin.txt", "--out", "TMP/new"], "", "latin.txt"),
    (["fit", "text", "--data", "TMP/words.txt", "--out", "TMP/new", "--option", "depth=3"], "", "depth"),
    (["fit", "text", "--data", "TMP/words.txt", "--out", "TMP/new", "--option", "vocab_size=few"], "", "few"),
    (["fit", "text", "--data", "TMP/words.txt", "--out", "TMP/new", "--option", "vocab_size=["], "", "vocab_size=["),
    (["fit", "text", "--data", "TMP/words.txt", "--out", "TMP/new", "--option", "x"], "", "KEY=VALUE"),
    (["fit", "text", "--data", "TMP/words.txt", "--out", "TMP/new", "--steps", "3"], "", "steps"),
    (["encode", "TMP/whole.png", "--tokenizer", "TMP/none", "--out", "TMP/new"], "", "tokenizer.json"),
    (["encode", "TMP/none.png", "--tokenizer", "RUN/tokenizers/image", "--out", "TMP/new"], "", "none.png"),
    (["decode", "TMP/none.tokens", "--tokenizer", "RUN/tokenizers/image", "--out", "TMP/new"], "", "none.tokens"),
    # corpora
    (["corpus", "show", "TMP/empty"], "", "Parquet"),
    (["corpus", "build", "TMP/words.txt", "--out", "TMP/new", "--tokenizer", "text"], "", "NAME=FOLDER"),
    ([*BUILD, "--tokenizer", "text=RUN/tokenizers/text", "TMP/words.txt"], "", "two values for 'text'"),
    ([*BUILD, "TMP/bad.jsonl"], "", "line 1 of"),
    ([*BUILD, "TMP/number.jsonl"], "", "got int"),
    ([*BUILD, "TMP/split.jsonl"], "", "'held-out'"),
    ([*BUILD, "TMP/whole.png"], "", "is none of these"),
    ([*BUILD, "TMP/latin.txt"], "", "latin.txt"),
]


@pytest.mark.parametrize(
    ("words", "why", "sentence"), CASES, ids=[f"{' '.join(words)[:60]} {why}" for words, why, _ in CASES]
)
def test_wrong_input(words, why, sentence, run, spoilt, refusal, monkeypatch):
    load = Run.load  # the run is opened once for all cases; others are looked for as ever
    monkeypatch.setattr(Run, "load", lambda folder: run if folder == str(run.folder) else load(folder))
    (spoilt / "cut.tokens").write_bytes(b"\x40\x00\x00\x00\x00\x00\x00\x00{")
    before = sorted(spoilt.rglob("*"))
    words = [word.replace("RUN", str(run.folder)).replace("TMP", str(spoilt)) for word in words]
    assert sentence in refusal(*words)
    left = [path for path in spoilt.rglob("*") if path not in before and not path.is_dir()]
    assert left == []


@pytest.fixture
def hurt(run, tmp_path):
    """A copy of the run, with a function that flips a byte in the middle of one of its files."""
    folder = tmp_path / "hurt"
    shutil.copytree(run.folder, folder)
    (folder / "evaluation.json").unlink(missing_ok=True)

    def flip(pattern: str):
        path = next(folder.glob(pattern))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
        return path

    return flip


@pytest.mark.parametrize(
    "pattern",
    ["corpus/emoji/*.parquet", "models/main.safetensors", "recipe.yaml", "layout.json", "tokenizers/*/*.safetensors"],
)
def test_a_damaged_file_of_a_run_is_named(pattern, hurt, tmp_path, refusal):
    path = hurt(pattern)
    assert str(path.parent if "tokenizers" in pattern else path) in refusal("evaluate", tmp_path / "hurt")
    assert not (tmp_path / "hurt/evaluation.json").exists()


def test_a_damaged_checkpoint_is_not_trained_on(hurt, tmp_path, refusal):
    folder = tmp_path / "hurt"
    path = hurt("checkpoint.safetensors")
    words = ["train", folder / "recipe.yaml", "--out", folder]
    for name, weight in (("emoji", 3), ("verses", 1)):
        words += ["--corpus", f"{folder / 'corpus' / name}={weight}"]
    for name in ("text", "image"):
        words += ["--tokenizer", f"{name}={folder / 'tokenizers' / name}"]
    assert str(path) in refusal(*words)


FULL = """
import resource, signal, sys
from pathlib import Path
from tokenmask.cli import main
from tokenmask.run import Run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for words in sys.stdin.read().split("\\n\\n"):
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, resource.RLIM_INFINITY))
    code = main(words.split("\\n"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(code, flush=True)
"""


def test_a_full_disk_ends_in_a_sentence_and_no_file(run, pictures, tmp_path):
    """A limit on file size is the kernel's own "no more room", in a process of its own."""
    tokenizers = [f"{name}={run.folder / 'tokenizers' / name}" for name in ("text", "image")]
    named = ["--tokenizer", tokenizers[0], "--tokenizer", tokenizers[1]]
    commands = [
        ["generate", "image", "--run", run.folder, "--steps", 1, "--out", tmp_path / "sun.png"],
        ["encode", pictures / "01.png", "--tokenizer", run.folder / "tokenizers/image", "--out", tmp_path / "tokens"],
        ["corpus", "build", pictures, "--out", tmp_path / "corpus", *named],
        ["fit", "text", "--data", pictures, "--out", tmp_path / "text", "--option", "vocab_size=290"],
        ["train", "captions", "--tiny", "--corpus", run.folder / "corpus/emoji", "--out", tmp_path / "run", *named],
    ]
    lines = "\n\n".join("\n".join(map(str, words)) for words in commands)
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run([sys.executable, "-c", FULL], input=lines, capture_output=True, text=True, env=environment)
    assert result.stdout.split("\n")[:-1].count("2") == len(commands), result.stderr
    sentences = [line for line in result.stderr.splitlines() if line.startswith("tokenmask: ")]
    assert len(sentences) == len(commands) and "Traceback" not in result.stderr
    assert all("File too large" in sentence for sentence in sentences), sentences
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_bug_keeps_its_traceback_and_an_error_shows_it_on_request(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"run\.json"):
        main(["evaluate", str(tmp_path), "--traceback"])
    monkeypatch.setattr("tokenmask.cli.about.recipe_headers", lambda: {}["bug"])
    with pytest.raises(KeyError):
        main(["recipes"])


def test_too_little_memory_is_a_sentence(monkeypatch, refusal):
    def fail(_: object) -> int:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")

    monkeypatch.setattr("tokenmask.cli.about.recipes", fail)
    assert "not enough memory" in refusal("recipes")


def test_limits_of_this_process_are_as_before():
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
