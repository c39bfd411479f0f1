"""Weighing picks: codes under a constraint, and how much probability the constraint left, for particles to weigh.

Arrow: inside the Sampler loop, logits and a constraint --> codes with log-weights. Does not know: particles, orders.
A code x with weight w is properly weighted: the mean of w over draws that give x is p(x) where x is allowed, else 0.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from tokenmask.ops import Purpose, sample_codes, uniform
from tokenmask.sampling.pick import Categorical, Pick, PickContext
from tokenmask.scores.arguments import number, whole

_PEAKED = 2 / 3  # from this probability of the best code on, two draws with replacement cost less than two tests
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Restricted(Categorical):
    """A Categorical whose weight is the mass of the codes that are allowed, at its temperature before any filter.

    It asks the constraint of every code. Also called locally constrained decoding; alone, without particles, its law
    is not that of the model given the constraint. Source of the weight: arXiv:2306.03081, section 3.
    """

    weighs: ClassVar[bool] = True

    def __call__(self, logits: Tensor, uncond: Tensor | None, context: PickContext) -> tuple[Tensor, ...]:
        drawn = super().__call__(logits, uncond, context)
        if context.allowed is None:
            return (*drawn, torch.zeros_like(drawn[1]))
        law = law_of(logits, uncond, context.guidance, self.temperature_at(context.progress) or 1.0)
        return (*drawn, law.masked_fill(~context.allowed, -torch.inf).logsumexp(1).float())


@dataclass(frozen=True)
class Rejection(Pick):
    """Draws until the constraint accepts, and estimates from what was rejected how much it leaves: exact, few tests.

    Codes are tried in the order of their Gumbel keys, that is without replacement, so the first one that is accepted is
    an exact draw from those allowed. Its weight has the mean Z, their mass. With ``accepts`` 2 the next code in line is
    tested once: w = 1 - R, R the mass rejected, times q where that one is rejected, q being the share of the first
    one of what was left. With more, or where a code has two thirds of the mass, so many rounds with replacement are
    simulated, repeats of rejected codes being drawn as geometric numbers: w = min(K - 1, a) / (a + r - 1).
    Source: AWRS, arXiv:2504.05410, and the published code genlm-control (``sampler/token.py``).

    The slots that a step reveals are chosen beforehand, so the order may not read predictions. Where a step reveals
    several slots each is tested beside the codes that stood before it.

    Args:
        temperature: of the draws.
        accepts: K, 2 or more; the more, the less the weights vary.
        rejects: tests that may fail before the slot is given up with a code that was rejected and the weight 0, for
            :class:`Particles` to drop; 0 is no limit, else at least 2.
        proper: False draws alike and leaves the weight 1.
    """

    temperature: float = 1.0
    accepts: int = 2
    rejects: int = 0
    proper: bool = True
    weighs: ClassVar[bool] = True
    tests: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if number("Rejection.temperature", self.temperature, least=0.0) == 0:
            raise ValueError("Rejection.temperature must be above 0, got 0; take Restricted for the best codes")
        whole("Rejection.accepts", self.accepts, least=2)
        if whole("Rejection.rejects", self.rejects, least=0) == 1:
            raise ValueError("Rejection.rejects must be 0, for no limit, or at least 2, got 1")

    def at(self, temperature: float) -> Pick:
        if temperature == 0:
            return Restricted(0.0)
        return Rejection(temperature, self.accepts, self.rejects, self.proper)

    def __call__(self, logits: Tensor, uncond: Tensor | None, context: PickContext) -> tuple[Tensor, ...]:
        _, _, entropy, margin = sample_codes(
            logits,
            seed=context.seeds,
            counters=context.counters,
            temperature=self.temperature,
            uncond=uncond,
            guidance=context.guidance,
        )
        law = law_of(logits, uncond, context.guidance, self.temperature)
        codes, weights = [], []
        keys = list(zip(context.seeds.tolist(), context.counters.tolist(), strict=True))
        first = _uniforms(context.seeds.cpu()[:, None], context.counters.cpu()[:, None], torch.arange(law.shape[1]))
        for slot, logprob in enumerate(law.cpu()):
            draws = SlotDraws(*keys[slot], first[slot])
            code, weight = self.draw(logprob, self._test(context, slot), draws)
            codes.append(code)
            weights.append(weight)
        chosen = torch.tensor(codes, dtype=torch.int32, device=logits.device)
        logprob = law.gather(1, chosen[:, None].long()).squeeze(1).float().clamp(min=-1e30)
        return chosen, logprob, entropy, margin, torch.tensor(weights, dtype=torch.float32, device=logits.device)

    def draw(self, logprob: Tensor, accepts: Callable[[int], bool], draws: Draws) -> tuple[int, float]:
        """A code of one slot and its log-weight.

        Args:
            logprob: float64 [V], normalised.
            accepts: the test of one code.
            draws: uniform numbers.
        """
        limit = self.rejects or math.inf
        known: dict[int, bool] = {}

        def test(code: int) -> bool:
            if code not in known:
                known[code] = accepts(code)
            return known[code]

        if not self.proper:
            return first_accepted(logprob, test, draws, limit)
        if self.accepts > 2 or float(logprob.max()) >= math.log(_PEAKED):
            return by_rounds(logprob, test, draws, limit, self.accepts)
        return by_next(logprob, test, draws, limit)

    @staticmethod
    def _test(context: PickContext, slot: int) -> Callable[[int], bool]:
        if context.accepts is not None:
            ask, which = context.accepts, torch.tensor([slot])
            return lambda code: bool(ask(which, torch.tensor([code]))[0])
        allowed = context.allowed
        if allowed is None:
            return lambda code: True
        mine = (allowed if allowed.dim() == 1 else allowed[slot]).tolist()
        return lambda code: bool(mine[code])


class Draws(ABC):
    """Where the numbers of one slot come from."""

    @abstractmethod
    def keys(self) -> Tensor:
        """The next round's uniforms in (0, 1), float64 [V]."""

    @abstractmethod
    def geometric(self, odds: float) -> int:
        """The number of trials up to the first success, at least 1."""


