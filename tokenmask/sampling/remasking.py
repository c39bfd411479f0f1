"""Remasking: every step fills all that is open, and a revocation says what is hidden for the next one.

Arrow: inside the Sampler loop, a filled state --> slots to open again. Does not know: codes, which models there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from tokenmask.masking.processes import ROUNDINGS, Cosine, MaskingProcess, Rounding
from tokenmask.ops import Purpose
from tokenmask.sampling.context import RevokeContext
from tokenmask.sampling.revoke import Revoke
from tokenmask.sampling.schedule import Schedule
from tokenmask.scores import best
from tokenmask.scores.arguments import is_a, number, one_of, whole
from tokenmask.scores.noise import centred


@dataclass(frozen=True)
class RevealAll(Schedule):
    """Every step reveals all that is open; a revocation such as :class:`RevokeDoubted` says what stays hidden."""

    def plan(self, initial: int, steps: int) -> list[int]:
        return [0] * steps


@dataclass(frozen=True)
class RevokeDoubted(Revoke):
    """Opens the slots of which a critic doubts most that their codes are real, also those of earlier steps.

    After step i of S as many slots are open as a process hides at t = 1 - (i + 1) / S. The critic, a second model of
    the run, sees the row with all codes that were drawn; it answers logits in which the code that stands has the
    log-probability that it is real, as an ordinary model does of its own. Goes with :class:`RevealAll`. Source:
    Token-Critic, arXiv:2209.04439, section 3 and algorithm 1; no code was published.

    Args:
        model: name of the critic in the run.
        process: how much is hidden.
        noise: scale of Gumbel noise on the log-probabilities at the start; it falls linearly to 0.
        rounding: of share * slots.
    """

    model: str = "critic"
    process: MaskingProcess = field(default_factory=Cosine)
    noise: float = 0.0
    rounding: Rounding = "ceil"

    def __post_init__(self) -> None:
        is_a("RevokeDoubted.process", self.process, MaskingProcess)
        number("RevokeDoubted.noise", self.noise, least=0.0)
        one_of("RevokeDoubted.rounding", self.rounding, tuple(ROUNDINGS))

    def __call__(self, context: RevokeContext) -> Tensor | None:
        committed, done = context.committed, context.progress.on("after")
        if context.ask is None:
            return None
        every = (context.inside & context.state.batch.to_fill).sum((1, 2))
        share, law = self.process.share(1 - done), ROUNDINGS[self.rounding]
        wanted = torch.tensor([law(share * one) for one in every.tolist()], device=committed.device)
        count = (wanted - context.is_open.sum((1, 2))).clamp(min=0).minimum(committed.sum((1, 2)))
        if not bool(count.any()):
            return None
        real = torch.zeros_like(context.state.score)
        ids = context.layout.codes_of(context.state.batch.ids).flatten().long()
        for answer in context.ask(committed, model=self.model):
            sure = answer.logits.float().log_softmax(1)
            real.view(-1)[answer.slots] = sure.gather(1, ids[answer.slots, None]).squeeze(1)
        if self.noise * (1 - done) > 0:
            draws = centred(context.state.draws(Purpose.mask))
            real = real - self.noise * (1 - done) * torch.log(-torch.log(draws))
        return best(-real, committed, count)


@dataclass(frozen=True)
class RevokeSpans(Revoke):
    """Opens the least probable spans of a stream, which may overlap, of the codes that the step drew.

    After step i of S about max(1, floor(h n)) of n slots are open, h what a process hides at t = 1 - (i + 1) / (S - 1):
    the union of the u spans with the smallest products of probabilities, u found by halving an interval. Codes of
    earlier steps count as certain, and are opened again only where nothing else makes up the number. Goes with
    :class:`RevealAll`. Source: MAGNeT, arXiv:2401.04577, published code, ``span_arrangement="stride1"``.

    Args:
        span: positions of a span.
        process: how much is hidden.
    """

    span: int = 3
    process: MaskingProcess = field(default_factory=Cosine)

    def __post_init__(self) -> None:
        whole("RevokeSpans.span", self.span)
        is_a("RevokeSpans.process", self.process, MaskingProcess)

    def __call__(self, context: RevokeContext) -> Tensor | None:
        if context.was_open is None:
            return None
        share = self.process.share(1 - (context.progress.index + 1) / max(1, context.progress.steps - 1))
        batch, found = context.state.batch, torch.zeros_like(context.state.is_open)
        doubt = torch.where(context.was_open, -context.state.score, -_CERTAIN).double()
        mine = context.committed
        for row, level in mine.any(1).nonzero().tolist():
            fill = context.inside[row, :, level] & batch.to_fill[row, :, level]
            for stream in batch.stream[row][fill].unique().tolist():  # type: ignore[no-untyped-call]
                places = ((batch.stream[row] == stream) & batch.valid[row]).nonzero().squeeze(1)
                wanted = max(1, int(share * int(fill[places].sum())))
                found[row, places, level] = self.union(doubt[row, places, level], wanted)
        return found & mine

    def union(self, doubt: Tensor, wanted: int) -> Tensor:
        """bool [T], about ``wanted`` places: the least probable spans of float64 [T] -log p."""
        span = min(self.span, len(doubt))
        order = doubt.unfold(0, span, 1).sum(1).argsort(descending=True, stable=True)
        wanted = max(wanted, span)
        low, high = wanted // span, wanted - span + 1
        middle = round((low + high) / 2)
        mask = self._places(order[:middle], len(doubt), span)
        while low < middle < high:
            mask = self._places(order[:middle], len(doubt), span)
            low, high = (low, middle) if int(mask.sum()) > wanted else (middle, high)
            middle = round((low + high) / 2)
        return mask

    @staticmethod
    def _places(starts: Tensor, length: int, span: int) -> Tensor:
        mask = torch.zeros(length, dtype=torch.bool, device=starts.device)
        for shift in range(span):
            mask[starts + shift] = True
        return mask


_CERTAIN = 1e4  # of a place that the step did not draw, as there
