"""examples/plugin, installed as its users install it: commands find its modality, files name its parts, laws hold.

What runs where it is installed stands in ``plugin/``, which is not collected here: the package must be in no other
test's process.
"""

import os
import random
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip installs the package."""
    place = tmp_path_factory.mktemp("plugin")
    unwanted = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT / "examples" / "plugin", place / "source", ignore=unwanted)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", place / "site", place / "source"], check=True, capture_output=True)
    return place / "site"


def called(site: Path, *words: str, cwd: Path = ROOT) -> str:
    """What Python prints where the package is installed."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, *words]
    result = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_a_modality_of_another_package_takes_part(site: Path, tmp_path: Path) -> None:
    assert called(site, str(HERE / "plugin" / "job.py"), str(tmp_path)).endswith("done\n")


def test_parts_of_another_package_keep_their_contracts_and_laws(site: Path, tmp_path: Path) -> None:
    options = ("-q", "-o", "python_files=check_*.py", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'checks'}")
    assert " passed in " in called(site, "-m", "pytest", *options, str(HERE / "plugin"))


def test_the_commands_of_its_readme_work_as_printed(site: Path, tmp_path: Path) -> None:
    """In their order, in a folder with what they name; only the trainings are cut short."""
    for name in ("GENOMES", "TEXTS"):
        (tmp_path / name).mkdir()
    draw = random.Random(0)
    for number in range(6):
        strands = (f">s{number}{strand}\n{''.join(draw.choices('ACGT', k=90))}\n" for strand in range(6))
        (tmp_path / f"GENOMES/{number}.fa").write_text("".join(strands))
        (tmp_path / f"TEXTS/{number}.txt").write_text("the sun and the moon rise over the red house " * (number + 1))
    (tmp_path / "genes.fasta").write_text(f">BRCA1\n{'ACGT' * 12}\n>OTHER\nACGTTTGACC\n")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    readme = (ROOT / "examples" / "plugin" / "README.md").read_text(encoding="utf-8")
    lines = (re.sub(r"\s+#.*", "", line) for line in re.findall(r"^    ((?:pip|tokenmask) .+)$", readme, re.M))
    commands = [*map(shlex.split, lines)]
    assert commands[0] == ["pip", "install", "--no-build-isolation", "./examples/plugin"]  # as the fixture does
    assert [words[1] for words in commands[1:]] == ["train", "generate", "edit", "report", "evaluate", "train"]
    short = {"train": ["--set", "training.steps=3"], "evaluate": ["--quick"]}
    printed = [
        called(site, "-m", "tokenmask.cli", *words[1:], *short.get(words[1], []), cwd=tmp_path)
        for words in commands[1:]
    ]
    assert re.search(r"divergence|neighbour", printed[4]) and "gidd" in printed[5]
    assert (tmp_path / "drawn.fa").read_text().startswith(">")
    edited = "".join((tmp_path / "edited.fa").read_text().splitlines()[1:])
    assert len(edited) == 48 and edited[:20] == ("ACGT" * 12)[:20] and edited[32:] == ("ACGT" * 12)[32:]
