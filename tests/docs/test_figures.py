"""Figures that stand in the documents are those of the files that they come from."""

import json
import re

import pytest
import yaml

from tests.docs.test_documents import ROOT
from tests.docs.test_nodes import module


def test_the_tables_of_the_card_are_those_of_the_samples():
    card = module(ROOT / "benchmarks" / "card.py")
    text = card.CARD.read_text(encoding="utf-8")
    assert card.current(text) == text, "run python benchmarks/card.py"
    figures = json.loads((ROOT / "benchmarks" / "results" / "samples.json").read_text(encoding="utf-8"))["figures"]
    (digits,) = (one for one in figures if one["name"] == "digits heard")
    assert f"| 70 digits heard by a recogniser (chance 7) | {round(70 * digits['value'])} (" in text
    with pytest.raises(ValueError, match=r"lists.* once, got 0; put it there"):
        card.current("no tables")


def test_the_table_of_memory_is_that_of_its_run():
    page = (ROOT / "docs" / "processes-and-memory.md").read_text(encoding="utf-8")
    (name,) = re.findall(r"`(benchmarks/results/training-\S+\.json)`", page)
    rows = {row["name"]: row for row in json.loads((ROOT / name).read_text(encoding="utf-8"))["rows"]}
    found = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| (\d+) \|$", page.replace("`", ""), re.M)
    told = [one for one in found if one[0] in rows]  # other tables have three columns too
    assert {name for name, *_ in told} == set(rows) and len(told) == 4
    for name, seconds, megabytes in told:
        assert abs(float(seconds) - rows[name]["median_seconds"]) < 0.06
        assert int(megabytes) == rows[name]["mb_at_the_peak"]


def test_the_first_page_says_of_a_training_step_what_was_measured():
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    method = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    (name,) = set(re.findall(r"results/training-\S+\.json", method))
    rows = {row["name"]: row for row in json.loads((ROOT / "benchmarks" / name).read_text(encoding="utf-8"))["rows"]}
    plain = r"takes ([\d.]+) of the time and ([\d.]+) of the memory of `BertForMaskedLM`"
    again = r"with `training\.recompute` ([\d.]+) and ([\d.]+), on an AMD EPYC"
    told = list(map(float, re.findall(f"{plain}, {again}", readme)[0]))
    figures = ("median_seconds", "mb_at_the_peak")
    ours = [rows[one] for one in ("tokenmask", "tokenmask, training.recompute")]
    assert told == [round(one[figure] / rows["BertForMaskedLM"][figure], 2) for one in ours for figure in figures]


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
