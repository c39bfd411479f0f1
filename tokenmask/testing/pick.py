"""Picks: a code for each slot, and how sure the model was of it.

Does not know: which pick.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tokenmask.ops import Purpose, uniform
from tokenmask.sampling import Pick, PickContext
from tokenmask.sampling.answers import found as words_for
from tokenmask.scores import Progress, slot_counters
from tokenmask.testing.alike import alike, finite, shaped
from tokenmask.testing.anything import in_any_company, value_requirements
from tokenmask.testing.contract import Contract, refusal, require
from tokenmask.testing.draws import follows_its_keys
from tokenmask.testing.world import LAYOUT, World

NAMES = ("codes", "log-probability", "entropy", "margin")
PROGRESS = tuple(Progress(index, 3, "ends") for index in range(3))  # 0, 1/2, 1
_NEAR = 2e-3  # of a temperature that is found again from float32


@dataclass(frozen=True)
class _Case:
    """Logits of the open slots of one range; multiples of 1/8, so that guidance at 1 is exact."""

    world: World
    head: int

    def context(
        self, seed: int = 0, keys: int = 0, guidance: float = 1.0, progress: Progress = PROGRESS[1], **more: Any
    ) -> PickContext:
        state = self.world.state
        slots = self.slots
        row = torch.div(slots, state.is_open[0].numel(), rounding_mode="floor")
        counters = slot_counters(state.keys + keys, *state.is_open.shape[1:]).flatten()[slots]
        values = {"allowed": None, "slots": slots, "state": state, "head": self.head, "layout": LAYOUT, **more}
        return PickContext(self.world.seeds[row] + seed, counters, guidance, progress, **values)

    @property
    def slots(self) -> Tensor:
        state = self.world.state
        here = state.is_open & (LAYOUT.head_of(state.batch.ids) == self.head)
        return here.flatten().nonzero().squeeze(1)

    @property
    def size(self) -> int:
        return LAYOUT.ranges[self.head].size

    def logits(self, number: int = 0) -> Tensor:
        """Multiples of 1/8 that follow from the number of the row, the place and the code."""
        places = slot_counters(torch.tensor(self.world.numbers), *self.world.state.is_open.shape[1:]).flatten()
        counters = places[self.slots][:, None] * 64 + torch.arange(self.size)
        draws = uniform(seed=number, counters=counters.flatten(), purpose=Purpose.latent).view(-1, self.size)
        return (draws * 40).floor() / 8


def _cases(world: World | None = None) -> list[_Case]:
    world = world or World()
    cases = [_Case(world, head) for head in range(len(LAYOUT.ranges))]
    return [case for case in cases if len(case.slots)]


def _use(pick: Pick, world: World) -> list[Any]:
    found = []
    for case in _cases(world):
        logits = world.lend("logits", case.logits())
        found += [pick(logits, None, case.context(progress=at)) for at in PROGRESS]
    return found


def draws_codes_of_the_range(pick: Pick) -> None:
    """Codes int32 in 0..size - 1; statistics float32, finite, in their bounds; also for no slots at all.

    One that revises may answer size, for MASK, but in the last step. One that weighs answers log-weights, float32,
    which are at most 0, and 0 where all is allowed.
    """
    for case, step in itertools.product(_cases(), (Progress(0, 4), Progress(3, 4))):
        most = case.size - 1 if step.index == 3 or not pick.revises else case.size
        for count in (len(case.slots), 0):
            logits = case.logits()[:count]
            context = _part(case.context(progress=step), torch.arange(count))
            answer = pick(logits, None, context)
            many = isinstance(answer, tuple | list) and len(answer) == 4 + pick.weighs
            more = " and a log-weight" if pick.weighs else ""
            require(many, f"must answer {', '.join(NAMES[:3])} and {NAMES[3]}{more}, got {words_for(answer)}")
            if pick.weighs:
                _weighs(pick, answer[4], case, count)
                answer = answer[:4]
            for name, value, dtype in zip(NAMES, answer, (torch.int32, *[torch.float32] * 3), strict=True):
                right = shaped(value, dtype, [count])
                require(right, f"{name} must be {dtype} [{count}], got {words_for(value)}")
                require(finite(value), f"{name} must be finite, got an infinity or NaN")
            codes, logprob, entropy, margin = answer
            inside = bool(((codes >= 0) & (codes <= most)).all())
            require(inside, f"codes must lie in 0..{most}, got {codes.tolist()[:8]}")
            require(bool((logprob <= 1e-6).all()), "log-probability must not be above 0")
            require(bool((entropy >= -1e-5).all()), "entropy must not be negative")
            require(bool(((margin >= -1e-6) & (margin <= 1 + 1e-6)).all()), "margin must lie in 0..1")


def _weighs(pick: Pick, weight: Any, case: _Case, count: int) -> None:
    right = shaped(weight, torch.float32, [count])
    require(right, f"log-weight must be {torch.float32} [{count}], got {words_for(weight)}")
    require(bool((weight.abs() <= 1e-4).all()), "log-weight must be 0 where every code is allowed")
    if count:
        some = torch.arange(case.size) % 2 == 1
        few = pick(case.logits(), None, case.context(allowed=some))[4]
        require(bool((few <= 1e-4).all()), "log-weight must not be above 0, since it is of a share of the codes")


def statistics_are_of_one_softmax(pick: Pick) -> None:
    """Log-probability of the drawn code, entropy and margin are those of the softmax at some temperature.

    Those of one that reshapes are of logits that it alone knows.
    """
    if pick.reshapes:
        return
    for case in _cases():
        logits = case.logits()
        for progress in PROGRESS:
            codes, *statistics = pick(logits, None, case.context(progress=progress))[:4]
            hides = codes == case.size  # MASK, of one that revises, is in no softmax
            codes = codes.clamp(max=case.size - 1)
            heat = _temperature(logits, statistics[1])
            logprob = (logits.double() / heat[:, None]).log_softmax(1)
            first, second = logprob.exp().topk(2, 1).values.unbind(1)
            expected = {"log-probability": logprob.gather(1, codes[:, None].long())[:, 0], "margin": first - second}
            known = (statistics[1] > 1e-3) & ~hides  # else almost all of it is on one code: the temperature is lost
            for name, got in (("log-probability", statistics[0]), ("margin", statistics[2])):
                off = ((got.double() - expected[name]).abs() > _NEAR * (1 + expected[name].abs())) & known
                at = int(off.int().argmax())
                require(
                    not bool(off.any()),
                    f"{name} must be that of the drawn code in the softmax that has the entropy "
                    f"{statistics[1][at]:.4g}, {expected[name][at]:.4g}, got {got[at]:.4g}",
                )


def _temperature(logits: Tensor, entropy: Tensor) -> Tensor:
    """float64 [N], the temperature at which the softmax has an entropy in nats."""
    low, high = (torch.full(entropy.shape, math.log(one), dtype=torch.float64) for one in (1e-3, 1e3))
    for _ in range(60):
        middle = (low + high) / 2
        logprob = (logits.double() / middle.exp()[:, None]).log_softmax(1)
        below = -(logprob.exp() * logprob).sum(1) < entropy
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return high.exp()


def obeys_what_is_allowed(pick: Pick) -> None:
    """Codes that are not allowed are never drawn, whether one mask serves all slots or each has its own.

    One that revises may show others in between, as noise, but not in the last step; one that weighs may give up, with a
    log-weight of -inf.
    """
    at = PROGRESS[-1] if pick.revises else PROGRESS[1]
    for case in _cases():
        logits, count = case.logits(), len(case.slots)
        own = torch.nn.functional.one_hot(torch.arange(count) % case.size, case.size).bool()
        common = torch.arange(case.size) % 2 == 1
        for allowed in (common, own):
            for seed in range(4):
                answer = pick(logits, None, case.context(seed, progress=at, allowed=allowed))
                codes = answer[0].long()
                obeyed = allowed[codes] if allowed.dim() == 1 else allowed.gather(1, codes[:, None])
                if pick.weighs:
                    obeyed = obeyed.view(-1) | (answer[4] == -math.inf)
                require(bool(obeyed.all()), "must draw allowed codes alone, but drew one that is not")


def guides_as_it_is_told(pick: Pick) -> None:
    """At scale 1 the unconditional logits do not matter; at scale 2 it draws as from u + 2 (c - u)."""
    for case in _cases():
        logits, other = case.logits(), case.logits(1)
        for scale in (1.0, 2.0):
            mixed = other + scale * (logits - other)
            guided = pick(logits, other, case.context(guidance=scale))[:4]
            plain = pick(mixed, None, case.context())[:4]
            for name, one, two in zip(NAMES, guided, plain, strict=True):
                near = torch.allclose(one.double(), two.double(), atol=1e-4)
                require(near, f"{name} at guidance {scale:g} must be of u + {scale:g} (c - u), got another")


def slots_do_not_matter_to_one_another(pick: Pick) -> None:
    """A slot has the same code and statistics alone, among others and in another order."""
    for case in _cases():
        whole = pick(case.logits(), None, case.context())[:4]
        last = len(case.slots) - 1
        for index in ([last], [0], list(range(last, -1, -1))):
            rows = torch.tensor(index)
            part = pick(case.logits()[rows], None, _part(case.context(), rows))[:4]
            for name, one, two in zip(NAMES, part, whole, strict=True):
                require(
                    alike(one, two[rows]), f"{name} must be the same for a slot alone and among others, got another"
                )


def _part(context: PickContext, rows: Tensor) -> PickContext:
    return replace(context, seeds=context.seeds[rows], counters=context.counters[rows], slots=context.slots[rows])


def rows_do_not_matter_to_one_another(pick: Pick) -> None:
    """A slot has the same code and statistics whatever other rows hold, in every step."""

    def answers(world: World) -> list[Tensor]:
        found = []
        for progress in PROGRESS:
            every = torch.zeros(len(NAMES), *world.state.is_open.shape)
            for case in _cases(world):
                answer = pick(case.logits(), None, case.context(progress=progress))[:4]
                every.view(len(NAMES), -1)[:, case.slots] = torch.stack([one.float() for one in answer])
            found += list(every)
        return found

    in_any_company(answers)


def draws_follow_seed_and_keys(pick: Pick) -> None:
    """Another seed and another counter draw anew; a greedy pick draws nothing and takes the best code."""
    cases = _cases()

    def draw(seed: int, keys: int) -> Tensor:
        return torch.cat([pick(torch.zeros_like(c.logits()), None, c.context(seed, keys))[0] for c in cases])

    follows_its_keys(draw)
    if pick.is_greedy:
        for case in cases:
            best = torch.equal(pick(case.logits(), None, case.context())[0].long(), case.logits().argmax(1))
            require(best, "must take the best code, since it says is_greedy, but took another")


def takes_another_temperature(pick: Pick) -> None:
    """``at`` gives a pick, greedy at 0, or refuses in a sentence."""
    try:
        cold = pick.at(0.0)
    except ValueError:
        refusal(ValueError, lambda: pick.at(0.0), "another temperature")
        return
    require(isinstance(cold, Pick) and cold.is_greedy, "at(0) must be a pick that is greedy, got another")
    follows_its_keys(lambda seed, keys: cold(_cases()[0].logits(), None, _cases()[0].context(seed, keys))[0])


PICKS = Contract(
    "pick",
    Pick,
    (
        draws_codes_of_the_range,
        statistics_are_of_one_softmax,
        obeys_what_is_allowed,
        guides_as_it_is_told,
        slots_do_not_matter_to_one_another,
        rows_do_not_matter_to_one_another,
        draws_follow_seed_and_keys,
        takes_another_temperature,
        *value_requirements(_use),
    ),
)


def check_pick(pick: Pick) -> list[str]:
    """Runs every check of a pick; see :meth:`Contract.check` for what it returns and raises."""
    return PICKS.check(pick)
