"""examples/plugin, installed as its users install it: commands find its modality, files name its parts, laws hold.

What runs where it is installed stands in ``plugin/``, which is not collected here: the package must be in no other
test's process.
"""

import os
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


def called(site: Path, *words: str) -> str:
    """What Python prints where the package is installed."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, *words]
    result = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_a_modality_of_another_package_takes_part(site: Path, tmp_path: Path) -> None:
    assert called(site, str(HERE / "plugin" / "job.py"), str(tmp_path)).endswith("done\n")


def test_parts_of_another_package_keep_their_contracts_and_laws(site: Path, tmp_path: Path) -> None:
    options = ("-q", "-o", "python_files=check_*.py", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'checks'}")
    assert " passed in " in called(site, "-m", "pytest", *options, str(HERE / "plugin"))
