"""Figures that stand in the documents are those of the files that they come from."""

import json
import re

import yaml

from tests.docs.test_documents import ROOT
from tests.docs.test_nodes import module


def test_the_table_of_memory_is_that_of_its_run():
    page = (ROOT / "docs" / "processes-and-memory.md").read_text(encoding="utf-8")
    (name,) = re.findall(r"`(benchmarks/results/training-\S+\.json)`", page)
    rows = {row["name"]: row for row in json.loads((ROOT / name).read_text(encoding="utf-8"))["rows"]}
    found = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| (\d+) \|$", page, re.M)
    told = [one for one in found if one[0] in rows]  # other tables have three columns too
    assert {name for name, *_ in told} == set(rows) and len(told) == 3
    for name, seconds, megabytes in told:
        assert abs(float(seconds) - rows[name]["median_seconds"]) < 0.06
        assert int(megabytes) == rows[name]["mb_at_the_peak"]


def test_the_first_page_says_of_a_training_step_what_the_benchmarks_say():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    method = " ".join((ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8").split())
    whole, part = re.findall(r"takes ([\d.]+) of the time and ([\d.]+) of the memory of `BertForMaskedLM`", readme)[0]
    again, less = re.findall(r"with `training\.recompute` ([\d.]+) and ([\d.]+)\.", readme)[0]
    plain = r"half of its peak memory\): ([\d.]+) times in ([\d.]+) of the memory"
    other = r"with `training\.recompute` ([\d.]+) times in ([\d.]+)\."
    faster, memory, slower, least = re.findall(f"{plain} .+? {other}", method)[0]
    assert (part, less) == (memory, least)
    assert abs(1 / float(faster) - float(whole)) < 0.01 and abs(1 / float(slower) - float(again)) < 0.01


def test_the_size_of_the_model_that_ships_is_said_as_it_is():
    import tokenmask as tm

    count = sum(one.numel() for one in tm.load().models["main"].parameters())
    for name in ("README.md", "docs/gallery.md"):
        assert f"the one model of {count / 1e6:.1f} million parameters that ships" in (ROOT / name).read_text("utf-8")
    card = (ROOT / "tokenmask" / "weights" / "README.md").read_text(encoding="utf-8")
    assert f"The shared model ({count / 1e6:.1f} M parameters)" in card


def test_the_table_of_steps_is_that_of_its_list_and_ours_are_counted_anew():
    steps = module(ROOT / "benchmarks" / "steps.py")
    said = yaml.safe_load((ROOT / "benchmarks" / "steps.yaml").read_text(encoding="utf-8"))
    lines = yaml.safe_load(steps.LINES.read_text(encoding="utf-8"))
    assert steps.table(said, lines) in (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    ours = {"projects": {"tokenmask": said["projects"]["tokenmask"]}}
    assert steps.counted(ours, None)["tokenmask"] == lines["tokenmask"]
    assert all(len(one["commit"]) == 40 for name, one in said["projects"].items() if name != "tokenmask")
