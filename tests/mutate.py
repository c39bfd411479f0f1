"""Plants one mistake at a time in a file and asks its tests: python tests/mutate.py FILE.py TESTS...; not in CI.

With --sample N only N of the mistakes, drawn with --seed.

Prints each mistake that every test let pass, and how many were caught. A mistake is a changed operator, comparison,
sign or number. Each runs in a process of its own, forked from one that has torch loaded.
"""

import argparse
import ast
import copy
import importlib.machinery
import os
import random
import signal
from pathlib import Path

import pytest
import torch  # noqa: F401  # once, before the forks

SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Lt: ast.GtE, ast.LtE: ast.Lt,
         ast.Gt: ast.LtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.BitAnd: ast.BitOr,
         ast.BitOr: ast.BitAnd, ast.And: ast.Or, ast.Or: ast.And, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
         ast.USub: ast.UAdd, ast.Invert: ast.UAdd, ast.In: ast.NotIn, ast.NotIn: ast.In}  # fmt: skip


def mistakes(node: ast.AST) -> bool:
    """Plants one in the node itself; False where there is nothing to plant."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
        node.value = not node.value if isinstance(node.value, bool) else node.value + 1
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        node.ops[0] = SWAPS[type(node.ops[0])]()
    elif type(getattr(node, "op", None)) in SWAPS:
        node.op = SWAPS[type(node.op)]()
    else:
        return False
    return True


def survives(path: Path, tree: ast.Module, tests: list[str]) -> bool:
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        plain, code = importlib.machinery.SourceFileLoader.get_code, compile(tree, str(path), "exec")
        importlib.machinery.SourceFileLoader.get_code = lambda loader, name: (
            code if Path(loader.path).resolve() == path else plain(loader, name)
        )
        os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])))
    return os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=lambda path: Path(path).resolve())
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--sample", type=int, help="plant only so many, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    path, source = arguments.path, ast.parse(arguments.path.read_text())
    places = [number for number, node in enumerate(ast.walk(source)) if mistakes(copy.deepcopy(node))]
    total = len(places)
    if arguments.sample is not None and arguments.sample < total:
        places = sorted(random.Random(arguments.seed).sample(places, arguments.sample))
    caught = 0
    for number in places:
        tree = copy.deepcopy(source)
        original = ast.unparse(node := next(node for n, node in enumerate(ast.walk(tree)) if n == number))
        mistakes(node)
        caught += not (alive := survives(path, ast.fix_missing_locations(tree), arguments.tests))
        if alive:
            print(f"{path.name}:{node.lineno}: {original}", flush=True)
    print(f"{path.name}: {caught} of {len(places)} caught, of {total} that could be planted")
