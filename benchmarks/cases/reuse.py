"""Reuse: its two ops against the torch ops they replace, and whole generations against running everything.

A generation with reuse gives other codes than one without, so whole generations are checked for what they share: every
slot filled, everything given unchanged. That exact policies give the model's own logits is a test, not a benchmark.
Weights are random: speed does not depend on them; drift does, and reuse_quality.py measures it on trained models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from harness import Case, Peer
from torch import Tensor

from tokenmask.batch import Batch, collate
from tokenmask.layout import Layout
from tokenmask.masking import Power
from tokenmask.masking.masked_batch import Queries
from tokenmask.models import GroupCausal, MaskedModel, TransformerConfig
from tokenmask.nn import RMSNorm
from tokenmask.nn.rotary import rotate
from tokenmask.ops import attend_cached, rotate_and_store
from tokenmask.ops.attend_cached import attend_cached_reference
from tokenmask.ops.rotate_and_store import rotate_and_store_reference
from tokenmask.sampling import GroupCausalReuse, NoReuse, ProcessSchedule, Sampler, SamplerState, StaleReuse, drift
from tokenmask.scores import ConfidenceScore, QLDSScore
from tokenmask.streams import StreamSpec, TokenStream

HEADS, SIZE, SLOTS = 8, 64, 512
ROUNDS = {"group_causal_1": 3, "group_causal_4": 2, "stale_half": 3, "whole_generation": 5, "loop_share": 5}


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def close(got: Any, expected: Any) -> bool:
    if isinstance(got, Tensor):
        return bool((got - expected).abs().max() < 1e-4)
    return all(close(a, b) for a, b in zip(got, expected, strict=True))


# ops -----------------------------------------------------------------------------------------------------------------


def rotate_case() -> Case:
    """25 new positions in each of 4 rows, written behind 100 that are there."""
    rows, new, g = 4, 25, generator()
    qkv = torch.randn(rows * new, 3, HEADS, SIZE, generator=g)
    norm, key_norm = RMSNorm(SIZE), RMSNorm(SIZE)
    for module in (norm, key_norm):
        module.weight = torch.nn.Parameter(torch.randn(SIZE, generator=g))
    angles = torch.randn(rows * new, SIZE // 2, generator=g)
    cos, sin = torch.cat([angles.cos()] * 2, -1), torch.cat([-angles.sin(), angles.sin()], -1)
    ends, slots = torch.arange(0, rows * new + 1, new), torch.arange(100, 100 + new).repeat(rows)
    keys, values = torch.zeros(rows, HEADS, SLOTS // 16, SIZE, 16), torch.zeros(rows, HEADS, SLOTS, SIZE)
    plain_keys, row = torch.zeros(rows, HEADS, SLOTS, SIZE), torch.arange(rows).repeat_interleave(new)
    weights = norm.weight.detach(), key_norm.weight.detach()

    def packed() -> Tensor:
        return rotate_and_store(qkv, *weights, cos, sin, ends, slots, keys, values)

    @torch.inference_mode()
    def modules() -> Tensor:
        """The layers of tokenmask.nn, and a scatter into a cache of any slots."""
        query, key, value = qkv.unbind(1)
        query, key = rotate(norm(query), cos[:, None], sin[:, None]), rotate(key_norm(key), cos[:, None], sin[:, None])
        plain_keys[row, :, slots], values[row, :, slots] = key, value
        return query

    @torch.inference_mode()
    def slices() -> Tensor:
        """The same where all rows write the same slots, so that a slice takes them."""
        query, key, value = qkv.view(rows, new, 3, HEADS, SIZE).unbind(2)
        wide = cos.view(rows, new, 1, SIZE), sin.view(rows, new, 1, SIZE)
        query, key = rotate(norm(query), *wide), rotate(key_norm(key), *wide)
        plain_keys[:, :, 100 : 100 + new], values[:, :, 100 : 100 + new] = key.transpose(1, 2), value.transpose(1, 2)
        return query.flatten(0, 1)

    return Case(
        "rotate_and_store [4 x 25, 8, 64]",
        Peer("tokenmask.ops", packed, close),
        partial(
            rotate_and_store_reference, qkv, *weights, cos, sin, None, None, ends, slots, keys.clone(), values.clone()
        ),
        (
            Peer("norms, rotation, scatter", modules, close),
            Peer("norms, rotation, slices", slices, close),
            Peer("clone of the input (no work)", qkv.clone, lambda got, _: torch.equal(got, qkv)),
        ),
    )


def attend_case(name: str, rows: int, queries: int, lengths: list[int]) -> Case:
    g, most = generator(), max(lengths)
    keys, values = (torch.randn(rows, HEADS, SLOTS, SIZE, generator=g) for _ in range(2))
    tiled = keys.view(rows, HEADS, SLOTS // 16, 16, SIZE).transpose(3, 4).contiguous()
    query = torch.randn(rows * queries, HEADS, SIZE, generator=g)
    ends, length = torch.arange(0, rows * queries + 1, queries), torch.tensor(lengths)
    own = keys[:, :, :most].contiguous(), values[:, :, :most].contiguous()
    mask = (torch.arange(most) < length[:, None])[:, None, None]
    heads_first = query.view(rows, queries, HEADS, SIZE).transpose(1, 2).contiguous()

    def back(mixed: Tensor) -> Tensor:
        return mixed.transpose(1, 2).flatten(0, 1)

    def masked() -> Tensor:
        return back(F.scaled_dot_product_attention(heads_first, *own, attn_mask=mask))

    def sliced() -> Tensor:
        parts = [
            F.scaled_dot_product_attention(heads_first[b : b + 1], own[0][b : b + 1, :, :n], own[1][b : b + 1, :, :n])
            for b, n in enumerate(lengths)
        ]
        return back(torch.cat(parts))

    peers = [Peer("masked SDPA", masked, close), Peer("SDPA row by row", sliced, close)]
    if len(set(lengths)) == 1:
        peers = [Peer("SDPA", lambda: back(F.scaled_dot_product_attention(heads_first, *own)), close), *peers[:1]]
    return Case(
        name,
        Peer("tokenmask.ops", partial(attend_cached, query, ends, tiled, values, length), close),
        partial(attend_cached_reference, query, ends, tiled, values, length),
        tuple(peers),
    )


# generations ---------------------------------------------------------------------------------------------------------


def world(rows: int, levels: int, config: TransformerConfig) -> tuple[Layout, MaskedModel, SamplerState]:
    """500 places of audio to fill in each row; the slots of a step are half of those of the last step."""
    spec = StreamSpec("audio", (1024,) * levels, ("time",), rate_hz=50.0)
    layout = Layout({"audio": spec})
    model = MaskedModel.create(config, layout, pattern=GroupCausal())
    codes = torch.randint(1024, (500, levels), dtype=torch.int32, generator=generator())
    batch = collate([layout.pack({"audio": TokenStream(spec, codes)})] * rows, torch.arange(rows), multiple=1)
    return layout, model, SamplerState.start(batch, layout, torch.zeros(rows, dtype=torch.int64))


def filled(got: Batch, expected: SamplerState) -> bool:
    """Nothing is hidden any more and the given positions are as they were."""
    given = ~expected.is_open
    return torch.equal(got.ids[given], expected.batch.ids[given]) and not bool(
        (got.ids == expected.batch.ids)[expected.is_open].any()
    )


def generation(sampler: Sampler, layout: Layout, model: Any, state: SamplerState) -> Callable[[], Batch]:
    return lambda: sampler.run({"main": model}, layout, state).batch


BIG = TransformerConfig(width=512, depth=12, heads=8, shifted=True)
SHIPPED = TransformerConfig(width=128, depth=4, heads=4)


def group_causal_case(rows: int) -> Case:
    """A generation in 50 steps against one step of NoReuse: a generation without reuse takes 50 of them."""
    layout, model, state = world(rows, 1, BIG)
    schedule = ProcessSchedule(Power(2.2))
    sampler = Sampler(50, schedule=schedule, order=QLDSScore(), reuse=GroupCausalReuse())
    plain = replace(sampler, reuse=NoReuse())

    def one_step() -> Batch:
        return next(plain.iterate({"main": model}, layout, state)).state.batch

    return Case(
        f"GroupCausalReuse, {rows} x 500 slots, 50 steps, 12 x 512",
        Peer("50 steps, each slot once", generation(sampler, layout, model, state), filled),
        lambda: state,
        (Peer("NoReuse, one of its 50 steps", one_step, lambda got, want: got.shape == want.batch.shape),),
    )


def stale_case() -> Case:
    layout, model, state = world(1, 1, BIG)
    sampler = Sampler(16, order=ConfidenceScore(1.0), reuse=StaleReuse(pre_full=0, n_local=1))
    measured = drift(sampler, {"main": model}, layout, state)
    print(f"StaleReuse with random weights: {measured}")
    return Case(
        "StaleReuse, 1 x 500 slots, 8 of 16 steps cheap, 12 x 512",
        Peer("half of the steps cheap", generation(sampler, layout, model, state), filled),
        lambda: state,
        (Peer("NoReuse", generation(replace(sampler, reuse=NoReuse()), layout, model, state), filled),),
    )


@torch.inference_mode()
def paper_loop(model: MaskedModel, layout: Layout, state: SamplerState, steps: int) -> Batch:
    """Level by level as MAGNeT's published code does it: logits of every level at every place, softmax, multinomial,
    Gumbel noise on the log-probability, and a full sort for the places that are masked again."""
    batch, random = state.batch, generator()
    rows, length, levels = batch.shape
    every = (state.is_open | (batch.stream >= 0)[..., None]).flatten().nonzero().squeeze(1)
    queries = Queries(every, layout.head_of(batch.ids.flatten()[every]))
    ids = batch.ids.clone()
    for level in range(levels):
        place = layout.range("audio", level)
        hidden = torch.ones(rows, length - 1, dtype=torch.bool)
        for step in range(steps):
            left = ProcessSchedule().plan(length - 1, steps)[step]
            scored = {head: logits for head, _, logits in model.logits(replace(batch, ids=ids), queries)}
            logits = scored[layout.head("audio", level)].view(rows, length - 1, -1)
            probabilities = logits.softmax(-1)
            drawn = torch.multinomial(probabilities.flatten(0, 1), 1, generator=random).view(rows, length - 1)
            chance = probabilities.gather(-1, drawn[..., None]).squeeze(-1)
            noise = -torch.log(-torch.log(torch.rand(chance.shape, generator=random).clamp(min=1e-9)))
            score = torch.where(hidden, chance.log() + (1 - (step + 1) / steps) * noise, torch.inf)
            ids[:, 1:, level] = torch.where(hidden, drawn.int() + place.offset, ids[:, 1:, level])
            hidden = torch.zeros_like(hidden).scatter(1, score.argsort(dim=1)[:, :left], True)
            ids[:, 1:, level] = torch.where(hidden, place.mask_id, ids[:, 1:, level])
    return replace(batch, ids=ids)


def whole_case() -> Case:
    layout, model, state = world(4, 4, SHIPPED)
    sampler = Sampler(8, order=ConfidenceScore(1.0))
    return Case(
        "whole generation, 4 x 500 slots x 4 levels, 8 steps each, 4 x 128",
        Peer("tokenmask, NoReuse", generation(sampler, layout, model, state), filled),
        lambda: state,
        (
            Peer("plain PyTorch loop", lambda: paper_loop(model, layout, state, 8), filled),
            Peer(
                "tokenmask, StaleReuse",
                generation(replace(sampler, reuse=StaleReuse()), layout, model, state),
                filled,
            ),
        ),
    )


class Instant:
    """A model whose logits are there: what is left of a generation is the loop."""

    def __init__(self, layout: Layout) -> None:
        self.logits_of = [torch.randn(2048, r.size, generator=generator()) for r in layout.ranges]
        self.numbers = torch.arange(2048)

    def logits(
        self, inputs: Batch, queries: Queries, group: Tensor | None = None, t: Tensor | None = None
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        if len(self.logits_of) == 1:  # there is nothing to sort
            yield 0, self.numbers[: len(queries.heads)], self.logits_of[0][: len(queries.heads)]
            return
        for head in queries.heads.unique().tolist():
            index = (queries.heads == head).nonzero().squeeze(1)
            yield head, index, self.logits_of[head][: len(index)]


def loop_case() -> Case:
    """A generation with a model that answers at once, against the same with the model: the loop's share is 1 / x."""
    layout, model, state = world(4, 4, BIG)
    sampler = Sampler(1, order=ConfidenceScore(1.0))
    return Case(
        "the loop alone, 4 x 500 slots x 4 levels, 1 step each",
        Peer("no model", generation(sampler, layout, Instant(layout), state), filled),
        lambda: state,
        (
            Peer("with the model, 12 x 512", generation(sampler, layout, model, state), filled),
            Peer(
                "with a model of 4 x 128",
                generation(sampler, layout, world(4, 4, SHIPPED)[1], state),
                filled,
            ),
        ),
    )


