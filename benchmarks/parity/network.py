"""What the comparisons share: functions out of a checkout, and a small network that both loops ask.

The network is fixed by its seed. Each place's logits depend on all codes of the row, so that one code that differs
in one step changes all that follow.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from tokenmask.batch import FILL, GIVEN, collate
from tokenmask.layout import Layout
from tokenmask.ops import Purpose, uniform
from tokenmask.sampling import Sampler, SamplerState
from tokenmask.streams import StreamSpec, TokenStream

CODES, WIDTH = 12, 16


def functions(folder: str, path: str, names: set[str], **space: Any) -> dict[str, Any]:
    """Functions, classes and constants of a file of a checkout, without what it imports."""
    file = Path(folder) / path
    if not file.is_file():
        sys.exit(f"skipped: {file} is not there; name the folder of the checkout")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if getattr(node, "name", None) in names]
    missing = names - {getattr(node, "name", None) for node in tree.body}
    if missing:
        sys.exit(f"skipped: {file} has no {', '.join(sorted(missing))}; it is of another version")
    exec(compile(tree, str(file), "exec"), space)
    return space


class Network:
    """Logits [B, L, CODES] of codes int64 [B, L], CODES standing for MASK; theirs is ``network(x).logits``.

    Args:
        length: L.
        seed: of the weights.
    """

    device = torch.device("cpu")

    def __init__(self, length: int, seed: int) -> None:
        sizes = [(CODES + 1) * WIDTH, length * WIDTH, WIDTH * WIDTH, WIDTH * CODES]
        draws = uniform(seed=seed, counters=torch.arange(sum(sizes)), purpose=Purpose.latent)
        parts = torch.split((draws - 0.5) * 4, sizes)
        self.codes, self.places = parts[0].view(CODES + 1, WIDTH), parts[1].view(length, WIDTH)
        self.mix, self.out = parts[2].view(WIDTH, WIDTH), parts[3].view(WIDTH, CODES)
        self.seen: list[list[list[int]]] = []

    def __call__(self, x: Tensor, **more: Any) -> SimpleNamespace:
        self.seen.append(x.tolist())
        return SimpleNamespace(logits=self.scores(x))

    def scores(self, x: Tensor) -> Tensor:
        """Row by row, so that company changes no bit."""
        rows = []
        for row in x:
            state = self.codes[row] + self.places
            rows.append(torch.tanh(state + state.mean(0) @ self.mix) @ self.out)
        return torch.stack(rows)


SPEC = StreamSpec("text", (CODES,), ("index",))
LAYOUT = Layout({"text": SPEC})
OFFSET = LAYOUT.range("text").offset


class Ours:
    """The same network as our loop asks it; position 0 of a row is a control."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def logits(self, inputs: Any, queries: Any, t: Any = None, **more: Any) -> Iterator[tuple[int, Tensor, Tensor]]:
        x = inputs.ids[:, 1:, 0].long() - OFFSET
        self.network.seen.append(x.tolist())
        scores, length = self.network.scores(x), inputs.shape[1]
        row = torch.div(queries.slots, length, rounding_mode="floor")
        yield LAYOUT.head("text"), torch.arange(len(queries)), scores[row, queries.slots % length - 1]


def filled(sampler: Sampler, network: Network, prompt: list[int], length: int) -> list[int]:
    """Codes of a row of a prompt and ``length`` codes that our loop filled; the network keeps what it saw."""
    codes = torch.tensor([*prompt, *[0] * length], dtype=torch.int32)[:, None]
    role = torch.tensor([GIVEN] * len(prompt) + [FILL] * length, dtype=torch.int8)[:, None]
    packed = LAYOUT.pack({"text": TokenStream(SPEC, codes)}, roles={"text": role})
    state = SamplerState.start(collate([packed], multiple=1), LAYOUT, torch.tensor([0]))
    done = sampler.run({"main": Ours(network)}, LAYOUT, state)  # type: ignore[dict-item]
    found: list[int] = (done.batch.ids[0, 1:, 0] - OFFSET).tolist()
    return found


def compared(name: str, ours: tuple[Any, Any], theirs: tuple[Any, Any]) -> None:
    """Ends the program unless the input of every step and the final codes are equal."""
    steps = len(theirs[0])
    for step, (mine, its) in enumerate(zip(ours[0], theirs[0], strict=False)):
        if mine != its:
            sys.exit(f"{name}: the input of step {step} differs: ours {mine}, theirs {its}")
    if len(ours[0]) != steps or ours[1] != theirs[1]:
        sys.exit(f"{name}: {len(ours[0])} steps to {ours[1]}, theirs {steps} to {theirs[1]}")
