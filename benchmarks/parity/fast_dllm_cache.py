"""The caches of Fast-dLLM, NVlabs/Fast-dLLM: ``generate_with_dual_cache`` and ``generate_with_prefix_cache``.

``python benchmarks/parity/fast_dllm_cache.py FOLDER`` with a folder that holds the official checkout. Behind both loops
stands one small network of two layers of attention, which keeps keys and values as its caller says. Equal: which places
are run in every step, the codes that stand there, and the codes in the end, so that what is stale is the same on both
sides; by counts and by a threshold. Ours runs the control that begins a row each time, of which the network here knows
nothing. Theirs alone: where the full step fills a block, it runs that once more with nothing to fill, which is left out
here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from common import WIDTH, Trace, compare, lifted, weights
from torch import Tensor

from tokenmask.batch import FILL, GIVEN, collate
from tokenmask.layout import Layout
from tokenmask.sampling import (
    Categorical,
    ConfidenceAbove,
    Sampler,
    SamplerState,
    Stage,
    StaleReuse,
    UniformSchedule,
)
from tokenmask.scores import ConfidenceScore
from tokenmask.streams import StreamSpec, TokenStream

CASES: dict[str, dict[str, Any]] = {
    "dual": {"cache": "dual", "steps": 12, "block": 8},
    "dual, long blocks": {"cache": "dual", "steps": 12, "block": 12},
    "prefix": {"cache": "prefix", "steps": 12, "block": 8},
    "prefix, slot by slot": {"cache": "prefix", "steps": 24, "block": 6},
    **{
        f"{cache}, threshold {threshold}, blocks of {block}": {
            "cache": cache,
            "steps": 24,
            "block": block,
            "threshold": threshold,
        }
        for cache in ("dual", "prefix")
        for threshold in (0.3, 0.5, 0.9)
        for block in (6, 8, 24)
    },
}
PROMPT, ANSWER, CODES, LAYERS = 5, 24, 30, 2
LENGTH = PROMPT + ANSWER
Cache = list[tuple[Tensor, Tensor]]  # keys and values [L, WIDTH] of each layer


class Network:
    """Logits [n, CODES] of some places, over the keys and values of all; notes what it ran."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.table, self.places = weights(17, 1, CODES + 1, WIDTH), weights(17, 2, LENGTH, WIDTH)
        self.mix, self.out = weights(17, 3, LAYERS, 4, WIDTH, WIDTH), weights(17, 4, WIDTH, CODES)
        self.ran: list[Any] = []

    def run(self, places: Tensor, codes: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        """Args:
            places: int64 [n].
            codes: int64 [n]; CODES is MASK.
            cache: what the other places are; None where all are run.

        Returns:
            logits float32 [n, CODES], and keys and values with those of the places that were run.
        """
        self.ran.append([places.tolist(), codes.tolist()])
        hidden, kept = self.table[codes] + self.places[places], []
        for layer, (query, key, value, out) in enumerate(self.mix):
            keys, values = (torch.zeros(LENGTH, WIDTH) if cache is None else cache[layer][i].clone() for i in (0, 1))
            keys[places], values[places] = hidden @ key, hidden @ value
            kept.append((keys, values))
            seen = ((hidden @ query) @ keys.T / WIDTH).softmax(-1) @ values
            hidden = torch.tanh(hidden + seen @ out)
        return hidden @ self.out, kept

    def __call__(
        self,
        x: Tensor,
        attention_mask: Any = None,
        past_key_values: Any = None,
        use_cache: bool = False,
        replace_position: Any = None,
    ) -> SimpleNamespace:
        """As their loops call it, of one row; keys and values [1, 1, L, WIDTH]."""
        places, cache = torch.arange(LENGTH), None
        if past_key_values is not None:
            first = past_key_values[0][0].shape[2]
            places = replace_position[0].nonzero().squeeze(1) if replace_position is not None else places[first:]
            cache = [(whole(keys[0, 0]), whole(values[0, 0])) for keys, values in past_key_values]
        logits, kept = self.run(places, x[0], cache)
        past = [tuple(one[None, None] for one in layer) for layer in kept]
        return SimpleNamespace(logits=logits[None], past_key_values=past)


def whole(kept: Tensor) -> Tensor:
    """[LENGTH, WIDTH], of a part that may lack the last places, which are run then."""
    return torch.nn.functional.pad(kept, (0, 0, 0, LENGTH - len(kept)))


SPEC = StreamSpec("text", (CODES,), ("index",))
LAYOUT = Layout({"text": SPEC})


@dataclass(eq=False)
class Kept:
    """The cache of the network as StaleReuse handles it."""

    kv: Cache | None = None

    def admit(self, new: Any) -> Kept:
        return self


class Ours:
    """The network as our loop and its reuse ask it."""

    backbone = SimpleNamespace(reads_time=False, answers_before=False, empty_cache=lambda rows, slots: Kept())

    def __init__(self, network: Network) -> None:
        self.network = network

    def logits(
        self, inputs: Any, queries: Any, cache: Kept | None = None, t: Any = None, group: Any = None
    ) -> Iterator[Any]:
        codes = LAYOUT.codes_of(inputs.ids)[0, 1:, 0].long()
        found, kept = self.network.run(torch.arange(LENGTH), codes, None)
        if cache is not None:
            cache.kv = kept
        yield 0, torch.arange(len(queries)), found[queries.slots - 1]

    def extend(self, new: Any, queries: Any, cache: Kept, t: Any = None) -> list[Any]:
        inside = new.slots > 0  # but the control
        found, _ = self.network.run(new.slots[inside] - 1, LAYOUT.codes_of(new.ids)[inside, 0].long(), cache.kv)
        number = inside.cumsum(0) - 1
        return [(0, torch.arange(len(queries)), found[number[queries.slots]])]


def prompt() -> Tensor:
    return torch.arange(PROMPT) * 7 % CODES


def ours(cache: str, steps: int, block: int, threshold: float | None = None) -> Trace:
    sampler = Sampler(
        stages=(Stage(steps * block // ANSWER, block=block),),
        schedule=UniformSchedule() if threshold is None else ConfidenceAbove(threshold),
        order=ConfidenceScore(plain=True),
        pick=Categorical(0.0),
        reuse=StaleReuse(n_local=None, reorder=True, recompute="chosen" if cache == "dual" else "open"),
    )
    network = Network()
    codes = torch.cat([prompt(), torch.zeros(ANSWER)]).int()[:, None]
    role = torch.tensor([GIVEN] * PROMPT + [FILL] * ANSWER, dtype=torch.int8)[:, None]
    packed = LAYOUT.pack({"text": TokenStream(SPEC, codes)}, roles={"text": role})
    state = SamplerState.start(collate([packed], multiple=1), LAYOUT, torch.tensor([0]))
    done = sampler.run({"main": Ours(network)}, LAYOUT, state)  # type: ignore[dict-item]
    return {"inputs": network.ran, "codes": LAYOUT.codes_of(done.batch.ids)[0, 1:, 0].tolist()}


def theirs(checkout: Path, cache: str, steps: int, block: int, threshold: float | None = None) -> Trace:
    name = f"generate_with_{cache}_cache"
    names = ["add_gumbel_noise", "get_num_transfer_tokens", "get_transfer_index", name]
    space = {"torch": torch, "np": np, "F": torch.nn.functional}
    generate = lifted(checkout / "llada" / "generate.py", names, space)[name]
    network = Network()
    with torch.no_grad():
        codes, _ = generate(network, prompt()[None], steps, ANSWER, block, 0.0, "low_confidence", CODES, threshold)
    return {"inputs": [ran for ran in network.ran if open_in(ran, block)], "codes": codes[0].tolist()}


def open_in(ran: list[list[int]], block: int) -> bool:
    """Whether what was run of the answer had something to fill, in the block that it began with."""
    places, codes = ran
    first = places[0] if places[0] >= PROMPT else 0
    return any(code == CODES for place, code in zip(places, codes, strict=True) if not first or place < first + block)


if __name__ == "__main__":
    compare("fast_dllm_cache", CASES, ours, theirs)
