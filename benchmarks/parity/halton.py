"""The Halton scheduler beside the published code: the order, the input of every step and the final codes.

    python benchmarks/parity/halton.py FOLDER       # a checkout of github.com/valeoai/Halton-MaskGIT

``Sampler/halton_sampler.py``. Orders are equal for all sides from 8 to 48, and generations with guidance, a rising
inverse temperature and rotated orders in all cases, given the same uniform numbers for the codes and the same shifts.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy
import torch
from network import CODES, Network, compared, functions
from torch import Tensor

from tokenmask.batch import GIVEN, collate
from tokenmask.layout import Layout
from tokenmask.masking import Arccos
from tokenmask.ops import Purpose, uniform
from tokenmask.sampling import Categorical, ClassifierFree, ProcessSchedule, Sampler, SamplerState
from tokenmask.sampling.pick import PickContext
from tokenmask.scores import HaltonScore, ScoreContext, halton_ranks
from tokenmask.streams import StreamSpec, TokenStream

LABEL, IMAGE = StreamSpec("label", (5,), ("index",)), StreamSpec("image", (CODES,), ("row", "column"), grid=(8, 8))
LAYOUT = Layout({"label": LABEL, "image": IMAGE})
OFFSET, SIDE, BEFORE = LAYOUT.range("image").offset, 8, 2  # a control and the label


def draws(step: int, rows: int) -> Tensor:
    """float64 [rows, 64], the uniform numbers of a step that both loops use."""
    counters = torch.arange(rows * SIDE * SIDE) + step * 10_000
    return uniform(seed=11, counters=counters, purpose=Purpose.code).double().view(rows, -1)


def drawn(probabilities: Tensor, numbers: Tensor) -> Tensor:
    """The first code whose cumulated probability is above the number."""
    return (probabilities.double().cumsum(-1) <= numbers[..., None]).sum(-1).clamp(max=CODES - 1)


@dataclass(frozen=True)
class FromNumbers(Categorical):
    """Draws by :func:`draws` at the temperature of a Categorical."""

    def __call__(
        self, logits: Tensor, uncond: Tensor | None, context: PickContext
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mixed = logits if uncond is None else uncond + context.guidance * (logits - uncond)
        probabilities = (mixed / self.temperature_at(context.progress)).softmax(1)
        length = context.state.is_open.shape[1]
        row, place = torch.div(context.slots, length, rounding_mode="floor"), context.slots % length - BEFORE
        codes = drawn(probabilities, draws(context.progress.index, len(context.state.seeds))[row, place])
        nothing = torch.zeros(len(codes))
        return codes.int(), nothing, nothing, nothing


class Labelled:
    """Our loop asks the network; the label turns its logits where it is there."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def logits(self, inputs: Any, queries: Any, t: Any = None, **more: Any) -> Iterator[tuple[int, Tensor, Tensor]]:
        x = inputs.ids[:, BEFORE:, 0].long() - OFFSET
        labels = inputs.ids[:, 1, 0].long() - LAYOUT.range("label").offset
        scores = told(self.network, x, labels, inputs.valid[:, 1])
        length = inputs.shape[1]
        row = torch.div(queries.slots, length, rounding_mode="floor")
        yield LAYOUT.head("image"), torch.arange(len(queries)), scores[row, queries.slots % length - BEFORE]


def told(network: Network, x: Tensor, labels: Tensor, given: Tensor) -> Tensor:
    """Logits with labels, where they are given; notes what was seen."""
    network.seen.append(x.tolist())
    turned = network.codes[labels] @ network.out
    return network.scores(x) + torch.where(given[:, None], turned, 0.0)[:, None]


