"""Passes: one step asks the model, with and without conditions, for logits of the slots that are asked.

Arrow: inside the Sampler loop, Asked + RunStep --**ask**--> Seen. Does not know: codes, which slots are kept.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.masking import MaskingProcess
from tokenmask.masking.masked_batch import Queries
from tokenmask.models import MaskedModel
from tokenmask.sampling.answers import look, look_at_batch, look_at_further, look_at_scale, look_at_taps
from tokenmask.sampling.asked import Asked
from tokenmask.sampling.context import StepContext
from tokenmask.sampling.plan import RunStep, Stage, schedule_of
from tokenmask.sampling.predicted import HeadLogits
from tokenmask.sampling.reuse import Reuse, ReuseStep
from tokenmask.sampling.reuse.policy import Cache
from tokenmask.sampling.revoke import Revoke


@dataclass(frozen=True, eq=False)
class Seen:
    """What a step saw.

    Args:
        slots: int64 [M], those that were asked, indices into the flattened [B * L * K] slots of the state.
        heads: the answers; together they hold each slot once.
        taps: what parts of the step asked for besides, of the conditional pass, by name, [B, ...] each.
        cache: of the reuse policy, for the next step.
        counters: of the state, with this step's.
    """

    slots: Tensor
    heads: Sequence[HeadLogits]
    taps: Mapping[str, Tensor]
    cache: Cache | None
    counters: Mapping[str, int]


def ask(
    model: MaskedModel,
    context: StepContext,
    step: RunStep,
    asked: Asked,
    reuse: Reuse,
    revoke: Revoke,
    guided: bool,
    process: MaskingProcess | None,
) -> Seen:
    """Logits of every slot that is asked.

    Args:
        model: of the stage.
        context: the step that is taken.
        step: as planned.
        asked: which slots.
        reuse: runs the model.
        revoke: may want taps, as order, pick and guidance of the stage may.
        guided: whether any step of the generation is guided.
        process: by which the model was told the masking time; None is the schedule's own.

    Raises:
        ValueError: parts that want taps of a reuse that gives none, two that want different ones of one name, or an
            answer that is none, see :mod:`tokenmask.sampling.answers`.
    """
    state, guidance, order, pick = context.state, step.stage.guidance, step.stage.order, step.stage.pick
    assert guidance is not None and order is not None and pick is not None
    taps = [*look_at_taps(order, order.taps(asked.context))]
    for part in (pick, guidance, revoke):
        taps += look_at_taps(part, part.taps(context))
    rows, length, levels = asked.slots.shape
    slots = asked.slots.view(-1).nonzero().view(-1)
    queries = Queries(slots, context.layout.head_of(state.batch.ids.view(-1).index_select(0, slots)))
    scale = look_at_scale(guidance, guidance.scale(step.progress.on(guidance.grid)))
    further = look_at_further(guidance, guidance.further(state.batch, context), state.batch)
    twice = scale != 1.0 or bool(further) or (guided and reuse.keeps)  # a cache holds each row or none
    inputs, repeated, times = state.batch, queries, 1
    t = times_of(model, context, step, process)
    if twice:
        unconditional = guidance.unconditional(state.batch, context)
        look_at_batch(guidance, unconditional, state.batch)
        batches = [state.batch, unconditional, *(batch for batch, _ in further)]
        inputs, times = functools.reduce(Batch.join, batches), len(batches)
        size = rows * length * levels
        every = torch.cat([slots + number * size for number in range(times)])
        repeated, t = Queries(every, queries.heads.repeat(times)), t.repeat(times)
    answer = reuse.score(
        model,
        ReuseStep(
            inputs,
            repeated,
            t,
            order=_repeated(asked.ranks, times),
            fresh=_repeated(asked.fresh, times),
            keep=step.keeps,
            group=_repeated(step.group, times),
            taps=_each_once(taps, reuse) if taps else (),
        ),
        state.cache,
    )
    heads = []
    for head, index, logits in answer.groups:
        heads.append(HeadLogits(head, *mixed(index, logits, times, scale, [weight for _, weight in further])))
    taps_seen = answer.taps if times == 1 else {name: value[:rows] for name, value in answer.taps.items()}
    counters = counted(
        state.counters,
        forward_passes=answer.passes,
        computed_positions=answer.computed,
        queries=len(slots) * times,
    )
    return Seen(slots, heads, taps_seen, answer.cache, counters)


def mixed(
    index: Tensor, logits: Tensor, times: int, scale: float, weights: Sequence[float]
) -> tuple[Tensor, Tensor, Tensor | None, float]:
    """The answers of a head to several passes: which slots, c, u or None, and s of u + s (c - u).

    Args:
        index: int64 [times * N], the queries that it answers; each pass repeats those of the first.
        logits: float32 [times * N, V].
        times: how many passes.
        scale: s.
        weights: of the further conditions, whose passes come last; with any, all is in c.
    """
    if times == 1:
        return index, logits, None, scale
    index = index[: len(index) // times]
    conditional, uncond, *others = torch.split(logits, len(index))
    if not others:
        return index, conditional, uncond, scale
    terms = [weight * (other - uncond) for other, weight in zip(others, weights, strict=True)]
    return index, uncond + scale * (conditional - uncond) + sum(terms), None, 1.0


def _each_once(wanted: Sequence[Hashable], reuse: Reuse) -> Sequence[Hashable]:
    if not reuse.gives_taps:
        raise ValueError(
            f"{type(reuse).__name__} runs a few positions of a step and keeps the rest, so it has no taps of the "
            f"model to give, but a part of the sampler asks for {getattr(wanted[0], 'name', wanted[0])!r}; use NoReuse"
        )
    named: dict[Hashable, Hashable] = {}
    for tap in wanted:
        name = getattr(tap, "name", tap)
        if named.setdefault(name, tap) != tap:
            raise ValueError(
                f"taps of one step must have names of their own, but two different ones are {name!r}; label one"
            )
    return tuple(named.values())


def _repeated(value: Tensor | None, times: int) -> Tensor | None:
    return value if value is None or times == 1 else value.repeat(times, *[1] * (value.dim() - 1))


def counted(counters: Mapping[str, int], **more: int) -> dict[str, int]:
    """Counters with more of some added."""
    return {**counters, **{name: counters.get(name, 0) + value for name, value in more.items()}}


def times_of(model: MaskedModel, context: StepContext, step: RunStep, process: MaskingProcess | None) -> Tensor:
    """float32 [B], the masking time that a model is told: that of the share of the stage that is open."""
    is_open = context.state.is_open
    if not reads_time(model) or step.revises:  # it does not look, or goes by the steps
        return torch.full((is_open.shape[0],), 1 - step.progress.on("before"), device=is_open.device)
    return time_at((is_open & step.around).sum((1, 2)), step.whole, step.stage, process)


def reads_time(model: MaskedModel) -> bool:
    """Whether the network of a model looks at the masking time."""
    return bool(getattr(getattr(model, "backbone", None), "reads_time", False))


def time_at(num_open: Tensor, whole: Tensor, stage: Stage, process: MaskingProcess | None) -> Tensor:
    """float32 [B], the masking time at which ``num_open`` of ``whole`` slots, int64 [B] each, are open in a row."""
    share = num_open / whole.clamp(min=1)
    law = schedule_of(stage) if process is None else process
    time: Tensor = law.time(share)
    look(law, "times", time, torch.float32, share, "time")
    return time
