"""Plants one mistake at a time in a file and asks its tests: python tests/mutate.py FILE.py TESTS...; not in CI.

Prints each mistake that every test let pass, and how many were caught. A mistake is a changed operator, comparison,
sign or number, outside of annotations and decorators; with --sample N only N of them are planted, drawn with --seed.

Each runs in a process of its own. One in the body of a function is put into the loaded module, which takes no longer
than the tests, but shows nothing where the function has run before them; one elsewhere is loaded with the module.
"""

import argparse
import ast
import copy
import functools
import gc
import importlib.machinery
import os
import random
import signal
import types
from pathlib import Path

import pytest
import torch

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


def below(source: ast.Module, kind: type, *fields: str) -> set[ast.AST]:
    """All nodes in those fields of the nodes of a kind."""
    parts = [getattr(node, field) for node in ast.walk(source) if isinstance(node, kind) for field in fields]
    roots = [one for part in parts for one in (part if isinstance(part, list) else [part]) if one is not None]
    return {node for root in roots for node in ast.walk(root)}


class Mutant:
    """A file with one mistake."""

    def __init__(self, path: Path, source: ast.Module, number: int) -> None:
        tree = copy.deepcopy(source)
        node = next(node for n, node in enumerate(ast.walk(tree)) if n == number)
        self.path, self.name = path, f"{path.name}:{node.lineno}: {ast.unparse(node)}"
        mistakes(node)
        self.code = compile(ast.fix_missing_locations(tree), str(path), "exec")

    def put(self) -> None:
        """Into the functions of a module that is loaded."""
        codes, found = [self.code], {}
        for code in codes:
            found[code.co_qualname, code.co_firstlineno] = code
            codes += [one for one in code.co_consts if isinstance(one, types.CodeType)]
        for one in gc.get_objects():
            if type(one) is types.FunctionType and one.__code__.co_filename.endswith(self.path.name):
                key = one.__code__.co_qualname, one.__code__.co_firstlineno
                if Path(one.__code__.co_filename).resolve() == self.path and key in found:
                    one.__code__ = found[key]

    def loaded(self, options: list[str]) -> int:
        """What pytest answers where the module is loaded with the mistake."""
        plain, path, mine = importlib.machinery.SourceFileLoader.get_code, self.path, self.code
        importlib.machinery.SourceFileLoader.get_code = lambda loader, name: (
            mine if Path(loader.path).resolve() == path else plain(loader, name)
        )
        return int(pytest.main(options))


def passes(run, seconds: int) -> bool:
    """Whether ``run``, in a process of its own, returns 0 within so many seconds."""
    child = os.fork()
    if child == 0:
        signal.alarm(seconds)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 1
        try:
            code = int(run())
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


class Loop:
    """Lets pytest collect once, then runs what it found with each mutant; numbers of those that pass go to a pipe."""

    def __init__(self, mutants: dict[int, Mutant], pipe: int, seconds: int) -> None:
        self.mutants, self.pipe, self.seconds = mutants, pipe, seconds

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        def run(mutant: Mutant | None) -> bool:
            if mutant is not None:
                mutant.put()
            session.config.pluginmanager.unregister(self)
            session.config.hook.pytest_runtestloop(session=session)
            return session.testsfailed > 0

        if session.testsfailed or not passes(lambda: run(None), self.seconds):
            raise pytest.UsageError("the tests fail without any mistake, or take longer than --seconds")
        for number, mutant in self.mutants.items():
            if passes(functools.partial(run, mutant), self.seconds):
                os.write(self.pipe, b"%d\n" % number)
        return True


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=lambda path: Path(path).resolve())
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--sample", type=int, help="plant only so many, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=60, help="what takes longer with a mistake is caught")
    given = parser.parse_args()
    torch.set_num_threads(1)
    source, options = ast.parse(given.path.read_text()), ["-x", "-q", "-p", "no:cacheprovider", *given.tests]
    typing = below(source, ast.AnnAssign, "annotation") | below(source, ast.arg, "annotation")
    typing |= below(source, ast.FunctionDef, "returns", "decorator_list") | below(
        source, ast.ClassDef, "decorator_list"
    )
    inside = below(source, ast.FunctionDef, "body")
    nodes = list(enumerate(ast.walk(source)))
    places = [number for number, node in nodes if node not in typing and mistakes(copy.deepcopy(node))]
    total = len(places)
    if given.sample is not None and given.sample < total:
        places = sorted(random.Random(given.seed).sample(places, given.sample))
    mutants = {number: Mutant(given.path, source, number) for number in places}
    fast = {number: mutants[number] for number, node in nodes if number in mutants and node in inside}

    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(int(pytest.main(options, plugins=[Loop(fast, writes, given.seconds)])))
    os.close(writes)
    with os.fdopen(reads) as pipe:
        left = {int(line) for line in pipe}
    if os.waitpid(child, 0)[1] != 0:
        raise SystemExit("the tests fail without any mistake, or take longer than --seconds")
    for number, mutant in mutants.items():
        if number not in fast and passes(functools.partial(mutant.loaded, options), given.seconds):
            left.add(number)
    for number in sorted(left):
        print(mutants[number].name)
    print(f"{given.path.name}: {len(places) - len(left)} of {len(places)} caught, {total} could be planted")
