"""Transfer: a new model starts from the weights of another, whose layout may hold other streams besides.

Arrow: MaskedModel of one layout --**transfer**--> MaskedModel of another. Does not know: runs, files, training.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from tokenmask.components import same
from tokenmask.layout import Layout
from tokenmask.models.backbone import BackboneConfig
from tokenmask.models.heads import HeadConfig
from tokenmask.models.masked_model import MaskedModel


@torch.no_grad()
def transfer(source: MaskedModel, target: MaskedModel, *, without: Collection[str] = ()) -> tuple[str, ...]:
    """Copies weights in place: all that belongs to no stream, and the rows of the streams that both models have.

    Rows are related by stream name, level and code, so the order of streams and their places among the ids may differ.
    What ``target`` alone has keeps its fresh weights; what ``source`` alone has is left out.

    Args:
        source: untouched.
        target: changed.
        without: streams whose rows are left as they are, because their codes are others.

    Returns:
        names of the streams whose rows were copied, in the order of ``target``.

    Raises:
        ValueError: models of different shapes, no stream in common, or one that has other codes in either.
    """
    check_shapes(target.config, source.config)
    check_shapes(target.head, source.head, "head")
    names = _shared(source.layout, target.layout, without)
    old, new = source.state_dict(), target.state_dict()
    for name, rows in _related(source, target, names):
        if rows is None:
            new[name].copy_(old[name])
        else:
            new[name][rows[:, 1]] = old[name][rows[:, 0]]
    return names


def check_shapes(
    target: BackboneConfig | HeadConfig, source: BackboneConfig | HeadConfig, field: str = "model"
) -> None:
    """ValueError unless a model of the one shape can start from one of the other; ``field`` of a recipe says it."""
    if type(target) is not type(source):
        raise ValueError(
            f"a model can start only from one of its own kind, but its {field} is a {type(target).__name__} and that "
            f"of the other a {type(source).__name__}; name that class as the recipe's {field}"
        )
    mine, theirs = _values(target), _values(source)
    for name in mine:
        if not same(mine[name], theirs[name]):
            raise ValueError(
                f"a model can start only from one of its own shape, but its {name} is {mine[name]} and that of the "
                f"other {theirs[name]}; set {field}.{name}={theirs[name]}"
            )


def _values(config: Any) -> dict[str, Any]:
    return {own.name: getattr(config, own.name) for own in fields(config)}


def unequal(source: MaskedModel, target: MaskedModel, *, without: Collection[str] = ()) -> list[str]:
    """What :func:`transfer` would change: names of tensors that differ in what both models have, bit for bit."""
    names = _shared(source.layout, target.layout, without)
    old, new = source.state_dict(), target.state_dict()
    found = []
    for name, rows in _related(source, target, names):
        mine, theirs = (new[name], old[name]) if rows is None else (new[name][rows[:, 1]], old[name][rows[:, 0]])
        if not torch.equal(mine, theirs):
            found.append(name)
    return found


def _related(source: MaskedModel, target: MaskedModel, names: tuple[str, ...]) -> Iterator[tuple[str, Tensor | None]]:
    """Every tensor with something in common, and int64 [n, 2], its rows of the same meaning; None: all of it."""
    rows, old, new = target.layout_rows(), source.layout, target.layout
    ids = _related_ids(old, new, names)
    streams = torch.tensor([(0, 0), *((1 + old.index(name), 1 + new.index(name)) for name in names)])
    levels = [(name, level) for name in names for level in range(new.streams[name].num_levels)]
    ranges = torch.tensor([(old.head(*one), new.head(*one)) for one in levels], dtype=torch.int64).view(-1, 2)
    for name in target.state_dict():
        if name in rows.own:
            if rows.own[name] in names:
                yield name, None
        elif name in rows.ids:
            yield name, ids
        elif name in rows.ranges:
            yield name, ranges
        elif name in rows.streams:
            yield name, streams
        else:
            yield name, None


def _shared(source: Layout, target: Layout, without: Collection[str] = ()) -> tuple[str, ...]:
    """The streams that both layouts have."""
    names = tuple(name for name in target.names if name in source.streams and name not in without)
    if not names and not without:
        raise ValueError(
            "a model can start only from one with a stream of the same name, but one has "
            f"{', '.join(target.names)} and the other {', '.join(source.names)}; "
            "name the streams alike"
        )
    if source.controls != target.controls:
        raise ValueError(
            f"both models must have the same controls, got {source.controls} and {target.controls}; "
            "make the new layout with those of the old"
        )
    for name in names:
        mine, theirs = target.streams[name], source.streams[name]
        if mine != theirs:
            raise ValueError(
                f"stream {name!r} must have the codes that the other model learned, those of tokenizer "
                f"{theirs.fingerprint[:12] or '(none)'}, got {mine.fingerprint[:12] or '(none)'}; use the tokenizer of "
                "that run, or give the stream another name"
            )
        if target.arrangement(name) != source.arrangement(name):
            raise ValueError(
                f"stream {name!r} must be arranged as in the other model, {source.arrangement(name)}, got "
                f"{target.arrangement(name)}; "
                "name that arrangement in the recipe"
            )
    return names


def _related_ids(source: Layout, target: Layout, names: tuple[str, ...]) -> Tensor:
    """int64 [n, 2], ids of the same meaning: PAD and controls, then every code and MASK of the shared streams."""
    count = 1 + len(target.controls)
    pairs = [torch.arange(count).expand(2, count)]
    for name in names:
        for level in range(target.streams[name].num_levels):
            old, new = source.range(name, level), target.range(name, level)
            places = torch.arange(new.size + 1)
            pairs.append(torch.stack([old.offset + places, new.offset + places]))
    return torch.cat(pairs, 1).T
