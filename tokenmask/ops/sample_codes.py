"""sample_codes: from logits to one code a row, with the statistics that sampling orders need."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tokenmask.ops._checks import check_first, check_rows, check_tensor, refuse_rows, split_number, split_seed
from tokenmask.ops._extension import USES_REFERENCE, register_fake
from tokenmask.ops.philox import Purpose, draw_reference
from tokenmask.ops.weight import FULL_WEIGHT, draw_below_reference, surprise_reference, weight_reference


def sample_codes(
    logits: Tensor,
    *,
    seed: int | Tensor,
    counters: Tensor,
    temperature: float | Tensor = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    uncond: Tensor | None = None,
    guidance: float | Tensor = 1.0,
    allowed: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw one code from each row of logits, and measure how sure the row was.

    The steps, in this order:

    1. Guidance: z = u + s (c - u) in float32 if ``uncond`` is given; a code at -inf on either side stays at -inf.
    2. Allowed set: z = -inf elsewhere.
    3. Temperature: x = (z - max z) / T. T = 0 takes the largest z (lower index on ties) and skips steps 4 to 7.
    4. Top-k: keep the k first codes of the total order "higher z, then lower index".
    5. Top-p: keep the shortest prefix of that order whose mass is at least p of the mass left by step 4.
    6. Min-p: keep codes whose probability is at least min_p times the largest.
    7. Draw: inverse CDF over the kept codes in *index order*, by one Philox draw (seed, slot 0, purpose code, counter).

    Masses are integers, 2^30 exp(x) rounded, so that every backend draws the same code, and so are the terms of the
    entropy, so that an order of slots by any of the statistics is the same everywhere; codes below 2^-31 of the most
    probable one are never drawn. The log-probability (natural), entropy (nats) and margin (probability of the first
    code less that of the second) are of the softmax after step 3, before any filter; at T = 0, of the softmax at T = 1.

    Args:
        logits: float32, bfloat16 or float16 [N, V].
        seed: int of 64 bits, or int64 [N] so that requests with different seeds share a batch.
        counters: int64 [N], what the draw of a row is keyed by; a row's draw depends on nothing else of the batch.
        temperature: at least 0, a number or float32 [N].
        top_k: at least 0; 0 or at least V is off.
        top_p: in (0, 1]; 1 is off.
        min_p: in [0, 1]; 0 is off.
        uncond: logits without the condition, as ``logits``.
        guidance: the scale s, a number or float32 [N]; 1 gives the conditional logits.
        allowed: bool [V] or [N, V].

    Returns:
        codes int32 [N]; log-probability, entropy and margin float32 [N]. All new.

    Raises:
        TypeError: another dtype.
        ValueError: another shape or range, tensors on two devices, or a row with NaN or +inf or with nothing allowed
            above -inf (names the row; on CUDA raised later, see ``check``, and the row's code is -1).

    Source: guidance, Ho and Salimans, arXiv:2207.12598; top-k, Fan et al., arXiv:1805.04833; top-p, Holtzman et al.,
    arXiv:1904.09751; min-p, Nguyen et al., arXiv:2407.01082.
    """
    op = "sample_codes"
    check_first(op, "logits", logits, (torch.float32, torch.bfloat16, torch.float16), "[N, V]")
    rows = logits.shape[0]
    check_tensor(op, "counters", counters, torch.int64, [rows], "[N]", logits)
    number, seeds = split_seed(op, seed, rows, logits)
    heat, heats = split_number(op, "temperature", temperature, rows, logits)
    scale, scales = split_number(op, "guidance", guidance, rows, logits)
    if uncond is not None:
        check_tensor(op, "uncond", uncond, logits.dtype, logits.shape, "[N, V]", logits)
    if allowed is not None:
        check_rows(op, "allowed", allowed, torch.bool, "[V] or [N, V]", logits)
    if not 0 <= heat < math.inf:
        raise ValueError(f"{op}: temperature must be finite and at least 0, got {heat}; use 0 for the arg-max")
    if top_k < 0:
        raise ValueError(f"{op}: top_k must be at least 0, got {top_k}; use 0 to switch it off")
    if not 0 < top_p <= 1:
        raise ValueError(f"{op}: top_p must be above 0 and at most 1, got {top_p}; use 1 to switch it off")
    if not 0 <= min_p <= 1:
        raise ValueError(f"{op}: min_p must be in 0..1, got {min_p}; use 0 to switch it off")
    arguments = (logits, counters, number, seeds, heat, heats, top_k, float(top_p), float(min_p))
    guided = (uncond, scale, scales, allowed)
    if USES_REFERENCE:
        return sample_codes_reference(*arguments, *guided)
    result: tuple[Tensor, Tensor, Tensor, Tensor] = torch.ops.tokenmask.sample_codes(*arguments, *guided)
    return result


