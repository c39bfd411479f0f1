"""AWRS beside genlm-control: the same numbers of numpy's generator give the same code and weight, test by test.

    python benchmarks/parity/awrs.py FOLDER       # a checkout of github.com/genlm/genlm-control

Only the two estimators are run, out of ``genlm/control/sampler/token.py``, without the libraries around them. Equal in
400 cases: codes and tested codes exactly, log-weights to 1e-6. Theirs keeps a product of 1 - q where ours keeps the
mass that was rejected, which is the same number otherwise rounded.
"""

from __future__ import annotations

import ast
import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch

from tokenmask.sampling import Rejection
from tokenmask.sampling.weighing import Draws

SIZE = 20
WANTED = {"improper_sample", "recursive_awrs", "geometric_awrs", "GEOMETRIC_THRESHOLD"}


@dataclass
class NumpyDraws(Draws):
    """The numbers that both are given."""

    rng: numpy.random.Generator

    def keys(self) -> torch.Tensor:
        return torch.from_numpy(self.rng.random(SIZE))

    def geometric(self, odds: float) -> int:
        return int(self.rng.geometric(odds))


def published(folder: Path) -> dict[str, Any]:
    """The estimators of the checkout."""
    path = folder / "genlm" / "control" / "sampler" / "token.py"
    if not path.is_file():
        sys.exit(f"skipped: {path} is not there; name a checkout of genlm-control")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if names(node) & WANTED]
    space: dict[str, Any] = {"np": numpy, "log1mexp": lambda x: numpy.log1p(-numpy.exp(x)) if x < 0 else -numpy.inf}
    exec(compile(tree, str(path), "exec"), space)
    return space


def names(node: ast.stmt) -> set[str]:
    """What a statement defines."""
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {getattr(node, "name", "")}


def case(seed: int, peaked: bool) -> tuple[torch.Tensor, list[bool]]:
    """Log-probabilities and which codes are accepted."""
    rng = numpy.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=SIZE) * 2)
    if peaked:
        logits[3] = logits.exp().sum().log() + 1.5
    return logits.log_softmax(0), (rng.random(SIZE) < 0.4).tolist()


def theirs(
    space: dict[str, Any], logprob: torch.Tensor, accepted: list[bool], seed: int, accepts: int, rejects: int
) -> tuple[int, float, list[int]]:
    """Code, log-weight and what was tested, first times."""
    tested: list[int] = []

    async def accept(code: int) -> bool:
        tested.append(code)
        return accepted[code]

    options: dict[str, Any] = {
        "logps": logprob.numpy().copy(),
        "toks": list(range(SIZE)),
        "accept": accept,
        "rng": numpy.random.default_rng(seed),
        "max_rejects": rejects or float("inf"),
    }
    if accepts > 2 or float(logprob.max()) >= space["GEOMETRIC_THRESHOLD"]:
        code, weight, _ = asyncio.run(space["geometric_awrs"](**options, max_accepts=accepts))
    else:
        code, weight, _ = asyncio.run(space["recursive_awrs"](**options))
    return code, float(weight), list(dict.fromkeys(tested))


def ours(
    logprob: torch.Tensor, accepted: list[bool], seed: int, accepts: int, rejects: int
) -> tuple[int, float, list[int]]:
    """The same of :class:`tokenmask.sampling.Rejection`."""
    tested: list[int] = []

    def accept(code: int) -> bool:
        tested.append(code)
        return accepted[code]

    code, weight = Rejection(accepts=accepts, rejects=rejects).draw(
        logprob, accept, NumpyDraws(numpy.random.default_rng(seed))
    )
    return code, weight, list(dict.fromkeys(tested))


def main(folder: str) -> None:
    """Compares, and prints what was equal."""
    space, same = published(Path(folder)), 0
    for number in range(400):
        accepts, rejects = (2, 3, 5)[number % 3], (0, 4)[number // 3 % 2]
        logprob, accepted = case(number // 4, peaked=number % 4 == 3)
        arguments = (logprob, accepted, number, accepts, rejects)
        mine, its = ours(*arguments), theirs(space, *arguments)
        near = mine[1] == its[1] or abs(mine[1] - its[1]) < 1e-6
        if mine[0] != its[0] or mine[2] != its[2] or not near:
            sys.exit(f"case {number} differs: ours {mine}, theirs {its}")
        same += 1
    print(f"{same} cases of codes, weights and tested codes are equal")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("skipped: name a folder with a checkout of genlm-control")
    main(sys.argv[1])
