"""The table of systems is made from recipes and results: it is current, and says no more than they do."""

import importlib.util
import json
from pathlib import Path

import pytest
import yaml

from tokenmask.recipes import list_recipes

ROOT = Path(__file__).parents[2]
place = importlib.util.spec_from_file_location("systems", ROOT / "benchmarks" / "systems.py")
systems = importlib.util.module_from_spec(place)
place.loader.exec_module(systems)


def test_the_table_is_current():
    assert systems.PAGE.read_text(encoding="utf-8") == systems.page(), "run python benchmarks/systems.py"


def test_every_recipe_has_a_row():
    rows = [line for line in systems.page().splitlines() if line.startswith("| ") and "tokenmask/recipes/" in line]
    assert len(rows) == len(list_recipes()) == len(systems.readme_rows())
    assert all(f"[`{name}`]" in row for name, row in zip(list_recipes(), rows, strict=True))
    assert all(len(systems.settings_of(name)) > 4 for name in list_recipes()), "say '# Sampler: ...' in its comment"


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_what_was_measured_is_what_the_page_says(path):
    """Of a page that was measured: its claims are judged, its variants have rows, its plot is there."""
    results = ROOT / "benchmarks" / "results" / "studies" / f"{path.stem}.json"
    if not results.exists():
        pytest.skip(f"{path.name} was not measured yet")
    values, page = json.loads(results.read_text(encoding="utf-8")), yaml.safe_load(path.read_text(encoding="utf-8"))
    if [one["says"] for one in values["claims"]] != [one["says"] for one in page["claims"]]:
        assert path.stem not in systems._results()  # the table says so
        pytest.skip(f"the claims of {path.name} were changed since it was measured: python benchmarks/study.py")
    assert values["recipe"] == page["recipe"] and {one["verdict"] for one in values["claims"]} <= set(systems.VERDICTS)
    assert results.with_suffix(".svg").exists() and all(row["variant"] for row in values["rows"])


def test_a_page_whose_claims_changed_counts_as_not_measured(tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    (tmp_path / "results" / "studies").mkdir(parents=True)
    page = {"about": "which", "recipe": "maskgit", "claims": [{"says": "one is better"}]}
    rows = [{"variant": "one", "figure": "error", "value": 0.25, "interval": [0.2, 0.3]}]
    claims = [{"says": "one is better", "verdict": "contradicted", "numbers": "error: 0.25"}]
    found = {"study": "one", "recipe": "maskgit", "claims": claims, "shown": ["error"], "rows": rows, "seeds": [0]}
    (tmp_path / "studies" / "one.yaml").write_text(yaml.safe_dump(page))
    (tmp_path / "results" / "studies" / "one.json").write_text(json.dumps({**found, "samples": 8, "note": ""}))
    monkeypatch.setattr(systems, "HERE", tmp_path)
    text = systems.page()
    assert (
        f"maskgit.yaml) | {systems.settings_of('maskgit')} |  |  | one is better ([one](#one)) |" in text
        and "| one | 0.25 (0.2 .. 0.3) |" in text
    )
    assert "- **contradicted**: one is better (error: 0.25)" in text and "Not measured yet" not in text
    page["claims"][0]["says"] = "one is worse"
    (tmp_path / "studies" / "one.yaml").write_text(yaml.safe_dump(page))
    text = systems.page()
    assert "contradicted**" not in text and "Not measured yet." in text
