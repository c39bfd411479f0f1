"""Optimisers: an object is one if it passes :func:`check_optimiser`.

Does not know: any optimiser.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tokenmask.fitting import load_optimizer_tensors, optimizer_tensors
from tokenmask.testing.anything import comes_back_from_a_file
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.draws import global_random_state_untouched
from tokenmask.training import Optimiser
from tokenmask.training.optimiser import optimisers_of

Made = Mapping[str, torch.optim.Optimizer]


class Net(nn.Module):
    """A table, a matrix inside, a bias, and a vector that no loss asks for."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.table = nn.Parameter(torch.randn(7, 5, generator=generator))
        self.inner = nn.Parameter(torch.randn(5, 5, generator=generator))
        self.bias = nn.Parameter(torch.zeros(5))
        self.unasked = nn.Parameter(torch.ones(3))
        self.aim = torch.randn(7, 5, generator=generator)

    def loss(self) -> Tensor:
        """Mean squared distance from the aim."""
        return (self.table @ self.inner + self.bias - self.aim).square().mean()

    def values(self) -> dict[str, Tensor]:
        """Copies of the weights."""
        return {name: own.detach().clone() for name, own in self.named_parameters()}


@dataclass(frozen=True)
class Subject:
    """What is checked, at which learning rate."""

    component: Optimiser
    lr: float = 0.01

    def start(self) -> tuple[Net, Made]:
        """A net and its optimisers."""
        net = Net()
        return net, optimisers_of(self.component, dict(net.named_parameters()), ["inner"], self.lr)


def _steps(net: Net, made: Made, count: int, lr: float) -> None:
    for _ in range(count):
        net.zero_grad(set_to_none=True)
        torch.autograd.backward(net.loss())
        for one in made.values():
            for group in one.param_groups:
                group["lr"] = lr
            one.step()


def takes_every_parameter_once(subject: Subject) -> None:
    """``make`` gives optimisers of torch for all parameters, and leaves the global draws alone."""
    with global_random_state_untouched():
        _, made = subject.start()
    require(all(isinstance(one, torch.optim.Optimizer) for one in made.values()), "make must give torch's optimisers")


def follows_the_learning_rate(subject: Subject) -> None:
    """A learning rate of 0 moves nothing."""
    net, made = subject.start()
    before = net.values()
    _steps(net, made, 3, 0.0)
    still = all(torch.equal(own, before[name]) for name, own in net.values().items())
    require(still, "nothing may move at a learning rate of 0")


def moves_what_has_a_gradient(subject: Subject) -> None:
    """What has a gradient moves and what has none stays; the loss falls."""
    net, made = subject.start()
    before, first = net.values(), float(net.loss().detach())
    with global_random_state_untouched():
        _steps(net, made, 20, subject.lr)
    still = [name for name, own in net.values().items() if torch.equal(own, before[name])]
    require("unasked" in still, "a parameter without a gradient must stay")
    others = [name for name in still if name != "unasked"]
    require(not others, f"every parameter with a gradient must move, but {', '.join(others)} stayed")
    require(float(net.loss().detach()) < first, "the loss must fall over 20 steps")


def repeats(subject: Subject) -> None:
    """Two trainings alike end alike."""
    nets = []
    for _ in range(2):
        net, made = subject.start()
        _steps(net, made, 5, subject.lr)
        nets.append(net)
    same = all(torch.equal(one, two) for one, two in zip(*(net.parameters() for net in nets), strict=True))
    require(same, "must give the same weights for the same gradients")


def goes_on_bit_for_bit(subject: Subject) -> None:
    """With its state loaded, it goes on as if it had never stopped."""
    net, made = subject.start()
    _steps(net, made, 5, subject.lr)
    shapes = {tuple(own.shape) for own in net.parameters()}
    saved: dict[str, Tensor] = {}
    for name, one in made.items():
        for values in one.state.values():
            for key, value in values.items():
                fits = isinstance(value, Tensor) and (value.dim() == 0 or tuple(value.shape) in shapes)
                require(
                    fits, f"what is kept must be tensors of the parameter's shape or of one number, but {key} is not"
                )
        saved |= {key: value.clone() for key, value in optimizer_tensors(one, f"{name}.").items()}
    other, again = subject.start()
    other.load_state_dict(net.state_dict())
    for name, one in again.items():
        load_optimizer_tensors(one, saved, f"{name}.")
    _steps(net, made, 3, subject.lr)
    _steps(other, again, 3, subject.lr)
    same = all(torch.equal(one, two) for one, two in zip(net.parameters(), other.parameters(), strict=True))
    require(same, "a training that was stopped must go on bit for bit, but something is kept outside the state")


OPTIMISERS = Contract(
    kind="optimiser",
    base=Optimiser,
    requirements=(
        comes_back_from_a_file,
        takes_every_parameter_once,
        follows_the_learning_rate,
        moves_what_has_a_gradient,
        repeats,
        goes_on_bit_for_bit,
    ),
    subject=Subject,
)


def check_optimiser(optimiser: Optimiser, lr: float = 0.01) -> list[str]:
    """Runs every check of an optimiser at a learning rate; AssertionError names each that failed, and why."""
    return OPTIMISERS.check(optimiser, lr=lr)