@dataclass
class SlotDraws(Draws):
    """Those of a seed and a counter.

    Args:
        seed, counter: of the slot.
        first: float64 [V], the numbers of the first round.
    """

    seed: int
    counter: int
    first: Tensor
    used: int = field(default=0)

    def keys(self) -> Tensor:
        return self._next(len(self.first))

    def geometric(self, odds: float) -> int:
        if odds >= 1:
            return 1
        return 1 + math.floor(math.log(float(self._next(1)[0])) / math.log1p(-odds))

    def _next(self, count: int) -> Tensor:
        start = self.used
        self.used += count
        if start == 0:
            return self.first[:count]
        return _uniforms(torch.tensor(self.seed), torch.tensor(self.counter), torch.arange(start, start + count))


def _uniforms(seeds: Tensor, counters: Tensor, places: Tensor) -> Tensor:
    """float64 in (0, 1), of the shape to which int64 seeds, counters and places (below 2^23) broadcast."""
    keys, counters = torch.broadcast_tensors(seeds ^ (places << 40), counters)  # type: ignore[no-untyped-call]
    draws = uniform(seed=keys.flatten(), counters=counters.flatten(), purpose=Purpose.resample)
    return draws.view(keys.shape).double() + 2.0**-25


def law_of(logits: Tensor, uncond: Tensor | None, guidance: float, temperature: float) -> Tensor:
    """float64 [N, V], log-probabilities after guidance and temperature."""
    mixed = logits if uncond is None else uncond + guidance * (logits - uncond)
    return (mixed.double() / temperature).log_softmax(1)


def first_accepted(logprob: Tensor, test: Callable[[int], bool], draws: Draws, limit: float) -> tuple[int, float]:
    """One round, without an estimate."""
    code = 0
    for rejected, code in enumerate(_ranked(logprob, draws)):
        if rejected >= limit:
            break
        if test(code):
            return code, 0.0
    return code, -math.inf


def by_next(logprob: Tensor, test: Callable[[int], bool], draws: Draws, limit: float) -> tuple[int, float]:
    """One round; the estimate is whether the code behind the first accepted one is accepted too."""
    order, rejected = list(_ranked(logprob, draws)), 0.0
    for place, code in enumerate(order):
        last, log_left = place + 1 == len(order), math.log1p(-min(rejected, 1 - 1e-15))
        if test(code):
            if place == limit - 1 or last or test(order[place + 1]):
                return code, log_left
            return code, log_left + min(0.0, float(logprob[code]) - log_left)
        rejected += math.exp(float(logprob[code]))
        if last or place == limit - 1 or rejected >= 1 - _ROUNDING:
            break
    return code, -math.inf


def by_rounds(
    logprob: Tensor, test: Callable[[int], bool], draws: Draws, limit: float, rounds: int
) -> tuple[int, float]:
    """Rounds with replacement; repeats of rejected codes are drawn instead of made."""
    left, rejected = logprob.clone(), 0.0
    accepted, failed, first, given_up = 0, 0, -1, -1
    for _ in range(rounds):
        if failed >= limit:
            break
        for code in _ranked(left, draws):
            if rejected >= 1:
                return given_up, -math.inf
            if rejected > 0:
                failed += draws.geometric(1 - rejected) - 1
            if failed >= limit:
                break
            if test(code):
                accepted, first = accepted + 1, code if first < 0 else first
                break
            given_up = code if given_up < 0 else given_up
            failed, rejected = failed + 1, rejected + math.exp(float(left[code]))
            left[code] = -math.inf
    if not accepted:
        return given_up, -math.inf
    return first, math.log(min(rounds - 1, accepted) / (accepted + min(failed, limit) - 1))


def _ranked(logprob: Tensor, draws: Draws) -> Iterator[int]:
    """Codes with some probability by their Gumbel keys."""
    keys = logprob - torch.log(-torch.log(draws.keys()))
    for code in keys.sort(descending=True, stable=True).indices.tolist():
        if float(keys[code]) == -math.inf:
            return
        yield code
