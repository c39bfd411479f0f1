"""Particles: several generations of each request that are weighed, and copied by their weights.

Arrow: inside the Sampler loop, SamplerState with log-weights --> SamplerState. Does not know: what is constrained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tokenmask.ops import Purpose, uniform
from tokenmask.sampling.state import SamplerState
from tokenmask.scores.arguments import number, whole

WORTH = "log_worth"  # float64 [B], what a constraint said that a row is worth, after the last step
WEIGHT = "log_weight"  # float32 [B], of what a row's weighing pick drew; with particles, less what was resampled


@dataclass(frozen=True)
class Particles:
    """Fills each request several times at once, and goes on with those of weight; one of them comes out.

    Weights are those of a pick that weighs (:class:`Rejection`, :class:`Restricted`), times what a constraint says that
    rows are worth (:class:`Expert`). Where they are so unlike that
    1 / sum w^2 falls below a share of the count, particles are drawn anew in proportion to their weights, which
    become their mean. In the end one is drawn by weight; the mean weight, whose logarithm is the row's "log_weight" in
    ``carry``, estimates without bias the probability of the constraint. With more particles the law of what comes out
    goes to that of the model given the constraint. A request costs as many rows as it has particles.
    Source: sequential Monte Carlo, Del Moral et al. 2006, doi:10.1111/j.1467-9868.2006.00553.x; as used in
    arXiv:2504.05410, section 4.

    Args:
        count: particles of a request.
        ess: the share of the count below which they are drawn anew; 0 never does it, 1 in every step.
    """

    count: int = 8
    ess: float = 0.5

    def __post_init__(self) -> None:
        whole("Particles.count", self.count)
        number("Particles.ess", self.ess, least=0.0, most=1.0)

    def begin(self, state: SamplerState) -> SamplerState:
        """The state with ``count`` rows for each of its own, which are told apart by their sample ids."""
        rows = torch.arange(state.is_open.shape[0], device=state.is_open.device).repeat_interleave(self.count)
        many = state.rows(rows)
        own = torch.arange(self.count, device=rows.device).repeat(state.is_open.shape[0])
        batch = replace(many.batch, sample_ids=many.batch.sample_ids * self.count + own)
        carry = {**many.carry, WEIGHT: torch.zeros(len(rows), device=rows.device)}
        return replace(many, batch=batch, carry=carry)

    def judged(self, state: SamplerState, worth: Tensor | None) -> SamplerState:
        """The state whose weights tell how much more rows are worth (logarithms [B]) than after the step before."""
        if worth is None:
            return state
        worth = worth.to(state.is_open.device, torch.float64)
        before = state.carry.get(WORTH, torch.zeros_like(worth))
        more = torch.where(before.isneginf(), 0.0, worth - before)  # what is worth nothing stays so
        return replace(state, carry={**state.carry, WORTH: worth, WEIGHT: (state.carry[WEIGHT] + more).float()})

    def started(self, state: SamplerState, worth: Tensor | None) -> SamplerState:
        """The state that remembers what rows are worth before anything is filled, which weighs nothing."""
        if worth is None:
            return state
        held = worth.to(state.is_open.device, torch.float64)
        return replace(state, carry={**state.carry, WORTH: held})

    def resampled(self, state: SamplerState) -> SamplerState:
        """The state after a step, with rows of weight in the place of others where these are too unlike."""
        log_weights = self._of_requests(state)
        shares = _shares(log_weights)
        few = (1 / shares.square().sum(1) < self.ess * self.count - 1e-6) & log_weights.isfinite().any(1)
        if not bool(few.any()):
            return state
        draws = uniform(seed=state.seeds, counters=state.keys, purpose=Purpose.resample).view_as(shares)
        drawn = _drawn(shares, draws)
        own = torch.arange(self.count, device=drawn.device)
        first = torch.arange(len(drawn), device=drawn.device)[:, None] * self.count
        index = (torch.where(few[:, None], drawn, own) + first).flatten()
        mean = log_weights.logsumexp(1, keepdim=True) - math.log(self.count)
        weights = torch.where(few[:, None], mean, log_weights).float().flatten()
        chosen = state.rows(index)
        batch = replace(
            chosen.batch,
            sample_ids=state.batch.sample_ids,
        )
        return replace(chosen, batch=batch, seeds=state.seeds, carry={**chosen.carry, WEIGHT: weights})

    def chosen(self, state: SamplerState) -> SamplerState:
        """A row for each request, drawn by weight; its log-weight is the logarithm of the mean."""
        log_weights = self._of_requests(state)
        first = torch.arange(len(log_weights), device=log_weights.device) * self.count
        keys = state.keys[first]
        draws = uniform(seed=state.seeds[first], counters=keys, purpose=Purpose.latent)
        row = state.rows(first + _drawn(_shares(log_weights), draws[:, None])[:, 0])
        weights = (log_weights.logsumexp(1) - math.log(self.count)).float()
        batch = replace(row.batch, sample_ids=torch.div(row.batch.sample_ids, self.count, rounding_mode="floor"))
        return replace(row, batch=batch, carry={**row.carry, WEIGHT: weights})

    def _of_requests(self, state: SamplerState) -> Tensor:
        return state.carry[WEIGHT].double().view(-1, self.count)


def _shares(log_weights: Tensor) -> Tensor:
    """float64 [B, n] that add up to 1; equal where all weights are 0."""
    alive = log_weights.isfinite().any(1, keepdim=True)
    return torch.where(alive, log_weights, 0.0).softmax(1)


def _drawn(shares: Tensor, draws: Tensor) -> Tensor:
    """int64 [B, m], numbers 0..n - 1 by float64 [B, n] shares, from uniforms [B, m]."""
    steps = shares.cumsum(1)
    steps = steps / steps[:, -1:]
    return torch.searchsorted(steps, draws.double().contiguous(), right=True).clamp(max=shares.shape[1] - 1)