def steps_case() -> Case:
    """What a step costs beside the model, at the smallest size that is used: 1/16 of the milliseconds of a row."""
    spec = StreamSpec("image", (256,), ("row", "column"))
    layout = Layout({"image": spec})
    packed = layout.pack({"image": TokenStream(spec, torch.zeros(8, 8, 1, dtype=torch.int32))})
    state = SamplerState.start(collate([packed], multiple=1), layout, torch.tensor([1]))
    sampler, model = Sampler(16), Instant(layout)
    return Case(
        "the loop alone, 1 x 64 slots, 16 steps",
        Peer("by confidence", generation(sampler, layout, model, state), filled),
        lambda: state,
        (
            Peer(
                "by confidence with noise",
                generation(replace(sampler, order=ConfidenceScore(4.5)), layout, model, state),
                filled,
            ),
        ),
    )


CASES: dict[str, Callable[[], Case]] = {
    "rotate_and_store": rotate_case,
    "attend_dense": partial(attend_case, "attend_cached [4 x 25], 500 slots", 4, 25, [500] * 4),
    "attend_dense_50": partial(attend_case, "attend_cached [1 x 50], 500 slots", 1, 50, [500]),
    "attend_ragged": partial(attend_case, "attend_cached [4 x 25], 100 to 500 slots", 4, 25, [500, 370, 412, 100]),
    "attend_ragged_16": partial(
        attend_case, "attend_cached [16 x 25], 40 to 500 slots", 16, 25, [500, *range(40, 490, 30)]
    ),
    "group_causal_1": partial(group_causal_case, 1),
    "group_causal_4": partial(group_causal_case, 4),
    "stale_half": stale_case,
    "whole_generation": whole_case,
    "loop_share": loop_case,
    "loop_steps": steps_case,
}
