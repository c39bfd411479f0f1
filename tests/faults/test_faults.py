"""The table of faults: killed at any point, no room, no permission, links, numbers beyond all measure."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tokenmask as tm
from tests.cli import foreign
from tests.worlds import emoji
from tokenmask.corpus import Corpus
from tokenmask.tokenizer import load_tokenizer

ROOT = Path(__file__).parents[2]
FAST = ("--steps", "4", "--option", "config.width=16", "--option", "config.codes=16", "--option", "batch_size=4")
TINY = ("--tiny", "--set", "training.steps=6", "--set", "training.checkpoint_every=2", "--set", "training.batch_size=4")


def drive(*steps: dict[str, Any]) -> list[dict[str, Any]]:
    """What :mod:`tests.faults.driver` tells of each step."""
    plan = [{**step, "words": [str(word) for word in step["words"]]} for step in steps]
    command = [sys.executable, "-m", "tests.faults.driver"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        command, input=json.dumps(plan), capture_output=True, text=True, cwd=ROOT, env=environment, check=True
    )
    return [json.loads(line) for line in result.stdout.splitlines()]


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of each file; what a killed process had begun to write is no result."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".partial")
    }


def sentence(result: dict[str, Any]) -> str:
    """The one sentence of a command that ended with code 2."""
    assert result["code"] == 2 and "Traceback" not in result["errors"], result
    told = [line for line in result["errors"].splitlines() if line.startswith("tokenmask: ")]
    assert len(told) == 1, result
    return str(told[0])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Icons, what every command makes of them undisturbed, and the words of the commands in words.json."""
    folder = tmp_path_factory.mktemp("faults")
    foreign.image(folder / "icons")
    commands = words(folder, folder / "whole")
    assert [result["code"] for result in drive(*({"words": command} for command in commands.values()))] == [0] * 4
    return folder


def words(place: Path, out: Path) -> dict[str, list[Any]]:
    """One command of each kind; the tokenizer that the others use is the undisturbed one."""
    tokenizer = place / "whole/tokenizer"
    named = ["--tokenizer", f"image={tokenizer}"]
    return {
        "fit": ["fit", "image", "--data", place / "icons", "--out", out / "tokenizer", *FAST],
        "encode": ["encode", place / "icons", "--tokenizer", tokenizer, "--out", out / "tokens", "--workers", 1],
        "corpus": ["encode", place / "icons", *named, "--out", out / "corpus", "--workers", 1],
        "train": ["train", "own", *named, "--corpus", place / "whole/corpus", "--out", out / "run", *TINY],
    }


KILLS = [
    ("fit", "kill", 1),
    ("fit", "kill after", 2),
    ("encode", "kill", 9),
    ("encode", "kill after", 9),
    ("corpus", "kill", 1),
    ("train", "kill", 2),
    ("train", "kill after", 7),
    ("train", "kill in", 4),
]


@pytest.fixture(scope="module")
def killed(place: Path) -> Iterator[dict[tuple[str, str, int], tuple[dict[str, Any], dict[str, Any], Path]]]:
    steps, folders = [], []
    for number, (name, fault, at) in enumerate(KILLS):
        folders.append(place / f"killed-{number}")
        command = words(place, folders[-1])[name]
        steps += [{"words": command, "fault": fault, "at": at}, {"words": command}]
    results = drive(*steps)
    yield {kill: (results[2 * n], results[2 * n + 1], folders[n]) for n, kill in enumerate(KILLS)}


