"""MaskedCrossEntropy: the one cross-entropy, with its scope, weight and reduction said aloud.

Arrow: MaskedBatch + model --**MaskedCrossEntropy**--> Loss. Does not know: how slots were hidden, optimisers.
Published codes differ in exactly these three choices, and ports go wrong there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from tokenmask.masking import MaskingProcess
from tokenmask.masking.masked_batch import MaskedBatch
from tokenmask.models import MaskedModel, Predictions, RangeLogits
from tokenmask.objectives.objective import Loss, Objective
from tokenmask.objectives.scope import Scope, asked, logged, targets_of

Weight = Literal["none", "inverse_t", "elbo", "class"]
Reduction = Literal["per_token", "per_slot", "per_row", "per_row_slot", "per_sample_mean", "bits"]
MIN_T = 1e-3  # smallest masking time that a weight sees; LLaDA and MDLM draw none below it


@dataclass(frozen=True)
class MaskedCrossEntropy(Objective):
    """Cross-entropy of the right codes, each over its own range only.

    With N terms, each a cross-entropy in nats times its weights:

    ``scope``, the slots that are asked:
        "predicted": the masker's targets, with their weights (MAGNeT, arXiv:2401.04577, published code: one level only;
            BERT, arXiv:1810.04805, section 3.1: kept and replaced tokens too).
        "hidden": every slot whose code is hidden or replaced (MDLM, arXiv:2406.07524, equation 10).
        "filled": every FILL slot at a valid position, hidden or not (the port of MaskGIT, arXiv:2310.14400, published
            code: all codes of the image and not its class; its softmax has an entry for the mask beside the codes).
        "valid": every code slot at a valid position, those of given streams too.
        "all": every code slot, also at the positions of a dropped condition.
    ``weight``, a factor of each term:
        "none": 1 (MaskGIT, MAGNeT).
        "inverse_t": 1 / t of the row (LLaDA, arXiv:2502.09992, equation 3).
        "elbo": -alpha'(t) / (1 - alpha(t)) of the process that made t, which the batch says (MD4, arXiv:2406.04329,
            equation 5; 1 / t if it is linear).
        "class": ``extra["class_weights"]``, float [size] for each head index; terms without an entry count 1. As in
            ``torch.nn.functional.cross_entropy``, "per_token" then divides by the sum of these weights, not by N.
        The two that depend on t see it no smaller than 0.001.
    ``reduction``, how terms become one number:
        "per_token": sum / N (MAGNeT and dParallel, published codes).
        "per_slot": sum / FILL slots of the batch, hidden or not (LLaDA pre-training, published guidelines: batch times
            length; MDLM, published code). With inverse_t or elbo: the bound in nats per slot.
        "per_row": sum / rows (MD4, equation 5). With elbo: the bound in nats per sample.
        "per_row_slot": mean over rows of (sum of the row / FILL slots of the row) (LLaDA fine-tuning: answer length).
        "per_sample_mean": mean, over rows that have terms, of the row's own mean (MaskGIT, published code, with label
            smoothing 0.1; BAMM).
        "bits": "per_row" / ln 2 (M2T, arXiv:2304.07313, section 4: the cost of coding a sample).
    A batch without terms has the loss 0.

    Args:
        scope, weight, reduction: see above.
        label_smoothing: share of the target spread evenly over all codes of the range.
        process: what "elbo" takes where a batch says no process; where it says one, it must be this one. Leave it out.
    """

    scope: Scope = "predicted"
    weight: Weight = "none"
    reduction: Reduction = "per_token"
    label_smoothing: float = 0.0
    process: MaskingProcess | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in 0..1, got {self.label_smoothing}; 0 is none")
        if self.process is not None and self.weight != "elbo":
            raise ValueError(
                f"only weight 'elbo' takes a process, got {self.weight!r} and {self.process}; leave the process out"
            )

    def __call__(self, model: MaskedModel, masked: MaskedBatch, extra: Mapping[str, Any] | None = None) -> Loss:
        """Args:
            model: scores the queries; called once.
            masked: the batch.
            extra: "class_weights", for weight "class".

        Returns:
            the loss, and in ``parts`` for each level of each stream, named as in "audio.2/nats" or "text/nats", the
            plain mean cross-entropy of its targets, and their number ("audio.2/count").

        Raises:
            ValueError: class weights are missing, a scope other than "predicted" on inputs that were reordered, or
                weight "elbo" without a process, or with another one than that of the batch.
        """
        queries, targets = asked(self.scope, masked, model.layout)

        def read(group: RangeLogits) -> Tensor:
            """float32 [n, 2]: plain and smoothed cross-entropy of the targets of some queries."""
            names, place = targets_of(group, queries, targets)
            logits = group.logits if place is None else group.logits[place]
            plain = F.cross_entropy(logits, targets.codes[names], reduction="none")
            return torch.stack([plain.detach(), self._smoothed(plain, logits)], 1)

        predictions = model(masked.inputs, queries, group=masked.group, t=masked.t, read=read)
        class_weights = self._class_weights(extra)
        losses, weights, chosen, parts = [], [], [], dict[str, Tensor]()
        for group in predictions.groups:
            plain, smoothed = group.logits.unbind(1)  # what read made of them
            names, _ = targets_of(group, queries, targets)
            codes = targets.codes[names]
            losses.append(smoothed)
            chosen.append(names)
            if group.head in class_weights:
                weights.append(class_weights[group.head].to(codes.device)[codes])
            else:
                weights.append(torch.ones_like(plain))
            if len(names):
                parts |= logged(model.layout, group.head, plain)
        if not chosen:
            none = masked.t.new_zeros(0)
            return Loss(_no_terms(model, predictions), self._weight(none, none.long(), masked), parts)
        order = torch.cat(chosen)
        row = torch.div(queries.slots[targets.queries[order]], masked.inputs.ids[0].numel(), rounding_mode="floor")
        weight = torch.cat(weights)
        factor = weight * targets.weights[order] * self._time_weight(masked)[row]
        terms, weight = torch.cat(losses) * factor, self._weight(weight, row, masked)
        return Loss(self._sum(terms, row, masked), weight, parts)

    def _smoothed(self, plain: Tensor, logits: Tensor) -> Tensor:
        if not self.label_smoothing:
            return plain
        even = logits.logsumexp(-1) - logits.mean(-1)
        return (1 - self.label_smoothing) * plain + self.label_smoothing * even

    def _class_weights(self, extra: Mapping[str, Any] | None) -> Mapping[int, Tensor]:
        if self.weight != "class":
            return {}
        if extra is None or "class_weights" not in extra:
            raise ValueError("weight 'class' needs extra['class_weights'], {head index: float [size]}; it is missing")
        weights: Mapping[int, Tensor] = extra["class_weights"]
        return weights

    def _time_weight(self, masked: MaskedBatch) -> Tensor:
        """float32 [B]."""
        t = masked.t.clamp(min=MIN_T)
        if self.weight == "inverse_t":
            return 1 / t
        if self.weight == "elbo":
            return self._process(masked).weight(t)
        return torch.ones_like(t)

    def _process(self, masked: MaskedBatch) -> MaskingProcess:
        own, said = self.process, masked.process
        process = said or own
        if process is None:
            raise ValueError(
                "weight 'elbo' needs the process that made t, and this batch was masked without one; take a "
                "ProcessRate, or another weight"
            )
        if own not in (None, process):
            raise ValueError(
                f"the law of time is said twice: the batch was masked by {said}, and the objective's process is {own}; "
                "leave objective.process out"
            )
        return process

    def _sum(self, terms: Tensor, row: Tensor, masked: MaskedBatch) -> Tensor:
        """The sum that the reduction divides."""
        if self.reduction not in ("per_row_slot", "per_sample_mean"):
            return terms.sum()
        sums = terms.new_zeros(len(masked.t)).index_add(0, row, terms)
        if self.reduction == "per_row_slot":
            return (sums / _fill_slots(masked).clamp(min=1)).sum()
        count = terms.new_zeros(len(masked.t)).index_add(0, row, torch.ones_like(terms))
        return (sums / count.clamp(min=1)).sum()

    def _weight(self, weights: Tensor, row: Tensor, masked: MaskedBatch) -> Tensor:
        """What the reduction divides by; ``weights`` are those of the terms, by class."""
        rows = len(masked.t)
        if self.reduction == "per_token":
            return weights.sum() if self.weight == "class" else weights.new_tensor(float(len(weights)))
        if self.reduction in ("per_row", "per_row_slot"):
            return weights.new_tensor(float(rows))
        if self.reduction == "bits":
            return weights.new_tensor(rows * math.log(2))
        if self.reduction == "per_slot":
            return _fill_slots(masked).sum().to(weights.dtype)
        return (torch.bincount(row, minlength=rows) > 0).sum().to(weights.dtype)


def _fill_slots(masked: MaskedBatch) -> Tensor:
    """int64 [B]: FILL slots, hidden or not, of the clean row behind each row of the inputs."""
    clean = masked.clean
    count = clean.to_fill.sum((1, 2))
    return count[masked.row_of_sample]


def _no_terms(model: MaskedModel, predictions: Predictions) -> Tensor:
    """Zero, with a (zero) gradient for every parameter that an answer would have come from."""
    heads = [parameter.sum() for parameter in model.heads.parameters()]
    return torch.stack([predictions.hidden.sum(), *heads]).sum() * 0
