"""Reversal: the masking process run backwards, every slot on its own, with codes hidden again by published rules.

Arrow: inside the Sampler loop, logits --> codes, or MASK. Does not know: orders, models, how codes are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from tokenmask.masking import MaskingProcess
from tokenmask.masking.processes import Linear
from tokenmask.ops import Purpose, uniform
from tokenmask.sampling.pick import Categorical, Pick, PickContext
from tokenmask.scores import Progress
from tokenmask.scores.arguments import is_a, number, one_of

Rule = Literal["never", "cap", "rescale", "conf", "loop"]


@dataclass(frozen=True)
class Reversal(Pick):
    """The ancestral sampler of masked diffusion: each hidden slot shows a code with a probability that time gives.

    Of a step from time t to s a hidden slot is revealed with probability (a_s - (1 - r) a_t) / (1 - a_t), where a is 1
    less the hidden share and r how probably a slot that holds a code is hidden again. With r = 0 this is the sampler of
    MDLM, arXiv:2406.07524, section 3.2.3, of MD4, arXiv:2406.04329, algorithm 2, and of Dream, arXiv:2508.15487, rule
    "origin"; the rules for r are those of ReMDM, arXiv:2503.00307, section 4, as in its published code. Of a schedule
    only the number of steps counts, and an order has no say; with ``DrawnSchedule`` and ``RandomScore`` an ordinary
    pick has the law of "never", in which the counts alone are drawn.

    With m = min(1, (1 - a_s) / a_t), 1 at a_t = 0, the rules are:

    - "never": r = 0.
    - "cap": r = min(eta, m).
    - "rescale": r = eta m.
    - "conf": r = eta m softmax(-p) over the slots of a row and range that hold codes, p the probability of each code
      when it was drawn; hidden slots are revealed as with r = 0. The published rule has eta = 1.
    - "loop": a rises to ``loop[2]`` at time ``loop[0]``, stays there with r = eta until ``loop[1]``, then rises to 1;
      r = 0 outside. The process has no say.

    A code that is not allowed any more counts as hidden.

    Args:
        pick: draws the codes.
        process: gives a; None takes the sampler's, which a recipe takes from its rate, or Linear where there is none.
        rule: how slots are hidden again.
        eta: its strength, 0..1.
        loop: times at which the loop begins and ends, and the share that is visible in it.
        end: hidden share at time 0, so that h becomes end + (1 - end) h: MDLM and ReMDM have 1e-5, Dream 1e-3, MD4,
            which hides e + (1 - 2 e) h with e = 1e-4, has e / (1 - e).
        last: the last step fills what is hidden: "drawn" at time 0, as in Dream, or with the "best" code, one step
            after the end of time, as in MDLM, ReMDM ("noise removal") and MD4 ("decode").
    """

    revises: ClassVar[bool] = True
    reshapes: ClassVar[bool] = True  # what stands keeps the log-probability with which it was drawn

    pick: Pick = field(default_factory=Categorical)
    process: MaskingProcess | None = None
    rule: Rule = "never"
    eta: float = 1.0
    loop: tuple[float, float, float] = (0.55, 0.05, 0.9)
    end: float = 0.0
    last: Literal["drawn", "best"] = "drawn"

    def __post_init__(self) -> None:
        is_a("Reversal.pick", self.pick, Pick)
        if self.pick.revises or self.pick.weighs or self.pick.tests:
            raise ValueError(f"Reversal.pick must draw hidden slots and no more, got {self.pick}; take Categorical")
        if self.process is not None:
            is_a("Reversal.process", self.process, MaskingProcess)
        one_of("Reversal.rule", self.rule, get_args(Rule))
        one_of("Reversal.last", self.last, ("drawn", "best"))
        number("Reversal.eta", self.eta, least=0.0, most=1.0)
        if number("Reversal.end", self.end, least=0.0) >= 1:
            raise ValueError(f"Reversal.end must lie below 1, got {self.end}; 1e-5, say")
        if len(self.loop) != 3 or not 0 < self.loop[1] < self.loop[0] < 1 or not 0 < self.loop[2] < 1:
            raise ValueError(
                f"Reversal.loop must be two falling times and a share, all between 0 and 1, got {self.loop}; "
                "0.55, 0.05 and 0.9, say"
            )

    def at(self, temperature: float) -> Pick:
        """Of the codes; which slots are revealed is always drawn."""
        if temperature == 0:
            raise ValueError("temperature must be above 0 for Reversal, which draws slots too, got 0; set its pick's")
        return replace(self, pick=self.pick.at(temperature))

    def _times(self, progress: Progress) -> tuple[float, float]:
        """Shares of the steps that are left, before a step and after it; 0 in one past the end of time."""
        steps = max(1, progress.steps - (self.last == "best"))
        return 1 - min(1.0, progress.index / steps), 1 - min(1.0, (progress.index + 1) / steps)

    def visible(self, progress: Progress, process: MaskingProcess) -> tuple[float, float]:
        """a at the times t and s of a step."""
        times = self._times(progress)
        if self.rule != "loop":
            t, s = (1 - (self.end + (1 - self.end) * one) for one in process.shares(times))
            return t, s
        begins, ends, share = self.loop
        t, s = (self.end + (1 - self.end) * one for one in times)
        if t > begins:
            return (1 - t) * share / (1 - begins), (1 - s) * share / (1 - begins)
        if t <= ends:
            return 1 - t * (1 - share) / ends, 1 - s * (1 - share) / ends
        return share, share

    def hides(self, progress: Progress, process: MaskingProcess) -> float:
        """r of a step; for "conf" without its softmax."""
        t, s = self.visible(progress, process)
        if self.rule == "loop":
            return self.eta if t == s else 0.0
        most = min(1.0, (1 - s) / t) if t > 0 else 1.0
        return {"never": 0.0, "cap": min(self.eta, most)}.get(self.rule, self.eta * most)

    def __call__(self, logits: Tensor, uncond: Tensor | None, context: PickContext) -> tuple[Tensor, ...]:
        size, progress = logits.shape[1], context.progress
        stands = context.stands.to(logits.device).int()
        hidden = stands == size
        if context.allowed is not None:
            among = stands.clamp(max=size - 1).long()
            mask = context.allowed
            hidden = hidden | ~(mask[among] if mask.dim() == 1 else mask.gather(1, among[:, None]).squeeze(1))
        ends = progress.index == progress.steps - 1
        inner = Categorical(0.0) if ends and self.last == "best" else self.pick
        codes, logprob, *more = inner(logits, uncond, replace(context, progress=progress.on(inner.grid)))
        found = torch.where(hidden, codes, stands)
        if not ends:
            process = self.process or context.process or Linear()
            t, s = self.visible(progress, process)
            again = self.hides(progress, process)
            revealed = (s - (1 - (0.0 if self.rule == "conf" else again)) * t) / (1 - t) if t < 1 else 1.0
            draws = uniform(seed=context.seeds, counters=context.counters, purpose=Purpose.mask)
            odds = again * self._doubt(context) if self.rule == "conf" else again
            found = torch.where(torch.where(hidden, draws < revealed, draws >= odds), found, size)
        kept = context.state.score.flatten()[context.slots].to(logprob)
        return found.int(), torch.where(hidden, logprob, kept), *more

    @staticmethod
    def _doubt(context: PickContext) -> Tensor:
        """float32 [N], softmax(-p) over what holds codes in the row and range of each slot."""
        assert context.layout is not None  # stands has looked
        state = context.state
        mine = state.batch.to_fill & ~state.is_open & (context.layout.head_of(state.batch.ids) == context.head)
        doubt = torch.where(mine, -state.score.exp(), -torch.inf).flatten(1).softmax(1).nan_to_num(0.0)
        return doubt.flatten()[context.slots]
