"""Backbones: a config is one if it passes :func:`check_backbone`.

Does not know: any backbone.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from tokenmask.batch import FILL, Batch, collate
from tokenmask.masking import Queries
from tokenmask.models import AttentionPattern, Backbone, BackboneConfig, Causal, Packed
from tokenmask.models.attention_pattern import JOINED
from tokenmask.nn import build
from tokenmask.streams import TokenStream
from tokenmask.testing import networks
from tokenmask.testing.anything import comes_back_from_a_file
from tokenmask.testing.contract import Contract, refusal, require
from tokenmask.testing.draws import global_random_state_untouched

MIDDLE = 12  # positions from here on are changed where earlier ones must not see them


class Subject:
    """What is checked: a network of a config for a small layout, with moved weights, and a batch that is asked."""

    def __init__(self, component: BackboneConfig) -> None:
        self.component = component
        self.layout = networks.layout()
        self.inputs, self.queries = networks.asked(self.layout, networks.batch_of(self.layout))
        self.times = torch.linspace(0.3, 0.7, self.inputs.shape[0])

    def make(self, seed: int = 0, **streams: Any) -> Backbone:
        """A fresh network."""
        own = networks.layout(**streams)
        return build(lambda: self.component.build(own), seed)

    @cached_property
    def network(self) -> Backbone:
        """With every weight moved."""
        return networks.moved(self.make())

    def time(self, t: Tensor | None = None) -> dict[str, Tensor]:
        """The argument ``t``, if the network reads it."""
        return {"t": self.times if t is None else t} if self.network.reads_time else {}

    @cached_property
    def vectors(self) -> Tensor:
        """Of the queries."""
        return self.ask(self.inputs, self.queries)

    def ask(self, inputs: Batch, queries: Queries, **options: Any) -> Tensor:
        """The vectors of queries of as many rows as there are in ``inputs``."""
        found: Tensor = self.network(inputs, queries, **{**self.time(), **options}).queries
        return found


def makes_a_backbone(subject: Subject) -> None:
    """``build`` makes a Backbone whose table has a row for each id and whose parts are its own."""
    network = subject.make()
    require(isinstance(network, Backbone), f"build must make a Backbone, got {type(network).__name__}")
    count = subject.layout.num_ids
    require(network.table.shape[0] == count, f"table must have {count} rows, one for each id")
    own = {id(part) for part in network.modules()}
    require(all(id(part) in own for part in network.parts()), "parts must be parts of the backbone")


def weights_follow_from_the_seed(subject: Subject) -> None:
    """The same seed gives the same weights, another seed others."""
    first, again, other = (subject.make(seed).state_dict() for seed in (0, 0, 1))
    require(all(torch.equal(first[name], again[name]) for name in first), "weights must follow from the seed")
    require(any(not torch.equal(first[name], other[name]) for name in first), "another seed must give other weights")


def names_what_follows_the_layout(subject: Subject) -> None:
    """The tensors that follow the layout are named, and grow with it as they say."""
    wider = networks.layout(more=networks.TEXT)
    networks.check_rows(subject.make(), subject.make(more=networks.TEXT), subject.layout, wider)


def vectors_are_finite_and_repeat(subject: Subject) -> None:
    """Each query gets a finite vector, the same each time; inputs and global draws are left alone."""
    before = subject.inputs.ids.clone()
    with global_random_state_untouched():
        vectors = subject.ask(subject.inputs, subject.queries)
    wanted = (len(subject.queries), subject.network.width)
    require(tuple(vectors.shape) == wanted, f"queries must get vectors of shape {wanted}, got {tuple(vectors.shape)}")
    require(bool(vectors.isfinite().all()), "vectors must be finite")
    require(torch.equal(subject.inputs.ids, before), "inputs must not be changed")
    require(torch.equal(vectors, subject.vectors), "the same input must give the same vectors")


def no_queries_are_no_vectors(subject: Subject) -> None:
    """No queries get no vectors."""
    none = Queries(subject.queries.slots[:0], subject.queries.heads[:0])
    require(len(subject.ask(subject.inputs, none)) == 0, "no queries must get no vectors")


def padding_changes_nothing(subject: Subject) -> None:
    """Padding behind the rows does not change a vector."""
    wide, queries = networks.asked(subject.layout, networks.batch_of(subject.layout, multiple=16))
    found = subject.ask(wide, queries)
    require(
        networks.close(found, subject.vectors), "a vector must be that of its row alone, but invalid positions count"
    )


def other_rows_change_nothing(subject: Subject) -> None:
    """A row gets the same vectors alone and beside others."""
    inputs, queries = subject.inputs, subject.queries
    size = inputs.shape[1] * inputs.shape[2]
    row = torch.div(queries.slots, size, rounding_mode="floor")
    for index in range(inputs.shape[0]):
        mine = row == index
        alone = Queries(queries.slots[mine] - index * size, queries.heads[mine])
        found = subject.ask(inputs.rows(torch.tensor([index])), alone, **subject.time(subject.times[index][None]))
        require(
            networks.close(found, subject.vectors[mine]), "a vector must be that of its row alone, but other rows count"
        )


class _Alone(AttentionPattern):
    """Every position sees itself alone."""

    def allows(self, query: Any, key: Any) -> Tensor:
        return query.position == key.position  # type: ignore[no-any-return]


def patterns_are_kept_or_refused(subject: Subject) -> None:
    """What a pattern hides changes nothing, or the pattern is refused in a sentence."""
    inputs, queries = subject.inputs, subject.queries
    positions = torch.div(queries.slots, inputs.shape[2], rounding_mode="floor") % inputs.shape[1]
    hidden = torch.where(inputs.valid[..., None], subject.layout.mask_of(inputs.ids), inputs.ids)
    late = (torch.arange(inputs.shape[1]) >= MIDDLE)[None, :, None]
    other = replace(inputs, ids=torch.where(late, hidden, inputs.ids))
    for pattern in (Causal(), _Alone()):
        try:
            before = subject.ask(inputs, queries, pattern=pattern)
        except ValueError as error:
            require("\n" not in str(error), f"a pattern must be refused in one sentence, got {error}")
            continue
        after, early = subject.ask(other, queries, pattern=pattern), positions < MIDDLE
        name = type(pattern).__name__.strip("_")
        require(
            networks.close(after[early], before[early]),
            f"a position must see no other than the pattern allows, or refuse it, but with {name} it sees later ones",
        )


def unknown_taps_are_refused(subject: Subject) -> None:
    """A tap that it does not know is refused in a sentence."""
    ask = lambda: subject.ask(subject.inputs, subject.queries, taps=("no such tap",))  # noqa: E731
    refusal(ValueError, ask, "a tap that it does not know")


def reads_the_time_as_it_says(subject: Subject) -> None:
    """Vectors change with the masking time where ``reads_time`` says so, and only there."""
    network, (count, _, _) = subject.network, subject.inputs.shape
    early, late = (subject.ask(subject.inputs, subject.queries, t=torch.full((count,), t)) for t in (0.2, 0.9))
    changes = not torch.equal(early, late)
    require(changes == network.reads_time, f"reads_time is {network.reads_time}, but t changes vectors: {changes}")
    if network.reads_time:
        refusal(ValueError, lambda: network(subject.inputs, subject.queries), "a missing t")


def _gradients(subject: Subject, inputs: Batch | None = None) -> dict[str, Tensor]:
    subject.network.zero_grad(set_to_none=True)
    torch.autograd.backward(subject.ask(inputs or subject.inputs, subject.queries).square().sum())
    found = {name: own.grad for name, own in subject.network.named_parameters() if own.grad is not None}
    subject.network.zero_grad(set_to_none=True)
    return found


def weights_get_gradients(subject: Subject) -> None:
    """Gradients are finite, and not all are 0."""
    found = _gradients(subject).values()
    require(all(bool(own.isfinite().all()) for own in found), "gradients must be finite")
    require(any(bool(own.any()) for own in found), "weights must get a gradient")


def recompute_changes_nothing(subject: Subject) -> None:
    """Recomputing activations leaves every gradient as it is, bit for bit, or is refused in a sentence."""
    plain = _gradients(subject)
    try:
        subject.network.recompute(True)
    except ValueError as error:
        require("\n" not in str(error), f"recompute must be refused in one sentence, got {error}")
        return
    again = _gradients(subject)
    subject.network.recompute(False)
    same = plain.keys() == again.keys() and all(torch.equal(plain[name], again[name]) for name in plain)
    require(same, "recompute must leave every gradient as it is, bit for bit")


def joins_rows_as_it_says(subject: Subject) -> None:
    """Where ``joins`` says so, rows that are run as one get the vectors and gradients of padded ones."""
    if not subject.network.joins:
        return
    told = {JOINED: torch.ones(subject.inputs.shape[0], dtype=torch.bool)}
    inputs = replace(subject.inputs, features={**subject.inputs.features, **told})
    same = networks.close(subject.ask(inputs, subject.queries), subject.vectors)
    require(same, "joins is True, so joined rows must get the vectors of padded ones")
    plain, joined = _gradients(subject), _gradients(subject, inputs)
    same = plain.keys() == joined.keys() and all(networks.close(joined[name], plain[name]) for name in plain)
    require(same, "joins is True, so joined rows must give the gradients of padded ones")


def unused_weights_are_told(subject: Subject) -> None:
    """Weights that get no gradient are there only where ``sometimes_unused`` says so."""
    own = networks.layout("sum")
    network = build(lambda: subject.component.build(own), 0)
    stream = TokenStream(networks.TEXT, torch.arange(6, dtype=torch.int32)[:, None])
    batch = collate([own.pack({"text": stream}, roles={"text": FILL})], multiple=1)
    slots = batch.to_fill.flatten().nonzero().squeeze(1)
    time = {"t": torch.tensor([0.5])} if network.reads_time else {}
    vectors = network(batch, Queries(slots, torch.zeros_like(slots)), **time).queries
    torch.autograd.backward(vectors.square().sum())
    unused = [name for name, weight in network.named_parameters() if weight.grad is None]
    told = network.sometimes_unused or not unused
    require(told, f"sometimes_unused is False, but {', '.join(unused[:3])} may get no gradient")


@torch.no_grad()
def a_cache_is_filled_or_refused(subject: Subject) -> None:
    """A full pass fills a cache, then some positions run anew over it: nothing changed, so neither do their vectors."""
    network, inputs, queries = subject.network, subject.inputs, subject.queries
    count, length, levels = inputs.shape
    slots = inputs.valid.cumsum(1) - 1
    try:
        cache = network.empty_cache(count, length)
    except ValueError as error:
        require("\n" not in str(error), f"a cache must be refused in one sentence, got {error}")
        return
    cache = cache.admit(Packed.of(inputs, inputs.valid, slots))
    full = subject.ask(inputs, queries, cache=cache)
    require(networks.close(full, subject.vectors), "filling a cache must not change the vectors")
    position = torch.div(queries.slots, levels, rounding_mode="floor")
    if network.answers_before:
        position = torch.where(position % length > 0, position - 1, position)
    chosen = torch.zeros(count * length, dtype=torch.bool)
    chosen[position] = True
    new = Packed.of(inputs, chosen.view(count, length), slots)
    among = Queries((chosen.cumsum(0) - 1)[position] * levels + queries.slots % levels, queries.heads)
    t = subject.times if network.reads_time else None
    found = network.extend(new, among, cache.admit(new), t=t).queries
    require(
        networks.close(found, full), "positions run over a cache that is not stale must get the vectors of a full pass"
    )


BACKBONES = Contract(
    kind="backbone",
    base=BackboneConfig,
    requirements=(
        comes_back_from_a_file,
        makes_a_backbone,
        weights_follow_from_the_seed,
        names_what_follows_the_layout,
        vectors_are_finite_and_repeat,
        no_queries_are_no_vectors,
        padding_changes_nothing,
        other_rows_change_nothing,
        patterns_are_kept_or_refused,
        unknown_taps_are_refused,
        reads_the_time_as_it_says,
        weights_get_gradients,
        recompute_changes_nothing,
        joins_rows_as_it_says,
        unused_weights_are_told,
        a_cache_is_filled_or_refused,
    ),
    subject=Subject,
)


def check_backbone(config: BackboneConfig) -> list[str]:
    """Runs every check of a backbone; AssertionError names each that failed, and why."""
    return BACKBONES.check(config)
