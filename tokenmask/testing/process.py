"""Masking processes: the law of the hidden share, its derivative and its weight.

Does not know: which process.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tokenmask.masking import MaskingProcess
from tokenmask.testing.alike import alike, finite
from tokenmask.testing.anything import value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.world import World

TIMES = torch.linspace(0, 1, 101, dtype=torch.float64)
INSIDE = TIMES[1:-1]
_STEP, _NEAR = 1e-5, 1e-3


def _use(process: MaskingProcess, world: World) -> list[Tensor]:
    times = world.lend("times", INSIDE)
    return [process.hidden(times), process.hidden_prime(times), process.weight(times), process.alpha(times)]


def begins_at_0_and_ends_at_1(process: MaskingProcess) -> None:
    """t = 0 hides nothing and t = 1 everything."""
    first, last = process.hidden(torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
    held = abs(first) < 1e-6 and abs(last - 1) < 1e-6
    require(held, f"must hide 0 at t = 0 and 1 at t = 1, got {first:g} and {last:g}")


def never_falls(process: MaskingProcess) -> None:
    """More time hides no less, and a share lies in 0..1."""
    hidden = process.hidden(TIMES)
    within = finite(hidden) and float(hidden.min()) >= -1e-9 and float(hidden.max()) <= 1 + 1e-9
    require(within, f"must hide a share in 0..1, got {float(hidden.min()):g} to {float(hidden.max()):g}")
    at = int(hidden.diff().argmin())
    got = f"got {hidden[at]:g} at t = {TIMES[at]:g} and {hidden[at + 1]:g} at the next one"
    require(bool((hidden.diff() >= -1e-9).all()), f"must never hide less at a later time, {got}")


def keeps_dtype_and_shape(process: MaskingProcess) -> None:
    """Each time is answered on its own, in its own dtype."""
    for dtype in (torch.float32, torch.float64):
        times = INSIDE.to(dtype).view(3, 33)
        for name in ("hidden", "hidden_prime"):
            answer = getattr(process, name)(times)
            got = f"got {answer.dtype} {list(answer.shape)} for {dtype} [3, 33]"
            require(answer.dtype == dtype and answer.shape == times.shape, f"{name} must keep dtype and shape, {got}")
            one = getattr(process, name)(times[1, 4].clone())
            require(torch.allclose(one, answer[1, 4], atol=1e-6), f"{name} must answer each time on its own")


def derivative_is_right(process: MaskingProcess) -> None:
    """``hidden_prime`` is the slope of ``hidden``; at a kink either side's."""
    prime = process.hidden_prime(INSIDE)
    after = (process.hidden(INSIDE + _STEP) - process.hidden(INSIDE)) / _STEP
    before = (process.hidden(INSIDE) - process.hidden(INSIDE - _STEP)) / _STEP
    near = _NEAR * (1 + torch.maximum(after.abs(), before.abs()))
    right = (prime >= torch.minimum(after, before) - near) & (prime <= torch.maximum(after, before) + near)
    at = int((~right).int().argmax())
    require(
        bool(right.all()),
        f"hidden_prime must be the derivative of hidden, {after[at]:.4g} at t = {INSIDE[at]:g}, got {prime[at]:.4g}",
    )


def weight_is_that_of_the_bound(process: MaskingProcess) -> None:
    """alpha = 1 - hidden, and the weight of a hidden slot is -alpha' / (1 - alpha)."""
    hidden, prime = process.hidden(INSIDE), process.hidden_prime(INSIDE)
    expected = {"alpha": 1 - hidden, "alpha_prime": -prime, "weight": prime / hidden}
    for name, value in expected.items():
        answer = getattr(process, name)(INSIDE)
        right = finite(answer) and torch.allclose(answer, value, rtol=1e-6, atol=1e-9)
        require(right, f"{name} must follow from hidden and its derivative, got another one")


def share_is_hidden_of_one_number(process: MaskingProcess) -> None:
    """``share`` is ``hidden`` on the host."""
    for time in (0.0, 0.25, 0.9):
        share, hidden = process.share(time), process.hidden(torch.tensor(time, dtype=torch.float64))
        require(
            isinstance(share, float) and alike(torch.tensor(share, dtype=torch.float64), hidden),
            f"share({time}) must be hidden of it as a float, {float(hidden):g}, got {share!r}",
        )


def random_share_is_a_share(process: MaskingProcess) -> None:
    """Where hidden slots may show random codes, their share lies in 0..1, for each time in its own dtype."""
    for times in (TIMES, TIMES.float().view(1, 101)):
        share = process.random_share(times)
        if share is None:
            continue
        got = f"got {share.dtype} {list(share.shape)}"
        right = share.dtype == times.dtype and share.shape == times.shape
        require(right, f"random_share must keep dtype and shape, {got} for {times.dtype} {list(times.shape)}")
        within = finite(share) and bool(((share >= 0) & (share <= 1)).all())
        require(within, f"random_share must lie in 0..1, got {float(share.min()):g} to {float(share.max()):g}")


PROCESSES = Contract(
    "process",
    MaskingProcess,
    (
        begins_at_0_and_ends_at_1,
        never_falls,
        keeps_dtype_and_shape,
        derivative_is_right,
        weight_is_that_of_the_bound,
        share_is_hidden_of_one_number,
        random_share_is_a_share,
        *value_requirements(_use),
    ),
    plural="processes",
)


def check_process(process: MaskingProcess) -> list[str]:
    """Runs every check of a masking process; see :meth:`Contract.check` for what it returns and raises."""
    return PROCESSES.check(process)
