"""Checks that anybody can run on an own backbone, head, optimiser or stages; each fails with one sentence.

``check_backbone(config)`` and its like raise AssertionError, saying what does not hold. Does not know: any class of
ours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from tokenmask.batch import FILL, GIVEN, Batch, collate
from tokenmask.fitting import load_optimizer_tensors, optimizer_tensors
from tokenmask.layout import Layout, Parallel
from tokenmask.masking import Queries, Stages
from tokenmask.models import AttentionPattern, Backbone, BackboneConfig, Causal, HeadConfig, Hidden, Packed, layout_rows
from tokenmask.nn import build
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.testing import global_random_state_untouched
from tokenmask.training import Optimiser
from tokenmask.training.optimiser import optimisers_of

TEXT = StreamSpec("text", (97,), ("index",))
SOUND = StreamSpec("audio", (64, 65, 33), ("time",), rate_hz=50.0)
LENGTHS = ((5, 20), (3, 9))


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def _close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-3, atol=1e-4 * max(1.0, float(other.detach().abs().max())))


def _layout(fuse: str = "concat") -> Layout:
    return Layout({"text": TEXT, "sound": SOUND}, arrangements={"sound": Parallel(fuse)})


def _batch(layout: Layout, lengths: tuple[tuple[int, int], ...] = LENGTHS, multiple: int = 1) -> Batch:
    """One row for each (codes of text, places of sound); the sound is hidden in part."""
    generator = torch.Generator().manual_seed(0)

    def stream(name: str, length: int) -> TokenStream:
        spec = layout.streams[name]
        columns = [torch.randint(size, (length,), generator=generator) for size in spec.codebook_sizes]
        return TokenStream(spec, torch.stack(columns, 1).int())

    rows = [{"text": stream("text", words), "sound": stream("sound", places)} for words, places in lengths]
    packed = [layout.pack({name: row[name] for name in layout.names}, roles={"text": GIVEN}) for row in rows]
    return collate(packed, multiple=multiple)


def _asked(layout: Layout, batch: Batch) -> tuple[Batch, Queries]:
    """Every third position of the sound is hidden and asked."""
    hidden = (batch.role == FILL) & batch.valid[..., None] & (torch.arange(batch.shape[1]) % 3 == 0)[None, :, None]
    slots = hidden.flatten().nonzero().squeeze(1)
    inputs = replace(batch, ids=torch.where(hidden, layout.mask_of(batch.ids), batch.ids))
    return inputs, Queries(slots, layout.head_of(batch.ids).flatten()[slots])


def _moved(module: nn.Module) -> nn.Module:
    """With every parameter moved, so that layers which start at zero count too."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return module


def _refused(call: Callable[[], object], what: str) -> None:
    try:
        call()
    except ValueError as error:
        _require("\n" not in str(error), f"{what} must be refused in one sentence, got {error}")
    else:
        raise AssertionError(f"{what} must be refused with a ValueError, but was accepted")


