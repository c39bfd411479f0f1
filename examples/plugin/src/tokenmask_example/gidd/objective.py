"""The bound of GIDD, over every slot that is to be filled: hidden, replaced and unchanged ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from tokenmask.masking import MaskedBatch
from tokenmask.models import MaskedModel, RangeLogits
from tokenmask.objectives import Loss, Objective, asked, logged
from tokenmask_example.gidd.process import Hybrid, hybrid

TINY = 1e-30  # in the place of a share of 0 whose logarithm is taken


@dataclass(frozen=True)
class GiddBound(Objective):
    """w (KL(q_t(. | x) || q_t(. | x')) + r - log r - 1) of each slot, with r = q_t(z | x) / q_t(z | x'); x' is the
    softmax, x the right code, z what stands there. The sum is divided by the number of slots.

    Source: arXiv:2503.04482, section 3.3, and the published code (loss.py). With masks alone, and weights "elbo", it is
    the bound of MDLM: the cross-entropy of hidden slots over t.

    Args:
        weights: "elbo": those of the bound; "clip": the same, cut to 0..``most``; "dynamic": 2 for hidden slots, 1 for
            random codes, B / (N + 1) exp(gamma sigmoid(-t) / 2) for right ones, cut likewise, as in the published code.
        most: the largest weight of "clip" and "dynamic".
    """

    weights: Literal["elbo", "clip", "dynamic"] = "dynamic"
    most: float = 2.0

    def __call__(self, model: MaskedModel, masked: MaskedBatch, extra: Mapping[str, Any] | None = None) -> Loss:
        """Raises:
        ValueError: the rate follows another process, or the inputs were reordered.
        """
        process, inputs = hybrid(masked.process), masked.inputs
        queries, targets = asked("filled", masked, model.layout)
        right, stands = targets.codes, model.layout.codes_of(inputs.ids.flatten()[queries.slots])
        t = masked.t[torch.div(queries.slots, inputs.ids[0].numel(), rounding_mode="floor")].double()

        def read(group: RangeLogits) -> Tensor:
            """float32 [m, 2]: with the weights of the bound, and with those of training."""
            at = group.queries
            own = bound_terms(process, group.logits, right[at], stands[at], t[at])
            weights = elbo_weights(process, group.logits.shape[1], right[at], stands[at], t[at])
            chosen = self._chosen(process, group.logits.shape[1], right[at], stands[at], t[at], weights)
            return torch.stack([own.detach() * weights.float(), own * chosen.float()], 1)

        predictions = model(inputs, queries, group=masked.group, t=masked.t, read=read)
        total, parts = predictions.hidden.sum() * 0, dict[str, Tensor]()
        for group in predictions.groups:
            bound, loss = group.logits.unbind(1)  # what read made of them
            total = total + loss.sum()
            parts |= logged(model.layout, group.head, bound)
        return Loss(total, total.new_tensor(float(len(queries))), parts)

    def _chosen(self, process: Hybrid, size: int, right: Tensor, stands: Tensor, t: Tensor, elbo: Tensor) -> Tensor:
        if self.weights == "elbo":
            return elbo
        if self.weights == "clip":
            return elbo.clamp(0.0, self.most)
        kept = process.scale / (size + 1) * torch.exp(process.gamma / 2 * torch.sigmoid(-t))
        return torch.where(stands == right, kept, torch.where(stands == size, 2.0, 1.0)).clamp(max=self.most)


def elbo_weights(process: Hybrid, size: int, right: Tensor, stands: Tensor, t: Tensor) -> Tensor:
    """float64 [m], the weights of the bound.

    Args:
        process: of the noise.
        size: N, codes of the range.
        right, stands: int64 [m], the right code and what stands there, N for MASK.
        t: float64 [m], within 0..1.
    """
    c, prime = process.uniform(t), process.uniform_prime(t)
    rise = c + (1 - t) * prime
    on_right = rise / size / ((1 - t) * (1 - t + c / size))
    on_random = rise / ((1 - t) * c)
    return torch.where(stands == right, on_right, torch.where(stands == size, 1 / (t * (1 - t)), on_random))


def bound_terms(process: Hybrid, logits: Tensor, right: Tensor, stands: Tensor, t: Tensor) -> Tensor:
    """float32 [m], KL + r - log r - 1 with a gradient; arguments as in :func:`elbo_weights`, logits float32 [m, N]."""
    size = logits.shape[1]
    c = process.uniform(t)
    alpha, each = ((1 - t) / (1 + c)).float(), (c / size / (1 + c)).float().clamp(min=TINY)
    model = torch.logaddexp(alpha.log()[:, None] + logits.log_softmax(1), each.log()[:, None])  # log q_t(. | x')
    on_right = model.gather(1, right[:, None]).squeeze(1)
    data_right = torch.logaddexp(alpha.log(), each.log())
    others = (each.log()[:, None] - model).sum(1) - (each.log() - on_right)
    divergence = data_right.exp() * (data_right - on_right) + each * others
    stood = model.gather(1, stands.clamp(max=size - 1)[:, None]).squeeze(1)
    ratio = torch.where(stands == right, data_right, each.log()) - stood
    ratio = torch.where(stands == size, 0.0, ratio)  # MASK is as likely whatever the code
    return divergence + torch.expm1(ratio) - ratio