def sample_codes_reference(
    logits: Tensor,
    counters: Tensor,
    seed: int,
    seeds: Tensor | None,
    temperature: float,
    temperatures: Tensor | None,
    top_k: int,
    top_p: float,
    min_p: float,
    uncond: Tensor | None,
    guidance: float,
    guidances: Tensor | None,
    allowed: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The meaning of ``sample_codes``, with the arguments of the registered op."""
    z = _guided(logits, uncond, _column(logits, guidance, guidances))
    if allowed is not None:
        z = z.masked_fill(~allowed, -math.inf)
    requested = _column(logits, temperature, temperatures)
    _refuse_bad_rows(z, requested)
    if z.shape[0] == 0:
        return counters.int(), z.new_empty(0), z.new_empty(0), z.new_empty(0)
    heat = requested.masked_fill(requested == 0, 1.0)
    x = (z - z.amax(1, keepdim=True)) / heat
    weights = weight_reference(x)
    kept = _filtered(z, weights, top_k, top_p, min_p)
    words = draw_reference(seed if seeds is None else seeds, torch.zeros_like(counters), Purpose.code, counters)
    target = draw_below_reference(words[1], words[0], kept.sum(1))
    drawn = (kept.cumsum(1) <= target[:, None]).sum(1)
    first = torch.sort(z, dim=1, descending=True, stable=True).indices[:, 0]
    codes = torch.where(requested.squeeze(1) == 0, first, drawn)

    mass = weights.sum(1).double()
    log_mass = (mass / FULL_WEIGHT).log()
    logprob = x.gather(1, codes[:, None]).squeeze(1) - log_mass
    entropy = (log_mass + 0.25 * surprise_reference(x, weights).sum(1).double() / mass).clamp(min=0.0)
    two = torch.nn.functional.pad(weights, (0, 1)).topk(2, dim=1).values.double()
    margin = (two[:, 0] - two[:, 1]) / mass
    return codes.int(), logprob.float(), entropy.float(), margin.float()


def _column(logits: Tensor, value: float, values: Tensor | None) -> Tensor:
    if values is not None:
        return values[:, None]
    return torch.full((logits.shape[0], 1), value, dtype=torch.float32, device=logits.device)


def _guided(logits: Tensor, uncond: Tensor | None, scale: Tensor) -> Tensor:
    cond = logits.float()
    if uncond is None:
        return cond
    base = uncond.float()
    forbidden = (cond == -math.inf) | (base == -math.inf)
    return (base + scale * (cond - base)).masked_fill(forbidden, -math.inf)


def _refuse_bad_rows(z: Tensor, temperature: Tensor) -> None:
    """The same sentences as the kernels' (csrc/torch/checks.h), for the first bad row and its first reason."""
    reasons = {
        "allowed logits must not be NaN, got NaN in row {row}; check what computed that row (a diverged model, or 0 / "
        "0)": z.isnan().any(1),
        "allowed logits must be below +inf, got +inf in row {row}; check what computed that row": (z == math.inf).any(
            1
        ),
        "each row needs an allowed code whose logit is above -inf, got none in row {row}; allow a code or raise a "
        "logit there": (z == -math.inf).all(1),
        "temperature must be finite and at least 0, got another value in row {row}; use 0 for the arg-max": ~(
            (temperature >= 0) & (temperature < math.inf)
        ).flatten(),
    }
    bad = torch.stack(list(reasons.values()))
    first = bad.any(0).int().cumsum(0) == 1
    for message, rows in reasons.items():
        refuse_rows(rows & first, "sample_codes: " + message)


def _share_of(share: float, total: Tensor) -> Tensor:
    """The smallest integer mass that is at least ``share`` of the total, between 1 and the total."""
    return torch.minimum((total.double() * share).ceil().long().clamp(min=1), total)


def _filtered(z: Tensor, weights: Tensor, top_k: int, top_p: float, min_p: float) -> Tensor:
    """The weights with those of filtered codes set to 0."""
    order = torch.sort(z, dim=1, descending=True, stable=True).indices
    ranked = weights.gather(1, order)
    if 0 < top_k < z.shape[1]:
        ranked[:, top_k:] = 0
    if top_p < 1:
        before = ranked.cumsum(1) - ranked
        ranked = ranked.masked_fill(before >= _share_of(top_p, ranked.sum(1, keepdim=True)), 0)
    if min_p > 0:
        ranked = ranked.masked_fill(ranked < _share_of(min_p, torch.full_like(ranked, FULL_WEIGHT)), 0)
    return torch.zeros_like(weights).scatter_(1, order, ranked)


@register_fake("tokenmask::sample_codes")
def _(
    logits: Tensor,
    counters: Tensor,
    seed: int,
    seeds: Tensor | None,
    temperature: float,
    temperatures: Tensor | None,
    top_k: int,
    top_p: float,
    min_p: float,
    uncond: Tensor | None,
    guidance: float,
    guidances: Tensor | None,
    allowed: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows = logits.shape[0]
    statistics = [logits.new_empty(rows, dtype=torch.float32) for _ in range(3)]
    return logits.new_empty(rows, dtype=torch.int32), statistics[0], statistics[1], statistics[2]
