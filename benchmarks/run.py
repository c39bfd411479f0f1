"""The one command: python benchmarks/run.py [--case NAME ...]. Prints a table and writes results/."""

from __future__ import annotations

import argparse

from harness import describe, measure, measure_floors, restart_with_steady_malloc, table, write


def main() -> None:
    restart_with_steady_malloc()
    import torch
    from cases import between, busy, data, draws, ops, reuse, serving, training

    steps = {**draws.CASES, **ops.CASES, **between.CASES, **reuse.CASES}
    on_demand = training.CASES | busy.CASES | data.CASES | serving.CASES  # seconds a round, or several threads
    cases = steps | on_demand
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", action="append", choices=sorted(cases), help="only this case; may be repeated")
    parser.add_argument("--rounds", type=int, default=15, help="timed rounds, default 15")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch, default 1; wall time if more")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    floors, few = measure_floors(), reuse.ROUNDS | data.ROUNDS
    print(describe(floors) + "\n")
    rows = []
    for name in arguments.case or steps:
        rows += measure(cases[name](), min(arguments.rounds, few.get(name, arguments.rounds)), floors)
    print(table(rows))
    if "training" in (arguments.case or ()):
        print(training.memory_table())
    if data.WAYS:
        print(data.data_table())
    if arguments.case:
        print("\nnot saved: results/ holds whole runs")
    else:
        print(f"\nwritten to {write(rows, arguments.rounds, floors)}")


if __name__ == "__main__":
    main()
