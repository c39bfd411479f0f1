"""Code lengths: what it costs to code given codes with a model, a sampler's order and its reuse policy.

Arrow: Batch with codes + Sampler + model --**code_lengths**--> bits of every slot. Does not know: modalities. An
entropy coder reaches these lengths to within a few bits a row, since its decoder can repeat every step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel
from tokenmask.sampling.guidance import NoGuidance
from tokenmask.sampling.pick import Pick, PickContext
from tokenmask.sampling.revoke import NeverRevoke
from tokenmask.sampling.sampler import Sampler
from tokenmask.sampling.schedule import DecidingSchedule
from tokenmask.sampling.state import SamplerState


def code_lengths(sampler: Sampler, models: Mapping[str, MaskedModel], layout: Layout, batch: Batch) -> Tensor:
    """Bits of every slot to fill, when the sampler reveals the codes that stand there instead of drawing.

    Source: M2T, arXiv:2304.07313, section 3: -log2 p of each code given the groups before, which for GroupCausalReuse
    is also what one pass over ``masking.GroupChain`` gives.

    Args:
        sampler: its orders may be fixed or read entropies or margins, which a decoder knows too; schedules know their
            counts beforehand and nothing is revoked. How codes would be drawn, and guidance, do not matter.
        models, layout: as in :meth:`Sampler.iterate`.
        batch: rows with their codes; FILL slots are coded, the rest is known.

    Returns:
        float32 [B, L, K], 0 where nothing is coded.

    Raises:
        ValueError: an order that reads the drawn codes, a schedule that decides by them, or a revocation.
    """
    for order in (sampler.order, *(stage.order for stage in sampler.stages if stage.order)):
        if order.reads_drawn_codes:
            raise ValueError(
                f"code lengths need an order that a decoder can repeat (fixed, EntropyScore, MarginScore), "
                f"not by drawn codes, got {order}"
            )
    for schedule in (sampler.schedule, *(stage.schedule for stage in sampler.stages if stage.schedule)):
        if isinstance(schedule, DecidingSchedule):
            raise ValueError(f"code lengths need a schedule that knows its counts beforehand, got {schedule}")
    if not isinstance(sampler.revoke, NeverRevoke):
        raise ValueError(f"code lengths need a sampler that revokes nothing, got {sampler.revoke}; use NeverRevoke")
    state = SamplerState.start(batch, layout, torch.zeros_like(batch.sample_ids))
    known = _Known(layout.codes_of(batch.ids))
    stages = tuple(replace(stage, pick=None, guidance=None) for stage in sampler.stages)
    forced = replace(sampler, pick=known, guidance=NoGuidance(), stages=stages)
    numbered = replace(state.batch, sample_ids=torch.arange(batch.shape[0], device=batch.device))
    return -forced.run(models, layout, replace(state, batch=numbered)).score / math.log(2)


@dataclass(frozen=True)
class _Known(Pick):
    """A pick that takes the codes that are there: int [B, L, K]."""

    codes: Tensor

    def __call__(
        self, logits: Tensor, uncond: Tensor | None, context: PickContext
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        codes = self.codes.flatten()[context.slots]
        logprob = F.log_softmax(logits, -1)
        best = logprob.exp().topk(min(2, logits.shape[1]), -1).values
        entropy = -(logprob.exp() * logprob).sum(-1)
        chosen = logprob.gather(1, codes[:, None].long()).squeeze(1)
        return codes.to(torch.int32), chosen, entropy, best[:, 0] - best[:, -1]