def theirs(space: dict[str, Any], network: Network, labels: Tensor, steps: int, shifts: list[int] | None) -> list[Any]:
    """Codes of the published loop; inputs of its steps are in the network."""
    count = {"step": -1}

    class Numbers:
        def __init__(self, probs: Tensor) -> None:
            self.probs = probs

        def sample(self) -> Tensor:
            count["step"] += 1
            return drawn(self.probs, draws(count["step"], len(labels)))

    def vit(code: Tensor, label: Tensor, dropped: Tensor) -> Tensor:
        return told(network, code.flatten(1), label, ~dropped)

    class Torch:
        distributions = SimpleNamespace(Categorical=Numbers)

        def __getattr__(self, name: str) -> Any:
            return getattr(torch, name)

        def randint(self, *_: Any) -> Tensor:
            return torch.tensor(shifts)

    space["HaltonSampler"].__call__.__globals__["torch"] = Torch()
    made = space["HaltonSampler"](1.0, 1.2, 1, 1.5, step=steps, randomize=shifts is not None)
    trainer = SimpleNamespace(
        vit=type("Vit", (), {"__call__": staticmethod(vit)})(),
        input_size=SIDE,
        autocast=contextlib.nullcontext(),
        args=SimpleNamespace(mask_value=CODES, codebook_size=CODES, device="cpu"),
        ae=SimpleNamespace(decode_code=lambda code: code.float() / 1000),
    )
    trainer.vit.eval = trainer.vit.train = lambda: None
    found, _, _ = made(trainer, nb_sample=len(labels), labels=labels, verbose=False)
    return (found * 1000).round().long().flatten(1).tolist()  # type: ignore[no-any-return]


def ours(network: Network, labels: Tensor, steps: int, rotate: bool) -> tuple[list[Any], list[int]]:
    """Codes of our loop, and how far each row's order is turned."""
    packed = [
        LAYOUT.pack(
            {
                "label": TokenStream(LABEL, torch.tensor([[label]], dtype=torch.int32)),
                "image": TokenStream(IMAGE, torch.zeros(SIDE, SIDE, 1, dtype=torch.int32)),
            },
            roles={"label": GIVEN},
        )
        for label in labels.tolist()
    ]
    batch = collate(packed, torch.arange(len(labels)), multiple=1)
    state = SamplerState.start(batch, LAYOUT, torch.full((len(labels),), 3))
    order = HaltonScore(rotate)
    sampler = Sampler(
        steps,
        schedule=ProcessSchedule(Arccos(), "ceil"),
        order=order,
        pick=FromNumbers(1.0, 1 / 1.2, grid="ends", law="inverse"),
        guidance=ClassifierFree(2.5),
    )
    told_of = ScoreContext(state.batch, state.is_open, state.seeds, state.keys)
    first = -order(told_of)[:, BEFORE:, 0] - halton_ranks(SIDE, SIDE)
    done = sampler.run({"main": Labelled(network)}, LAYOUT, state)  # type: ignore[dict-item]
    codes: list[Any] = (done.batch.ids[:, BEFORE:, 0] - OFFSET).tolist()
    return codes, (first[:, 0].long() % (SIDE * SIDE)).tolist()


def main(folder: str) -> None:
    """Compares, and prints what was equal."""
    plain = {"torch": torch, "np": numpy, "math": math, "tqdm": lambda one, **_: one}
    space = functions(folder, "Sampler/halton_sampler.py", {"HaltonSampler"}, **plain)
    for side in range(8, 49):
        cells = space["HaltonSampler"].build_halton_mask(side)
        if not torch.equal(cells[:, 0] * side + cells[:, 1], halton_ranks(side, side).argsort()):
            sys.exit(f"the order of side {side} differs")
    cases, labels = 0, torch.tensor([0, 3, 4])
    for seed in range(6):
        for steps in (4, 8, 32):
            for rotate in (False, True):
                mine, its = Network(SIDE * SIDE, seed), Network(SIDE * SIDE, seed)
                codes, shifts = ours(mine, labels, steps, rotate)
                found = theirs(space, its, labels, steps, shifts if rotate else None)
                compared(f"seed {seed}, {steps} steps", (mine.seen, codes), (its.seen, found))
                cases += 1
    print(f"41 orders and {cases} generations are equal in every step")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("skipped: name a folder with a checkout of Halton-MaskGIT")
    main(sys.argv[1])
