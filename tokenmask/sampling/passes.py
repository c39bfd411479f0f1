"""Passes: one step asks the model, with and without conditions, and draws a code for every slot that is asked.

Arrow: inside the Sampler loop, SamplerState + RunStep --**ask**--> Seen. Does not know: which slots are kept.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.layout import Layout
from tokenmask.masking.masked_batch import Queries
from tokenmask.models import MaskedModel
from tokenmask.sampling.constraint import Constraint
from tokenmask.sampling.pick import PickContext
from tokenmask.sampling.plan import RunStep
from tokenmask.sampling.reuse import Reuse, ReuseStep
from tokenmask.sampling.state import SamplerState
from tokenmask.scores import slot_counters

STATISTICS = ("logprob", "entropy", "margin")
FRESH = "reuse.fresh"  # bool [B, L], the positions that cheap steps compute anew


class Predicted(Mapping[str, Tensor]):
    """What a step predicted of the codes that it drew, float32 [B, L, K] by name; 0 at slots that it did not ask.

    "logprob", "entropy" and "margin" are those of the draw; "plain_logprob" and "logit", before temperature and
    cut-offs, are computed when they are first read.
    """

    def __init__(self, drawn: Mapping[str, Tensor]) -> None:
        self._values = dict(drawn)
        # Of each head: slots, c, u and s of u + s (c - u), codes.
        self.heads: list[tuple[Tensor, Tensor, Tensor | None, float, Tensor]] = []

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._values and name in ("plain_logprob", "logit"):
            value = torch.zeros_like(self._values["logprob"])
            for slots, conditional, uncond, scale, codes in self.heads:
                logits = conditional if uncond is None else uncond + scale * (conditional - uncond)
                chosen = logits.gather(1, codes[:, None].long()).squeeze(1)
                value.view(-1)[slots] = chosen if name == "logit" else chosen - logits.logsumexp(1)
            self._values[name] = value
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*STATISTICS, "plain_logprob", "logit"))

    def __len__(self) -> int:
        return len(STATISTICS) + 2


def ask(
    model: MaskedModel,
    layout: Layout,
    state: SamplerState,
    asked: Tensor,
    ranks: Tensor | None,
    *,
    step: RunStep,
    reuse: Reuse,
    constraint: Constraint,
    guided: bool,
) -> tuple[Tensor, Predicted, SamplerState]:
    """Draws a code for every slot of ``asked``.

    Args:
        model, layout: of the stage.
        state: before the step.
        asked: bool [B, L, K].
        ranks: float32 [B, L, K], by which the slots were chosen, or None.
        step: as planned.
        reuse, constraint: the sampler's.
        guided: whether any step of the generation is guided.

    Returns:
        ids int32 [B, L, K] with the drawn codes, what was predicted, and the state with its cache and counters.
    """
    _, length, levels = asked.shape
    stage = step.stage
    assert stage.guidance is not None and stage.pick is not None
    slots = asked.flatten().nonzero().squeeze(1)
    queries = Queries(slots, layout.head_of(state.batch.ids.flatten()[slots]))
    scale, further = stage.guidance.scale(step.progress.on(stage.guidance.grid)), stage.guidance.further(state.batch)
    twice = scale != 1.0 or bool(further) or (guided and reuse.keeps)  # a cache holds each row or none
    batches = [state.batch]
    if twice:
        batches += [stage.guidance.unconditional(state.batch), *(batch for batch, _ in further)]
    inputs, times = functools.reduce(Batch.join, batches), len(batches)
    size = asked.numel()
    repeated = queries
    if times > 1:
        repeated = Queries(torch.cat([slots + index * size for index in range(times)]), queries.heads.repeat(times))
    answer = reuse.score(
        model,
        ReuseStep(
            inputs,
            repeated,
            t=_times(model, state, step) if times == 1 else _times(model, state, step).repeat(times),
            order=None if ranks is None else ranks.repeat(times, 1, 1),
            fresh=state.carry[FRESH].repeat(times, 1) if step.cheap else None,
            keep=step.cheap_follow and not step.cheap,
            group=None if step.group is None else step.group.repeat(times, 1),
        ),
        state.cache,
    )
    counters = slot_counters(state.keys, length, levels).flatten()[slots]
    seeds = state.seeds[torch.div(slots, length * levels, rounding_mode="floor")]
    proposed = state.batch.ids.flatten().clone()
    drawn = torch.zeros(len(STATISTICS), size, device=asked.device)
    predicted = Predicted({name: value.view_as(asked) for name, value in zip(STATISTICS, drawn, strict=True)})
    for head, index, logits in answer.groups:
        uncond, strength = None, scale
        if twice:  # each pass repeats the queries of the first, head by head
            index = index[: len(index) // times]
            logits, uncond, *others = torch.split(logits, len(index))
            if others:
                terms = [weight * (other - uncond) for other, (_, weight) in zip(others, further, strict=True)]
                logits, uncond, strength = uncond + scale * (logits - uncond) + sum(terms), None, 1.0
        where, allowed = slots[index], constraint.allowed(layout, head)
        context = PickContext(
            seeds=seeds[index],
            counters=counters[index],
            guidance=strength,
            progress=step.progress.on(stage.pick.grid),
            allowed=None if allowed is None else allowed.to(logits.device),
            slots=where,
            state=state,
            head=head,
        )
        codes, *statistics = stage.pick(logits, uncond, context)
        proposed[where] = codes + layout.ranges[head].offset
        drawn[:, where] = torch.stack(statistics)
        predicted.heads.append((where, logits, uncond, strength, codes))
    counted = dict(state.counters)
    news = {"forward_passes": answer.passes, "computed_positions": answer.computed, "queries": len(repeated)}
    for name, value in news.items():
        counted[name] = counted.get(name, 0) + value
    return proposed.view_as(asked), predicted, replace(state, counters=counted, cache=answer.cache)


def _times(model: MaskedModel, state: SamplerState, step: RunStep) -> Tensor:
    """float32 [B], the masking time that a model is told: that of the share of the stage that is open."""
    backbone = getattr(model, "backbone", None)
    if backbone is None or not backbone.reads_time:  # it does not look
        return torch.full((state.batch.shape[0],), 1 - step.progress.on("before"), device=state.is_open.device)
    assert step.stage.schedule is not None
    share = (state.is_open & step.inside).sum((1, 2)) / step.whole.clamp(min=1)
    return step.stage.schedule.time(share)