@pytest.mark.parametrize("kill", KILLS, ids=[" ".join(map(str, kill)) for kill in KILLS])
def test_killed_and_started_again_gives_what_was_never_stopped(kill, killed, place) -> None:
    first, second, folder = killed[kill]
    assert first["code"] == -signal.SIGKILL and second["code"] == 0, (first, second)
    part = {"fit": "tokenizer", "encode": "tokens", "corpus": "corpus", "train": "run"}[kill[0]]
    wanted, found = contents(place / "whole" / part), contents(folder / part)
    if kill[0] == "train":  # the corpus is named by its path
        assert wanted.pop("run.json") and found.pop("run.json")
    assert found == wanted


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_encoding_with_workers_is_stopped_and_goes_on(how: signal.Signals, place: Path, tmp_path: Path) -> None:
    """kill -9 to the parent alone, or Ctrl-C to all: the workers end too, and nothing is missing or doubled."""
    from PIL import Image as Picture

    for number in range(600):
        Picture.fromarray(emoji()[number % 200].pixels).save(tmp_path / f"{number:04}.png")
    tokenizer = ["--tokenizer", f"image={place / 'whole/tokenizer'}"]
    command = [sys.executable, "-m", "tokenmask.cli", "encode", tmp_path, *tokenizer, "--workers", "2", "--out"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command.append(tmp_path / "killed")
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    assert "step" in process.stderr.readline()  # a tenth is done
    workers = [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    if how == signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, how)
    told = process.stderr.read()
    assert process.wait() == (-signal.SIGKILL if how == signal.SIGKILL else 130)
    assert "Traceback" not in told and ("run the same command again to go on" in told) == (how == signal.SIGINT)
    process.stderr.close()
    ends = time.monotonic() + 120
    while any(_runs(worker) for worker in workers):
        assert time.monotonic() < ends, "workers outlive a parent that was killed"
        time.sleep(0.2)
    assert len(workers) >= 2
    rest = command[3:-1]
    again, whole = drive({"words": [*rest, tmp_path / "killed"]}, {"words": [*rest, tmp_path / "whole"]})
    assert again["code"] == whole["code"] == 0, whole
    assert list(Corpus(tmp_path / "killed")) == list(Corpus(tmp_path / "whole"))
    keys = [record.key for record in Corpus(tmp_path / "killed")]
    assert len(keys) == len(set(keys)) == 600


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_no_room_leaves_what_was_there(place: Path, tmp_path: Path) -> None:
    """Each command into the folder of the undisturbed one, with more to do and no room for it."""
    shutil.copytree(place, tmp_path / "place")
    home = tmp_path / "place"
    for path in sorted((home / "icons").glob("*.png"))[:3]:
        shutil.copy(path, path.with_name(f"new-{path.name}"))
    before = contents(home)
    commands = words(home, home / "whole")
    commands["train"] = [str(word).replace("/whole/run", "/run") for word in commands["train"]]
    del commands["fit"]
    commands["fit another"] = ["fit", "image", "--data", home / "icons", "--out", home / "second", *FAST]
    rooms = [(command, room) for command in commands.values() for room in (16, 100)]
    results = drive(*({"words": command, "fault": "full", "at": room} for command, room in rooms))
    for result in results:
        if result["code"] != 1:  # icons that share a token file's name are no fault of the disk
            assert "could not be written" in sentence(result) or "File too large" in result["errors"]
    after = contents(home)
    assert {name: digest for name, digest in after.items() if name in before} == before
    made = set(after) - set(before)
    assert not [name for name in made if not name.endswith(("metrics.jsonl", "recipe.yaml", "layout.json", ".tokens"))]
    assert len(Corpus(home / "whole/corpus")) == len(Corpus(place / "whole/corpus"))
    assert tm.load(home / "whole/run").layout == tm.load(place / "whole/run").layout
    again = drive(*({"words": command} for command in commands.values()))
    assert [result["code"] for result in again] == [0] * len(commands), again


def test_a_folder_without_permission_is_named() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        foreign.image(home / "icons")
        (home / "closed").mkdir()
        (home / "whole").mkdir()
        home.chmod(0o755)
        (home / "closed").chmod(0o555)
        assert drive({"words": words(home, home / "whole")["fit"]})[0]["code"] == 0
        commands = words(home, home / "closed")
        commands["corpus"][-3] = home / "closed/corpus"
        commands["train"][commands["train"].index("--corpus") + 1] = home / "closed"
        for result in drive(*({"words": command, "fault": "powerless"} for command in commands.values())):
            assert str(home / "closed") in sentence(result)
        assert list((home / "closed").iterdir()) == []


def test_links_are_never_written_through(place: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine\n" * 100)
    shutil.copytree(place / "whole", tmp_path / "whole")
    run = tmp_path / "whole/run"
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").symlink_to(precious)
    (run / "evaluation.json").symlink_to(precious)
    (tmp_path / "whole/corpus/.shard-000001.parquet.partial").symlink_to(precious)
    foreign.image(tmp_path / "icons")
    shutil.copy(tmp_path / "icons/home.png", tmp_path / "icons/more.png")
    commands = words(place, tmp_path / "whole")
    commands["corpus"][1] = tmp_path / "icons"
    trained, encoded = drive({"words": commands["train"]}, {"words": commands["corpus"]})
    assert "metrics.jsonl" in sentence(trained) and "symbolic links" in sentence(trained)
    assert "symbolic links" in sentence(encoded)
    assert drive({"words": ["evaluate", run]})[0]["code"] == 0
    assert precious.read_text() == "mine\n" * 100
    assert not (run / "evaluation.json").is_symlink() and len(Corpus(tmp_path / "whole/corpus")) > 0


HUGE = [
    ("model.width=1152921504606846976", "width"),
    ("model.depth=1000000000", "depth"),
    ("model.ffn=1e300", "ffn"),
    ("model={width: 131072, depth: 4096, heads: 2}", "memory"),
    ("training.batch_size=1000000000000000", ""),
    ("training.steps=1e400", "steps"),
    ("training.peak_lr=.nan", "peak_lr"),
    ("training.peak_lr=1e300", "peak_lr"),
    ("packing.max_positions=99999999999999999999999", ""),
    ("streams={../../up: {tokenizer: image}}", "letters, digits"),
    ("streams.image.tokenizer=os", "must be one of"),
    ("pattern.class_path=os.system", "components of"),
    ("sampler.class_path=subprocess.Popen", "components of"),
    ("masker.rate={class_path: tokenmask.cli.main, init_args: {argv: [info]}}", "must be of the kind Rate"),
]


@pytest.fixture(scope="module")
def huge(place: Path) -> dict[str, dict[str, Any]]:
    """A training with each field."""
    steps = []
    for number, (field, _) in enumerate(HUGE):
        command = [*words(place, place / f"huge-{number}")["train"], "--set", field]
        steps.append({"words": command, "seconds": 60})
    return dict(zip([field for field, _ in HUGE], drive(*steps), strict=True))


@pytest.mark.parametrize(("field", "why"), HUGE, ids=[field for field, _ in HUGE])
def test_a_recipe_beyond_all_measure(field: str, why: str, huge: dict[str, dict[str, Any]], place: Path) -> None:
    result = huge[field]
    if result["code"] != 0:
        assert why in sentence(result)
    assert not list(place.glob("up*")) and not list(place.parent.glob("up*"))
    assert load_tokenizer(place / "whole/tokenizer").spec.modality == "image"
