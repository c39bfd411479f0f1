"""Studies of systems: python benchmarks/study.py maskgit-steps. Writes results/studies/NAME.json and NAME.svg.

A study is a page of studies/; without a name they are listed. What was measured is kept under runs/studies/NAME, so
that a rerun goes on where it stopped. The same harness serves pages of your own: tokenmask study FILE.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tokenmask.cli import main as command
from tokenmask.studies import read_study

HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    pages = {path.stem: path for path in sorted((HERE / "studies").glob("*.yaml"))}
    parser.add_argument("name", nargs="*", help="of studies; without one they are listed")
    names = parser.parse_args().name
    for name in names:
        if name not in pages:
            parser.error(f"a study is one of {', '.join(pages)}, got {name!r}")
    for name in names or pages:
        if not names:
            print(f"{name}: {read_study(pages[name]).about}")
            continue
        work = Path("runs") / "studies" / name
        code = command(["study", str(pages[name]), "--work", str(work), "--out", str(HERE / "results" / "studies")])
        if code:
            return code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
