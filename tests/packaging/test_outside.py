"""A package of its own brings a tokenizer by entry point: found, checked, swapped in, trained, and it generates."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.worlds import tiny_run

OUTSIDE = Path(__file__).parent / "outside"


def test_an_outside_tokenizer_takes_part(tmp_path):
    shutil.copytree(OUTSIDE, tmp_path / "source")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", tmp_path / "site", tmp_path / "source"], check=True, capture_output=True)
    tiny_run(tmp_path / "run", "captions", steps=2)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def run(*words: object) -> str:
        called = [sys.executable, *map(str, words)]
        result = subprocess.run(called, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    assert "dna" in run("-m", "tokenmask.cli", "info")
    assert run(OUTSIDE / "job.py", tmp_path / "run", tmp_path).endswith("done\n")
    out = tmp_path / "strand.txt"
    run("-m", "tokenmask.cli", "generate", "dna", "--run", tmp_path / "trained", "--length", 4, "--out", out)
    assert len(out.read_text().strip()) == 12
