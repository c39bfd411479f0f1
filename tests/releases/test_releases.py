"""Runs that earlier releases wrote open in this one: two small ones of each, kept as they were written (make.py).

``next`` is of the version that is being written; with a release it gets that number, and ``make.py`` makes another.
Those of 0.1.0 and 0.2.0 were made from the last commits of these versions, with the Python references of the ops.
"""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import tokenmask as tm
from tests.releases.make import ASKED
from tokenmask.cli import main

HERE = Path(__file__).parent
KEPT = sorted(path.parent for path in HERE.glob("*/*/run.json"))
SIZES = {"captions": {"text": (340,), "image": (16,)}, "llada": {"text": (340,)}}


def test_every_release_is_kept():
    changelog = (HERE.parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## (\d[\d.]*) \(", changelog, re.M)
    assert {path.parent.name for path in KEPT} == {*released, "next"}
    assert len(KEPT) == 2 * (len(released) + 1)


@pytest.mark.parametrize("home", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_run_of_a_release_opens_and_draws(home, tmp_path, capsys):
    run = tm.load(home)
    assert {name: spec.codebook_sizes for name, spec in run.layout.streams.items()} == SIZES[home.name]
    own = run.models["main"].state_dict()
    with safe_open(home / "models" / "main.safetensors", framework="pt") as file:
        held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert set(own) <= set(held) and all(torch.equal(own[name], held[name]) for name in own)
    drawn = json.loads((home / "drawn.json").read_text())
    for (stream, options), before in zip(ASKED[home.name], drawn, strict=True):
        codes = run.generate_tokens(stream, **options)[0].codes.flatten()
        then = torch.tensor(before).flatten()
        same = min(len(codes), len(then))
        # Equal on one machine and build; elsewhere a logit may round otherwise.
        assert len(codes) == len(then) or stream == "text"
        assert (codes[:same] == then[:same]).float().mean() >= 0.75
    shutil.copytree(home, tmp_path / "copy")
    assert main(["info", str(tmp_path / "copy")]) == 0 and "trained for 3 steps" in capsys.readouterr().out
    saved = run.save(tmp_path / "again")  # in the words of today
    asked = {"steps": 2, "seed": 1, **({"length": 4} if "image" not in SIZES[home.name] else {})}
    stream = "image" if "image" in SIZES[home.name] else "text"
    assert saved.generate_tokens(stream, **asked) == run.generate_tokens(stream, **asked)