@contextmanager
def _said(name: str) -> Iterator[None]:
    """Begins every sentence with what was checked; an error of another kind is one too."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{name}: {error}") from error
    except Exception as error:
        raise AssertionError(f"{name}: must work on plain input, got {type(error).__name__}: {error}") from error


def _value(config: Any) -> None:
    frozen = dataclasses.is_dataclass(config) and type(config).__dataclass_params__.frozen  # type: ignore[attr-defined]
    _require(frozen and replace(config) == config, "it must be a frozen dataclass that equals its copy")


def _check_rows(module: nn.Module, other: nn.Module, layout: Layout, wider: Layout) -> None:
    """``module`` is of ``layout``, ``other`` the same of a wider one."""
    rows, mine, theirs = layout_rows(module), module.state_dict(), other.state_dict()
    counts = {
        "ids": (rows.ids, layout.num_ids),
        "ranges": (rows.ranges, len(layout.ranges)),
        "streams": (rows.streams, 1 + len(layout.names)),
    }
    known = set(rows.own)
    for kind, (names, count) in counts.items():
        for name in names:
            _require(name in mine, f"layout_rows names {name!r} among {kind}, but there is no such tensor")
            _require(
                mine[name].shape[0] == count,
                f"{name!r} is named among {kind}, so it must have {count} rows, got {mine[name].shape[0]}",
            )
            known.add(name)
    for name, stream in rows.own.items():
        _require(
            name in mine and stream in layout.streams,
            f"layout_rows says that {name!r} is of {stream!r}, but there is no such tensor or stream",
        )
    for name in sorted(set(mine) | set(theirs)):
        follows = name not in mine or name not in theirs or mine[name].shape != theirs[name].shape
        _require(
            not follows or name in known or name in layout_rows(other).own,
            f"{name!r} follows from the layout, so layout_rows must name it",
        )


# Backbone -------------------------------------------------------------------------------------------------------------


class _Alone(AttentionPattern):
    """Every position sees itself alone."""

    def allows(self, query: Any, key: Any) -> Tensor:
        return query.position == key.position  # type: ignore[no-any-return]


def check_backbone(config: BackboneConfig) -> None:
    """AssertionError unless the networks of a config keep the contract of :class:`tokenmask.models.Backbone`."""
    with _said(type(config).__name__), global_random_state_untouched():
        _value(config)
        layout = _layout()
        network = _moved(build(lambda: config.build(layout), 0))
        _require(isinstance(network, Backbone), f"build must make a Backbone, got {type(network).__name__}")
        assert isinstance(network, Backbone)
        first, again, other = (build(lambda: config.build(layout), seed).state_dict() for seed in (0, 0, 1))
        _require(all(torch.equal(first[name], again[name]) for name in first), "weights must follow from the seed")
        _require(any(not torch.equal(first[n], other[n]) for n in first), "another seed must give other weights")
        wider = Layout({"more": TEXT, **layout.streams}, arrangements={"sound": Parallel("concat")})
        _check_rows(network, build(lambda: config.build(wider), 0), layout, wider)
        _require(network.table.shape[0] == layout.num_ids, f"table must have {layout.num_ids} rows, one for each id")
        own = {id(part) for part in network.modules()}
        _require(all(id(part) in own for part in network.parts()), "parts must be parts of the backbone")
        _check_vectors(network, layout)
        _check_patterns(network, layout)
        _check_time(network, layout)
        _check_gradients(network, layout)
        plain = _layout("sum")
        _check_used(build(lambda: config.build(plain), 0), plain)
        _check_cache(network, layout)


def _run(network: Backbone, inputs: Batch, queries: Queries, **options: Any) -> Hidden:
    if network.reads_time:
        options.setdefault("t", torch.linspace(0.3, 0.7, inputs.shape[0]))
    found: Hidden = network(inputs, queries, **options)
    return found


def _check_vectors(network: Backbone, layout: Layout) -> None:
    inputs, queries = _asked(layout, _batch(layout))
    before = inputs.ids.clone()
    vectors = _run(network, inputs, queries).queries
    wanted = (len(queries), network.width)
    _require(tuple(vectors.shape) == wanted, f"queries must get vectors of shape {wanted}, got {tuple(vectors.shape)}")
    _require(bool(vectors.isfinite().all()), "vectors must be finite")
    _require(torch.equal(inputs.ids, before), "inputs must not be changed")
    _require(torch.equal(_run(network, inputs, queries).queries, vectors), "the same input must give the same vectors")
    none = Queries(queries.slots[:0], queries.heads[:0])
    _require(len(_run(network, inputs, none).queries) == 0, "no queries must get no vectors")
    wide, moved = _asked(layout, _batch(layout, multiple=16))
    _require(
        _close(_run(network, wide, moved).queries, vectors),
        "a vector must be that of its row alone, but invalid positions behind it change it",
    )
    size = inputs.shape[1] * inputs.shape[2]
    row = torch.div(queries.slots, size, rounding_mode="floor")
    for index in range(inputs.shape[0]):
        mine = row == index
        alone = Queries(queries.slots[mine] - index * size, queries.heads[mine])
        options = {"t": torch.linspace(0.3, 0.7, inputs.shape[0])[index : index + 1]} if network.reads_time else {}
        found = _run(network, inputs.rows(torch.tensor([index])), alone, **options).queries
        _require(_close(found, vectors[mine]), "a vector must be that of its row alone, but other rows change it")
    _refused(lambda: _run(network, inputs, queries, taps=("no such tap",)), "a tap that it does not know")


def _check_patterns(network: Backbone, layout: Layout) -> None:
    inputs, queries = _asked(layout, _batch(layout))
    positions = torch.div(queries.slots, inputs.shape[2], rounding_mode="floor") % inputs.shape[1]
    middle = 12
    other = inputs.ids.clone()
    other[:, middle:] = torch.where(inputs.valid[:, middle:, None], layout.mask_of(inputs.ids)[:, middle:], 0)
    for pattern in (Causal(), _Alone()):
        try:
            before = _run(network, inputs, queries, pattern=pattern).queries
        except ValueError as error:
            _require("\n" not in str(error), f"a pattern must be refused in one sentence, got {error}")
            continue
        after = _run(network, replace(inputs, ids=other), queries, pattern=pattern).queries
        early = positions < middle
        _require(
            _close(after[early], before[early]),
            f"a position must see no other than the pattern allows, or the pattern be refused, but with "
            f"{type(pattern).__name__} later positions change earlier ones",
        )


def _check_time(network: Backbone, layout: Layout) -> None:
    inputs, queries = _asked(layout, _batch(layout))
    early, late = (network(inputs, queries, t=torch.full((inputs.shape[0],), t)).queries for t in (0.2, 0.9))
    changes = not torch.equal(early, late)
    _require(changes == network.reads_time, f"reads_time is {network.reads_time}, but t changes vectors: {changes}")
    if network.reads_time:
        _refused(lambda: network(inputs, queries), "a missing t")


def _check_gradients(network: Backbone, layout: Layout) -> None:
    inputs, queries = _asked(layout, _batch(layout))

    def gradients() -> list[Tensor | None]:
        network.zero_grad(set_to_none=True)
        torch.autograd.backward(_run(network, inputs, queries).queries.square().sum())
        return [own.grad for own in network.parameters()]

    plain = gradients()
    _require(all(own is None or bool(own.isfinite().all()) for own in plain), "gradients must be finite")
    _require(any(own is not None and bool(own.any()) for own in plain), "weights must get a gradient")
    try:
        network.recompute(True)
    except ValueError:
        network.recompute(False)
    else:
        again = gradients()
        network.recompute(False)
        _require(
            all(torch.equal(a, b) for a, b in zip(plain, again, strict=True) if a is not None and b is not None),
            "recompute must leave every gradient as it is, bit for bit",
        )
    network.zero_grad(set_to_none=True)


def _check_used(network: Backbone, layout: Layout) -> None:
    """A batch of text alone reaches every parameter, unless the backbone says that it may not."""
    stream = TokenStream(TEXT, torch.arange(6, dtype=torch.int32)[:, None])
    batch = collate([layout.pack({"text": stream}, roles={"text": FILL})], multiple=1)
    slots = ((batch.role == FILL) & batch.valid[..., None]).flatten().nonzero().squeeze(1)
    torch.autograd.backward(_run(network, batch, Queries(slots, torch.zeros_like(slots))).queries.square().sum())
    unused = [name for name, own in network.named_parameters() if own.grad is None]
    _require(network.sometimes_unused or not unused, f"sometimes_unused is False, but {unused[:3]} may get no gradient")


@torch.no_grad()
def _check_cache(network: Backbone, layout: Layout) -> None:
    """A full pass fills a cache, then some positions run anew over it: nothing changed, so neither do their vectors."""
    inputs, queries = _asked(layout, _batch(layout))
    rows, length, levels = inputs.shape
    slots = inputs.valid.cumsum(1) - 1
    try:
        cache = network.empty_cache(rows, length)
    except ValueError as error:
        _require("\n" not in str(error), f"a cache must be refused in one sentence, got {error}")
        return
    cache = cache.admit(Packed.of(inputs, inputs.valid, slots))
    full = _run(network, inputs, queries, cache=cache).queries
    _require(_close(full, _run(network, inputs, queries).queries), "filling a cache must not change the vectors")
    chosen = torch.zeros(rows * length, dtype=torch.bool)
    chosen[torch.div(queries.slots, levels, rounding_mode="floor")] = True
    chosen = chosen.view(rows, length)
    new = Packed.of(inputs, chosen, slots)
    number = (chosen.flatten().cumsum(0) - 1)[torch.div(queries.slots, levels, rounding_mode="floor")]
    t = {"t": torch.linspace(0.3, 0.7, rows)} if network.reads_time else {}
    asked = Queries(number * levels + queries.slots % levels, queries.heads)
    found = network.extend(new, asked, cache.admit(new), **t).queries
    _require(_close(found, full), "positions run over a cache that is not stale must get the vectors of a full pass")


# Head -----------------------------------------------------------------------------------------------------------------


def check_head(config: HeadConfig, width: int = 64) -> None:
    """AssertionError unless the heads of a config keep the contract of :class:`tokenmask.models.Head`."""
    with _said(type(config).__name__), global_random_state_untouched():
        _value(config)
        layout = _layout()
        head = _moved(build(lambda: config.build(layout, width), 0))
        wider = Layout({"more": TEXT, **layout.streams})
        _check_rows(head, build(lambda: config.build(wider, width), 0), layout, wider)
        generator = torch.Generator().manual_seed(0)
        hidden = torch.randn(60, width, generator=generator, requires_grad=True)
        table = torch.randn(layout.num_ids, width, generator=generator) * 0.02
        heads = torch.randint(len(layout.ranges), (60,), generator=generator)
        groups = head(hidden, heads, table)
        _check_groups(groups, heads, layout)
        scores = _by_query(groups)
        some = torch.arange(0, 60, 7)
        for query, found in zip(some.tolist(), _by_query(head(hidden[some], heads[some], table)).values(), strict=True):
            _require(_close(found, scores[query]), "scores must follow from the vector and range of their query alone")
        order = torch.randperm(60, generator=generator)
        turned = _by_query(head(hidden[order], heads[order], table))
        for place, query in enumerate(order.tolist()):
            _require(_close(turned[place], scores[query]), "the order of queries must not change their scores")
        reads = head(hidden, heads, table, lambda group: group.logits.logsumexp(1))
        for group, read in zip(groups, reads, strict=True):
            same = (group.head, tuple(group.queries.tolist())) == (read.head, tuple(read.queries.tolist()))
            _require(
                same and read.logits.shape == (len(group.queries),) and _close(read.logits, group.logits.logsumexp(1)),
                "read must be given the logits of each group, and what it returns stand in their place",
            )
        torch.autograd.backward(torch.cat([group.logits.flatten() for group in groups]).square().sum())
        unused = [name for name, own in head.named_parameters() if own.grad is None]
        _require(not unused, f"every parameter must have a gradient where all ranges are asked, but not {unused[:3]}")
        _require(hidden.grad is not None and bool(hidden.grad.any()), "vectors must get a gradient")
        _require(head(hidden[:0], heads[:0], table) == (), "no queries must give no groups")
        _refused(lambda: head(hidden[:1], torch.tensor([-1]), table), "a head that is no range of the layout")
        _refused(lambda: head(hidden[:1], torch.tensor([len(layout.ranges)]), table), "a head beyond the last range")


def _check_groups(groups: Any, heads: Tensor, layout: Layout) -> None:
    numbers = [group.head for group in groups]
    _require(numbers == sorted(set(heads.tolist())), f"groups must be the ranges asked, ascending, got {numbers}")
    for head, queries, logits in groups:
        wanted = (heads == head).nonzero().squeeze(1)
        _require(torch.equal(queries, wanted), f"group {head} must hold each of its queries once, ascending")
        shape = (len(wanted), layout.ranges[head].size)
        _require(tuple(logits.shape) == shape, f"logits of range {head} must be {shape}, got {tuple(logits.shape)}")
        _require(logits.dtype == torch.float32, f"logits must be float32, got {logits.dtype}")
        _require(bool(logits.isfinite().all()), "logits must be finite")


def _by_query(groups: Any) -> dict[int, Tensor]:
    found = {query: row for group in groups for query, row in zip(group.queries.tolist(), group.logits, strict=True)}
    return dict(sorted(found.items()))


# Optimiser ------------------------------------------------------------------------------------------------------------


class _Net(nn.Module):
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
        return (self.table @ self.inner + self.bias - self.aim).square().mean()


def check_optimiser(optimiser: Optimiser, lr: float = 0.01) -> None:
    """AssertionError unless an optimiser keeps the contract of :class:`tokenmask.training.Optimiser`."""

    def start() -> tuple[_Net, dict[str, torch.optim.Optimizer]]:
        net = _Net()
        return net, optimisers_of(optimiser, dict(net.named_parameters()), ["inner"], lr)

    def steps(net: _Net, made: dict[str, torch.optim.Optimizer], count: int, lr: float) -> None:
        for _ in range(count):
            net.zero_grad(set_to_none=True)
            torch.autograd.backward(net.loss())
            for one in made.values():
                for group in one.param_groups:
                    group["lr"] = lr
                one.step()

    with _said(type(optimiser).__name__), global_random_state_untouched():
        _value(optimiser)
        net, made = start()
        before = {name: own.detach().clone() for name, own in net.named_parameters()}
        steps(net, made, 3, 0.0)
        held = {name: torch.equal(own, before[name]) for name, own in net.named_parameters()}
        _require(all(held.values()), "nothing may move at a learning rate of 0")
        first = float(net.loss().detach())
        net, made = start()
        steps(net, made, 20, lr)
        held = {name: torch.equal(own, before[name]) for name, own in net.named_parameters()}
        _require(held.pop("unasked"), "a parameter without a gradient must stay")
        still = [name for name in held if held[name]]
        _require(not still, f"every parameter with a gradient must move, but {', '.join(still)} stayed")
        _require(float(net.loss().detach()) < first, "the loss must fall over 20 steps")
        _check_goes_on(net, made, start, steps, lr)


def _check_goes_on(net: _Net, made: Any, start: Any, steps: Any, lr: float) -> None:
    """What is saved is enough to go on bit for bit."""
    shapes = {tuple(own.shape) for own in net.parameters()}
    saved: dict[str, Tensor] = {}
    for name, one in made.items():
        for values in one.state.values():
            for key, value in values.items():
                _require(
                    isinstance(value, Tensor) and (value.dim() == 0 or tuple(value.shape) in shapes),
                    f"what is kept of a parameter must be tensors of its shape or of one number, but {key} is not",
                )
        saved |= {key: value.clone() for key, value in optimizer_tensors(one, f"{name}.").items()}
    other, again = start()
    with torch.no_grad():
        for mine, theirs in zip(other.parameters(), net.parameters(), strict=True):
            mine.copy_(theirs)
    for name, one in again.items():
        load_optimizer_tensors(one, saved, f"{name}.")
    steps(net, made, 3, lr)
    steps(other, again, 3, lr)
    goes_on = all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    _require(goes_on, "a training that was stopped must go on bit for bit, but something is kept outside the state")


# Stages ---------------------------------------------------------------------------------------------------------------


def check_stages(stages: Stages) -> None:
    """AssertionError unless stages keep the contract of :class:`tokenmask.masking.Stages`."""
    with _said(type(stages).__name__), global_random_state_untouched():
        _value(stages)
        layout = _layout("sum")
        batch = _batch(layout, LENGTHS * 8)
        ids, keys = batch.ids, torch.arange(16)
        maskable = (batch.role == FILL) & batch.valid[..., None]
        drawn = stages.stage(ids, maskable, layout, seed=3, sample_ids=keys)
        right = drawn.dtype == torch.int64 and tuple(drawn.shape) == (16,) and bool((drawn >= 0).all())
        _require(right, f"stage must be int64 [B] and not negative, got {drawn}")
        again = stages.stage(ids, maskable, layout, seed=3, sample_ids=keys)
        _require(torch.equal(again, drawn), "the same rows must draw the same stages")
        learned, later, whole = stages.split(ids, maskable, layout, drawn)
        for name, mask in (("learned", learned), ("later", later)):
            _require(mask.dtype == torch.bool and mask.shape == ids.shape, f"{name} slots must be bool [B, L, K]")
            _require(not bool((mask & ~maskable).any()), f"{name} slots must be among those that may be hidden")
        _require(not bool((learned & later).any()), "a slot is learned or hidden besides, but some are both")
        _require(bool(learned.flatten(1).any(1).all()), "every row with slots that may be hidden must learn one")
        _require(whole.dtype == torch.bool and tuple(whole.shape) == (16,), "whole must be bool [B]")
        some = torch.tensor([9, 2, 5])
        alone = stages.stage(ids[some], maskable[some], layout, seed=3, sample_ids=keys[some])
        parts = stages.split(ids[some], maskable[some], layout, alone)
        same = torch.equal(alone, drawn[some])
        same = same and all(torch.equal(a, b[some]) for a, b in zip(parts, (learned, later, whole), strict=True))
        _require(same, "the stage of a row must follow from that row alone, but other rows change it")
