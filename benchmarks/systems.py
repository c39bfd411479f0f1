"""The table of systems: python benchmarks/systems.py. Writes studies/README.md from recipes and results of studies.

With --rows it prints the rows of "Which recipe" in the first page instead. A test fails while either is not current.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tokenmask.cli.about import RECIPES, recipe_headers

HERE = Path(__file__).parent
PAGE = HERE / "studies" / "README.md"
HEAD = """\
# Systems, and what studies showed of them

Made by `python benchmarks/systems.py` from the [recipes](../../tokenmask/recipes) and the results of studies. A study
is a page of YAML in this folder: variants of a recipe or of its sampler, measured alike, with intervals. A claim is
*shown* or *contradicted* where a 95 % interval says so, else *not shown*: the effect may be there, and too small for
the study. All of it is small: exactly known worlds, tiny models, the model that ships. Settings of samplers are those
of papers, which stay as published, or set by hand here, as each recipe says; those of `five` were put to the test
by tuning ([figures](../README.md#settings-of-the-model-that-ships)), as `tokenmask tune` does for a run of your own.
`python benchmarks/study.py NAME` measures a page again, `tokenmask study FILE` one of your own.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--rows", action="store_true", help="print the rows of the first page, and write nothing")
    if parser.parse_args().rows:
        print("\n".join(readme_rows()))
        return
    PAGE.write_text(page(), encoding="utf-8")
    print(f"saved: {PAGE}")


def readme_rows() -> list[str]:
    """The rows of the table of recipes in the first page."""
    return [f"| `{name}` | {one['about']} | {one['paper']} |" for name, one in recipe_headers().items()]


def page() -> str:
    """The text of the page."""
    studies, found = _studies(), _results()
    lines = [HEAD, "| system | recipe | settings of its sampler | shown | not shown | contradicted |", "|" + "---|" * 6]
    for name, header in recipe_headers().items():
        own = [study for study, values in studies.items() if values.get("recipe") == name]
        cells = [_claims([found[one] for one in own if one in found], verdict) for verdict in VERDICTS]
        cells = [f"[`{name}`](../../tokenmask/recipes/{name}.yaml)", settings_of(name), *cells]
        lines.append(f"| {header['paper']} | {' | '.join(cells)} |")
    without = [name for name in recipe_headers() if all(one.get("recipe") != name for one in studies.values())]
    if without:
        lines += ["", f"Not studied yet: {', '.join(f'`{name}`' for name in without)}."]
    for name, values in studies.items():
        lines += ["", f"## {name}", "", f"{_sentence(values['about'])} ([page]({name}.yaml))", ""]
        lines += _study(found[name]) if name in found else ["Not measured yet."]
    return "\n".join(lines) + "\n"


def settings_of(name: str) -> str:
    """Where a recipe says that the settings of its sampler come from: what follows "Sampler:" in its first comment."""
    text = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")
    comment = " ".join(line[1:].strip() for line in text.splitlines()[: _comments(text)])
    return comment.partition("Sampler: ")[2].rstrip(".")


def _comments(text: str) -> int:
    """Lines of comment at the top."""
    return next((at for at, line in enumerate(text.splitlines()) if not line.startswith("#")), 0)


VERDICTS = ("shown", "not shown", "contradicted")


def _studies() -> dict[str, dict[str, Any]]:
    pages = sorted((HERE / "studies").glob("*.yaml"))
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in pages}


def _results() -> dict[str, dict[str, Any]]:
    """Study -> results, of the pages whose claims are still those that were judged."""
    studies, found = _studies(), {}
    for path in sorted((HERE / "results" / "studies").glob("*.json")):
        values = json.loads(path.read_text(encoding="utf-8"))
        claims = [claim["says"] for claim in studies.get(path.stem, {}).get("claims", [])]
        if path.stem in studies and claims == [claim["says"] for claim in values["claims"]]:
            found[path.stem] = values
    return found


def _claims(results: Sequence[Mapping[str, Any]], verdict: str) -> str:
    """The claims of one verdict, each with a link to its study."""
    told = [
        f"{claim['says']} ([{one['study']}](#{one['study']}))"
        for one in results
        for claim in one["claims"]
        if claim["verdict"] == verdict
    ]
    return "; ".join(told)


def _study(values: Mapping[str, Any]) -> list[str]:
    """What a study found: its table, the verdicts, the plot."""
    shown = values["shown"]
    rows = {(row["variant"], row["figure"]): row for row in values["rows"]}
    variants = list(dict.fromkeys(row["variant"] for row in values["rows"]))
    lines = [f"| variant | {' | '.join(shown)} |", "|---|" + "---:|" * len(shown)]
    for variant in variants:
        lines.append(f"| {variant} | {' | '.join(_cell(rows.get((variant, figure))) for figure in shown)} |")
    seeds = len(values["seeds"])
    over = f"over {seeds} seeds" if seeds >= 3 else "over samples"
    lines += ["", f"{values['samples']} samples a figure; in brackets 95 % intervals {over}.", ""]
    lines += [f"- **{one['verdict']}**: {one['says']} ({one['numbers']})" for one in values["claims"]]
    note = [values["note"].strip(), ""] if values["note"] else []
    return [*lines, "", *note, f"![{values['study']}](../results/studies/{values['study']}.svg)"]


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None or row["value"] is None:
        return ""
    ends = row["interval"]
    return f"{row['value']:.3g}" + (f" ({ends[0]:.3g} .. {ends[1]:.3g})" if ends and ends[0] != ends[1] else "")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


if __name__ == "__main__":
    main()
