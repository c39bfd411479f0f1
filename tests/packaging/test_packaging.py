"""What an installation holds, and that it works in a person's own environment.

The slow tests build for real and need a package index that pip can reach: pytest -m slow tests/packaging
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
import torch

import tokenmask

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)


def run_well(*command: str | Path, cwd: Path) -> str:
    result = run(*command, cwd=cwd)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that git knows, so that a build leaves nothing here and takes nothing that is not committed."""
    target = tmp_path_factory.mktemp("checkout")
    for name in run_well("git", "ls-files", cwd=ROOT).splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """The Python of a new virtual environment without any package."""
    run_well(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    return tmp_path / "venv/bin/python"


def test_project_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert not any(each.startswith("torch") for each in project["build-system"]["requires"])
    assert not re.search(r"^torch[=<>~ ]", (ROOT / "requirements.txt").read_text(), re.M)
    assert version("tokenmask") == tokenmask.__version__
    assert len((ROOT / "setup.py").read_text().splitlines()) < 120


def test_tokenizers_join_by_entry_points() -> None:
    names = {each.name: each.value for each in entry_points(group="tokenmask.tokenizers")}
    assert names["text"] == "tokenmask.modalities.text:TextTokenizer"
    assert names["image"] == "tokenmask.modalities.image:ImageTokenizer"


@pytest.mark.slow
def test_wheel_holds_what_runs(checkout: Path, tmp_path: Path) -> None:
    run_well(
        *(sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "-w", tmp_path, "."), cwd=checkout
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "tokenmask/py.typed" in names
    assert "tokenmask/_C.pyi" in names
    assert any(re.fullmatch(r"tokenmask/_C\..*so", name) for name in names)
    for pattern, folder in (("*.py", "tokenmask"), ("*.yaml", "tokenmask/recipes")):
        for path in (checkout / folder).rglob(pattern):
            assert str(path.relative_to(checkout)) in names
    for path in (checkout / "modalities").rglob("*.py"):
        assert f"tokenmask/{path.relative_to(checkout)}" in names
    for path in (checkout / "tokenmask/data").rglob("*"):
        assert path.is_dir() or str(path.relative_to(checkout)) in names
    assert not any(name.startswith(("tests/", "modalities/", "csrc/", "benchmarks/")) for name in names)


@pytest.mark.slow
def test_install_with_isolation_uses_the_environments_own_torch(checkout: Path, environment: Path) -> None:
    release = torch.__version__.split("+")[0]
    run_well(environment, "-m", "pip", "install", f"torch=={release}", cwd=Path("/"))
    where = "import torch, os; print(torch.__version__, os.stat(torch.__file__).st_mtime_ns)"
    before = run_well(environment, "-c", where, cwd=Path("/"))
    run_well(environment, "-m", "pip", "install", ".", cwd=checkout)
    assert run_well(environment, "-c", where, cwd=Path("/")) == before
    code = "import tokenmask.ops as ops, tokenmask.modalities, sys; print(ops.build_info()['implementation'])"
    assert run_well(environment, "-c", code, cwd=Path("/")).strip() == "compiled"
    assert tokenmask.__version__ in run_well(environment, "-m", "pip", "show", "tokenmask", cwd=Path("/"))


@pytest.mark.slow
def test_install_without_torch_says_what_to_do(checkout: Path, environment: Path) -> None:
    result = run(environment, "-m", "pip", "install", "--no-deps", ".", cwd=checkout)
    assert result.returncode != 0
    assert "python -m pip install 'torch>=2.11,<2.14' and then install tokenmask again" in result.stdout + result.stderr
