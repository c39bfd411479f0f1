"""A Markov chain whose law is known: the exact conditional of every hidden place, as a model that the sampler asks."""

from __future__ import annotations

import torch
from torch import Tensor

from tokenmask.batch import collate
from tokenmask.layout import Layout
from tokenmask.sampling import Sampler, SamplerState
from tokenmask.streams import StreamSpec, TokenStream

STATES, STAY = 4, 0.7
SPEC = StreamSpec("text", (STATES,), ("index",))
LAYOUT = Layout({"text": SPEC})
OFFSET = LAYOUT.range("text").offset
MOVES = torch.full((STATES, STATES), (1 - STAY) / (STATES - 1), dtype=torch.float64).fill_diagonal_(STAY)


class Chain:
    """Conditionals of a stationary chain given the nearest known places on both sides; counts its passes."""

    def __init__(self, length: int) -> None:
        self.passes = 0
        powers = [torch.eye(STATES, dtype=torch.float64)]
        for _ in range(length):
            powers.append(powers[-1] @ MOVES)
        self.powers = torch.stack(powers)
        self.length = length

    def logits(self, inputs, queries, t=None, **more):
        self.passes += 1
        codes = inputs.ids[:, 1:, 0] - OFFSET
        known = codes < STATES
        at = torch.arange(self.length).expand_as(codes)
        left = torch.where(known, at, -1).cummax(1).values
        right = torch.where(known, at, self.length).flip(1).cummin(1).values.flip(1)
        flat = torch.full((*codes.shape, STATES), 1 / STATES, dtype=torch.float64)
        last = STATES - 1
        before = codes.gather(1, left.clamp(min=0)).long().clamp(max=last)
        after = codes.gather(1, right.clamp(max=self.length - 1)).long().clamp(max=last)
        found = torch.where((left >= 0)[..., None], self.powers[(at - left).clamp(max=self.length), before], flat)
        back = self.powers[(right - at).clamp(max=self.length)].transpose(-1, -2)
        back = back.gather(2, after[..., None, None].expand(-1, -1, 1, STATES)).squeeze(2)
        found = found * torch.where((right < self.length)[..., None], back, 1.0)
        row = torch.div(queries.slots, self.length + 1, rounding_mode="floor")
        place = queries.slots % (self.length + 1) - 1
        yield 0, torch.arange(len(queries)), found[row, place].log().float()


def start(rows: int, length: int, seed: int = 0, **more) -> SamplerState:
    packed = LAYOUT.pack({"text": TokenStream(SPEC, torch.zeros(length, 1, dtype=torch.int32))}, **more)
    batch = collate([packed] * rows, torch.arange(rows), multiple=1)
    return SamplerState.start(batch, LAYOUT, torch.full((rows,), seed))


def filled(sampler: Sampler, rows: int, length: int, seed: int = 0) -> tuple[Tensor, int]:
    """Codes int64 [rows, length] and how often the chain was asked."""
    model = Chain(length)
    done = sampler.run({"main": model}, LAYOUT, start(rows, length, seed))
    return (done.batch.ids[:, 1:, 0] - OFFSET).long(), model.passes


def log_likelihood(codes: Tensor) -> float:
    """Nats a place of sequences under the chain."""
    moves = MOVES.log()[codes[:, :-1], codes[:, 1:]].sum(1)
    return float((moves - torch.tensor(float(STATES)).log()).mean() / codes.shape[1])
