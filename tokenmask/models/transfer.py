"""Transfer: a new model starts from the weights of another, whose layout may hold other streams besides.

Arrow: MaskedModel of one layout --**transfer**--> MaskedModel of another. Does not know: runs, files, training.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict

import torch
from torch import Tensor

from tokenmask.layout import Layout
from tokenmask.models.config import TransformerConfig
from tokenmask.models.masked_model import MaskedModel

ID_ROWS = ("backbone.embedding.table", "heads.bias", "heads.table")  # a row for each id
STREAM_ROWS = "backbone.embedding.stream"  # a row for control positions, then one for each stream
_FUSIONS = "backbone.embedding.fusions."  # then the name of a stream


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
    names = _shared(source.layout, target.layout, without)
    old, new = source.state_dict(), target.state_dict()
    ids = _related_ids(source.layout, target.layout, names)
    streams = torch.tensor(
        [(0, 0), *((1 + source.layout.index(name), 1 + target.layout.index(name)) for name in names)]
    )
    for name, value in new.items():
        if name.startswith(_FUSIONS):
            if name.removeprefix(_FUSIONS).partition(".")[0] in names:
                value.copy_(old[name])
        elif name in ID_ROWS:
            value[ids[:, 1]] = old[name][ids[:, 0]]
        elif name == STREAM_ROWS:
            value[streams[:, 1]] = old[name][streams[:, 0]]
        else:
            value.copy_(old[name])
    return names


def check_shapes(target: TransformerConfig, source: TransformerConfig) -> None:
    """ValueError unless a model of the one shape can start from one of the other."""
    mine, theirs = asdict(target), asdict(source)
    for name in mine:
        if mine[name] != theirs[name]:
            raise ValueError(
                f"a model can start only from one of its own shape, but its {name} is {mine[name]} and that of the "
                f"other {theirs[name]}; set model.{name}={theirs[name]}"
            )


def unequal(source: MaskedModel, target: MaskedModel, *, without: Collection[str] = ()) -> list[str]:
    """What :func:`transfer` would change: names of tensors that differ in what both models have, bit for bit."""
    names = _shared(source.layout, target.layout, without)
    ids = _related_ids(source.layout, target.layout, names)
    old, new = source.state_dict(), target.state_dict()
    found = []
    for name, value in new.items():
        if name.startswith(_FUSIONS):
            same = name.removeprefix(_FUSIONS).partition(".")[0] not in names or torch.equal(value, old[name])
        elif name in ID_ROWS:
            same = torch.equal(value[ids[:, 1]], old[name][ids[:, 0]])
        elif name == STREAM_ROWS:
            places = [(0, 0), *((1 + source.layout.index(own), 1 + target.layout.index(own)) for own in names)]
            same = all(torch.equal(old[name][before], value[after]) for before, after in places)
        else:
            same = torch.equal(value, old[name])
        if not same:
            found.append(name)
    return found


def _shared(source: Layout, target: Layout, without: Collection[str] = ()) -> tuple[str, ...]:
    """The streams that both layouts have."""
    names = tuple(name for name in target.names if name in source.streams and name not in without)
    if not names and not without:
        raise ValueError(
            "a model can start only from one with a stream of the same name, but one has "
            f"{', '.join(target.names)} and the other {', '.join(source.names)}"
        )
    if source.controls != target.controls:
        raise ValueError(f"both models must have the same controls, got {source.controls} and {target.controls}")
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
                f"{target.arrangement(name)}"
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
