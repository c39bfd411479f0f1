"""Heads: a config is one if it passes :func:`check_head`.

Does not know: any head.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from tokenmask.models import Head, HeadConfig, RangeLogits
from tokenmask.nn import build
from tokenmask.testing import networks
from tokenmask.testing.anything import comes_back_from_a_file
from tokenmask.testing.contract import Contract, refusal, require
from tokenmask.testing.draws import global_random_state_untouched

COUNT = 60  # queries


class Subject:
    """What is checked: a head with moved weights, and vectors with the ranges that they ask."""

    def __init__(self, component: HeadConfig, width: int = 64) -> None:
        self.component, self.width, self.layout = component, width, networks.layout()
        generator = torch.Generator().manual_seed(0)
        self.hidden = torch.randn(COUNT, width, generator=generator)
        self.table = torch.randn(self.layout.num_ids, width, generator=generator) * 0.02
        self.heads = torch.randint(len(self.layout.ranges), (COUNT,), generator=generator)
        self.order = torch.randperm(COUNT, generator=generator)

    def make(self) -> Head:
        """A fresh head."""
        return build(lambda: self.component.build(self.layout, self.width), 0)

    @cached_property
    def head(self) -> Head:
        """With every weight moved."""
        return networks.moved(self.make())

    def ask(self, some: Tensor) -> dict[int, Tensor]:
        """Number of a query among ``some`` -> its logits."""
        groups = self.head(self.hidden[some], self.heads[some], self.table)
        return {query: row for group in groups for query, row in zip(group.queries.tolist(), group.logits, strict=True)}

    @cached_property
    def groups(self) -> tuple[RangeLogits, ...]:
        """Of all queries."""
        return tuple(self.head(self.hidden, self.heads, self.table))


def names_what_follows_the_layout(subject: Subject) -> None:
    """The tensors that follow the layout are named, and grow with it as they say."""
    wider = networks.layout(more=networks.TEXT)
    require(isinstance(subject.make(), Head), f"build must make a Head, got {type(subject.make()).__name__}")
    networks.check_rows(
        subject.make(), build(lambda: subject.component.build(wider, subject.width), 0), subject.layout, wider
    )


def groups_hold_each_query_once(subject: Subject) -> None:
    """Each query is in one group, that of its range, with as many finite logits as the range has codes."""
    with global_random_state_untouched():
        groups = subject.groups
    numbers = [group.head for group in groups]
    require(
        numbers == sorted(set(subject.heads.tolist())), f"groups must be the ranges asked, ascending, got {numbers}"
    )
    for head, queries, logits in groups:
        wanted = (subject.heads == head).nonzero().squeeze(1)
        require(torch.equal(queries, wanted), f"group {head} must hold each of its queries once, ascending")
        shape = (len(wanted), subject.layout.ranges[head].size)
        require(tuple(logits.shape) == shape, f"logits of range {head} must be {shape}, got {tuple(logits.shape)}")
        require(logits.dtype == torch.float32, f"logits must be float32, got {logits.dtype}")
        require(bool(logits.isfinite().all()), "logits must be finite")


def a_query_is_scored_alone(subject: Subject) -> None:
    """The logits of a query change neither with the queries beside it nor with their order."""
    scores = subject.ask(torch.arange(COUNT))
    for query in range(0, COUNT, 7):
        alone = subject.ask(torch.tensor([query]))[0]
        require(
            networks.close(alone, scores[query]), "scores must follow from the vector and range of their query alone"
        )
    turned = subject.ask(subject.order)
    for place, query in enumerate(subject.order.tolist()):
        require(networks.close(turned[place], scores[query]), "the order of queries must not change their scores")


def read_stands_in_the_place_of_logits(subject: Subject) -> None:
    """``read`` is given the logits of each group, and what it returns stands in their place."""
    reads = subject.head(subject.hidden, subject.heads, subject.table, lambda group: group.logits.logsumexp(1))
    for group, read in zip(subject.groups, reads, strict=True):
        same = group.head == read.head and torch.equal(group.queries, read.queries)
        require(
            same and networks.close(read.logits, group.logits.logsumexp(1)),
            "read must be given the logits of each group, and what it returns stand in their place",
        )


def everything_gets_a_gradient(subject: Subject) -> None:
    """Vectors, and every weight where all ranges are asked, get a gradient."""
    head, hidden = networks.moved(subject.make()), subject.hidden.clone().requires_grad_()
    groups = head(hidden, subject.heads, subject.table)
    torch.autograd.backward(torch.cat([group.logits.flatten() for group in groups]).square().sum())
    unused = [name for name, own in head.named_parameters() if own.grad is None]
    require(not unused, f"every weight must get a gradient where all ranges are asked, but not {', '.join(unused[:3])}")
    require(hidden.grad is not None and bool(hidden.grad.any()), "vectors must get a gradient")


def no_queries_are_no_groups(subject: Subject) -> None:
    """No queries get no groups."""
    none = subject.head(subject.hidden[:0], subject.heads[:0], subject.table)
    require(none == (), f"no queries must give no groups, got {len(none)}")


def other_ranges_are_refused(subject: Subject) -> None:
    """A query of a range that is not there is refused in a sentence."""
    for wrong in (-1, len(subject.layout.ranges)):
        ask = lambda wrong=wrong: subject.head(subject.hidden[:1], torch.tensor([wrong]), subject.table)  # noqa: E731
        refusal(ValueError, ask, f"range {wrong} of {len(subject.layout.ranges)}")


HEADS = Contract(
    kind="head",
    base=HeadConfig,
    requirements=(
        comes_back_from_a_file,
        names_what_follows_the_layout,
        groups_hold_each_query_once,
        a_query_is_scored_alone,
        read_stands_in_the_place_of_logits,
        everything_gets_a_gradient,
        no_queries_are_no_groups,
        other_ranges_are_refused,
    ),
    subject=Subject,
)


def check_head(config: HeadConfig, width: int = 64) -> list[str]:
    """Runs every check of a head for vectors of ``width``; AssertionError names each that failed, and why."""
    return HEADS.check(config, width=width)
