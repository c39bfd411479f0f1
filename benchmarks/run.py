"""The one command: python benchmarks/run.py [--case NAME ...] [--rounds N]. Prints a table and writes results/."""

from __future__ import annotations

import argparse

from harness import measure, restart_with_steady_malloc, table, write


def main() -> None:
    restart_with_steady_malloc()
    import torch
    from cases.ops import CASES as OPS
    from cases.reuse import CASES as REUSE
    from cases.reuse import ROUNDS

    CASES = {**OPS, **REUSE}

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", action="append", choices=sorted(CASES), help="only this case; may be repeated")
    parser.add_argument("--rounds", type=int, default=15, help="timed rounds, default 15")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in arguments.case or CASES:
        rows += measure(CASES[name](), min(arguments.rounds, ROUNDS.get(name, arguments.rounds)))
    print(table(rows))
    if arguments.case:
        print("\nnot saved: results/ holds whole runs")
    else:
        print(f"\nwritten to {write(rows, arguments.rounds)}")


if __name__ == "__main__":
    main()
