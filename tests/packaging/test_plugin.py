"""examples/plugin, installed as its users install it: a modality in a folder of its own takes part in every command."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PLUGIN = HERE.parents[1] / "examples" / "plugin"


def test_a_modality_of_another_package_takes_part(tmp_path):
    shutil.copytree(PLUGIN, tmp_path / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", tmp_path / "site", tmp_path / "source"], check=True, capture_output=True)
    (tmp_path / "place").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    called = [sys.executable, str(HERE / "plugin_job.py"), str(tmp_path / "place")]
    result = subprocess.run(called, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and result.stdout.endswith("done\n"), result.stdout + result.stderr
