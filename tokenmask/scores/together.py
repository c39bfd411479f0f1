"""Together: strategies of training whose slots are hidden in spans or tubes, and as many as these hold.

Arrow: ScoreContext --> float32 [B, L, K], and how many slots of a row. Does not know: rates, what stands in a slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from tokenmask.scores.arguments import whole
from tokenmask.scores.fixed import first_of_stream
from tokenmask.scores.noise import open_noise, slot_noise
from tokenmask.scores.score import Score, ScoreContext

# Of a context that is still there: the span, and what it made. A masker asks for scores, then for how many.
_last: WeakKeyDictionary[ScoreContext, tuple[int, Tensor, Tensor]] = WeakKeyDictionary()


@dataclass(frozen=True)
class SpanUnion(Score):
    """Spans of ``span`` positions that begin anywhere and may overlap; the union of the first ones is hidden.

    As a strategy of a masker it hides the union of as many spans as hide the share of the rate on average, see
    :func:`span_starts`, so that the hidden share varies around it. A span of 1 leaves the count to the rate. Source:
    MAGNeT, arXiv:2401.04577, section 3.2, appendix C and published code.

    Args:
        span: positions of a span; one that reaches the end of its stream is cut there.
    """

    span: int = 3

    def __post_init__(self) -> None:
        whole("SpanUnion.span", self.span)

    def __call__(self, context: ScoreContext) -> Tensor:
        """A slot is as good as the best start whose span covers it."""
        return self._covered(context)[0].clone()

    def spread(self, context: ScoreContext, share: Tensor) -> Tensor | None:
        if self.span == 1:
            return None
        is_open = context.is_open
        sizes, per_cent = is_open.sum((1, 2)).tolist(), (100 * share).round().long().tolist()
        starts = [max(1, span_starts(size, self.span)[most]) if size else 0 for size, most in zip(sizes, per_cent)]  # noqa: B905
        covered, each = self._covered(context)
        last = torch.tensor(starts, device=is_open.device).clamp(min=1, max=each.shape[1])
        least = each.sort(1, descending=True).values.gather(1, last[:, None] - 1)
        return ((covered.flatten(1) >= least) & is_open.flatten(1)).sum(1)

    def _covered(self, context: ScoreContext) -> tuple[Tensor, Tensor]:
        """What :meth:`__call__` gives, and the draws of each row's open slots, then -1; made once for a context."""
        if _last.get(context, (None,))[0] != self.span:
            stream, (noise, each) = context.batch.stream, open_noise(context)
            covered = noise.clone()
            for shift in range(1, min(self.span, noise.shape[1])):
                same = (stream[:, shift:] == stream[:, :-shift])[:, :, None]
                torch.maximum(covered[:, shift:], torch.where(same, noise[:, :-shift], -1.0), out=covered[:, shift:])
            _last[context] = self.span, covered, each
        return _last[context][1:]


@cache
def span_starts(size: int, span: int) -> tuple[int, ...]:
    """How many spans hide 0, 1, ... 100 per cent of ``size`` slots on average: the fewest that reach each.

    n spans hide 1 - C(size - span, n) / C(size, n) of the slots if none is cut at the end. Source: MAGNeT,
    arXiv:2401.04577, appendix C and published code.
    """
    rates, visible = [0.0], 1.0
    for number in range(max(size - 1, 0)):
        visible *= max(size - span - number, 0) / (size - number)
        rates.append(1 - visible)
    found = torch.searchsorted(torch.tensor(rates, dtype=torch.float64), torch.arange(101).double() / 100)
    return tuple(min(int(one), size) for one in found)


@dataclass(frozen=True)
class TubeScore(Score):
    """The same cells in every frame: slots of one stream with the same row and column move together.

    As a strategy of a masker it hides whole tubes, the number that comes nearest to the share of the rate. Streams
    without rows and columns have a draw for each position. Source: VideoMAE, arXiv:2203.12602, section 3.2;
    WorldDreamer, arXiv:2401.09985, section 3.3.
    """

    def __call__(self, context: ScoreContext) -> Tensor:
        return slot_noise(context, self._places(context))

    def spread(self, context: ScoreContext, share: Tensor) -> Tensor | None:
        is_open = context.is_open.flatten(1)
        noise = torch.where(is_open, self(context).flatten(1), -1.0).sort(1, descending=True).values
        # A tube ends where the next slot has another draw; of these places the one nearest to the share is taken.
        ends = torch.cat([noise[:, 1:] != noise[:, :-1], torch.ones_like(noise[:, :1], dtype=torch.bool)], 1)
        ends = ends & (noise >= 0)
        counts = torch.arange(1, noise.shape[1] + 1, device=noise.device)
        wanted = share.double() * is_open.sum(1)
        far = torch.where(ends, (counts - wanted[:, None]).abs(), torch.inf)
        return torch.where(is_open.any(1), far.argmin(1) + 1, 0)

    @staticmethod
    def _places(context: ScoreContext) -> Tensor:
        """int64 [B, L], below L, the same for the cells of a tube."""
        batch = context.batch
        first = first_of_stream(batch.stream)
        rows, columns = batch.coordinates[..., 1].long(), batch.coordinates[..., 2].long()
        width = torch.zeros_like(first).scatter_reduce(1, first, columns, "amax").gather(1, first) + 1
        height = torch.zeros_like(first).scatter_reduce(1, first, rows, "amax").gather(1, first) + 1
        here = torch.arange(first.shape[1], device=first.device).expand_as(first)
        return torch.where(width * height > 1, first + rows * width + columns, here)
